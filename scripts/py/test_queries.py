"""The queries of docs/querying.md run as printed, and their answers equal what the capture must give. See recording.py."""

import os
import re
import unittest
from decimal import Decimal

import duckdb

import recording

TEXT = (recording.WORKSPACE / "docs/querying.md").read_text()


def blocks(language, marker):
    """Fenced blocks by the name after their marker comment."""
    found = {}
    for block in re.findall(rf"```{language}\n(.*?)```", TEXT, re.S):
        if named := re.match(rf"(?:--|#) {marker}:? ?(\w*)\n", block):
            found[named[1]] = block
    return found


class Queries(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        os.chdir(recording.record("TEN"))
        cls.expected = recording.summary("TEN")["symbols"]
        cls.books = recording.summary("TEN")["final_books"]
        cls.traded = {symbol: groups["trade"] for symbol, groups in cls.expected.items() if "trade" in groups}
        cls.db = duckdb.connect()
        cls.db.execute(blocks("sql", "views")[""])

    def run_query(self, name):
        answer = self.db.execute(blocks("sql", "query")[name])
        columns = [column[0] for column in answer.description]
        rows = [dict(zip(columns, row)) for row in answer.fetchall()]
        self.assertTrue(rows, f"{name} finds nothing")
        return rows

    def test_five_queries_are_printed(self):
        self.assertEqual(sorted(blocks("sql", "query")), ["bars", "counts", "spread", "top_of_book", "vwap"])

    def test_counts(self):
        rows = self.run_query("counts")
        self.assertEqual({row["symbol"]: row["trades"] for row in rows}, {s: t["n"] for s, t in self.traded.items()})
        for row in rows:
            trade = self.traded[row["symbol"]]
            self.assertEqual(row["volume"], Decimal(trade["sum_size"]))
            self.assertEqual((row["low"], row["high"]), (Decimal(trade["min_price"]), Decimal(trade["max_price"])))

    def test_bars(self):
        rows = self.run_query("bars")
        for symbol, trade in self.traded.items():
            bars = [row for row in rows if row["symbol"] == symbol]
            self.assertEqual(sum(row["volume"] for row in bars), Decimal(trade["sum_size"]), symbol)
            self.assertEqual(sum(row["trades"] for row in bars), trade["n"])
            self.assertEqual(max(row["high"] for row in bars), Decimal(trade["max_price"]))
            self.assertEqual(min(row["low"] for row in bars), Decimal(trade["min_price"]))
            for row in bars:
                self.assertTrue(row["low"] <= min(row["open"], row["close"]) <= row["high"], row)
                self.assertEqual((row["start"].second, row["start"].microsecond), (0, 0))

    def test_vwap(self):
        for row in self.run_query("vwap"):
            trade = self.traded[row["symbol"]]
            self.assertEqual(row["notional"], Decimal(trade["sum_price_x_size"]), row["symbol"])
            vwap = Decimal(trade["sum_price_x_size"]) / Decimal(trade["sum_size"])
            self.assertAlmostEqual(row["vwap"] / float(vwap), 1.0, places=12)

    def test_spread(self):
        rows = self.run_query("spread")
        self.assertEqual(len({row["seq"] for row in rows}), len(rows))
        self.assertTrue(all(row["spread"] == row["ask"] - row["bid"] > 0 for row in rows))

    def test_top_of_book(self):
        rows = {row["symbol"]: row for row in self.run_query("top_of_book")}
        self.assertEqual(set(rows), set(self.books))
        for symbol, book in self.books.items():
            row = rows[symbol]
            top = (Decimal(book["top_bids"][0][0]), Decimal(book["top_asks"][0][0]))
            self.assertEqual((row["bid"], row["ask"], row["bids"], row["asks"]), (*top, book["bids"], book["asks"]))

    def test_snippets(self):
        names = {}
        exec(blocks("python", "snippet")["polars"], names)
        sizes = {row["symbol"]: row["size"] for row in names["volume"].to_dicts()}
        names = {}
        exec(blocks("python", "snippet")["pyarrow"], names)
        arrow = {row["symbol"]: row["size_sum"] for row in names["volume"].to_pylist()}
        expected = {symbol: Decimal(trade["sum_size"]) for symbol, trade in self.traded.items()}
        self.assertEqual(sizes, expected)
        self.assertEqual(arrow, expected)


if __name__ == "__main__":
    recording.require_shared()
    unittest.main()
