//! Finds, per key, the newest version that was known at a time.

use arrow::array::{Array, ArrayRef, AsArray, UInt32Array};
use arrow::datatypes::Int64Type;
use arrow::row::{RowConverter, SortField};
use xxhash_rust::xxh3::xxh3_64;

use crate::error::{Error, Result};
use crate::identity;

/// Versions of rows by key. Versions of one key lie together, oldest first.
#[derive(Debug)]
pub(super) struct VersionIndex {
    converter: RowConverter,
    /// Open addressing by the hash of the key: a group, or `EMPTY`. A power of two, at most half full.
    slots: Vec<u32>,
    /// The same for a key that is one whole number, found without encoding it.
    numbers: Option<Numbers>,
    /// Per group: where its key ends in `keys`, and where its versions end.
    ends: Vec<(usize, u32)>,
    keys: Vec<u8>,
    /// Per version, microseconds.
    valid_from: Vec<i64>,
    /// Every key has one version, valid always: the version of a group is the group.
    timeless: bool,
}

const EMPTY: u32 = u32::MAX;

/// Open addressing over whole numbers: the number and its group, or `EMPTY`. A power of two, at most half full.
#[derive(Debug)]
struct Numbers {
    slots: Vec<(i64, u32)>,
    /// Of a 64-bit hash, down to a place.
    shift: u32,
}

impl Numbers {
    /// `keys`: of each group.
    fn new(keys: &[i64]) -> Self {
        let size = (keys.len() * 2).next_power_of_two().max(2);
        let mut numbers = Self { slots: vec![(0, EMPTY); size], shift: 64 - size.trailing_zeros() };
        for (group, key) in (0u32..).zip(keys) {
            let slot = numbers.slot(*key);
            numbers.slots[slot] = (*key, group);
        }
        numbers
    }

    /// The slot that holds this key, or the empty one where it belongs.
    fn slot(&self, key: i64) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = ((key as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift) as usize & mask;
        while self.slots[slot].1 != EMPTY && self.slots[slot].0 != key {
            slot = (slot + 1) & mask;
        }
        slot
    }
}

impl VersionIndex {
    /// Also gives the rows to keep, in the order of the index: rows without a key or a time are not among them, and neither are
    /// those that another row of the same key and time hides, because its hash over `columns` is greater.
    ///
    /// # Errors
    /// `Invalid` when the table has 2^32 rows or more, or a type that can be no key.
    pub(super) fn new(keys: &[ArrayRef], valid_from: &[Option<i64>], columns: &[ArrayRef]) -> Result<(Self, UInt32Array)> {
        if u32::try_from(valid_from.len()).is_err() {
            return Err(Error::invalid("the table has 2^32 rows or more"));
        }
        let converter = RowConverter::new(keys.iter().map(|k| SortField::new(k.data_type().clone())).collect())?;
        let encoded = converter.convert_columns(keys)?;
        let hashes = if columns.is_empty() { vec![0; valid_from.len()] } else { identity::row_hashes(columns)? };
        let mut order: Vec<(u32, i64)> = valid_from
            .iter()
            .enumerate()
            .filter(|(row, _)| keys.iter().all(|k| k.is_valid(*row)))
            .filter_map(|(row, time)| Some((row as u32, (*time)?)))
            .collect();
        let key = |row: u32| encoded.row(row as usize);
        order.sort_unstable_by(|(a, at), (b, bt)| {
            key(*a).cmp(&key(*b)).then(at.cmp(bt)).then_with(|| hashes[*a as usize].cmp(&hashes[*b as usize])).then(a.cmp(b))
        });
        // The last one of a key and a time has the greatest hash.
        order.dedup_by(|next, kept| {
            let hides = next.1 == kept.1 && key(next.0) == key(kept.0);
            if hides {
                *kept = *next;
            }
            hides
        });
        let mut ends: Vec<(usize, u32)> = Vec::new();
        let mut bytes = Vec::new();
        for (position, (row, _)) in order.iter().enumerate() {
            let fresh = position.checked_sub(1).and_then(|p| order.get(p)).is_none_or(|(before, _)| key(*before) != key(*row));
            if fresh {
                bytes.extend_from_slice(key(*row).as_ref());
                ends.push((bytes.len(), position as u32));
            }
            if let Some(group) = ends.last_mut() {
                *group = (bytes.len(), position as u32 + 1);
            }
        }
        let starts = std::iter::once(0).chain(ends.iter().map(|(_, end)| *end)).take(ends.len());
        let numbers = match keys {
            [one] => one.as_primitive_opt::<Int64Type>().map(|values| {
                let of_group = starts.filter_map(|start| order.get(start as usize)).map(|(row, _)| values.value(*row as usize));
                Numbers::new(&of_group.collect::<Vec<_>>())
            }),
            _ => None,
        };
        let groups = ends.len();
        let mut index = Self {
            converter,
            numbers,
            slots: vec![EMPTY; (ends.len() * 2).next_power_of_two()],
            ends,
            keys: bytes,
            timeless: order.len() == groups && order.iter().all(|(_, time)| *time == i64::MIN),
            valid_from: order.iter().map(|(_, time)| *time).collect(),
        };
        for group in 0..index.ends.len() {
            let slot = index.slot(index.key(group));
            index.slots[slot] = group as u32;
        }
        Ok((index, UInt32Array::from_iter_values(order.iter().map(|(row, _)| *row))))
    }

    /// Per key: the position, in the order of the index, of the newest version with `valid_from ≤ as_of`; null where there is none.
    ///
    /// # Errors
    /// When the keys are of other types than the table's.
    pub(super) fn find(&self, keys: &[ArrayRef], as_of: &[i64]) -> Result<UInt32Array> {
        if let (Some(numbers), [one]) = (&self.numbers, keys)
            && let Some(values) = one.as_primitive_opt::<Int64Type>()
        {
            let group = |row: usize| if values.is_null(row) { EMPTY } else { numbers.slots[numbers.slot(values.value(row))].1 };
            return Ok(as_of.iter().enumerate().map(|(row, as_of)| self.known(group(row), *as_of)).collect());
        }
        let encoded = self.converter.convert_columns(keys)?;
        let found = as_of.iter().enumerate().map(|(row, as_of)| {
            if keys.iter().any(|k| k.is_null(row)) {
                return None;
            }
            self.known(self.slots[self.slot(encoded.row(row).as_ref())], *as_of)
        });
        Ok(found.collect())
    }

    /// The newest version of a group that was known by then.
    fn known(&self, group: u32, as_of: i64) -> Option<u32> {
        if self.timeless {
            return (group != EMPTY).then_some(group);
        }
        let versions = (group != EMPTY).then(|| self.versions(group as usize))?;
        let known = self.valid_from.get(versions.clone())?.partition_point(|from| *from <= as_of);
        known.checked_sub(1).map(|newest| (versions.start + newest) as u32)
    }

    /// The slot that holds this key, or the empty one where it belongs.
    fn slot(&self, key: &[u8]) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = xxh3_64(key) as usize & mask;
        while self.slots[slot] != EMPTY && self.key(self.slots[slot] as usize) != key {
            slot = (slot + 1) & mask;
        }
        slot
    }

    fn key(&self, group: usize) -> &[u8] {
        let start = group.checked_sub(1).map_or(0, |before| self.ends[before].0);
        &self.keys[start..self.ends[group].0]
    }

    fn versions(&self, group: usize) -> std::ops::Range<usize> {
        let start = group.checked_sub(1).map_or(0, |before| self.ends[before].1);
        start as usize..self.ends[group].1 as usize
    }
}
