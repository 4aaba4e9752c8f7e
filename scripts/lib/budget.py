"""Compares counted instructions with a budget: budget.py PROGRAM BUDGET [--update] [NAME...], see scripts/budget."""

import json
import platform
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

COLLECTED = re.compile(r"^==\d+== Collected : (\d+)$", re.MULTILINE)
# Below the budget by more than this many times the tolerance, the budget no longer guards anything.
SLACK = 3


def instructions(program: Path, name: str, operations: int) -> int:
    """Counts those of one run."""
    command = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program, name, str(operations)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    found = COLLECTED.search(run.stderr)
    if run.returncode != 0 or not found:
        sys.exit(f"error: {name} failed under valgrind:\n{run.stderr}")
    return int(found.group(1))


def per_operation(program: Path, name: str, operations: int) -> float:
    """What one operation takes: start-up is in both runs."""
    once, twice = (instructions(program, name, count) for count in (operations, 2 * operations))
    return (twice - once) / operations


def judged(counted: float, budget: float, tolerance: float) -> str:
    """What the count is, measured by the budget."""
    if counted > budget * (1 + tolerance):
        return "ABOVE"
    if counted < budget * (1 - SLACK * tolerance):
        return "far below: lower the budget (--update)"
    return "ok"


def main(program: Path, path: Path, update: bool, names: list[str]) -> int:
    """Prints a table; 1 when something is above its budget."""
    budget = json.loads(path.read_text())
    entries = budget["programs"]
    known = subprocess.run([program, "--list"], capture_output=True, text=True, check=True).stdout.split()
    if sorted(known) != sorted(entries):
        sys.exit(f"error: {path} has {sorted(entries)}, {program.name} has {sorted(known)}; give each an entry")
    if budget["machine"] != platform.machine():
        print(f"the budget is for {budget['machine']}, this machine is {platform.machine()}: nothing to compare")
        return 0
    if unknown := set(names) - set(known):
        sys.exit(f"error: no program {', '.join(sorted(unknown))}; there are {', '.join(known)}")
    names = names or known
    with ThreadPoolExecutor(2) as pool:
        counts = list(pool.map(lambda name: per_operation(program, name, entries[name]["operations"]), names))
    above = 0
    print(f"{'program':<26}{'instructions':>14}{'budget':>12}{'change':>9}  verdict")
    for name, counted in zip(names, counts, strict=True):
        limit, tolerance = entries[name]["instructions"], entries[name]["tolerance"]
        verdict = judged(counted, limit, tolerance)
        above += verdict == "ABOVE"
        print(f"{name:<26}{counted:>14.1f}{limit:>12.1f}{counted / limit - 1:>+9.1%}  {verdict}")
        entries[name]["instructions"] = round(counted, 1)
    if update:
        path.write_text(json.dumps(budget, indent=2) + "\n")
        print(f"written: {path}")
        return 0
    if above:
        print(f"{above} above the budget. If that is intended, scripts/budget --update, and say why in the commit.")
    return int(above > 0)


if __name__ == "__main__":
    _, program_arg, budget_arg, *rest = sys.argv
    sys.exit(main(Path(program_arg), Path(budget_arg), "--update" in rest, [arg for arg in rest if arg != "--update"]))
