"""Events with the shapes that real ones have, the same for the same seed: python bench/generate.py FOLDER --rows N

Zipf users (s 0.7) and items (s 1.0), a day's rhythm, ties (a tenth of the events have the second of another event of their user),
null items, unknown items, users that are null, and the lateness of public commit histories. Times are whole microseconds.

    sorted/raw/dt=2027-01-01/events.parquet   by event time
    shuffled/…                                the same rows in random order
    sorted/deliveries.parquet                  the order of arrival, one in a hundred delivered twice
    items.parquet, users.parquet, sorted/labels.parquet

What is streamed are events of twelve fields, in the order of arrival: stream/events.parquet, stream/items.parquet
"""

import argparse
import json
import os
import shutil

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq

SECOND = 1_000_000
DAY = 86_400 * SECOND
START = 1_735_689_600 * SECOND  # 2025-01-01
DAYS = 30
PARTITION = "dt=2027-01-01"  # after the last arrival: the log as it is when everything is in
# Share of events that arrive within so many seconds: author date against commit date of public histories; 47 % at once.
LATENESS = [(0.47, 0), (0.50, 105), (0.60, 3_420), (0.70, 57_600), (0.80, 285_120), (0.90, 1_209_600), (0.95, 4_838_400), (0.99, 41_212_800), (1.0, 41_212_800)]
# Of a day's events, by hour.
RHYTHM = np.array([2, 1, 1, 1, 1, 2, 4, 6, 7, 6, 6, 7, 8, 7, 6, 6, 7, 8, 10, 12, 13, 12, 8, 4], dtype=float)
VERSION = 3


def zipf(rng, s, n, size):
    """`size` ranks below `n`, rank k with weight (k + 1)^-s."""
    cumulative = np.cumsum(np.arange(1, n + 1, dtype=float) ** -s)
    return np.searchsorted(cumulative, rng.random(size) * cumulative[-1]).astype(np.int64)


def mixed(ranks):
    """Ids that do not tell the rank: an odd multiplier permutes 40 bits."""
    return (ranks * 0x9E3779B97F + 0x1234567) & ((1 << 40) - 1)


