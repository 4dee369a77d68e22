"""What Tress writes, read by others: DuckDB, Polars and pandas read history, and see the rows that Tress serves.

Runs the `tress` binary given as the first argument on events with corrections, deletions and copies; folds them; reads history with the SQL
that docs/concepts.md gives to outside readers; compares every entity with `tress get`; and reads a dataset with Polars and pandas.
"""

import csv
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile

import deltalake
import duckdb
import pandas
import polars

ROOT = pathlib.Path(__file__).resolve().parent.parent
ENTITIES = 25

DEFINITIONS = """
apiVersion: tress.dev/v1alpha1
kind: SignalDefinition
metadata: {name: visit, namespace: web}
spec:
  definition:
    entity: {field: user}
    event:
      time: {field: at, unit: Seconds}
      availableAt: {field: {name: stored, unit: Seconds}}
      id: [page]
      version: {field: stored}
      delete: "op = 'd'"
      fields:
        - {name: user, type: string}
        - {name: page, type: int64}
        - {name: seconds, type: int32}
        - {name: at, type: int64}
        - {name: stored, type: int64}
        - {name: op, type: string}
        - {name: vector, type: float16, dim: 4}
    source:
      stream: {connection: main, topic: visits, format: {json: {}}}
      archive: true
    executor: {declarative: {filter: "seconds >= 5"}}
    columns: [page, seconds, vector]
---
apiVersion: tress.dev/v1alpha1
kind: SequenceFeature
metadata: {name: visits, namespace: web}
spec:
  definition: {signals: [{name: visit}], length: 1000}
"""


def events(generator):
    """Raw events: some corrected, some deleted, some twice, in any order."""
    made = []
    for number in range(600):
        first = {
            "user": f"u{generator.randrange(ENTITIES)}",
            "page": number % 40,
            "seconds": generator.randrange(60),
            "at": 1_700_000_000 + generator.randrange(200_000),
            "op": "c",
            "vector": [number % 7, 0.5, -1.25, 3],
        }
        first["stored"] = first["at"] + 5
        made.append(first)
        for change in range(generator.randrange(3)):
            op = "d" if generator.random() < 0.2 else "u"
            made.append({**first, "seconds": generator.randrange(60), "op": op, "stored": first["at"] + 10 + change})
    made += generator.sample(made, 100)
    generator.shuffle(made)
    return made


def documented_query(table):
    """The query for current rows, as the documentation gives it, over `table`."""
    text = (ROOT / "docs" / "concepts.md").read_text()
    return re.search(r"```sql\n(.*?)```", text, re.S).group(1).replace("delta_scan('.tress/lake/signals/<uid>/history')", table).rstrip("; \n")


def main():
    tress = str(pathlib.Path(sys.argv[1]).resolve())
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "web.yaml").write_text(DEFINITIONS)
        made = events(random.Random(7))
        (folder / "visits.jsonl").write_text("".join(json.dumps(event) + "\n" for event in made))

        def run(*arguments):
            done = subprocess.run([tress, *arguments], capture_output=True, text=True, check=False)
            if done.returncode != 0:
                sys.exit(f"tress {' '.join(arguments)} failed:\n{done.stdout}{done.stderr}")
            return done.stdout

        ports = ["--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"]
        run("dev", str(folder), "--input", f"visits={folder / 'visits.jsonl'}", "--once", *ports)
        run("backfill", "visit", "--dir", str(folder))
        served = {}
        for entity in (f"u{number}" for number in range(ENTITIES)):
            answer = json.loads(run("get", "visits", entity, "--dir", str(folder), "--limit", "1000", "-o", "json"))
            served[entity] = sorted((row["event_time"], row["page"], row["seconds"]) for row in answer["rows"])
        (history,) = folder.glob(".tress/lake/signals/*/history")
        table = deltalake.DeltaTable(str(history))
        stamp = "strftime(event_time AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%SZ')"

        connection = duckdb.connect()
        connection.register("history", table.to_pyarrow_table())
        current = connection.execute(f"SELECT entity, {stamp}, page, seconds FROM ({documented_query('history')})").fetchall()
        connection.close()
        by_duckdb = {entity: sorted(row[1:] for row in current if row[0] == entity) for entity in served}
        if by_duckdb != served:
            wrong = [entity for entity in served if by_duckdb[entity] != served[entity]]
            sys.exit(f"DuckDB and tress disagree on {len(wrong)} of {len(served)} entities")

        law = ["version", "raw_hash", "available_at", "backfill"]
        identity = ["entity", "event_time", "event_id"]
        frame = polars.read_delta(str(history)).sort(law, descending=[True, True, False, True])
        winners = frame.group_by([*identity, "ordinal"], maintain_order=True).first().filter(~polars.col("deleted"))
        frame = table.to_pandas().sort_values(law, ascending=[False, False, True, False], kind="stable")
        of_pandas = frame.groupby([*identity, "ordinal"], sort=False).head(1)
        of_pandas = of_pandas[~of_pandas["deleted"]]
        rows = sum(len(sequence) for sequence in served.values())
        if not winners.height == len(of_pandas) == rows:
            sys.exit(f"tress serves {rows} rows; Polars sees {winners.height}, pandas {len(of_pandas)}")

        labels = folder / "labels.csv"
        with labels.open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["user", "t", "clicked"])
            writer.writerows([entity, 1_700_100_000, 1] for entity in served)
        out = folder / "set"
        columns = ["--entity-column", "user", "--time-column", "t", "--time-unit", "seconds"]
        run("dataset", "--feature", "visits", "--labels", str(labels), *columns, "--out", str(out), "--dir", str(folder))
        by_polars = polars.read_parquet(out / "*.parquet")
        by_pandas = pandas.concat(pandas.read_parquet(part) for part in sorted(out.glob("*.parquet")))
        if by_polars.height != ENTITIES or len(by_pandas) != ENTITIES:
            sys.exit(f"the dataset has {by_polars.height} labels by Polars and {len(by_pandas)} by pandas, not {ENTITIES}")
        times = by_polars["event_time"].list.max()
        label = by_polars["label_time"]
        if not all(time is None or time < at for time, at in zip(times, label)):
            sys.exit("a label sees an event of its own time or later")
        if sum(by_polars["page"].list.len()) == 0:
            sys.exit("no label sees any event")
        print(f"{len(served)} entities, {rows} current rows: DuckDB = Polars = pandas = tress; {ENTITIES} labels read by Polars and pandas")


main()
# A thread of a reader's runtime may still be ending; what was to be said is said.
sys.stdout.flush()
os._exit(0)
