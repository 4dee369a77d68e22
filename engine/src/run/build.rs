//! Making runs from rows in any order.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::DataType;

use super::{Directory, NO_FLOOR, Run, order, sort};
use crate::entity::Entity;
use crate::error::{Error, Result};
use crate::rows::{Columns, Flags, Form, Packed, Rows, col};

/// What is known of each entity's floor; an entity that is not named has none.
#[derive(Debug, Clone, Default)]
pub struct Floors(HashMap<(i64, Entity), i64>);

/// An entry of a directory that is being made.
#[derive(Debug)]
pub(super) struct Draft {
    pub hash: i64,
    /// `None` = a file of an older format does not say.
    pub entity: Option<Entity>,
    pub rows: usize,
    pub floor: i64,
}

impl Floors {
    /// Also makes an entry for an entity without rows.
    pub fn set(&mut self, entity: Entity, floor: i64) {
        self.0.insert((entity.hash(), entity), floor);
    }

    /// Takes over all entries of `other`.
    pub fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

impl Run {
    /// A run without floors, of history, for reads of whole sequences.
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
        Self::new(batch, floors, Form::Sliced)
    }

    /// A run of the tail.
    ///
    /// # Errors
    /// As [`Run::from_rows`].
    pub fn dense(batch: RecordBatch) -> Result<Self> {
        Self::new(batch, &Floors::default(), Form::Dense)
    }

    fn new(batch: RecordBatch, floors: &Floors, form: Form) -> Result<Self> {
        let rows = Rows::new(sort(batch)?)?;
        let mut missing = floors.0.clone();
        let mut drafts: Vec<Draft> = entities(&rows)
            .map(|range| {
                let key = (rows.entity_hash()[range.start], Entity::at(rows.entity(), range.start));
                let floor = missing.remove(&key).unwrap_or(NO_FLOOR);
                Draft { hash: key.0, entity: Some(key.1), rows: range.len(), floor }
            })
            .collect();
        // Entities that have history, but no row here.
        if !missing.is_empty() {
            drafts.extend(missing.into_iter().map(|((hash, entity), floor)| Draft { hash, entity: Some(entity), rows: 0, floor }));
            drafts.sort_by(|a, b| (a.hash, &a.entity).cmp(&(b.hash, &b.entity)));
        }
        let all: Vec<(usize, usize)> = (0..rows.len()).map(|row| (0, row)).collect();
        Self::assemble(Columns::gather(&[rows.columns()], &all, form)?, drafts)
    }

    /// A run of sorted rows; `drafts` in the order of the rows.
    pub(super) fn assemble(rows: Columns, drafts: Vec<Draft>) -> Result<Self> {
        let mut start = Vec::with_capacity(drafts.len() + 1);
        let mut settled = Vec::with_capacity(drafts.len());
        let mut next = 0;
        for draft in &drafts {
            start.push(row_number(next)?);
            settled.push(is_settled(&rows, next..next + draft.rows));
            next += draft.rows;
        }
        start.push(row_number(next)?);
        let directory = Directory {
            hash: drafts.iter().map(|draft| draft.hash).collect(),
            start: start.into(),
            floor: Packed::new(drafts.iter().map(|draft| draft.floor)),
            settled: Flags::new(settled.into_iter()),
            entity: entity_array(rows.schema().field(col::ENTITY).data_type(), drafts),
        };
        Self::from_parts(rows, directory)
    }

    /// A run from parts that may have been stored.
    ///
    /// # Errors
    /// `Corrupt` when the directory does not fit the rows.
    pub(super) fn from_parts(rows: Columns, directory: Directory) -> Result<Self> {
        let Directory { hash, start, floor, settled, entity } = &directory;
        let entries = hash.len();
        let whole = start.first() == Some(&0) && start.last().is_some_and(|end| usize::try_from(*end).is_ok_and(|end| end == rows.len()));
        let sorted = hash.windows(2).all(|w| w[0] <= w[1]) && start.windows(2).all(|w| w[0] <= w[1]);
        let as_long = start.len() == entries + 1 && floor.len() == entries && entity.len() == entries && settled.fits(entries);
        let typed = rows.schema().fields().get(col::ENTITY).is_some_and(|field| field.data_type() == entity.data_type());
        if !(whole && sorted && as_long && typed) {
            return Err(Error::corrupt("read run: its directory does not fit its rows"));
        }
        Ok(Self { rows, directory })
    }
}

/// The rows of each entity, of sorted rows.
pub(crate) fn entities(rows: &Rows) -> impl Iterator<Item = Range<usize>> {
    let mut start = 0;
    std::iter::from_fn(move || {
        if start >= rows.len() {
            return None;
        }
        let hash = rows.entity_hash()[start];
        let mut end = start + 1;
        while end < rows.len()
            && rows.entity_hash()[end] == hash
            && order::compare_entity(rows.entity(), start, rows.entity(), end) == Ordering::Equal
        {
            end += 1;
        }
        let range = start..end;
        start = end;
        Some(range)
    })
}

/// Whether the rows of one entity need no resolving: each event is there in one state, and not deleted.
fn is_settled(rows: &Columns, range: Range<usize>) -> bool {
    let one_state = |a: usize, b: usize| {
        order::compare_identity(rows, a, rows, b) != Ordering::Equal
            || (order::compare_law(rows, a, rows, b) == Ordering::Equal && rows.ordinal(a) < rows.ordinal(b))
    };
    range.clone().all(|row| !rows.deleted(row)) && range.clone().skip(1).all(|row| one_state(row - 1, row))
}

fn row_number(row: usize) -> Result<i32> {
    i32::try_from(row).map_err(|_| Error::invalid("build run: more than 2^31 rows in one run"))
}

fn entity_array(data_type: &DataType, drafts: Vec<Draft>) -> ArrayRef {
    let mut array: ArrayRef = match data_type {
        DataType::Int64 => Arc::new(
            drafts
                .iter()
                .map(|draft| if let Some(Entity::Int64(number)) = &draft.entity { Some(*number) } else { None })
                .collect::<Int64Array>(),
        ),
        _ => Arc::new(
            drafts
                .iter()
                .map(|draft| if let Some(Entity::String(text)) = &draft.entity { Some(text.as_str()) } else { None })
                .collect::<StringArray>(),
        ),
    };
    array.shrink_to_fit();
    array
}
