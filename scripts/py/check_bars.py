"""Computes every bar of a recorded folder again, from the stored trades with exact decimals, and compares.

    check_bars.py FOLDER [--by receive|venue] [--tolerance 10] [--grace 1] [--revise 600]

FOLDER holds the datasets of the Parquet sink, or a folder above them. The durations, in seconds, are those of the recording's
configuration. Of each bar the latest revision counts. Checked are: every value, that each span with trades has a bar and no
other has one (but for empty bars, which must repeat the close before), spans, that revisions rise by one from 0, and that
numbers rise by one. Bars made with a session calendar are beyond this script.

Exit code 0: every bar is exact. 1: the differences are listed. 2: there is nothing to compare.
"""

import argparse
import pathlib
import sys
from collections import defaultdict
from decimal import ROUND_HALF_EVEN, Context, Decimal, Inexact, localcontext

SECOND = 1_000_000_000
UNITS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
FIRST_MONDAY = 4 * 86_400 * SECOND
# Bits of the flags column of trades: sent again by the venue, or fetched later.
OLD = 2 | 4
LISTED_MAX = 20
TIMES = {"venue_ts", "recv_ts", "start_ts", "end_ts", "closed_ts"}
VALUES = ["open", "high", "low", "close", "volume", "buy_volume", "notional", "vwap", "trades", "end_ts"]


class Rules:
    """What the recording was configured with; times in nanoseconds."""

    def __init__(self, by="receive", tolerance=10, grace=1, revise=600):
        self.by = by
        self.tolerance, self.grace, self.revise = (round(seconds * SECOND) for seconds in (tolerance, grace, revise))

    def time_of(self, trade, recv):
        """The time that says into which bar a trade goes."""
        venue = trade["venue_ts"]
        if venue is None:
            return recv
        if trade["flags"] & OLD:
            return min(venue, recv)
        return venue if self.by == "venue" and abs(venue - recv) <= self.tolerance else recv


def span_of(at, seconds):
    """Start and end of the bar of time that holds a moment."""
    length = seconds * SECOND
    origin = FIRST_MONDAY if seconds % UNITS["w"] == 0 else 0
    start = at - (at - origin) % length
    return start, start + length


def seconds_of(interval):
    """Seconds of an interval of time, None of another."""
    return int(interval[:-1]) * UNITS[interval[-1]] if interval[-1] in UNITS else None


def is_made_of(whole, part):
    """Whether bars of `whole` seconds can be added up from bars of `part` seconds."""
    origins = [FIRST_MONDAY if seconds % UNITS["w"] == 0 else 0 for seconds in (whole, part)]
    return whole > part and whole % part == 0 and (origins[0] - origins[1]) % (part * SECOND) == 0


def root_of(seconds, lengths):
    """The interval made of trades that this one is made of in the end: there it is decided whether a trade is too late."""
    parts = [part for part in lengths if is_made_of(seconds, part)]
    return root_of(max(parts), lengths) if parts else seconds


def received(rows):
    """Trades and other rows that move the clock, in the order of the record, with the clock when each came."""
    clock = None
    for row in sorted(rows, key=lambda row: (row["epoch"], row["seq"])):
        recv = row["recv_ts"] if row["recv_ts"] is not None else row["venue_ts"]
        recv = clock if recv is None else recv
        if recv is None:
            continue
        clock = recv if clock is None else max(clock, recv)
        yield row, recv, clock


def values_of(trades):
    """The values of a bar; `trades` in the order in which they count."""
    with localcontext(Context(prec=200, traps=[Inexact])):
        volume = sum((trade["size"] for trade in trades), Decimal(0))
        notional = sum((trade["price"] * trade["size"] for trade in trades), Decimal(0))
        bought = sum((trade["size"] for trade in trades if trade["side"] == "buy"), Decimal(0))
    prices = [trade["price"] for trade in trades]
    return {
        "open": prices[0],
        "high": max(prices),
        "low": min(prices),
        "close": prices[-1],
        "volume": volume,
        "buy_volume": bought,
        "notional": notional,
        "vwap": vwap_of(notional, volume),
        "trades": len(trades),
    }


