//! `feedd tap`: samples of what a running recorder records.

use crate::EXIT_TROUBLE;
use crate::admin_client::exit_code;
use crate::cli::TapArgs;
use crate::commands::{time_text, write_json};
use crate::query::with_query;
use crate::status_cmd::recorder;
use anyhow::{Context, Result};
use feedd_model::UnixNanos;
use feedd_telemetry::grouped;
use serde_json::Value;
use std::io::{self, ErrorKind, Write};
use std::process::ExitCode;

/// Shows events until enough were shown, the recorder ends, or nobody reads any more. Exit code 0; 2 when there is nothing to
/// tap, 3 when no recorder answers.
pub(crate) fn tap(args: &TapArgs) -> ExitCode {
    match shown(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => match error.downcast_ref::<Unwritten>() {
            // The reader of a pipe has seen enough.
            Some(Unwritten(cause)) if cause.kind() == ErrorKind::BrokenPipe => ExitCode::SUCCESS,
            Some(Unwritten(cause)) => {
                eprintln!("feedd: writing to standard output failed: {cause}");
                ExitCode::from(EXIT_TROUBLE)
            }
            None => {
                eprintln!("feedd: {error:#}");
                exit_code(&error)
            }
        },
    }
}

/// Standard output takes no more; not to be taken for what goes wrong on the way to the recorder.
#[derive(Debug, thiserror::Error)]
#[error("writing to standard output")]
struct Unwritten(#[source] io::Error);

fn shown(args: &TapArgs) -> Result<()> {
    let rate = args.rate.to_string();
    let path = with_query(
        "/tap",
        &[
            ("symbol", Some(&args.symbol)),
            ("source", args.source.as_deref()),
            ("kind", args.kind.as_deref()),
            ("rate", Some(&rate)),
        ],
    );
    let mut left = args.count.unwrap_or(u64::MAX);
    let mut told = None;
    recorder(&args.ask)?.events(&path, &mut |text| {
        let document: Value =
            serde_json::from_str(text).context("the recorder's tap is of another version of feedd")?;
        let out = &mut io::stdout().lock();
        for event in document["events"].as_array().into_iter().flatten() {
            if args.json {
                write_json(out, event).map_err(Unwritten)?
            } else {
                writeln!(out, "{}", line(event)).map_err(Unwritten)?
            }
            left -= 1;
            if left == 0 {
                break;
            }
        }
        out.flush().map_err(Unwritten)?;
        let error = document["error"].as_str().map(str::to_owned);
        if error.is_some() && error != told {
            eprintln!("feedd: the journal cannot be read: {}; tried again", error.as_deref().unwrap_or_default());
        }
        told = error;
        Ok(left > 0)
    })?;
    if left > 0 {
        eprintln!("feedd: the recorder has ended the tap");
    }
    Ok(())
}

/// `TIME VENUE SYMBOL seq N KIND ...`, and what was passed over before it.
fn line(shown: &Value) -> String {
    let text = |name: &str| shown[name].as_str().unwrap_or("-").to_owned();
    let event = &shown["event"];
    let at = event["recv_ts"].as_i64().or_else(|| shown["at"].as_i64()).unwrap_or_default();
    let (venue, symbol) = (text("venue"), text("symbol"));
    let mut out = format!("{} {venue} {symbol} {} {}", time_text(UnixNanos(at)), shown["seq"], words(event));
    let counts = [("passed", "not shown"), ("unread", "of any symbol not read")];
    let counts = counts.map(|(name, what)| (shown[name].as_u64().unwrap_or(0), what));
    let counts =
        counts.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{} {what}", grouped(*count)));
    let counts: Vec<String> = counts.collect();
    if !counts.is_empty() {
        out.push_str(&format!("   ({} before it)", counts.join(", ")));
    }
    out
}

/// What an event says.
fn words(event: &Value) -> String {
    let text = |name: &str| match &event[name] {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    let flags: Vec<&str> = event["flags"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let flags = if flags.is_empty() { String::new() } else { format!(" [{}]", flags.join(" ")) };
    let kind = text("kind");
    let body = match kind.as_str() {
        "trade" => format!("{} x {} {} id {}", text("price"), text("size"), text("side"), text("trade_id")),
        "quote" => format!("{} x {} | {} x {}", text("bid"), text("bid_size"), text("ask"), text("ask_size")),
        "level" => format!("{} {} x {}", text("side"), text("price"), text("size")),
        "book" => format!("{} of {} bids, {} asks", text("action"), text("bids"), text("asks")),
        _ => {
            let known = ["kind", "instrument", "venue_ts", "recv_ts", "flags"];
            let fields = event.as_object().into_iter().flatten();
            let told = fields.filter(|(name, value)| !known.contains(&name.as_str()) && !value.is_null());
            told.map(|(name, _)| format!("{name}={}", text(name))).collect::<Vec<_>>().join(" ")
        }
    };
    format!("{kind} {body}{flags}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn events_are_lines_with_exact_decimals() {
        let shown = |event: Value, passed: u64, unread: u64| {
            let line_of = json!({"version": 1, "seq": 42, "venue": "binance", "symbol": "BTCUSDT", "at": 1, "passed": passed,
                "unread": unread, "event": event});
            line(&line_of)
        };
        let at = 1_723_075_200_000_000_001_i64;
        let trade = json!({"kind": "trade", "recv_ts": at, "flags": ["after_gap"], "price": "100.250", "size": "0.10",
            "side": "buy", "trade_id": "7"});
        assert_eq!(
            shown(trade, 1_234, 0),
            "2024-08-08T00:00:00.000000001Z binance BTCUSDT 42 trade 100.250 x 0.10 buy id 7 [after_gap]   (1,234 not shown \
             before it)"
        );
        let quote = json!({"kind": "quote", "recv_ts": at, "flags": [], "bid": "1.0", "bid_size": "2", "ask": null,
            "ask_size": null, "venue_seq": 5});
        assert_eq!(shown(quote, 0, 0), "2024-08-08T00:00:00.000000001Z binance BTCUSDT 42 quote 1.0 x 2 | - x -");
        let status =
            json!({"kind": "status", "recv_ts": null, "flags": [], "instrument": 3, "code": "tick", "detail": 0});
        assert_eq!(
            shown(status, 2, 9),
            "1970-01-01T00:00:00.000000001Z binance BTCUSDT 42 status code=tick detail=0   (2 not shown, 9 of any symbol not \
             read before it)"
        );
    }
}
