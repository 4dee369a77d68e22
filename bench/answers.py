"""Whether two contenders gave the same answer: computed by DuckDB from what they wrote, never timed.

Events of one user and one moment may come in any order, and where a sequence is cut among them any of them may be kept. So rows that
share the time of a full sequence's oldest event count only with their time; all others count whole.
"""

import duckdb

FLAT = """
    WITH edge AS (SELECT user_id, count(*) AS n, min(ts) AS oldest FROM flat GROUP BY user_id)
    SELECT (SELECT count(*) FROM flat), (SELECT sum(hash(user_id, ts)::HUGEINT) FROM flat),
           (SELECT sum(hash(f.user_id, f.ts, f.item_id, f.dwell, f.category, f.price)::HUGEINT)
            FROM flat f JOIN edge USING (user_id) WHERE edge.n < {length} OR f.ts > edge.oldest)"""
TYPED = "user_id::BIGINT AS user_id, {ts}::BIGINT AS ts, item_id::BIGINT AS item_id, dwell::FLOAT AS dwell, category::INTEGER AS category, price::FLOAT AS price"


def sequences(path, length, ts="ts"):
    """(rows, checksum of users and times, checksum of all columns) of a file with a row per event."""
    connection = duckdb.connect()
    connection.execute(f"CREATE VIEW flat AS SELECT {TYPED.format(ts=ts)} FROM read_parquet('{path}')")
    return [str(v) for v in connection.execute(FLAT.format(length=length)).fetchone()]


def training(path, ts="ts"):
    """(labels with events, events, checksum of labels and times) of a file with a row per label and lists of its events."""
    connection = duckdb.connect()
    query = f"""
        SELECT count(DISTINCT label_no), count(*), sum(hash(label_no::BIGINT, moment)::HUGEINT)
        FROM (SELECT label_no, unnest({ts}) AS moment FROM read_parquet('{path}'))"""
    return [str(v) for v in connection.execute(query).fetchone()]


EPOCH = "epoch_us(event_time)"
EPOCH_LIST = "list_transform(event_time, lambda x: epoch_us(x))"


# What the engine's filter and its validation let through.
PASSING = "user_id IS NOT NULL AND (kind <> 'view' OR dwell >= 18)"
STREAMED = {
    "user_id": "BIGINT", "ts": "BIGINT", "item_id": "BIGINT", "kind": "VARCHAR", "dwell": "FLOAT", "surface": "VARCHAR", "device": "VARCHAR",
    "session": "VARCHAR", "position": "INTEGER", "query": "VARCHAR", "late": "BIGINT", "category": "INTEGER", "price": "FLOAT", "brand": "VARCHAR",
}
LINES = "SELECT * FROM read_json('{path}', format = 'newline_delimited', columns = {{" + ", ".join(f"'{name}': '{kind}'" for name, kind in STREAMED.items()) + "}})"


def streamed(query):
    """Rows, a checksum of whole rows, and of each column how many values there are and their checksum."""
    typed = ", ".join(f"{name}::{kind} AS {name}" for name, kind in STREAMED.items())
    wanted = ["count(*)", f"sum(hash({', '.join(STREAMED)})::HUGEINT)"] + [f"(count({name}), sum(hash({name})::HUGEINT))" for name in STREAMED]
    return [str(v) for v in duckdb.connect().execute(f"SELECT {', '.join(wanted)} FROM (SELECT {typed} FROM ({query}))").fetchone()]


def different(path, column):
    return duckdb.connect().execute(f"SELECT count(DISTINCT {column}) FROM read_parquet('{path}')").fetchone()[0]


def passing(events, rows):
    """Of the first so many events of a file, how many pass."""
    return duckdb.connect().execute(f"SELECT count(*) FILTER ({PASSING}) FROM (SELECT * FROM read_parquet('{events}') LIMIT {rows})").fetchone()[0]


def passing_again(events, produced, bodies=200_000):
    """Of what a producer sent, which takes the first events of a file again and again: how many pass. Probes all do."""
    sent = produced["events"] - produced["probes"]
    bodies = min(bodies, duckdb.connect().execute(f"SELECT count(*) FROM read_parquet('{events}')").fetchone()[0])
    return sent // bodies * passing(events, bodies) + passing(events, sent % bodies) + produced["probes"]
