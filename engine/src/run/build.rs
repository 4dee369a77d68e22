//! Making runs: from rows in any order, and from other runs.

use std::cmp::Ordering;
use std::collections::HashMap;

use arrow::array::RecordBatch;
use arrow::buffer::ScalarBuffer;
use arrow::compute::interleave_record_batch;

use super::{Directory, NO_FLOOR, Run, order, sort};
use crate::entity::Entity;
use crate::error::{Error, Result};
use crate::rows::Rows;

/// What is known of each entity's floor; an entity that is not named has none.
#[derive(Debug, Clone, Default)]
pub struct Floors(HashMap<(i64, Entity), i64>);

impl Floors {
    /// Also makes an entry for an entity without rows.
    pub fn set(&mut self, entity: Entity, floor: i64) {
        self.0.insert((entity.hash(), entity), floor);
    }

    /// Takes over all entries of `other`.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    fn of(&self, hash: i64, entity: &Entity) -> i64 {
        self.0.get(&(hash, entity.clone())).copied().unwrap_or(NO_FLOOR)
    }
}

impl Run {
    /// A run without floors: of the tail, or of history for one read.
    ///
    /// # Errors
    /// `Corrupt` when the batch has not the system columns; `Invalid` beyond 2³¹ rows.
    pub fn from_rows(batch: RecordBatch) -> Result<Self> {
        Self::with_floors(batch, &Floors::default())
    }

    /// A run of base.
    ///
    /// # Errors
    /// As [`Run::from_rows`].
    pub fn with_floors(batch: RecordBatch, floors: &Floors) -> Result<Self> {
        let rows = Rows::new(sort(batch)?)?;
        let length = i32::try_from(rows.len()).map_err(|_| Error::invalid("build run: more than 2^31 rows in one run"))?;
        // (hash, start, count, floor)
        let mut entries: Vec<(i64, i32, i32, i64)> = Vec::new();
        let mut start = 0;
        while start < length {
            let first = usize::try_from(start).unwrap_or(0);
            let hash = rows.entity_hash()[first];
            let entity = Entity::at(rows.entity(), first);
            let mut end = start + 1;
            while end < length {
                let next = usize::try_from(end).unwrap_or(0);
                if rows.entity_hash()[next] != hash || !entity.is_at(rows.entity(), next) {
                    break;
                }
                end += 1;
            }
            entries.push((hash, start, end - start, floors.of(hash, &entity)));
            start = end;
        }
        // Entities that have history, but no row here.
        let with_rows = entries.len();
        for ((hash, entity), floor) in &floors.0 {
            let first = entries[..with_rows].partition_point(|e| e.0 < *hash);
            let here = entries[first..with_rows]
                .iter()
                .take_while(|e| e.0 == *hash)
                .any(|e| entity.is_at(rows.entity(), usize::try_from(e.1).unwrap_or(0)));
            if !here {
                entries.push((*hash, 0, 0, *floor));
            }
        }
        entries.sort_by_key(|e| (e.0, e.1, e.3));
        Ok(Self {
            rows,
            directory: Directory {
                hash: entries.iter().map(|e| e.0).collect(),
                start: entries.iter().map(|e| e.1).collect(),
                count: entries.iter().map(|e| e.2).collect(),
                floor: entries.iter().map(|e| e.3).collect(),
            },
        })
    }

    /// A run from parts that were stored: `directory` = (hash, start, count, floor).
    ///
    /// # Errors
    /// `Corrupt` when the directory does not fit the rows.
    pub(super) fn from_parts(
        rows: Rows,
        hash: ScalarBuffer<i64>,
        ranges: (ScalarBuffer<i32>, ScalarBuffer<i32>),
        floor: ScalarBuffer<i64>,
    ) -> Result<Self> {
        let (start, count) = ranges;
        let length = i64::try_from(rows.len()).unwrap_or(i64::MAX);
        let fits = start.iter().zip(count.iter()).all(|(s, c)| *s >= 0 && *c >= 0 && i64::from(*s) + i64::from(*c) <= length);
        let sorted = hash.windows(2).all(|w| w[0] <= w[1]);
        if !(fits && sorted && hash.len() == start.len() && hash.len() == count.len() && hash.len() == floor.len()) {
            return Err(Error::corrupt("read run: its directory does not fit its rows"));
        }
        Ok(Self { rows, directory: Directory { hash, start, count, floor } })
    }
}

/// Merges runs of one signal into one without floors, keeping the rows for which `keep` holds; rows that are equal in everything
/// that the law looks at are kept once.
///
/// # Errors
/// As [`Run::from_rows`].
pub fn merge(runs: &[&Run], keep: impl Fn(&Rows, usize) -> bool) -> Result<Run> {
    let Some(first) = runs.first() else {
        return Err(Error::internal("merge runs: none given"));
    };
    let mut heads: Vec<usize> = vec![0; runs.len()];
    let mut chosen: Vec<(usize, usize)> = Vec::new();
    loop {
        let mut best: Option<usize> = None;
        for (index, run) in runs.iter().enumerate() {
            if heads[index] >= run.rows.len() {
                continue;
            }
            best = match best {
                Some(b) if order::compare(&runs[b].rows, heads[b], &run.rows, heads[index]) != Ordering::Greater => Some(b),
                _ => Some(index),
            };
        }
        let Some(best) = best else { break };
        let row = heads[best];
        heads[best] += 1;
        let rows = &runs[best].rows;
        let copy = chosen.last().is_some_and(|&(r, i)| {
            let last: &Rows = &runs[r].rows;
            order::compare_law(last, i, rows, row) == Ordering::Equal
                && last.ordinal()[i] == rows.ordinal()[row]
                && order::compare_identity(last, i, rows, row) == Ordering::Equal
                && last.entity_hash()[i] == rows.entity_hash()[row]
                && Entity::at(last.entity(), i).is_at(rows.entity(), row)
        });
        if !copy && keep(rows, row) {
            chosen.push((best, row));
        }
    }
    let batches: Vec<&RecordBatch> = runs.iter().map(|r| r.rows.batch()).collect();
    let merged =
        if chosen.is_empty() { RecordBatch::new_empty(first.rows.batch().schema()) } else { interleave_record_batch(&batches, &chosen)? };
    Run::from_rows(merged)
}
