"""What the peers do, each in a process of its own: python bench/peers.py LINE PEER DATA OUT

Prints {"wall", "cpu", "peak_rss"} of the work alone: the interpreter, imports and opening an engine come before.
"""

import json
import os
import sys
import time

RAW = "raw/dt=2027-01-01/events.parquet"
COLUMNS = "e.user_id, e.ts, e.item_id, e.dwell, i.category, i.price"


def last500_polars(data, out):
    import polars as pl

    def work():
        newest = (
            pl.scan_parquet(f"{data}/{RAW}")
            .select("user_id", "ts", "item_id", "dwell")
            .filter(pl.col("user_id").is_not_null())
            .sort("ts", descending=True)
            .group_by("user_id")
            .head(500)
        )
        joined = newest.join(pl.scan_parquet(f"{data}/items.parquet"), on="item_id", how="left")
        joined.sink_parquet(f"{out}/out.parquet", compression="zstd", compression_level=3)

    return work


def last500_duckdb(data, out):
    import duckdb

    connection = duckdb.connect()
    query = f"""
        COPY (SELECT {COLUMNS}
              FROM (SELECT user_id, ts, item_id, dwell FROM read_parquet('{data}/{RAW}', hive_partitioning = false)
                    WHERE user_id IS NOT NULL
                    QUALIFY row_number() OVER (PARTITION BY user_id ORDER BY ts DESC) <= 500) e
              LEFT JOIN read_parquet('{data}/items.parquet') i ON e.item_id = i.item_id)
        TO '{out}/out.parquet' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 3)"""
    return lambda: connection.execute(query)


def last500_datafusion(data, out):
    from datafusion import SessionContext

    context = SessionContext()
    context.register_parquet("events", f"{data}/{RAW}")
    context.register_parquet("items", f"{data}/items.parquet")
    query = f"""
        SELECT {COLUMNS}
        FROM (SELECT user_id, ts, item_id, dwell, row_number() OVER (PARTITION BY user_id ORDER BY ts DESC) AS n
              FROM events WHERE user_id IS NOT NULL) e
        LEFT JOIN items i ON e.item_id = i.item_id WHERE e.n <= 500"""
    return lambda: context.sql(query).write_parquet(f"{out}/out.parquet", compression="zstd", compression_level=3)


def last500_chdb(data, out):
    from chdb import session

    opened = session.Session(f"{out}/chdb")
    query = f"""
        INSERT INTO FUNCTION file('{out}/out.parquet', 'Parquet')
        SELECT {COLUMNS}
        FROM (SELECT user_id, ts, item_id, dwell FROM file('{data}/{RAW}', 'Parquet') WHERE user_id IS NOT NULL
              ORDER BY user_id, ts DESC LIMIT 500 BY user_id) e
        LEFT ANY JOIN file('{data}/items.parquet', 'Parquet') i ON e.item_id = i.item_id
        SETTINGS join_use_nulls = 1, output_format_parquet_compression_method = 'zstd'"""
    return lambda: opened.query(query)


# DuckDB puts what it joins on disk when it is more than memory: for a million labels at once that is tens of gigabytes.
LABELS_AT_ONCE = 100_000


def dataset_duckdb(data, out):
    import duckdb

    connection = duckdb.connect()
    labels = connection.execute(f"SELECT count(*) FROM read_parquet('{data}/labels.parquet')").fetchone()[0]

    def some(first):
        return f"""
            COPY (SELECT label_no, user_id, label_time, label, list(ts ORDER BY ts) AS ts, list(item_id ORDER BY ts) AS item_id,
                         list(dwell ORDER BY ts) AS dwell
                  FROM (SELECT l.*, e.ts, e.item_id, e.dwell
                        FROM read_parquet('{data}/labels.parquet') l
                        JOIN read_parquet('{data}/{RAW}', hive_partitioning = false) e
                          ON e.user_id = l.user_id AND e.ts < l.label_time AND e.seen < l.label_time
                        WHERE l.label_no >= {first} AND l.label_no < {first + LABELS_AT_ONCE}
                        QUALIFY row_number() OVER (PARTITION BY label_no ORDER BY e.ts DESC) <= 200)
                  GROUP BY ALL)
            TO '{out}/out-{first}.parquet' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 3)"""

    return lambda: [connection.execute(some(first)) for first in range(0, labels, LABELS_AT_ONCE)]


def main(line, peer, data, out):
    os.makedirs(out, exist_ok=True)
    work = globals()[f"{line}_{peer}"](data, out)
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(json.dumps({"wall": wall, "cpu": cpu, "peak_rss": peak_resident()}))


def peak_resident():
    """Bytes. Not getrusage: what it says begins with the peak of the process that started this one."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) * 1024 for line in status if line.startswith("VmHWM:"))


if __name__ == "__main__":
    main(*sys.argv[1:])
