//! The newest rows of every entity that a read would give, by the law, without sorting more than is looked at.
//!
//! Time decides nearly always. Only rows of one entity that share their time are asked for their identity, and only those that share
//! that too for what the law compares.

use arrow::array::BooleanArray;

use super::group::Groups;
use crate::error::Result;

/// The rows of a partition, as far as choosing needs them.
pub struct Rows<'a> {
    /// µs
    pub time: &'a [i64],
    /// Tombstones; `None` = none.
    pub deleted: Option<&'a BooleanArray>,
    /// The rows that the feature's `where` lets pass; `None` = all.
    pub passing: Option<&'a BooleanArray>,
    /// The identities of some rows.
    pub identities: &'a dyn Fn(&[u32]) -> Result<Vec<i64>>,
    /// What the law compares of some rows.
    pub law: &'a dyn Fn(&[u32]) -> Result<Vec<Law>>,
}

/// What the law compares, the winner's being the least.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Law {
    /// Greatest first.
    pub version: std::cmp::Reverse<i64>,
    /// Greatest first.
    pub raw_hash: std::cmp::Reverse<i32>,
    pub available_at: i64,
}

/// The chosen rows, entity by entity, oldest first.
#[derive(Debug, Default)]
pub struct Chosen {
    pub rows: Vec<u32>,
    /// Per entity: how many; 0 = its sequence is empty.
    pub lengths: Vec<usize>,
}

/// A row that lost, or has no place.
const GONE: u32 = u32::MAX;

/// Chooses at most `limit` rows of each entity. Assumes that a raw event has one row.
pub fn choose(groups: &Groups, rows: &Rows<'_>, limit: usize) -> Result<Chosen> {
    let all: Vec<usize> = (0..groups.len()).collect();
    let first = round(groups, rows, (&all, limit.max(1)), limit)?;
    // Rows that lost, were deleted or did not pass leave room for older ones.
    let short: Vec<usize> = first.short.clone();
    let again = if short.is_empty() { Round::default() } else { round(groups, rows, (&short, usize::MAX), limit)? };
    let mut chosen = Chosen { rows: Vec::with_capacity(first.rows.len()), lengths: Vec::with_capacity(groups.len()) };
    let mut next = 0;
    for (entity, range) in first.ranges.iter().enumerate() {
        let newest_first = if short.get(next) == Some(&entity) {
            next += 1;
            let (start, end) = again.ranges[next - 1];
            &again.rows[start..end]
        } else {
            &first.rows[range.0..range.1]
        };
        chosen.rows.extend(newest_first.iter().rev());
        chosen.lengths.push(newest_first.len());
    }
    Ok(chosen)
}

/// Of each entity that was asked for: its rows, newest first.
#[derive(Default)]
struct Round {
    rows: Vec<u32>,
    ranges: Vec<(usize, usize)>,
    /// Entities that had fewer rows than they may have, and of which not all rows were looked at.
    short: Vec<usize>,
}

fn round(groups: &Groups, rows: &Rows<'_>, (entities, most): (&[usize], usize), limit: usize) -> Result<Round> {
    let mut picks: Vec<u32> = Vec::new();
    // Per entity: where its picks end, and whether older rows were left.
    let mut ends: Vec<(usize, bool)> = Vec::with_capacity(entities.len());
    let mut keys: Vec<(i64, u32)> = Vec::new();
    for entity in entities {
        keys.clear();
        // The newest first.
        keys.extend(groups.rows(*entity).iter().map(|row| (!rows.time[*row as usize], *row)));
        let all = keys.len();
        newest(&mut keys, most);
        keys.sort_unstable();
        picks.extend(keys.iter().map(|(_, row)| *row));
        ends.push((picks.len(), keys.len() < all));
    }
    resolve(&mut picks, &ends, rows)?;
    let mut done = Round { rows: Vec::with_capacity(picks.len()), ranges: Vec::with_capacity(entities.len()), short: Vec::new() };
    let mut start = 0;
    for (entity, (end, left)) in entities.iter().zip(ends) {
        let from = done.rows.len();
        let shown = |row: &u32| {
            let at = *row as usize;
            *row != GONE && rows.deleted.is_none_or(|d| !d.value(at)) && rows.passing.is_none_or(|p| p.value(at))
        };
        done.rows.extend(picks[start..end].iter().copied().filter(shown).take(limit));
        let to = done.rows.len();
        if left && to - from < limit {
            done.short.push(*entity);
        }
        done.ranges.push((from, to));
        start = end;
    }
    Ok(done)
}