def vwap_of(notional, volume):
    """Rounded half to even at the 18th decimal, from the exact quotient."""
    if volume == 0:
        return None
    with localcontext(Context(prec=200, rounding=ROUND_HALF_EVEN)):
        scale = Decimal(10) ** 18
        numerator, denominator = (notional * scale).as_integer_ratio(), volume.as_integer_ratio()
        above, below = numerator[0] * denominator[1], numerator[1] * denominator[0]
        whole, rest = divmod(above, below)
        up = 2 * rest > below or 2 * rest == below and whole % 2 == 1
        return Decimal(whole + up) / scale


def expected_of_time(rows, lengths, rules):
    """Values by (venue, symbol, seconds, start)."""
    roots = {seconds: root_of(seconds, lengths) for seconds in lengths}
    spans = defaultdict(list)
    for trade, recv, clock in received(rows):
        if "price" not in trade:
            continue
        at = rules.time_of(trade, recv)
        limit = clock - rules.grace
        for seconds in lengths:
            end = span_of(at, roots[seconds])[1]
            if end > limit or end + rules.revise > limit:
                spans[trade["venue"], trade["symbol"], seconds, span_of(at, seconds)[0]].append((at, trade))
    bars = {}
    for (venue, symbol, seconds, start), trades in spans.items():
        # Stable: of equal times the order of the record counts.
        ordered = [trade for _, trade in sorted(trades, key=lambda pair: pair[0])]
        end = start + seconds * SECOND
        bars[venue, symbol, seconds, start] = values_of(ordered) | {"end_ts": end}
    return bars


def expected_counted(rows, interval):
    """Bars of a number of trades (`100t`) or an amount (`2.5v`) by (venue, symbol), in order."""
    amount, is_volume = Decimal(interval[:-1]), interval[-1] == "v"
    filled, open_ = defaultdict(list), defaultdict(list)
    for trade, recv, _ in received(rows):
        if "price" not in trade:
            continue
        key = trade["venue"], trade["symbol"]
        open_[key].append((recv, trade))
        reached = sum(trade["size"] for _, trade in open_[key]) if is_volume else len(open_[key])
        if reached >= amount:
            filled[key].append(open_.pop(key))
    for key, trades in open_.items():
        # The run has ended within it.
        filled[key].append(trades)
    bars = {}
    for key, chunks in filled.items():
        last, made = None, []
        for chunk in chunks:
            start = chunk[0][0] if last is None else max(chunk[0][0], last + 1)
            end = max([start] + [recv for recv, _ in chunk])
            made.append(values_of([trade for _, trade in chunk]) | {"start_ts": start, "end_ts": end})
            last = start
        bars[key] = made
    return bars


def latest_of(bars, faults):
    """The latest revision of each bar by (venue, symbol, interval, start); revisions rise by one, so do numbers."""
    latest, numbers = {}, []
    for bar in sorted(bars, key=lambda bar: (bar["epoch"], bar["seq"])):
        key = bar["venue"], bar["symbol"], bar["interval"], bar["start_ts"]
        expected = latest[key]["revision"] + 1 if key in latest else 0
        if bar["revision"] != expected:
            faults.append(f"{name_of(key)}: revision {bar['revision']}, expected {expected}")
        latest[key] = bar
        numbers.append(bar["number"])
    for before, number in zip(numbers, numbers[1:]):
        if number != before + 1:
            faults.append(f"bar number {number} follows {before}")
    return latest


def name_of(key):
    return f"{key[0]} {key[1]} {key[2]} from {key[3]}"


def compare(key, bar, expected, faults):
    for what in VALUES:
        if bar[what] != expected[what]:
            faults.append(f"{name_of(key)}: {what} is {bar[what]}, the trades give {expected[what]}")


