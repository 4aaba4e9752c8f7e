"""check_bars.py finds what is wrong, and nothing else, in a made-up market with every value written out."""

import contextlib
import io
import pathlib
import tempfile
import unittest
from decimal import Decimal

import pyarrow
import pyarrow.parquet

import check_bars
from check_bars import SECOND, Rules

# Thursday 2024-08-08 12:00 UTC.
NOON = 1_723_118_400 * SECOND


def row(seq, seconds, **more):
    return {"epoch": 1, "seq": seq, "venue_ts": None, "recv_ts": NOON + round(seconds * SECOND), "flags": 0} | more


def trade(seq, seconds, price, size, side="buy", **more):
    market = {"venue": "v", "symbol": "A", "price": Decimal(price), "size": Decimal(size), "side": side}
    return row(seq, seconds, **market, **more)


def bar(seq, interval, start, end, prices, amounts, trades, revision=0, number=1):
    names = ["open", "high", "low", "close", "volume", "buy_volume", "notional", "vwap"]
    values = [None if text is None else Decimal(text) for text in [*prices, *amounts]]
    times = {"start_ts": NOON + round(start * SECOND), "end_ts": NOON + round(end * SECOND)}
    identity = {"epoch": 1, "seq": seq, "venue": "v", "symbol": "A", "interval": interval}
    return identity | times | dict(zip(names, values)) | {"trades": trades, "revision": revision, "number": number}


