"""Writes the rows of a Parquet file again, as several libraries do it, and tells what each took.

Argument: the file. Each library reads it once into memory and works with one thread. The first line of output says of each
way its version, or why it cannot be had. Then each line of input, [way, path], has that file written and synced, and is
answered by its seconds.
"""
import json
import os
import signal
import sys
import time

os.environ["POLARS_MAX_THREADS"] = "1"  # read when polars is imported
# Who started this decides when it ends: with its input.
signal.signal(signal.SIGINT, signal.SIG_IGN)

SOURCE = sys.argv[1]
ZSTD_LEVEL = 1
# Encodings that a writer has to be asked for; everything else gets a dictionary.
ASKED_FOR = ("DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT")
LABELS = ["symbol", "side"]


def arrow_rows():
    import pyarrow
    import pyarrow.parquet

    pyarrow.set_cpu_count(1)
    pyarrow.set_io_thread_count(1)
    # Texts as dictionaries: pyarrow then does not hash them row by row.
    return pyarrow, pyarrow.parquet.ParquetFile(SOURCE, read_dictionary=LABELS).read()


def pyarrow_defaults():
    pyarrow, rows = arrow_rows()

    def write(path):
        pyarrow.parquet.write_table(rows, path, compression="zstd", compression_level=ZSTD_LEVEL)

    return pyarrow.__version__, write


def pyarrow_same_encodings():
    pyarrow, rows = arrow_rows()
    metadata = pyarrow.parquet.read_metadata(SOURCE)
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    columns = [groups[0].column(i) for i in range(metadata.num_columns)]
    asked = {c.path_in_schema: e for c in columns for e in c.encodings if e in ASKED_FOR}
    options = {
        "use_dictionary": [name for name in rows.column_names if name not in asked],
        "column_encoding": asked,
        "row_group_size": max(group.num_rows for group in groups),
        "store_schema": False,
    }

    def write(path):
        pyarrow.parquet.write_table(rows, path, compression="zstd", compression_level=ZSTD_LEVEL, **options)

    return pyarrow.__version__, write


def polars_defaults():
    import polars

    rows = polars.read_parquet(SOURCE, hive_partitioning=False)

    def write(path):
        rows.write_parquet(path, compression="zstd", compression_level=ZSTD_LEVEL)

    return polars.__version__, write


def duckdb_defaults():
    import duckdb

    connection = duckdb.connect()
    connection.execute("set threads = 1")
    connection.execute("create table rows as from read_parquet(?, hive_partitioning = false)", [SOURCE])

    def write(path):
        target = path.replace("'", "''")
        connection.execute(f"copy rows to '{target}' (format parquet, compression zstd, compression_level {ZSTD_LEVEL})")

    return duckdb.__version__, write


WAYS = {
    "pyarrow": pyarrow_defaults,
    "pyarrow_same_encodings": pyarrow_same_encodings,
    "polars": polars_defaults,
    "duckdb": duckdb_defaults,
}


def sync(path):
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def measured(write, path):
    wall, cpu = time.perf_counter(), time.process_time()
    write(path)
    sync(path)
    sync(os.path.dirname(path))
    return {"wall_s": time.perf_counter() - wall, "cpu_s": time.process_time() - cpu}


def said(error):
    return {"error": f"{type(error).__name__}: {error}"}


def answer(value):
    print(json.dumps(value), flush=True)


def main():
    writers, versions = {}, {}
    for name, prepare in WAYS.items():
        try:
            versions[name], writers[name] = prepare()
        except Exception as error:
            versions[name] = said(error)
    answer(versions)
    for line in sys.stdin:
        name, path = json.loads(line)
        try:
            answer(measured(writers[name], path))
        except Exception as error:
            answer(said(error))


main()