def events(rng, rows):
    users, items = max(rows // 50, 100), max(rows // 100, 100)
    hours = np.cumsum(RHYTHM) / RHYTHM.sum()
    hour = np.searchsorted(hours, rng.random(rows))
    ts = START + rng.integers(0, DAYS, rows) * DAY + hour * 3_600 * SECOND + rng.integers(0, 3_600 * SECOND, rows)
    user = zipf(rng, 0.7, users, rows)
    # Ties: a row takes the user and the time of the row before it.
    tied = np.flatnonzero(rng.random(rows - 1) < 0.1) + 1
    ts -= ts % SECOND
    user[tied], ts[tied] = user[tied - 1], ts[tied - 1]
    share, late = zip(*LATENESS)
    # Between the points, evenly on a logarithmic scale.
    seconds = np.expm1(np.interp(rng.random(rows), share, np.log1p(late)))
    seen = ts + (seconds * SECOND).astype(np.int64)
    # A few items more than the table has are unknown.
    item = mixed(zipf(rng, 1.0, items + items // 50, rows))
    kind = np.searchsorted([0.85, 0.95], rng.random(rows))
    dwell = rng.gamma(2.0, 20.0, rows).astype(np.float32)
    columns = {
        "event_no": pa.array(rng.permutation(rows).astype(np.int64)),
        "user_id": pa.array(mixed(user), mask=rng.random(rows) < 0.0005),
        "item_id": pa.array(item, mask=rng.random(rows) < 0.01),
        "ts": pa.array(ts),
        "seen": pa.array(seen),
        "kind": pa.array(np.array(["view", "cart", "buy"])[kind]),
        "dwell": pa.array(dwell, mask=kind != 0),
    }
    table = pa.table(columns)
    known = mixed(np.arange(items, dtype=np.int64))
    catalogue = {"item_id": known, "category": rng.integers(0, 500, items).astype(np.int32), "price": rng.gamma(2.0, 15.0, items).astype(np.float32)}
    return table, pa.table({k: pa.array(v) for k, v in catalogue.items()}), mixed(np.arange(users, dtype=np.int64))


def widened(rng, table, items):
    """Events as an app tells them, with twelve fields, and items with three columns beside their id."""
    rows = len(table)
    names = lambda values, weights: pa.array(np.array(values)[rng.choice(len(values), rows, p=weights)])
    session = rng.integers(0, 1 << 48, rows)
    words = np.array([f"{a} {b}" for a in ["red", "warm", "small", "old", "new", "light"] for b in ["shoes", "coat", "lamp", "chair", "film", "song", "book", "tea"]])
    columns = {
        "surface": names(["home", "search", "item", "mail"], [0.45, 0.3, 0.2, 0.05]),
        "device": names(["ios", "android", "web"], [0.35, 0.4, 0.25]),
        "session": pa.array(np.char.mod("%012x", session)),
        "position": pa.array(rng.geometric(0.08, rows).astype(np.int32), mask=rng.random(rows) < 0.05),
        "query": pa.array(words[rng.integers(0, len(words), rows)], mask=rng.random(rows) < 0.7),
    }
    for name, column in columns.items():
        table = table.append_column(name, column)
    brands = np.char.mod("brand-%d", rng.integers(0, 2_000, len(items)))
    return table, items.append_column("brand", pa.array(brands))


def write(table, path):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    pq.write_table(table, path, compression="zstd", row_group_size=250_000)


def make(folder, rows, labels, seed):
    rng = np.random.default_rng(seed)
    table, items, users = events(rng, rows)
    ordered = table.take(pa.compute.sort_indices(table, [("ts", "ascending"), ("event_no", "ascending")]))
    shuffled = table.take(pa.array(rng.permutation(rows)))
    for name, rows_ in [("sorted", ordered), ("shuffled", shuffled)]:
        write(rows_, f"{folder}/{name}/raw/{PARTITION}/events.parquet")
        write(items, f"{folder}/{name}/items.parquet")
        write(pa.table({"user_id": users}), f"{folder}/{name}/users.parquet")
    arrival = np.argsort(table["seen"].to_numpy(), kind="stable")
    twice = np.sort(np.concatenate([np.arange(rows), rng.choice(rows, rows // 100, replace=False)]))
    write(table.take(pa.array(arrival[twice])), f"{folder}/sorted/deliveries.parquet")
    # Labels are of users as often as they act, at moments between the fifth day and the end.
    user = mixed(zipf(rng, 0.7, len(users), labels))
    at = START + 5 * DAY + rng.integers(0, (DAYS - 5) * DAY, labels)
    write(pa.table({"label_no": np.arange(labels), "user_id": user, "label_time": at, "label": rng.integers(0, 2, labels).astype(np.int32)}), f"{folder}/sorted/labels.parquet")


def make_stream(folder, rows, seed):
    rng = np.random.default_rng(seed)
    table, items, _ = events(rng, rows)
    table, items = widened(rng, table, items)
    arrival = pa.compute.sort_indices(table, [("seen", "ascending"), ("event_no", "ascending")])
    write(table.take(arrival), f"{folder}/stream/events.parquet")
    write(items, f"{folder}/stream/items.parquet")


def cached_stream(cache, rows, seed=1):
    """The folder of what is streamed, made if it is not there."""
    folder = os.path.join(cache, f"stream-v{VERSION}-{rows}-{seed}")
    if not os.path.exists(f"{folder}/ready.json"):
        shutil.rmtree(folder, ignore_errors=True)
        make_stream(folder, rows, seed)
        with open(f"{folder}/ready.json", "w") as file:
            json.dump({"rows": rows, "seed": seed}, file)
    return f"{folder}/stream"


def cached(cache, rows, labels, seed=1):
    """The folder of such data, made if it is not there."""
    folder = os.path.join(cache, f"events-v{VERSION}-{rows}-{labels}-{seed}")
    if not os.path.exists(f"{folder}/ready.json"):
        shutil.rmtree(folder, ignore_errors=True)
        make(folder, rows, labels, seed)
        with open(f"{folder}/ready.json", "w") as file:
            json.dump({"rows": rows, "labels": labels, "seed": seed}, file)
    return folder


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cache")
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--labels", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    print(cached(asked.cache, asked.rows, asked.labels, asked.seed))
