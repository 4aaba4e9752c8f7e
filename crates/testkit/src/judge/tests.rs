//! Each kind of fault, made by hand, must be found, and nothing else with it.

use super::*;
use crate::oracle::Sent;

/// Trades 1 to 100, sent ten at a time, each ten within a second of its own.
fn sent() -> SentLog {
    let range = |k: u64| {
        let begin = i64::try_from(k).unwrap() * SECOND;
        Sent { first: 10 * k + 1, last: 10 * k + 10, first_ns: begin, last_ns: begin + SECOND / 10 }
    };
    SentLog::new(Oracle::new(11, &["BTCUSDT", "ETHUSDT"]), (0..10).map(range).collect())
}

const SECOND: i64 = 1_000_000_000;

/// Two starts: trades 1 to 50 and 51 to 100, a row that is no trade at the beginning of each.
fn rows() -> Vec<StoredRow> {
    let oracle = sent().oracle;
    let mut rows = Vec::new();
    for epoch in 0..2 {
        rows.push(StoredRow { at: at(epoch + 1, 1), trade_id: None, content: None });
        for k in 1..=50 {
            let n = 50 * u64::from(epoch) + k;
            rows.push(StoredRow { at: at(epoch + 1, k + 1), trade_id: Some(n), content: Some(oracle.expect(n)) });
        }
    }
    rows
}

fn at(epoch: u32, seq: u64) -> Position {
    Position { epoch: Epoch(epoch), seq: Seq(seq) }
}

fn verdict(rows: Vec<StoredRow>, gaps: &[Gap]) -> Verdict {
    let durable = [at(1, 20), at(1, 40), at(2, 51)];
    judge(rows, &Evidence { sent: &sent(), gaps, durable: &durable })
}

/// The row that holds trade `n`.
fn of_trade(rows: &mut [StoredRow], n: u64) -> &mut StoredRow {
    rows.iter_mut().find(|row| row.trade_id == Some(n)).unwrap()
}

/// Counts in the order of [`Verdict::findings`].
fn counts(verdict: &Verdict) -> [u64; 6] {
    verdict.findings().map(|(_, finding)| finding.count)
}

#[test]
fn what_is_whole_is_clean_in_any_order() {
    let mut all = rows();
    fastrand::Rng::with_seed(1).shuffle(&mut all);
    let verdict = verdict(all, &[]);
    assert_eq!(counts(&verdict), [0; 6], "{verdict}");
    assert!(verdict.is_clean());
    assert_eq!((verdict.rows, verdict.sent), (102, 100));
}

/// Makes one fault.
type Fault = fn(&mut Vec<StoredRow>);

#[test]
fn every_kind_of_fault_is_found() {
    let cases: [(&str, Fault, [u64; 6]); 14] = [
        ("durable trade lost", |r| r.retain(|row| row.trade_id != Some(7)), [1, 0, 1, 0, 0, 0]),
        ("durable row that is no trade lost", |r| r.retain(|row| row.at != at(1, 1)), [1, 0, 0, 0, 0, 0]),
        (
            "tail above the durable position lost",
            |r| r.retain(|row| row.at < at(1, 42) || row.at > at(1, 51)),
            [0, 0, 10, 0, 0, 0],
        ),
        ("tail of the run lost", |r| r.retain(|row| row.at < at(2, 42)), [10, 0, 10, 0, 0, 0]),
        ("a whole epoch lost", |r| r.retain(|row| row.at.epoch != Epoch(2)), [51, 0, 50, 0, 0, 0]),
        ("everything lost", Vec::clear, [91, 0, 100, 0, 0, 0]),
        ("row stored twice", |r| r.push(r[5].clone()), [0, 1, 0, 0, 0, 0]),
        (
            "trade stored again in another epoch",
            |r| r.push(StoredRow { at: at(2, 52), ..r[5].clone() }),
            [0, 1, 0, 0, 0, 0],
        ),
        ("another trade under a taken identity", |r| r[5].at = r[6].at, [1, 1, 0, 0, 0, 0]),
        ("price altered", |r| of_trade(r, 9).content.as_mut().unwrap().price.insert(0, '1'), [0, 0, 0, 0, 1, 0]),
        ("time altered", |r| of_trade(r, 9).content.as_mut().unwrap().venue_ms += 1, [0, 0, 0, 0, 1, 0]),
        (
            "payload of another run",
            |r| of_trade(r, 9).content = Some(Oracle::new(12, &["BTCUSDT", "ETHUSDT"]).expect(9)),
            [0, 0, 0, 0, 1, 0],
        ),
        (
            "number never sent",
            |r| r.push(StoredRow { at: at(2, 52), trade_id: Some(101), content: None }),
            [0, 0, 0, 0, 0, 1],
        ),
        ("number that hides a loss", |r| of_trade(r, 9).trade_id = Some(1 << 60), [0, 0, 1, 0, 0, 1]),
    ];
    for (name, make, expected) in cases {
        let mut rows = rows();
        make(&mut rows);
        let verdict = verdict(rows, &[]);
        assert_eq!(counts(&verdict), expected, "{name}: {verdict}");
        assert!(!verdict.is_clean(), "{name}");
        assert_eq!(verdict.lost(), expected[0] + expected[2], "{name}");
    }
}

