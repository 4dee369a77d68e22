//! One run from several.

use std::cmp::Ordering;

use arrow::array::Array;

use super::build::Draft;
use super::{NO_FLOOR, Run, order};
use crate::entity::Entity;
use crate::error::{Error, Result};
use crate::rows::{Columns, Form};

/// Merges runs of one signal into one without floors, keeping the rows for which `keep` holds; rows that are equal in everything
/// that the law looks at are kept once.
///
/// # Errors
/// As [`Run::from_rows`].
pub fn merge(runs: &[&Run], keep: impl Fn(&Columns, usize) -> bool) -> Result<Run> {
    if runs.is_empty() {
        return Err(Error::internal("merge runs: none given"));
    }
    let mut entries: Vec<usize> = vec![0; runs.len()];
    let mut chosen: Vec<(usize, usize)> = Vec::new();
    let mut drafts: Vec<Draft> = Vec::new();
    while let Some((run, entry)) = least_entity(runs, &entries) {
        let directory = &runs[run].directory;
        // Per run that has the entity: its next row and the end of its rows.
        let mut heads: Vec<(usize, usize, usize)> = Vec::new();
        for (index, next) in entries.iter_mut().enumerate() {
            if *next < runs[index].directory.len() && compare_entries(runs[index], *next, runs[run], entry) == Ordering::Equal {
                let rows = runs[index].directory.entry(*next).rows;
                if !rows.is_empty() {
                    heads.push((index, rows.start, rows.end));
                }
                *next += 1;
            }
        }
        let before = chosen.len();
        merge_entity(runs, &mut heads, |run, row| {
            let rows = &runs[run].rows;
            let copy = chosen[before..].last().is_some_and(|&(last, at)| is_copy(&runs[last].rows, at, rows, row));
            if !copy && keep(rows, row) {
                chosen.push((run, row));
            }
        });
        if chosen.len() > before && directory.entity.is_valid(entry) {
            let entity = Some(Entity::at(&directory.entity, entry));
            drafts.push(Draft { hash: directory.hash[entry], entity, rows: chosen.len() - before, floor: NO_FLOOR });
        }
    }
    let parts: Vec<&Columns> = runs.iter().map(|run| &run.rows).collect();
    Run::assemble(Columns::gather(&parts, &chosen, Form::Dense)?, drafts)
}

/// Calls `next` with the rows of one entity, in order. `heads`: per run its next row and the end.
fn merge_entity(runs: &[&Run], heads: &mut Vec<(usize, usize, usize)>, mut next: impl FnMut(usize, usize)) {
    while heads.len() > 1 {
        let mut best = 0;
        for other in 1..heads.len() {
            let (a, i, _) = heads[best];
            let (b, j, _) = heads[other];
            if order::compare_in_entity(&runs[a].rows, i, &runs[b].rows, j) == Ordering::Greater {
                best = other;
            }
        }
        let (run, row, end) = heads[best];
        next(run, row);
        heads[best].1 += 1;
        if row + 1 == end {
            heads.remove(best);
        }
    }
    for (run, row, end) in heads.drain(..) {
        (row..end).for_each(|row| next(run, row));
    }
}

/// The entry that comes first of those that are next.
fn least_entity(runs: &[&Run], entries: &[usize]) -> Option<(usize, usize)> {
    let mut least: Option<(usize, usize)> = None;
    for (run, entry) in entries.iter().enumerate() {
        if *entry < runs[run].directory.len() && least.is_none_or(|(l, e)| compare_entries(runs[run], *entry, runs[l], e) == Ordering::Less)
        {
            least = Some((run, *entry));
        }
    }
    least
}

fn compare_entries(a: &Run, i: usize, b: &Run, j: usize) -> Ordering {
    let (a, b) = (&a.directory, &b.directory);
    a.hash[i].cmp(&b.hash[j]).then_with(|| order::compare_entity(&a.entity, i, &b.entity, j))
}

/// Whether two rows of one entity are equal in all but their position.
fn is_copy(a: &Columns, i: usize, b: &Columns, j: usize) -> bool {
    order::compare_identity(a, i, b, j) == Ordering::Equal
        && a.ordinal(i) == b.ordinal(j)
        && order::compare_law(a, i, b, j) == Ordering::Equal
}
