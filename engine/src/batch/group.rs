//! The rows of a partition by their entity: a table of hashes, then a counting sort.

use arrow::array::{ArrayRef, AsArray};
use arrow::datatypes::{DataType, Int64Type};

use crate::error::Result;
use crate::identity;

/// Rows by entity; entities in the order of (hash, entity).
#[derive(Debug)]
pub struct Groups {
    /// The rows of all entities, one entity after the other, each as they came.
    rows: Vec<u32>,
    /// Per entity: where its rows are.
    ranges: Vec<(u32, u32)>,
}

const EMPTY: u32 = u32::MAX;

impl Groups {
    /// # Errors
    /// `Internal` when entities are neither strings nor int64.
    pub fn new(entities: &ArrayRef) -> Result<Self> {
        let hashes = identity::entity_hashes(entities)?;
        Ok(match entities.data_type() {
            DataType::Int64 => {
                let values = entities.as_primitive::<Int64Type>().values();
                Self::by(&hashes, |row| values[row as usize])
            }
            _ => {
                let values = entities.as_string::<i32>();
                Self::by(&hashes, |row| values.value(row as usize))
            }
        })
    }

    fn by<E: Ord>(hashes: &[i64], entity: impl Fn(u32) -> E) -> Self {
        // Open addressing, at most half full. The first bits of the hash are the same for all rows of a partition: the last ones place.
        let mut slots = vec![EMPTY; 1024];
        let mut first: Vec<u32> = Vec::new();
        let mut counts: Vec<u32> = Vec::new();
        let mut ids = Vec::with_capacity(hashes.len());
        for (row, hash) in (0u32..).zip(hashes) {
            let mut slot = *hash as usize & (slots.len() - 1);
            let id = loop {
                let id = slots[slot];
                if id == EMPTY {
                    let id = first.len() as u32;
                    slots[slot] = id;
                    first.push(row);
                    counts.push(0);
                    break id;
                }
                let known = first[id as usize];
                if hashes[known as usize] == *hash && entity(known) == entity(row) {
                    break id;
                }
                slot = (slot + 1) & (slots.len() - 1);
            };
            counts[id as usize] += 1;
            ids.push(id);
            if first.len() * 2 > slots.len() {
                slots = vec![EMPTY; slots.len() * 4];
                for (id, row) in (0u32..).zip(&first) {
                    let mut slot = hashes[*row as usize] as usize & (slots.len() - 1);
                    while slots[slot] != EMPTY {
                        slot = (slot + 1) & (slots.len() - 1);
                    }
                    slots[slot] = id;
                }
            }
        }
        let mut order: Vec<u32> = (0..first.len() as u32).collect();
        order.sort_unstable_by(|a, b| {
            let (a, b) = (first[*a as usize], first[*b as usize]);
            hashes[a as usize].cmp(&hashes[b as usize]).then_with(|| entity(a).cmp(&entity(b)))
        });
        let mut next = vec![0u32; first.len()];
        let mut ranges = Vec::with_capacity(first.len());
        let mut start = 0;
        for id in order {
            next[id as usize] = start;
            let end = start + counts[id as usize];
            ranges.push((start, end));
            start = end;
        }
        let mut rows = vec![0u32; hashes.len()];
        for (row, id) in (0u32..).zip(ids) {
            let place = &mut next[id as usize];
            rows[*place as usize] = row;
            *place += 1;
        }
        Self { rows, ranges }
    }

    pub const fn len(&self) -> usize {
        self.ranges.len()
    }

    /// The rows of an entity, as they came.
    pub fn rows(&self, entity: usize) -> &[u32] {
        let (start, end) = self.ranges[entity];
        &self.rows[start as usize..end as usize]
    }
}