TRADES = [
    trade(1, 0.0, "10", "1"),
    trade(2, 0.5, "12.5", "2", side="sell"),
    trade(3, 1.25, "11", "0.5"),
    # Fetched later: made before the trade at 0.5.
    trade(5, 5.0, "9", "1", venue_ts=NOON + SECOND // 4) | {"flags": 4},
    # Much too late.
    trade(6, 700.0, "1", "1", venue_ts=NOON + 2 * SECOND) | {"flags": 4},
]
OTHERS = [row(4, 4.0)]
BARS = [
    bar(10, "1s", 0, 1, ["10", "12.5", "10", "12.5"], ["3", "1", "35", "11.666666666666666667"], 2, number=1),
    bar(13, "1s", 1, 2, ["11"] * 4, ["0.5", "0.5", "5.5", "11"], 1, number=2),
    bar(16, "1s", 0, 1, ["10", "12.5", "9", "12.5"], ["4", "2", "44", "11"], 3, revision=1, number=3),
    # Nothing was traded.
    bar(19, "1s", 2, 3, ["11"] * 4, ["0", "0", "0", None], 0, number=4),
    bar(22, "1m", 0, 60, ["10", "12.5", "9", "11"], ["4.5", "2.5", "49.5", "11"], 4, number=5),
    bar(25, "2t", 0, 0.5, ["10", "12.5", "10", "12.5"], ["3", "1", "35", "11.666666666666666667"], 2, number=6),
    bar(28, "2t", 1.25, 5, ["11", "11", "9", "9"], ["1.5", "1.5", "14.5", "9.666666666666666667"], 2, number=7),
    bar(31, "2t", 700, 700, ["1"] * 4, ["1", "1", "1", "1"], 1, number=8),
    bar(34, "2.5v", 0, 0.5, ["10", "12.5", "10", "12.5"], ["3", "1", "35", "11.666666666666666667"], 2, number=9),
    bar(37, "2.5v", 1.25, 700, ["11", "11", "1", "1"], ["2.5", "2.5", "15.5", "6.2"], 3, number=10),
]


def faults(bars, trades=TRADES, rules=None):
    return check_bars.check(trades, OTHERS, bars, rules or Rules())[0]


class CheckBars(unittest.TestCase):
    def test_what_is_right_has_no_fault(self):
        self.assertEqual(faults(BARS), [])

    def test_every_wrong_value_is_found(self):
        for at, made in enumerate(BARS):
            for what in check_bars.VALUES:
                # The first is revised later, so its values do not count any more.
                is_old = at == 0
                wrong = dict(made) | {what: (made[what] or 0) + 1}
                found = faults([*BARS[:at], wrong, *BARS[at + 1 :]])
                if is_old or made["trades"] == 0 and what in ("buy_volume", "vwap", "end_ts"):
                    continue
                self.assertTrue(any(what in fault or "does not repeat" in fault for fault in found), (what, found))

    def test_missing_and_invented_bars_are_found(self):
        self.assertTrue(any("1m from" in fault and "no bar" in fault for fault in faults(BARS[:4] + [late_minute()])))
        without = [made for made in BARS if made["number"] != 2]
        self.assertTrue(any("no bar, the trades give 1 trades" in fault for fault in faults(without)))
        invented = bar(40, "2t", 800, 801, ["1"] * 4, ["1", "1", "1", "1"], 1, number=11)
        self.assertTrue(any("the trades give no such bar" in fault for fault in faults([*BARS, invented])))

    def test_revisions_and_numbers_rise_by_one(self):
        twice = dict(BARS[2]) | {"revision": 0}
        self.assertTrue(any("revision 0, expected 1" in fault for fault in faults([*BARS[:2], twice, *BARS[3:]])))
        jump = dict(BARS[9]) | {"number": 12}
        self.assertEqual(faults([*BARS[:9], jump]), ["bar number 12 follows 9"])

    def test_venue_time_counts_when_asked_for(self):
        trades = [trade(1, 1.2, "10", "1", venue_ts=NOON + 9 * SECOND // 10)]
        made = bar(2, "1s", 0, 1, ["10"] * 4, ["1", "1", "10", "10"], 1)
        self.assertEqual(faults([made], trades, Rules(by="venue")), [])
        self.assertEqual(len(faults([made], trades)), 2, "the bar of the receive time is missing, this one is wrong")

    def test_a_quotient_is_rounded_half_to_even(self):
        tie = Decimal("0.000000000000000001"), Decimal(2)
        self.assertEqual(check_bars.vwap_of(*tie), 0)
        self.assertEqual(check_bars.vwap_of(3 * tie[0], tie[1]), Decimal("0.000000000000000002"))

    def test_intervals_that_do_not_divide_each_other_stand_alone(self):
        self.assertEqual([check_bars.root_of(seconds, [7, 60, 3_600]) for seconds in (7, 60, 3_600)], [7, 60, 60])
        self.assertFalse(check_bars.is_made_of(604_800, 25_200), "weeks begin on Mondays")

    def test_a_stored_folder_is_read(self):
        for bars, code, said in [(BARS, 0, "every value is exact"), (BARS[:9], 1, "1 differences"), ([], 2, "no dataset")]:
            with self.subTest(said), tempfile.TemporaryDirectory() as folder:
                store(pathlib.Path(folder), bars)
                out = io.StringIO()
                with contextlib.redirect_stdout(out):
                    self.assertEqual(check_bars.main([folder]), code, out.getvalue())
                self.assertIn(said, out.getvalue())


def late_minute():
    """A bar of a minute that nothing was traded in."""
    return bar(43, "1m", 120, 180, ["11"] * 4, ["0", "0", "0", None], 0, number=5)


def store(folder, bars):
    decimal, time = pyarrow.decimal128(38, 18), pyarrow.timestamp("ns", "UTC")
    decimals = {"price", "size", "open", "high", "low", "close", "volume", "buy_volume", "notional", "vwap"}
    for kind, rows in [("trades", TRADES), ("status", OTHERS), ("bars", bars)]:
        if not rows:
            continue
        columns = {}
        for name in rows[0].keys() - {"venue"}:
            type_ = decimal if name in decimals else time if name in check_bars.TIMES else None
            columns[name] = pyarrow.array([made[name] for made in rows], type_)
        path = folder / kind / "venue=v" / "date=2024-08-08"
        path.mkdir(parents=True)
        pyarrow.parquet.write_table(pyarrow.table(columns), path / "made-up.parquet")


if __name__ == "__main__":
    unittest.main()
