"""Bars against an independent computation, and a replay against the run that it replays. See recording.py."""

import json
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import duckdb
import pyarrow as pa
import pyarrow.dataset

import recording

QUERYING = pathlib.Path(__file__).resolve().parents[2] / "docs" / "querying.md"
CHECK = pathlib.Path(__file__).with_name("check_bars.py")
DERIVED = ["bars", "signals", "fills", "equity"]
LANE = [
    "--set", "analysis.bars=1s,1m,5m,100t",
    "--set", "analysis.paper=true",
    "--set", "strategy.0.kind=sma",
    "--set", "strategy.0.interval=1s",
    "--set", "strategy.0.parameters=fast=3,slow=8",
]  # fmt: skip
BARS = ["--set", "analysis.bars=1s,1m,5m,1h,100t,0.5v"]


def feedd(*arguments):
    done = subprocess.run([recording.binary(), *arguments], timeout=300, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def rows(folder, dataset):
    """All rows but where they stand in the record; nanoseconds as numbers."""
    if not (folder / dataset).is_dir():
        return []
    table = pa.dataset.dataset(folder / dataset, partitioning="hive").to_table().sort_by("number")
    columns = {
        name: table[name].cast("int64") if pa.types.is_timestamp(table[name].type) else table[name]
        for name in table.column_names
        if name not in ("epoch", "seq")
    }
    return pa.table(columns).to_pylist()


class Analysis(unittest.TestCase):
    def test_the_bars_of_every_binance_capture_are_exact(self):
        captures = sorted((recording.SHARED / "captures" / "binance").glob("*.jsonl.zst"))
        self.assertGreater(len(captures), 3)
        for capture in captures:
            with self.subTest(capture=capture.name):
                folder = tempfile.mkdtemp(prefix="feedd-")
                feedd("run", "--source", f"capture:{capture}", "--data-dir", folder, *BARS)
                if not (pathlib.Path(folder) / "trades").is_dir():
                    continue
                done = subprocess.run([sys.executable, CHECK, folder], capture_output=True, text=True, timeout=300)
                self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
                self.assertIn("every value is exact", done.stdout)

    def test_the_quality_of_bars_is_what_a_query_counts(self):
        """`feedd quality` against the query of docs/querying.md."""
        query = re.search(r"-- query: bar_quality\n(.*?);\n```", QUERYING.read_text(), re.S)[1]
        with_gaps = 0
        for capture in sorted((recording.SHARED / "captures" / "binance").glob("*.jsonl.zst")):
            with self.subTest(capture=capture.name):
                folder = pathlib.Path(tempfile.mkdtemp(prefix="feedd-"))
                # A ring of 64 events, filled faster than it can be stored: much has no room, which is marked.
                dropping = ["--set", "source.0.full=drop", "--set", "ring.capacity=64"]
                feedd("run", "--source", f"capture:{capture}", "--data-dir", str(folder), *BARS, *dropping)
                if not (folder / "bars").is_dir():
                    continue
                told = json.loads(feedd("quality", "--from", str(folder), "--json").splitlines()[0])
                self.assertEqual(told["bad_files"], [])
                names = ["venue", "symbol", "interval", "from", "to", "bars", "complete", "partial", "quality_bp"]
                found = {tuple(row[name] for name in names) for row in told["rows"]}
                bars = f"'{folder}/bars/**/*.parquet'"
                connection = duckdb.connect()
                counted = connection.sql(query.replace("'bars/**/*.parquet'", bars)).fetchall()
                self.assertEqual(found, set(counted))
                gaps = []
                if (folder / "gaps").is_dir():
                    gaps = connection.sql(
                        f"select venue, symbol, epoch_ns(from_ts), epoch_ns(to_ts) "
                        f"from read_parquet('{folder}/gaps/**/*.parquet', hive_partitioning = true)"
                    ).fetchall()
                for row in told["rows"]:
                    expected = [
                        [start, end]
                        for venue, symbol, start, end in gaps
                        if (venue == "_" or venue == row["venue"]) and symbol in (None, row["symbol"])
                        if (start is None or start <= row["to"]) and (end is None or end >= row["from"])
                    ]
                    listed = [[gap["from"], gap["to"]] for gap in row["gaps"]]
                    self.assertEqual(sorted(listed, key=str), sorted(expected, key=str), row["symbol"])
                    with_gaps += len(listed)
        self.assertGreater(with_gaps, 0)

    def test_a_replay_gives_the_records_of_the_run(self):
        live = pathlib.Path(tempfile.mkdtemp(prefix="feedd-"))
        # Clear of the queue: a run that skipped nothing, which its report says.
        told = feedd("run", "--data-dir", str(live), "--events", "30000", "--set", "analysis.queue_blocks=4096", *LANE)
        self.assertIn("skipped blocks 0", told)
        self.assertIn("skipped cycles 0", told)
        for mode in ("data", "clock"):
            again = pathlib.Path(tempfile.mkdtemp(prefix="feedd-"))
            feedd("replay", "--from", str(live), "--mode", mode, "--data-dir", str(again), *LANE)
            for dataset in DERIVED:
                expected = rows(live, dataset)
                self.assertEqual(rows(again, dataset), expected, f"{mode}: {dataset}")
            self.assertGreater(len(rows(again, "bars")), 100)

    def test_a_second_start_goes_on_with_bars_and_books(self):
        folder = pathlib.Path(tempfile.mkdtemp(prefix="feedd-"))
        for _ in range(2):
            feedd("run", "--data-dir", str(folder), "--events", "12000", *LANE)
        bars = rows(folder, "bars")
        self.assertEqual([bar["number"] for bar in bars], list(range(1, len(bars) + 1)))
        keys = [(bar["symbol"], bar["interval"], bar["start_ts"], bar["revision"]) for bar in bars]
        self.assertEqual(len(set(keys)), len(keys))
        # The minute of the first end: cut off there, and then told again with what came after.
        self.assertTrue(any(bar["interval"] == "1m" and bar["revision"] > 0 for bar in bars))
        for dataset in DERIVED[1:]:
            numbers = [row["number"] for row in rows(folder, dataset)]
            self.assertEqual(numbers, list(range(1, len(numbers) + 1)), dataset)

    def test_a_slow_strategy_is_named_and_storage_has_everything(self):
        folder = tempfile.mkdtemp(prefix="feedd-")
        told = feedd(
            "run", "--data-dir", folder, "--events", "60000", "--set", "source.0.rate=20000",
            "--set", "strategy.0.kind=slow", "--set", "strategy.0.interval=10t", "--set", "strategy.0.parameters=millis=15",
            "--set", "analysis.queue_items=16",
        )  # fmt: skip
        self.assertIn("Final accounting (complete)", told)
        self.assertRegex(told, r"Processor→Analysis \(live mode\): .*: CRITICAL\n +the engine is the bottleneck")
        accepted, stored = (int(n) for n in re.search(r"(\d+) accepted = (\d+) stored", told).groups())
        self.assertEqual(accepted, stored)
        self.assertGreater(int(re.search(r"skipped cycles ([\d,]+)", told)[1].replace(",", "")), 0)


if __name__ == "__main__":
    recording.require_shared()
    unittest.main()