/// Keeps the `most` least keys, and all that equal the greatest of them.
fn newest(keys: &mut Vec<(i64, u32)>, most: usize) {
    if keys.len() <= most {
        return;
    }
    let (_, (threshold, _), _) = keys.select_nth_unstable(most - 1);
    let threshold = *threshold;
    let mut kept = most;
    for at in most..keys.len() {
        if keys[at].0 == threshold {
            keys.swap(kept, at);
            kept += 1;
        }
    }
    keys.truncate(kept);
}

/// Puts rows of one time into the order of their identities, and takes out those that the law lets lose.
fn resolve(picks: &mut [u32], ends: &[(usize, bool)], rows: &Rows<'_>) -> Result<()> {
    let mut runs: Vec<(usize, usize)> = Vec::new();
    let mut start = 0;
    for (end, _) in ends {
        let mut at = start;
        while at < *end {
            let time = rows.time[picks[at] as usize];
            let mut to = at + 1;
            while to < *end && rows.time[picks[to] as usize] == time {
                to += 1;
            }
            if to - at > 1 {
                runs.push((at, to));
            }
            at = to;
        }
        start = *end;
    }
    if runs.is_empty() {
        return Ok(());
    }
    let tied: Vec<u32> = runs.iter().flat_map(|(from, to)| picks[*from..*to].iter().copied()).collect();
    let identities = (rows.identities)(&tied)?;
    let mut tied: Vec<(i64, u32)> = identities.into_iter().zip(tied).collect();
    let mut contested: Vec<u32> = Vec::new();
    let mut at = 0;
    for (from, to) in &runs {
        let own = &mut tied[at..at + (to - from)];
        own.sort_unstable();
        at += to - from;
        for same in own.chunk_by(|a, b| a.0 == b.0).filter(|same| same.len() > 1) {
            contested.extend(same.iter().map(|(_, row)| *row));
        }
    }
    let law = if contested.is_empty() { Vec::new() } else { (rows.law)(&contested)? };
    let (mut at, mut asked) = (0, 0);
    for (from, to) in &runs {
        let own = &tied[at..at + (to - from)];
        at += to - from;
        let mut place = *from;
        for same in own.chunk_by(|a, b| a.0 == b.0) {
            let mut winner = 0;
            if same.len() > 1 {
                let laws = &law[asked..asked + same.len()];
                asked += same.len();
                winner = (0..same.len()).min_by_key(|i| (laws[*i], *i)).unwrap_or(0);
            }
            for (index, (_, row)) in same.iter().enumerate() {
                picks[place] = if index == winner { *row } else { GONE };
                place += 1;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;
    use std::sync::Arc;

    use arrow::array::{ArrayRef, Int64Array};

    use super::*;

    /// (entity, time, identity, version, deleted)
    fn chosen(rows: &[(i64, i64, i64, i64, bool)], limit: usize) -> (Vec<u32>, Vec<usize>) {
        let entities: ArrayRef = Arc::new(Int64Array::from_iter_values(rows.iter().map(|r| r.0)));
        let time: Vec<i64> = rows.iter().map(|r| r.1).collect();
        let deleted: BooleanArray = rows.iter().map(|r| Some(r.4)).collect();
        let law = |row: &u32| Law { version: Reverse(rows[*row as usize].3), raw_hash: Reverse(0), available_at: 0 };
        let view = Rows {
            time: &time,
            deleted: Some(&deleted),
            passing: None,
            identities: &|some| Ok(some.iter().map(|row| rows[*row as usize].2).collect()),
            law: &|some| Ok(some.iter().map(law).collect()),
        };
        let chosen = choose(&Groups::new(&entities).unwrap(), &view, limit).unwrap();
        (chosen.rows, chosen.lengths)
    }

    #[test]
    fn the_newest_are_chosen_and_ties_are_cut_by_identity() {
        let rows = [(1, 5, 30, 0, false), (1, 9, 1, 0, false), (1, 5, 10, 0, false), (1, 5, 20, 0, false), (1, 1, 1, 0, false)];
        assert_eq!(chosen(&rows, 3), (vec![3, 2, 1], vec![3]));
        assert_eq!(chosen(&rows, 9), (vec![4, 0, 3, 2, 1], vec![5]));
    }

    #[test]
    fn what_lost_or_was_deleted_leaves_room_for_older_rows() {
        let rows =
            [(1, 9, 1, 0, false), (1, 9, 1, 2, true), (1, 9, 1, 1, false), (1, 8, 1, 0, false), (1, 8, 1, 0, false), (1, 7, 1, 0, false)];
        assert_eq!(chosen(&rows, 2), (vec![5, 3], vec![2]));
        assert_eq!(chosen(&rows[..3], 2), (vec![], vec![0]));
    }
}
