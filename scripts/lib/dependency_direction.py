"""Checks that dependencies between the workspace's packages point one way: siblings never import each other.

Reads what `cargo metadata --no-deps --format-version 1` prints from standard input. Exit code 1 names every arrow that
points the wrong way, and every package without a row: a new crate decides its place here.
"""

import json
import sys

MODEL = {"feedd-model"}
CORE = MODEL | {"feedd-core"}

# Package (or the beginning of its name, with a star): what it may import from the workspace, tests included.
MAY_IMPORT = {
    "feedd-model": set(),
    "feedd-core": MODEL,
    "feedd-config": MODEL,
    "feedd-journal": CORE,
    "feedd-venues": CORE,
    "feedd-live": CORE | {"feedd-venues"},
    "feedd-analysis": CORE,
    "feedd-replay": CORE,
    "feedd-telemetry": CORE,
    "feedd-delivery": CORE | {"feedd-journal"},
    "feedd-sink-*": CORE,
    # For tests, see below.
    "feedd-testkit": CORE,
    "venue-sim": CORE,
    # Its wiring is a library, for who measures it.
    "feedd": set(),
}

# Everybody may use them in tests.
FOR_TESTS = ("feedd-testkit", "venue-sim")

# Folders whose packages wire or measure the others: they may import every package that has a row.
TOPS = ("bins/", "benches/")


def row_of(name):
    """The row for a package, or None."""
    family = next((row for row in MAY_IMPORT if row.endswith("*") and name.startswith(row[:-1])), None)
    return name if name in MAY_IMPORT else family


def faults_of(package, root):
    """One sentence for each rule that a package breaks."""
    folder = package["manifest_path"].removeprefix(root + "/").removesuffix("Cargo.toml")
    imported = {
        dependency["name"]
        for dependency in package["dependencies"]
        if dependency.get("path") and not (dependency["name"] in FOR_TESTS and dependency["kind"] == "dev")
    }
    if folder.startswith(TOPS):
        return [f"{folder}: {name} has no row, or is a top itself" for name in sorted(imported) if not row_of(name)]
    row = row_of(package["name"])
    if row is None:
        return [f"{folder}: {package['name']} has no row in {__file__}"]
    return [f"{folder}: {package['name']} must not import {name}" for name in sorted(imported - MAY_IMPORT[row])]


def main():
    metadata = json.load(sys.stdin)
    packages = metadata["packages"]
    faults = [fault for package in packages for fault in faults_of(package, metadata["workspace_root"])]
    for fault in faults:
        print(fault, file=sys.stderr)
    print(f"{len(packages)} packages, {len(faults)} arrows that point the wrong way")
    sys.exit(1 if faults or not packages else 0)


if __name__ == "__main__":
    main()
