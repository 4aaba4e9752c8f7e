//! What a decoder says about a frame, as text.

use feedd_venues::message::{LevelNum, Message, Num};
use feedd_venues::table;

/// One line a message: its values without their places. A frame without messages: its outcome.
pub(crate) fn values(venue: &str, frame: &str) -> String {
    let mut decoder = table::decoder_for(venue).unwrap();
    let mut lines = Vec::new();
    let outcome = decoder.decode("ws-1", frame, &mut |frame: &str, message: &Message<'_>| {
        lines.push(line(frame, message));
    });
    if lines.is_empty() { format!("{outcome:?}") } else { lines.join("\n") }
}

/// The values of one message.
pub(crate) fn line(frame: &str, message: &Message<'_>) -> String {
    let number = |num: Num| {
        assert!(!num.text(frame).is_empty());
        num.value.canonical().to_string()
    };
    let optional = |num: Option<Num>| num.map_or_else(|| "-".to_owned(), number);
    let time = |time: Option<feedd_model::UnixNanos>| time.map_or_else(|| "-".to_owned(), |t| t.0.to_string());
    let seq = |seq: Option<feedd_model::VenueSeq>| seq.map_or_else(|| "-".to_owned(), |seq| seq.0.to_string());
    let levels = |levels: &[LevelNum]| {
        let all: Vec<String> = levels.iter().map(|l| format!("{}@{}", number(l.price), number(l.size))).collect();
        all.join(",")
    };
    match message {
        Message::Trade(t) => format!(
            "trade {} {} {} {}x{} {:?} id {} seq {}{}",
            t.symbol,
            time(t.exchange_ts),
            time(t.event_ts),
            number(t.price),
            number(t.size),
            t.side,
            t.id,
            seq(t.seq),
            if t.replay { " replay" } else { "" }
        ),
        Message::Quote(q) => format!(
            "quote {} {} {} {}x{} {}x{} seq {}",
            q.symbol,
            time(q.exchange_ts),
            time(q.event_ts),
            optional(q.bid),
            optional(q.bid_size),
            optional(q.ask),
            optional(q.ask_size),
            seq(q.seq)
        ),
        Message::Book(b) => format!(
            "{:?} {} {} {} bids {} asks {} seq {} {} {} sum {:?}",
            b.action,
            b.symbol,
            time(b.exchange_ts),
            time(b.event_ts),
            levels(b.bids),
            levels(b.asks),
            seq(b.seq_first),
            seq(b.seq_last),
            seq(b.seq_prev),
            b.checksum
        ),
    }
}
