//! Captures that no venue ever sent, written below a folder that names the venue.

use feedd_model::UnixNanos;
use feedd_venues::sim::{SimConfig, SimKind, SimMarket};
use std::path::{Path, PathBuf};

/// 2024-08-08T00:00:00Z in ns.
pub(crate) const START_TS: i64 = 1_723_075_200_000_000_000;

/// One line of a capture, without its end.
pub(crate) fn line(recv_ns: i64, conn: &str, dir: &str, frame: &str) -> Vec<u8> {
    serde_json::json!({"recv_ns": recv_ns, "conn": conn, "dir": dir, "frame": frame}).to_string().into_bytes()
}

/// A line with one trade of `BTCUSDT`, `id` milliseconds after the start.
pub(crate) fn trade(id: i64, price: &str) -> Vec<u8> {
    let recv_ns = START_TS + id * 1_000_000;
    let frame = format!(
        r#"{{"e":"trade","E":{0},"s":"BTCUSDT","t":{id},"p":"{price}","q":"0.50","T":{0},"m":false}}"#,
        recv_ns / 1_000_000
    );
    line(recv_ns, "ws-1", "in", &frame)
}

/// A simulated session of `frames` frames, `step_ns` apart.
pub(crate) fn session(frames: i64, step_ns: i64) -> Vec<Vec<u8>> {
    let mut market = SimMarket::new(&SimConfig::default()).unwrap();
    let mut text = String::new();
    let frame = |number| {
        let recv_ns = START_TS + number * step_ns;
        let frame = market.next_frame(UnixNanos(recv_ns), &mut text);
        line(recv_ns, frame.conn, if frame.kind == SimKind::Request { "out" } else { "in" }, &text)
    };
    (0..frames).map(frame).collect()
}

/// Writes `bytes` to `folder/venue/name`.
pub(crate) fn write(folder: &Path, venue: &str, name: &str, bytes: &[u8]) -> PathBuf {
    let path = folder.join(venue).join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(&path, bytes).unwrap();
    path
}

/// Writes a plain capture of Binance's spot market and gives the source's specification for the command line.
pub(crate) fn source(folder: &Path, lines: &[Vec<u8>]) -> String {
    format!("capture:{}", write(folder, "binance", "synthetic.jsonl", &lines.join(&b'\n')).display())
}
