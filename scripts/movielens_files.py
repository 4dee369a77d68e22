"""MovieLens 100k as an application would give it: `ratings.jsonl`, the ratings in the order in which they were stored, and `movies.parquet`.

Usage: movielens_files.py FROM TO, folders; FROM is what scripts/movielens prints.
"""

import csv
import datetime
import json
import pathlib
import sys

import pyarrow as pa
import pyarrow.parquet as pq

GENRES = (
    "Action Adventure Animation Children's Comedy Crime Documentary Drama Fantasy Film-Noir Horror Musical Mystery Romance Sci-Fi Thriller "
    "War Western unknown"
).split()
# The site stored a rating a minute after it was given, and knew its movies before the first one.
STORED_AFTER = 60
LOADED = datetime.datetime(1997, 9, 1, tzinfo=datetime.timezone.utc)


def rows(path):
    with path.open(newline="") as file:
        lines = csv.reader(file, delimiter="\t", quoting=csv.QUOTE_NONE)
        next(lines)
        yield from lines


def main():
    source, to = map(pathlib.Path, sys.argv[1:])
    ratings = sorted((int(float(ts)), int(user), int(item), float(rating)) for user, item, rating, ts in rows(source / "ml-100k.inter"))
    with (to / "ratings.jsonl").open("w") as out:
        for ts, user, item, rating in ratings:
            record = {"kind": "rating", "user_id": user, "item_id": item, "rating": rating, "ts": ts, "stored_at": ts + STORED_AFTER}
            out.write(json.dumps(record) + "\n")
    movies = [(int(movie), title, classes.split()) for movie, title, _, classes in rows(source / "ml-100k.item")]
    table = pa.table(
        {
            "movie_id": pa.array([movie for movie, _, _ in movies], pa.int64()),
            "loaded_at": pa.array([LOADED] * len(movies), pa.timestamp("us", "UTC")),
            "title": pa.array([title for _, title, _ in movies], pa.string()),
            "genres": pa.array([genres for _, _, genres in movies], pa.list_(pa.string())),
            "embedding": pa.array([[float(g in genres) for g in GENRES] for _, _, genres in movies], pa.list_(pa.float32())),
        }
    )
    pq.write_table(table, to / "movies.parquet")
    print(f"{len(ratings)} ratings of {len({user for _, user, _, _ in ratings})} users, {len(movies)} movies")


main()