def check(trades, others, bars, rules):
    """The differences between `bars` and what `trades` give. `others` are the other rows that move the clock."""
    faults = []
    latest = latest_of(bars, faults)
    rows = trades + others
    intervals = {bar["interval"] for bar in bars}
    lengths = sorted(seconds_of(interval) for interval in intervals if seconds_of(interval))
    names = {seconds_of(interval): interval for interval in intervals}
    missing = {
        (venue, symbol, names[seconds], start): bar
        for (venue, symbol, seconds, start), bar in expected_of_time(rows, lengths, rules).items()
    }
    closes = {}
    for key in sorted((key for key in latest if seconds_of(key[2])), key=lambda key: (key[:3], key[3])):
        bar, expected = latest[key], missing.pop(key, None)
        if expected is None:
            close = closes.get(key[:3])
            prices = {bar[what] for what in ("open", "high", "low", "close")}
            if bar["trades"] or bar["volume"] or bar["notional"] or prices != {close}:
                faults.append(f"{name_of(key)}: no trade is in it, and it does not repeat the close before, {close}")
        else:
            compare(key, bar, expected, faults)
        closes[key[:3]] = bar["close"]
    faults += [f"{name_of(key)}: no bar, the trades give {bar['trades']} trades" for key, bar in missing.items()]
    for interval in sorted(interval for interval in intervals if not seconds_of(interval)):
        for (venue, symbol), made in expected_counted(rows, interval).items():
            keys = [(venue, symbol, interval, bar["start_ts"]) for bar in made]
            faults += [f"{name_of(key)}: no bar" for key in keys if key not in latest]
            found = {key for key in latest if key[:3] == (venue, symbol, interval)}
            faults += [f"{name_of(key)}: the trades give no such bar" for key in sorted(found - set(keys))]
            for key, expected in zip(keys, made):
                if key in latest:
                    compare(key, latest[key], expected, faults)
    return faults, len(latest)


def rows_of(folder, kind, columns):
    """Rows of a dataset; none when there is no file."""
    import pyarrow.dataset

    if not any((folder / kind).rglob("*.parquet")):
        return []
    dataset = pyarrow.dataset.dataset(folder / kind, format="parquet", partitioning="hive")
    table = dataset.to_table(columns=columns)
    for name in TIMES & set(columns):
        table = table.set_column(table.column_names.index(name), name, table[name].cast("int64"))
    return table.to_pylist()


def datasets_in(folder):
    """The folder of the datasets, at or below `folder`."""
    return next((path for path in [folder, *sorted(folder.rglob("*"))] if (path / "bars").is_dir()), None)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--by", choices=["receive", "venue"], default="receive")
    parser.add_argument("--tolerance", type=float, default=10, help="of venue times, seconds")
    parser.add_argument("--grace", type=float, default=1, help="seconds")
    parser.add_argument("--revise", type=float, default=600, help="seconds")
    given = parser.parse_args(arguments)
    folder = datasets_in(given.folder)
    if folder is None:
        print(f"{given.folder} holds no dataset of bars; record with analysis.bars set, such as --set analysis.bars=1s,1m")
        return 2
    common = ["epoch", "seq", "venue_ts", "recv_ts", "flags"]
    trades = rows_of(folder, "trades", [*common, "venue", "symbol", "price", "size", "side"])
    others = [row for kind in ("quotes", "gaps", "status") for row in rows_of(folder, kind, common)]
    columns = ["epoch", "seq", "venue", "symbol", "interval", "start_ts", "revision", "number"]
    bars = rows_of(folder, "bars", columns + VALUES)
    if not bars or not trades:
        print(f"{folder}: {len(bars)} rows of bars, {len(trades)} trades: nothing to compare")
        return 2
    faults, compared = check(trades, others, bars, Rules(given.by, given.tolerance, given.grace, given.revise))
    intervals = ", ".join(sorted({bar["interval"] for bar in bars}))
    print(f"{compared} bars ({len(bars)} rows with revisions; {intervals}) against {len(trades)} trades")
    for fault in faults[:LISTED_MAX]:
        print(f"  {fault}")
    if len(faults) > LISTED_MAX:
        print(f"  and {len(faults) - LISTED_MAX} more")
    print(f"{len(faults)} differences" if faults else "every value is exact")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
