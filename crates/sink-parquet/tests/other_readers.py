"""Reads the sink's files with pyarrow, DuckDB and Polars and compares them with what was written.

Arguments: the sink's folder, and a JSON file {dataset: {column: [value, ...]}}, decimals as texts in units of 10^-18, times
in nanoseconds. Ends with 77 when a package is missing.
"""
import decimal
import fractions
import glob
import json
import sys

try:
    import duckdb
    import polars
    import pyarrow
    import pyarrow.compute as compute
    import pyarrow.parquet as parquet
except ImportError as error:
    print(error, file=sys.stderr)
    sys.exit(77)

decimal.getcontext().prec = 60
FOLDER, EXPECTED = sys.argv[1], json.load(open(sys.argv[2]))
DECIMALS = set(
    "price size bid bid_size ask ask_size open high low close volume buy_volume notional position fee realised cash cost "
    "equity unrealised".split()
)


def quotient(dividend, divisor):
    """Of two numbers of units, in units, half to even; None for a divisor of 0."""
    if divisor == 0:
        return None
    return round(fractions.Fraction(dividend * 10**18, divisor))


for columns in EXPECTED.values():
    for name in DECIMALS & columns.keys():
        columns[name] = [value if value is None else int(value) for value in columns[name]]
    for name, dividend, divisor in (("vwap", "notional", "volume"), ("average_cost", "cost", "position")):
        if {dividend, divisor} <= columns.keys():
            columns[name] = [quotient(*pair) for pair in zip(columns[dividend], columns[divisor], strict=True)]
            assert len({value is None for value in columns[name]}) == 2, f"{name}: some with and some without"


def plain(value):
    """As the JSON file has it."""
    return int(value.scaleb(18)) if isinstance(value, decimal.Decimal) else value


def times_as_numbers(table):
    """Python's own times are too coarse."""
    for at, field in enumerate(table.schema):
        if pyarrow.types.is_timestamp(field.type):
            assert field.type.unit == "ns" and field.type.tz == "UTC", field
            table = table.set_column(at, field.name, table.column(at).cast(pyarrow.int64()))
    return table


def by_pyarrow(files):
    return pyarrow.concat_tables([parquet.ParquetFile(file).read() for file in files])


def by_duckdb(files):
    connection = duckdb.connect()
    connection.execute("set timezone = 'UTC'")
    return connection.execute("select * from read_parquet(?, hive_partitioning = false) order by seq", [files]).to_arrow_table()


def by_polars(files):
    return polars.read_parquet(files, hive_partitioning=False).sort("seq").to_arrow()


def check_values(files, expected):
    for read in (by_pyarrow, by_duckdb, by_polars):
        table = read(files).sort_by("seq")
        for name, values in expected.items():
            column = table.column(name)
            if pyarrow.types.is_timestamp(column.type):
                # DuckDB's times with a zone have microseconds.
                coarse = {"ns": 1, "us": 1000}[column.type.unit]
                values = [value if value is None else value // coarse for value in values]
                column = column.cast(pyarrow.int64())
            found = [plain(value) for value in column.to_pylist()]
            wrong = [(row, *pair) for row, pair in enumerate(zip(found, values, strict=True)) if pair[0] != pair[1]]
            assert not wrong, f"{read.__name__}, {name}: row, found, written: {wrong[:5]}"


def check_statistics(files):
    """What the footer says of each row group is what stands there."""
    checked = 0
    for file in files:
        reader = parquet.ParquetFile(file)
        for group in range(reader.metadata.num_row_groups):
            table = times_as_numbers(reader.read_row_group(group))
            for at, name in enumerate(table.column_names):
                stated = reader.metadata.row_group(group).column(at)
                assert stated.has_offset_index and stated.has_column_index, f"{file}, {name}: no page index"
                values = table.column(at)
                statistics = stated.statistics
                if stated.physical_type == "DOUBLE" and not statistics.has_min_max:
                    continue  # readers may pass over those of floats
                assert statistics.null_count == values.null_count, f"{file}, {name}: {statistics}"
                if values.null_count == len(values):
                    assert not statistics.has_min_max, f"{file}, {name}: {statistics}"
                    continue
                bounds = compute.min_max(values).as_py()
                raw = stated.physical_type == "INT64" and str(statistics.logical_type).startswith("Timestamp")
                found = (statistics.min_raw, statistics.max_raw) if raw else (statistics.min, statistics.max)
                assert found == (bounds["min"], bounds["max"]), f"{file}, {name}: {found} instead of {bounds}"
                checked += 1
    return checked


def check_filters(files, name, values):
    """Readers skip row groups and pages by statistics and dictionaries: they find every row all the same."""
    known = sorted({value for value in values if value is not None})
    for bound in (known[0], known[len(known) // 2], known[-1], 0):
        units = decimal.Decimal(bound).scaleb(-18)
        wanted = sum(value is not None and value == bound for value in values), sum(
            value is not None and value < bound for value in values
        )
        rows = duckdb.execute(
            f"select count(*) filter ({name} = {units:f}), 0 from read_parquet(?) where {name} = {units:f}", [files]
        ).fetchone()[0]
        below = duckdb.execute(f"select count(*) from read_parquet(?) where {name} < {units:f}", [files]).fetchone()[0]
        assert (rows, below) == wanted, f"DuckDB, {name}, {units}: {(rows, below)} instead of {wanted}"
        literal = polars.lit(units, dtype=polars.Decimal(38, 18))
        scan = polars.scan_parquet(files, hive_partitioning=False)
        found = tuple(
            scan.filter(condition).select(polars.len()).collect().item()
            for condition in (polars.col(name) == literal, polars.col(name) < literal)
        )
        assert found == wanted, f"Polars, {name}, {units}: {found} instead of {wanted}"
        value = pyarrow.scalar(units, pyarrow.decimal128(38, 18))
        found = tuple(
            parquet.read_table(files, filters=condition, partitioning=None).num_rows
            for condition in (compute.field(name) == value, compute.field(name) < value)
        )
        assert found == wanted, f"pyarrow, {name}, {units}: {found} instead of {wanted}"


for dataset, columns in EXPECTED.items():
    found = sorted(glob.glob(f"{FOLDER}/{dataset}/**/*.parquet", recursive=True))
    assert found, f"no files of {dataset}"
    check_values(found, columns)
    assert check_statistics(found) > 0
    decimals = {"trades": ("price", "size"), "quotes": ("bid", "ask_size"), "bars": ("close", "volume"), "equity": ("cash",)}
    decimals = decimals.get(dataset, ("price",))
    for column in decimals:
        check_filters(found, column, columns[column])
print("ok")
