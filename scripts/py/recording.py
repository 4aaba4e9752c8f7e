"""A recorded data folder for the tests beside this file.

FEEDD_BIN     the feedd binary (default: target/release/feedd of this workspace)
FEEDD_SHARED  folder with captures/ and expected/ (default: ../shared beside the workspace)
FEEDD_RECORDED_<NAME>  a folder recorded before, used instead of recording; NAME is DEMO or TEN
"""

import functools
import json
import os
import pathlib
import subprocess
import sys
import tempfile

WORKSPACE = pathlib.Path(__file__).resolve().parents[2]
SHARED = pathlib.Path(os.environ.get("FEEDD_SHARED", WORKSPACE.parent / "shared"))
CAPTURES = {
    "DEMO": "binance/spot-btcusdt-ethusdt-2024-08-08",
    "TEN": "binance/spot-10sym-2021-04-05",
}
KINDS = ["trades", "quotes", "books", "levels", "gaps", "status"]


def require_shared():
    """Stops when the captures are missing: a failure under CI, else a stated skip."""
    if (SHARED / "captures").is_dir():
        return
    message = f"no captures in {SHARED} (set FEEDD_SHARED)"
    if os.environ.get("CI"):
        sys.exit(message)
    print(f"skipped: {message}")
    sys.exit(0)


@functools.cache
def record(name):
    """Records a capture through the Parquet sink and returns the folder that holds the datasets."""
    given = os.environ.get(f"FEEDD_RECORDED_{name}")
    if given:
        return datasets_in(pathlib.Path(given))
    return run(name)[0]


def binary():
    """The feedd that is tested."""
    return str(os.environ.get("FEEDD_BIN", WORKSPACE / "target/release/feedd"))


def run(name, *arguments):
    """Records a capture; returns the folder that holds the datasets, and the final accounting line."""
    capture = SHARED / "captures" / f"{CAPTURES[name]}.jsonl.zst"
    folder = tempfile.mkdtemp(prefix="feedd-")
    command = [binary(), "run", "--source", f"capture:{capture}", "--data-dir", folder, *arguments]
    done = subprocess.run(command, timeout=300, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 0, done.stderr
    account = next(line for line in done.stderr.splitlines() if line.startswith("Final accounting"))
    return datasets_in(pathlib.Path(folder)), account


def datasets_in(folder):
    """The folder of the datasets, at or below `folder`."""
    found = [path for path in [folder, *sorted(folder.rglob("*"))] if (path / "trades").is_dir()]
    assert found, f"{folder} holds no dataset of trades"
    return found[0]


def summary(name):
    """Counts and exact sums that the capture must give."""
    return json.loads((SHARED / "expected" / f"{CAPTURES[name]}.summary.json").read_text())


def samples(name):
    """Single events that the capture must give."""
    lines = (SHARED / "expected" / f"{CAPTURES[name]}.events.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]
