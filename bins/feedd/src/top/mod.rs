//! `feedd top`: a running recorder alive in a terminal.
//!
//! A thread asks for the status (`asking.rs`); keys and documents change the state (`state.rs`, which needs no terminal);
//! `draw.rs` makes a frame of it.

mod asking;
mod draw;
mod history;
mod pages;
mod rows;
mod state;
mod theme;

use crate::EXIT_USAGE;
use crate::admin_client::EXIT_UNKNOWN;
use crate::cli::TopArgs;
use crate::status_cmd::{code, recorder};
use anyhow::{Context, Result};
use asking::Asker;
use feedd_core::data_dir::write_whole;
use feedd_telemetry::Level;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use state::Top;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use theme::Theme;

/// Longest wait for a key: news of the recorder and signals are looked for in between.
const KEY_WAIT: Duration = Duration::from_millis(100);

/// Shows a running recorder until `q`. Exit code 0; 2 when there is no terminal. One frame: as `feedd status`.
pub(crate) fn top(args: &TopArgs) -> ExitCode {
    let is_once = args.once || args.output.is_some();
    let has_terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    if !is_once && !has_terminal {
        eprintln!("feedd: top needs a terminal; feedd top --once prints a frame, feedd status everything");
        return ExitCode::from(EXIT_USAGE);
    }
    let shown = if is_once { once(args) } else { alive(args).map(|()| Level::Ok) };
    match shown {
        Ok(level) => ExitCode::from(code(level)),
        Err(error) => {
            eprintln!("feedd: {error:#}");
            ExitCode::from(if is_once { EXIT_UNKNOWN } else { EXIT_USAGE })
        }
    }
}

/// One frame as text, of two looks.
fn once(args: &TopArgs) -> Result<Level> {
    let recorder = recorder(&args.ask)?;
    let mut top = Top::default();
    top.heard(Ok(asking::status(&recorder)?));
    std::thread::sleep(args.every);
    let status = asking::status(&recorder)?;
    let level = status.verdict.level;
    top.heard(Ok(status));
    let text = frame_text(&top, args.size)?;
    match &args.output {
        Some(path) => write_whole(path, text.as_bytes()).with_context(|| format!("writing {}", path.display()))?,
        None => {
            let mut out = std::io::stdout().lock();
            out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("writing to standard output")?;
        }
    }
    Ok(level)
}

/// A frame without colours, its lines without the blanks at their ends.
fn frame_text(top: &Top, (columns, rows): (u16, u16)) -> Result<String> {
    let mut terminal = Terminal::new(TestBackend::new(columns, rows))?;
    terminal.draw(|frame| draw::draw(top, Theme::PLAIN, frame))?;
    let buffer = terminal.backend().buffer();
    let mut text = String::new();
    for row in 0..rows {
        let line: String =
            (0..columns).filter_map(|column| buffer.cell((column, row))).map(|cell| cell.symbol()).collect();
        text.push_str(line.trim_end());
        text.push('\n');
    }
    Ok(text)
}

/// In the terminal, which is given back as it was, whatever ends it.
fn alive(args: &TopArgs) -> Result<()> {
    let recorder = recorder(&args.ask)?;
    let ended = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        signal_hook::flag::register(signal, ended.clone()).context("installing the signal handlers")?;
    }
    let asker = Asker::start(recorder, args.every)?;
    // Also gives the terminal back when something panics.
    let mut terminal = ratatui::try_init().context("taking over the terminal")?;
    let shown = run(&mut terminal, &asker, &ended);
    ratatui::try_restore().context("giving the terminal back")?;
    shown
}

fn run(terminal: &mut ratatui::DefaultTerminal, asker: &Asker, ended: &AtomicBool) -> Result<()> {
    let theme = Theme::of_environment();
    let mut top = Top::default();
    let mut is_stale = true;
    while !top.is_over && !ended.load(Ordering::Relaxed) {
        for heard in asker.heard() {
            top.heard(heard);
            is_stale = true;
        }
        if std::mem::take(&mut is_stale) {
            terminal.draw(|frame| draw::draw(&top, theme, frame)).context("drawing")?;
        }
        if event::poll(KEY_WAIT).context("waiting for a key")? {
            match event::read().context("reading a key")? {
                Event::Key(key) if key.kind == KeyEventKind::Press => top.key(key),
                // A resize draws anew.
                _ => {}
            }
            is_stale = true;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
