//! MovieLens 100k as an application would give it: ratings as JSON lines in the order they were stored, movies as a table.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use serde_json::{Map, Value, json};
use tress_configs::column::{ColumnType, Scalar};

use crate::tables::{self, Column};

/// The definitions of examples/movielens.
const DEFINITIONS: &[(&str, &str)] = &[
    ("rating.yaml", include_str!("../../../examples/movielens/rating.yaml")),
    ("favourite.yaml", include_str!("../../../examples/movielens/favourite.yaml")),
    ("recent-movies.yaml", include_str!("../../../examples/movielens/recent-movies.yaml")),
    ("movie-sessions.yaml", include_str!("../../../examples/movielens/movie-sessions.yaml")),
    ("taste.yaml", include_str!("../../../examples/movielens/taste.yaml")),
    ("tests.yaml", include_str!("../../../examples/movielens/tests.yaml")),
    ("test-tables/movies.jsonl", include_str!("../../../examples/movielens/test-tables/movies.jsonl")),
];

/// The places of the embedding.
const GENRES: [&str; 19] = [
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
    "unknown",
];

/// Seconds between a rating and its storage: the data does not say, so all get the same.
const STORED_AFTER: i64 = 60;

/// One rating.
#[derive(Debug, Clone, PartialEq)]
pub struct Rating {
    pub user: i64,
    pub item: i64,
    pub rating: f64,
    /// Seconds.
    pub ts: i64,
}

/// Everything prepared in a folder of its own.
#[derive(Debug)]
pub struct Data {
    pub work: PathBuf,
    /// Definitions and the table of movies.
    pub dir: PathBuf,
    /// Ratings as JSON lines.
    pub events: PathBuf,
    /// In the order in which they were stored.
    pub ratings: Vec<Rating>,
    pub users: BTreeSet<i64>,
    pub movies: usize,
    /// After everything that happens here, µs.
    pub as_of: i64,
}

impl Rating {
    /// The record of its state that was stored at `stored_at` (seconds).
    pub fn record(&self, stored_at: i64) -> Value {
        json!({"kind": "rating", "user_id": self.user, "item_id": self.item, "rating": self.rating, "ts": self.ts, "stored_at": stored_at})
    }

    /// The record that deletes it.
    pub fn deletion(&self, stored_at: i64) -> Value {
        json!({"kind": "rating", "user_id": self.user, "item_id": self.item, "op": "d", "ts": self.ts, "stored_at": stored_at})
    }
}

impl Data {
    /// Prepares a folder to work in.
    ///
    /// # Errors
    /// When the data is not as it should be, or the folder cannot be written.
    pub fn prepare(from: &Path, work: &Path) -> anyhow::Result<Self> {
        let mut ratings = ratings(&from.join("ml-100k.inter"))?;
        ratings.sort_by_key(|r| (r.ts, r.user, r.item));
        let newest = ratings.last().map(|r| r.ts).ok_or_else(|| anyhow!("{} holds no ratings", from.display()))?;
        let dir = work.join("definitions");
        definitions(&dir)?;
        let movies = movies(&from.join("ml-100k.item"), &dir.join("movies").join("part-0.parquet"))?;
        let events = work.join("ratings.jsonl");
        let lines: String = ratings.iter().map(|r| format!("{}\n", r.record(r.ts + STORED_AFTER))).collect();
        fs::write(&events, lines).with_context(|| format!("write {}", events.display()))?;
        let users = ratings.iter().map(|r| r.user).collect();
        Ok(Self { work: work.to_owned(), dir, events, ratings, users, movies, as_of: (newest + 30 * 86_400) * 1_000_000 })
    }

    /// The time at which the newest rating was stored, seconds.
    pub fn stored_through(&self) -> i64 {
        self.ratings.last().map_or(0, |r| r.ts + STORED_AFTER)
    }
}

/// Writes the definitions into a folder.
///
/// # Errors
/// When it cannot be written.
pub fn definitions(dir: &Path) -> anyhow::Result<()> {
    for (name, text) in DEFINITIONS {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap_or(dir)).with_context(|| format!("make folder {}", dir.display()))?;
        fs::write(&path, text).with_context(|| format!("write {}", path.display()))?;
    }
    Ok(())
}

/// The cells of a tab-separated file, without its header.
fn rows(path: &Path) -> anyhow::Result<Vec<Vec<String>>> {
    let mut reader =
        csv::ReaderBuilder::new().delimiter(b'\t').quoting(false).from_path(path).with_context(|| format!("read {}", path.display()))?;
    reader
        .records()
        .map(|row| Ok(row?.iter().map(str::to_owned).collect()))
        .collect::<anyhow::Result<_>>()
        .with_context(|| format!("read {}", path.display()))
}

fn ratings(path: &Path) -> anyhow::Result<Vec<Rating>> {
    let rating = |row: &Vec<String>| {
        let [user, item, rating, ts] = row.as_slice() else { return None };
        Some(Rating { user: user.parse().ok()?, item: item.parse().ok()?, rating: rating.parse().ok()?, ts: ts.parse().ok()? })
    };
    let rows = rows(path)?;
    rows.iter().zip(2..).map(|(row, line)| rating(row).ok_or_else(|| anyhow!("read {}:{line}: not a rating", path.display()))).collect()
}

/// Writes the table of movies; how many there are.
fn movies(from: &Path, to: &Path) -> anyhow::Result<usize> {
    let movie = |row: &Vec<String>| -> Option<Map<String, Value>> {
        let [id, title, _year, classes] = row.as_slice() else { return None };
        let genres: Vec<&str> = classes.split(' ').filter(|g| !g.is_empty()).collect();
        let embedding: Vec<u8> = GENRES.iter().map(|g| u8::from(genres.contains(g))).collect();
        let row = json!({
            "movie_id": id.parse::<i64>().ok()?,
            // The site knew its movies before the first rating came.
            "loaded_at": "1997-09-01T00:00:00Z",
            "title": title,
            "genres": genres,
            "embedding": embedding,
        });
        row.as_object().cloned()
    };
    let all = rows(from)?;
    let movies: Vec<_> = all
        .iter()
        .zip(2..)
        .map(|(row, line)| movie(row).ok_or_else(|| anyhow!("read {}:{line}: not a movie", from.display())))
        .collect::<anyhow::Result<_>>()?;
    let columns = [
        ("movie_id", ColumnType::scalar(Scalar::Int64)),
        ("loaded_at", ColumnType::scalar(Scalar::Timestamp)),
        ("title", ColumnType::scalar(Scalar::String)),
        ("genres", ColumnType::list(Scalar::String)),
        ("embedding", ColumnType::vector(Scalar::Float32, 19)),
    ];
    let columns = columns.map(|(name, column_type)| Column { name: name.into(), column_type });
    tables::write(to, &columns, &movies)?;
    Ok(movies.len())
}
