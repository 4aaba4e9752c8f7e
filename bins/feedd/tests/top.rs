//! `feedd top` in a terminal: a real one, whose screen is read back by another program's terminal emulator.

#![allow(clippy::unwrap_used, reason = "helpers of tests fail the test")]

mod asking;
mod common;

use asking::{Place, feedd};
use common::command;
use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{LocalModes, Winsize, tcgetattr, tcsetwinsize};
use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZero;
use std::os::fd::AsFd;
use std::process::{Child, Command, ExitStatus};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const WAIT_MAX: Duration = Duration::from_secs(60);

/// A program in a terminal.
struct Terminal {
    child: Child,
    /// The terminal's other end: keys go in, what is drawn comes out.
    keys: File,
    screen: Arc<Mutex<vt100::Parser>>,
    /// Every byte that was drawn.
    drawn: Arc<Mutex<Vec<u8>>>,
}

impl Terminal {
    /// Starts `feedd ARGS`, leader of a session of its own, whose terminal this is.
    fn start(args: &[&str], rows: u16, columns: u16, variables: &[(&str, &str)]) -> Self {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        resize(&master, rows, columns);
        let name = ptsname(&master, Vec::new()).unwrap();
        let slave = rustix::fs::open(&name, OFlags::RDWR | OFlags::NOCTTY, rustix::fs::Mode::empty()).unwrap();
        let feedd = command(args);
        let mut session = Command::new("setsid");
        session.arg("--ctty").arg(feedd.get_program()).args(feedd.get_args());
        for (name, value) in feedd.get_envs() {
            match value {
                Some(value) => session.env(name, value),
                None => session.env_remove(name),
            };
        }
        session.env("TERM", "xterm-256color").env_remove("NO_COLOR").envs(variables.iter().copied());
        let [input, output] = [0, 1].map(|_| slave.try_clone().unwrap());
        let child = session.stdin(input).stdout(output).stderr(slave).spawn().unwrap();
        let keys = File::from(master);
        let screen = Arc::new(Mutex::new(vt100::Parser::new(cells(rows), cells(columns), 0)));
        let drawn = Arc::new(Mutex::new(Vec::new()));
        let (mut output, shown, all) = (keys.try_clone().unwrap(), screen.clone(), drawn.clone());
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            // Its end is an error: nobody has the other end open any more.
            while let Ok(read @ 1..) = output.read(&mut piece) {
                shown.lock().unwrap().process(&piece[..read]);
                all.lock().unwrap().extend_from_slice(&piece[..read]);
            }
        });
        Self { child, keys, screen, drawn }
    }

    fn press(&mut self, keys: &str) {
        self.keys.write_all(keys.as_bytes()).unwrap();
    }

    fn resize(&self, rows: u16, columns: u16) {
        self.screen.lock().unwrap().screen_mut().set_size(cells(rows), cells(columns));
        resize(&self.keys, rows, columns);
    }

    fn text(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    /// Waits until the screen is as it should be, and gives it.
    fn wait_until(&mut self, what: &str, reached: impl Fn(&str) -> bool) -> String {
        let limit = Instant::now() + WAIT_MAX;
        loop {
            let text = self.text();
            if reached(&text) {
                return text;
            }
            assert!(self.child.try_wait().unwrap().is_none(), "ended before: {what}\n{text}");
            assert!(Instant::now() < limit, "still waiting for: {what}\n{text}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits for its end, and asserts that the terminal is as it was.
    fn ended(mut self) -> ExitStatus {
        let limit = Instant::now() + WAIT_MAX;
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(Instant::now() < limit, "does not end\n{}", self.text());
            std::thread::sleep(Duration::from_millis(5));
        };
        let drawn = |what: &str| String::from_utf8_lossy(&self.drawn.lock().unwrap()).contains(what);
        while !drawn("\x1b[?1049l") {
            assert!(Instant::now() < limit, "the other screen is left");
            std::thread::sleep(Duration::from_millis(5));
        }
        assert!(drawn("\x1b[?1049h"), "the other screen was used");
        assert!(!self.screen.lock().unwrap().screen().hide_cursor(), "the cursor is back");
        let modes = tcgetattr(&self.keys).unwrap().local_modes;
        assert!(modes.contains(LocalModes::ECHO | LocalModes::ICANON | LocalModes::ISIG), "{modes:?}");
        status
    }
}

fn cells(count: u16) -> NonZero<u16> {
    NonZero::new(count).unwrap()
}

fn resize(terminal: &impl AsFd, rows: u16, columns: u16) {
    tcsetwinsize(terminal, Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Nothing to do when it has ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn it_lives_through_resizes_and_the_end_and_restart_of_the_recorder() {
    let place = Place::new();
    let data_dir = place.data_dir();
    let args = ["top", "--data-dir", data_dir.to_str().unwrap(), "--every", "100ms"];
    let mut terminal = Terminal::start(&args, 24, 80, &[]);
    terminal.wait_until("that nobody answers", |text| {
        text.starts_with("NO ANSWER no recorder answers, trying again: no recorder answers at")
    });
    let mut recorder = place.start(&[]);
    recorder.trade(1..=12);
    let text = terminal.wait_until("the recorder", |text| text.contains("recording 1/1 symbols"));
    assert!(text.starts_with("OK recording 1/1 symbols, 0 lost"), "{text}");
    let row = |text: &str| text.lines().find(|line| line.starts_with("BTCUSDT")).map(str::to_owned);
    let text = terminal.wait_until("its symbol", |text| row(text).is_some_and(|row| row.contains(" 12 ")));
    assert!(row(&text).unwrap().contains("binance"), "{text}");
    terminal.press("2");
    terminal.wait_until("the sources", |text| text.contains("source▲") && text.contains("capture"));
    terminal.resize(40, 120);
    terminal.wait_until("a larger frame", |text| text.lines().count() == 40 && text.contains("connections"));
    terminal.resize(9, 30);
    terminal.wait_until("that it is too small", |text| text.starts_with("this terminal is too small"));
    terminal.resize(24, 80);
    terminal.wait_until("the frame again", |text| text.contains("source▲"));
    recorder.kill();
    terminal.wait_until("that it has gone", |text| text.starts_with("NO ANSWER no recorder answers, trying again"));
    let mut recorder = place.start(&[]);
    recorder.trade(13..=20);
    terminal.wait_until("the next start", |text| text.contains(", start 2, ") && !text.contains("NO ANSWER"));
    terminal.press("q");
    assert!(terminal.ended().success());
    recorder.end();
}

#[test]
fn whatever_ends_it_gives_the_terminal_back() {
    let place = Place::new();
    let mut recorder = place.start(&[]);
    recorder.trade(1..=3);
    let data_dir = place.data_dir();
    let args = ["top", "--data-dir", data_dir.to_str().unwrap(), "--every", "100ms"];
    for how in ["Ctrl-C", "TERM", "HUP", "INT"] {
        let mut terminal = Terminal::start(&args, 24, 80, &[]);
        terminal.wait_until("the recorder", |text| text.contains("recording 1/1 symbols"));
        match how {
            "Ctrl-C" => terminal.press("\x03"),
            signal => {
                let kill = format!("kill -{signal} {}", terminal.child.id());
                assert!(Command::new("sh").args(["-c", &kill]).status().unwrap().success());
            }
        }
        assert!(terminal.ended().success(), "{how}");
    }
    recorder.end().assert_complete("watched");
}

#[test]
fn no_color_is_heeded() {
    let place = Place::new();
    let mut recorder = place.start(&[]);
    recorder.trade(1..=3);
    let data_dir = place.data_dir();
    let args = ["top", "--data-dir", data_dir.to_str().unwrap()];
    for (variables, has_colours) in [(&[("NO_COLOR", "1")][..], false), (&[], true)] {
        let mut terminal = Terminal::start(&args, 24, 80, variables);
        terminal.wait_until("the recorder", |text| text.contains("recording 1/1 symbols"));
        let is_coloured = {
            let parser = terminal.screen.lock().unwrap();
            let colours = (0..24).flat_map(|row| (0..80).map(move |column| (row, column)));
            let cells = colours.filter_map(|(row, column)| parser.screen().cell(row, column));
            cells.map(vt100::Cell::fgcolor).any(|colour| colour != vt100::Color::Default)
        };
        assert_eq!(is_coloured, has_colours, "{variables:?}");
        terminal.press("q");
        assert!(terminal.ended().success());
    }
    recorder.end().assert_complete("watched");
}

#[test]
fn one_frame_for_scripts() {
    let place = Place::new();
    let mut recorder = place.start(&[]);
    recorder.trade(1..=12);
    recorder.wait_until("all is seen", |status| status["symbols"][0]["messages"] == 12);
    let (code, frame, error) = place.ask(&["top", "--once", "--every", "100ms", "--size", "100x30"]);
    assert_eq!((code, error.as_str()), (0, ""), "{frame}");
    assert_eq!(frame.lines().count(), 30);
    assert!(frame.starts_with("OK recording 1/1 symbols, 0 lost") && !frame.contains('\x1b'), "{frame}");
    let file = place.file("frame.txt");
    let (code, out, error) = place.ask(&["top", "-o", file.to_str().unwrap(), "--every", "100ms"]);
    assert_eq!((code, out.as_str(), error.as_str()), (0, "", ""));
    assert_eq!(std::fs::read_to_string(file).unwrap().lines().count(), 40);
    let (code, _, error) = place.ask(&["top"]);
    assert!(code == 2 && error.contains("top needs a terminal; feedd top --once prints a frame"), "{error}");
    let (code, _, error) = place.ask(&["top", "--once", "--size", "10x10"]);
    assert!(code == 2 && error.contains("write columns and rows such as 120x40"), "{error}");
    recorder.end().assert_complete("looked at");
    let (code, _, error) = place.ask(&["top", "--once"]);
    assert!(code == 3 && error.contains("no recorder answers at"), "{error}");
    assert_eq!(feedd(&["top", "--once", "--url", "ftp://x"]).0, 3);
}
