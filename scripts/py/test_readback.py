"""What feedd recorded, read by pyarrow, DuckDB and Polars, equals what the capture must give. See recording.py."""

import unittest
from collections import defaultdict
from decimal import Decimal, localcontext

import duckdb
import polars
import pyarrow.dataset

import recording

TIMES = {"venue_ts", "recv_ts", "from_ts", "to_ts"}


def has_files(folder, kind):
    return any((folder / kind).rglob("*.parquet"))


def with_pyarrow(folder, kind):
    table = pyarrow.dataset.dataset(folder / kind, format="parquet", partitioning="hive").to_table()
    for name in TIMES & set(table.column_names):
        at = table.column_names.index(name)
        assert str(table.schema.field(name).type) == "timestamp[ns, tz=UTC]", table.schema
        table = table.set_column(at, name, table[name].cast("int64"))
    return table.drop_columns(["date"]).to_pylist()


def with_duckdb(folder, kind):
    files = f"read_parquet('{folder}/{kind}/**/*.parquet', hive_partitioning = true)"
    columns = [row[0] for row in duckdb.sql(f"describe select * from {files}").fetchall() if row[0] != "date"]
    shown = [f"epoch_ns({name}) as {name}" if name in TIMES else name for name in columns]
    rows = duckdb.sql(f"select {', '.join(shown)} from {files}").fetchall()
    return [dict(zip(columns, row)) for row in rows]


def with_polars(folder, kind):
    frame = polars.read_parquet(f"{folder}/{kind}/**/*.parquet", hive_partitioning=True)
    for name in TIMES & set(frame.columns):
        assert frame.schema[name] == polars.Datetime("ns", "UTC"), frame.schema
    times = [polars.col(name).dt.epoch("ns") for name in TIMES & set(frame.columns)]
    return frame.drop("date").with_columns(times).to_dicts()


READERS = {"pyarrow": with_pyarrow, "duckdb": with_duckdb, "polars": with_polars}


def plain(value):
    """Canonical text, as the summaries print it."""
    text = format(value, "f")
    return (text.rstrip("0").rstrip(".") if "." in text else text) or "0"


def levels_in(event):
    """Bid and ask levels of a sampled depth message; long lists are cut in the sample, with their counts beside."""
    return event.get("bids_n", len(event["bids"])), event.get("asks_n", len(event["asks"]))


def trades_of(rows):
    sums = dict(n=len(rows), buys=sum(row["side"] == "buy" for row in rows))
    with localcontext(prec=100):
        sums["sum_size"] = plain(sum((row["size"] for row in rows), Decimal(0)))
        sums["sum_price_x_size"] = plain(sum((row["price"] * row["size"] for row in rows), Decimal(0)))
    sums["min_price"] = plain(min(row["price"] for row in rows))
    sums["max_price"] = plain(max(row["price"] for row in rows))
    sums["first_ts"], sums["last_ts"] = rows[0]["venue_ts"], rows[-1]["venue_ts"]
    return sums


def by_symbol(rows):
    groups = defaultdict(list)
    for row in sorted(rows, key=lambda row: (row["epoch"], row["seq"])):
        groups[row["symbol"]].append(row)
    return groups


def symbols_of(kinds):
    """The part of a summary that the datasets tell."""
    symbols = defaultdict(dict)
    for symbol, rows in by_symbol(kinds["trades"]).items():
        symbols[symbol]["trade"] = trades_of(rows)
    for symbol, rows in by_symbol(kinds["quotes"]).items():
        symbols[symbol]["quote"] = {"n": len(rows)}
    for action in ["snapshot", "delta"]:
        books = by_symbol(row for row in kinds["books"] if row["action"] == action)
        levels = by_symbol(row for row in kinds["levels"] if row["action"] == action)
        for symbol, rows in books.items():
            of_book = levels.get(symbol, [])
            assert sum(row["bids"] + row["asks"] for row in rows) == len(of_book)
            deletes = sum(row["size"] == 0 for row in of_book)
            symbols[symbol][f"book_{action}"] = dict(n=len(rows), levels=len(of_book), deletes=deletes)
    return symbols


class Readback(unittest.TestCase):
    def setUp(self):
        self.maxDiff = 2000

    def test_every_kind_with_every_reader(self):
        for name in recording.CAPTURES:
            folder = recording.record(name)
            for reader, read in READERS.items():
                with self.subTest(capture=name, reader=reader):
                    kinds = {kind: read(folder, kind) if has_files(folder, kind) else [] for kind in recording.KINDS}
                    self.counts_and_sums(name, kinds)
                    self.single_values(name, kinds)
                    self.arrival_order_has_no_hole(kinds)
                    self.connection_events(kinds)

    def counts_and_sums(self, name, kinds):
        expected = recording.summary(name)
        found = symbols_of(kinds)
        self.assertEqual(set(found), set(expected["symbols"]))
        for symbol, groups in expected["symbols"].items():
            for group, values in groups.items():
                got = {key: found[symbol][group].get(key) for key in values if key in found[symbol][group]}
                self.assertEqual(got, {key: values[key] for key in got}, f"{symbol} {group}")
                self.assertIn("n", got)

    def single_values(self, name, kinds):
        trades = {(row["symbol"], row["trade_id"]): row for row in kinds["trades"]}
        quotes = {(row["symbol"], row["venue_seq"]): row for row in kinds["quotes"]}
        books = {(row["symbol"], row["action"], row["seq_last"]): row for row in kinds["books"]}
        compared = 0
        for event in recording.samples(name):
            if event["kind"] == "trade":
                row = trades[event["symbol"], int(event["id"])]
                self.equal_decimals(row, event, ["price", "size"])
                self.assertEqual(row["side"], event["side"])
            elif event["kind"] == "quote":
                row = quotes[event["symbol"], int(event["seq"])]
                self.equal_decimals(row, event, ["bid", "bid_size", "ask", "ask_size"])
            elif event["kind"] == "book":
                row = books[event["symbol"], event["action"], int(event["seq_last"])]
                self.assertEqual((row["bids"], row["asks"]), levels_in(event))
            else:
                continue
            self.assertEqual((row["venue_ts"], row["recv_ts"]), (event["exchange_ts"], event["recv_ns"]))
            compared += 1
        self.assertGreater(compared, 100)

    def equal_decimals(self, row, event, names):
        for name in names:
            self.assertEqual(row[name], Decimal(event[name]), f"{name} of {event}")

    def arrival_order_has_no_hole(self, kinds):
        seqs = defaultdict(list)
        for rows in kinds.values():
            for row in rows:
                seqs[row["epoch"]].append(row["seq"])
        for epoch, found in seqs.items():
            self.assertEqual(sorted(found), list(range(1, len(found) + 1)), f"epoch {epoch}")

    def connection_events(self, kinds):
        codes = {"connected", "disconnected", "resynchronised", "ended", "clock_forward", "clock_back"}
        reasons = {"venue_sequence", "disconnected", "ring_full", "recorder_down"}
        self.assertTrue(kinds["status"], "a recording says when its source began")
        self.assertLessEqual({row["code"] for row in kinds["status"]}, codes)
        self.assertLessEqual({row["reason"] for row in kinds["gaps"]}, reasons)


if __name__ == "__main__":
    recording.require_shared()
    unittest.main()