#[test]
fn side_size_and_symbol_are_compared_too() {
    type Edit = fn(&mut Expected);
    let edits: [(&str, Edit); 3] = [
        ("side", |e| e.side = if e.side == Side::Buy { Side::Sell } else { Side::Buy }),
        ("size", |e| e.size.push('1')),
        ("symbol", |e| e.symbol.push('X')),
    ];
    for (name, edit) in edits {
        let mut rows = rows();
        edit(of_trade(&mut rows, 3).content.as_mut().unwrap());
        let verdict = verdict(rows, &[]);
        assert_eq!(counts(&verdict), [0, 0, 0, 0, 1, 0], "{name}");
        assert!(verdict.altered.examples[0].contains(name), "{verdict}");
    }
}

#[test]
fn trailing_zeros_need_not_be_kept_and_nothing_more_is_forgiven() {
    let cases = [("1.50000000", "1.5"), ("2.00000000", "2"), ("0.00000010", "0.0000001"), ("100", "100")];
    for (sent, stored) in cases {
        assert_eq!(without_zeros(sent), without_zeros(stored));
    }
    assert_ne!(without_zeros("100"), without_zeros("1"));
    assert_ne!(without_zeros("1.05"), without_zeros("1.5"));
}

#[test]
fn what_is_missing_counts_as_missed_only_where_a_gap_says_so() {
    let lost = |row: &StoredRow| !matches!(row.trade_id, Some(44..=60));
    let rows = || rows().into_iter().filter(lost).collect::<Vec<_>>();
    let seconds = |from: i64, to: i64| Gap { from_ns: from * SECOND, to_ns: to * SECOND + SECOND / 10 };
    let moved = |from: i64, to: i64| Gap { from_ns: 4 * SECOND + from, to_ns: 5 * SECOND + SECOND / 10 + to };
    // Trades 41 to 50 were sent in second 4, 51 to 60 in second 5; seq 2 to 11 of epoch 2 were durable.
    let cases = [
        ("no gap", vec![], [10, 0, 17, 0, 0, 0]),
        ("gap over both", vec![seconds(4, 5)], [10, 0, 0, 17, 0, 0]),
        ("gap over the first", vec![seconds(4, 4)], [10, 0, 10, 7, 0, 0]),
        ("gap that begins with the first and ends with the last", vec![moved(0, 0)], [10, 0, 0, 17, 0, 0]),
        ("gap that begins behind the first", vec![moved(1, 0)], [10, 0, 7, 10, 0, 0]),
        ("gap that ends before the last", vec![moved(0, -1)], [10, 0, 10, 7, 0, 0]),
        ("gaps elsewhere", vec![seconds(1, 3), seconds(6, 9)], [10, 0, 17, 0, 0, 0]),
        (
            "gap between two ranges",
            vec![Gap { from_ns: 4 * SECOND + SECOND / 2, to_ns: 4 * SECOND + SECOND * 3 / 4 }],
            [10, 0, 17, 0, 0, 0],
        ),
    ];
    for (name, gaps, expected) in cases {
        let verdict = verdict(rows(), &gaps);
        assert_eq!(counts(&verdict), expected, "{name}: {verdict}");
    }
}

#[test]
fn rows_are_read_from_what_psql_and_csv_writers_print() {
    let trade = sent().oracle.expect(9);
    let Expected { symbol, price, size, side, venue_ms, .. } = &trade;
    let full = StoredRow { at: at(1, 2), trade_id: Some(9), content: Some(trade.clone()) };
    let cases = [
        ("1|2|".to_owned(), StoredRow { trade_id: None, content: None, ..full }),
        ("1|2|9".to_owned(), StoredRow { content: None, ..full }),
        ("1,2,9\r".to_owned(), StoredRow { content: None, ..full }),
        (format!("1|2|9|{symbol}|{price}|{size}|{}|{venue_ms}", side.name()), full.clone()),
    ];
    for (line, row) in cases {
        assert_eq!(StoredRow::parse(&line), Ok(row), "{line}");
    }
    for bad in ["", "1|2", "1|2|x", "a|2|9", "1|2|9|S", "1|2|9|S|1|1|up|0", "1|2|9|S|1|1|buy|then"] {
        assert!(StoredRow::parse(bad).is_err(), "{bad}");
    }
}

#[test]
fn a_verdict_shows_its_findings_and_only_the_first_of_many() {
    let text = verdict(Vec::new(), &[]).to_string();
    assert!(text.starts_with("BROKEN: 0 rows stored, 100 trades sent"), "{text}");
    assert!(text.contains("epoch 1 seq 1 to 40, durable to 40"), "{text}");
    assert!(text.contains("missing outside gaps: 100"), "{text}");
    assert_eq!(text.matches("sent at").count(), EXAMPLES_MAX);
}
