"""Signals of the built-in strategies against TA-Lib, over the bars that were stored. See recording.py."""

import json
import pathlib
import subprocess
import tempfile
import unittest

import numpy as np
import pyarrow.dataset
import talib

import recording

INTERVAL = "20t"
FAST, SLOW = 10, 30
PERIOD, OVERSOLD, OVERBOUGHT = 14, 30.0, 70.0
BARS, SIGMAS = 20, 2.0
# Flag of a bar.
TRUNCATED = 8


def rows(folder, dataset):
    table = pyarrow.dataset.dataset(folder / dataset, partitioning="hive").to_table().sort_by("number")
    return table.select([name for name in table.column_names if not name.endswith("_ts")]).to_pylist()


def crossings(closes):
    """As `sma`: fast above or below slow, told when it changes."""
    fast, slow = talib.SMA(closes, FAST), talib.SMA(closes, SLOW)
    side = None
    for difference, line in zip(fast - slow, slow):
        if np.isnan(difference) or abs(difference) <= abs(line) * 1e-9:
            continue
        now = difference > 0
        if side is not None and now != side:
            yield "buy" if now else "sell", difference
        side = now


def zones(closes):
    """As `rsi`: told when a zone is entered."""
    before = None
    for index in talib.RSI(closes, PERIOD):
        if np.isnan(index):
            continue
        zone = "buy" if index < OVERSOLD else "sell" if index > OVERBOUGHT else None
        if zone and zone != before:
            yield zone, index
        before = zone


def bands(closes):
    """As `bollinger`: told when the close leaves a band."""
    upper, middle, lower = talib.BBANDS(closes, BARS, SIGMAS, SIGMAS)
    before = None
    for close, high, mean, low in zip(closes, upper, middle, lower):
        if np.isnan(mean):
            continue
        outside = "buy" if close < low - mean * 1e-9 else "sell" if close > high + mean * 1e-9 else None
        if outside and outside != before:
            yield outside, (close - mean) * SIGMAS / (high - mean)
        before = outside


class Indicators(unittest.TestCase):
    def test_signals_are_those_of_an_independent_library(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="feedd-"))
        strategies = {"sma(10,30)": crossings, "rsi(14,30,70)": zones, "bollinger(20,2)": bands}
        sets = ["analysis.queue_blocks=4096"]
        for place, name in enumerate(strategies):
            sets += [f"strategy.{place}.kind={name.split('(')[0]}", f"strategy.{place}.interval={INTERVAL}"]
        arguments = [argument for set_ in sets for argument in ("--set", set_)]
        done = subprocess.run(
            [recording.binary(), "run", "--data-dir", str(folder), "--events", "120000", *arguments,
             "--set", "source.0.rate=30000"],
            timeout=300, capture_output=True, text=True,
        )  # fmt: skip
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("skipped cycles 0", done.stderr)
        closes = {}
        # Strategies do not act on a bar that the end of the run has cut off.
        for bar in (bar for bar in rows(folder, "bars") if not bar["flags"] & TRUNCATED):
            closes.setdefault(bar["symbol"], []).append(float(bar["close"]))
        given = {}
        for signal in rows(folder, "signals"):
            name = signal["strategy"].split("@")[0]
            given.setdefault((name, signal["symbol"]), []).append((signal["action"], signal["value"]))
        compared = dict.fromkeys(strategies, 0)
        for symbol, values in closes.items():
            for name, expected in strategies.items():
                with self.subTest(symbol=symbol, strategy=name):
                    expected = list(expected(np.array(values)))
                    found = given.pop((name, symbol), [])
                    self.assertEqual([action for action, _ in found], [action for action, _ in expected])
                    np.testing.assert_allclose([v for _, v in found], [v for _, v in expected], rtol=1e-6, atol=1e-9)
                    compared[name] += len(found)
        self.assertEqual(given, {}, "signals of what has no bars")
        print(f"signals equal to TA-Lib {talib.__version__}: {json.dumps(compared)}")
        self.assertTrue(all(count >= 10 for count in compared.values()), compared)


if __name__ == "__main__":
    unittest.main()
