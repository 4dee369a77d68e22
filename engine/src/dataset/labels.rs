//! Labels: whose sequence, as of when, and whatever else the table has.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::{CastOptions, cast_with_options, filter_record_batch, take_record_batch};
use arrow::datatypes::{DataType, Int64Type, TimestampMicrosecondType};
use arrow::ipc::writer::StreamWriter;
use tress_configs::column::{ColumnType, Scalar};
use xxhash_rust::xxh3::Xxh3;

use crate::entity::{Entity, hash_bytes};
use crate::error::{Error, Result};
use crate::rows::col;

/// The unit of a label time that is a whole number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeUnit {
    Seconds,
    Millis,
    Micros,
}

/// Labels, sorted by hash of their entity, then time, then as they were given.
#[derive(Debug, Clone)]
pub struct Labels {
    /// All columns of the table, as they were.
    table: RecordBatch,
    /// Of the feature's entity type.
    entity: ArrayRef,
    hash: Vec<i64>,
    /// µs
    time: Vec<i64>,
}

impl Labels {
    /// Takes a table of labels; `entity` and `time` name its columns.
    ///
    /// # Errors
    /// `Invalid` when a column is missing, of a type that cannot be used, or null somewhere.
    pub fn new(table: &RecordBatch, entity: (&str, Scalar), time: (&str, Option<TimeUnit>)) -> Result<Self> {
        let column = |name: &str| {
            table.column_by_name(name).ok_or_else(|| {
                let names: Vec<&str> = table.schema_ref().fields().iter().map(|f| f.name().as_str()).collect();
                Error::invalid(format!("labels: there is no column \"{name}\"; the table has {}", names.join(", ")))
            })
        };
        let entities = strict(column(entity.0)?, &entity.1.arrow(), entity.0)?;
        let times = micros(column(time.0)?, time.0, time.1)?;
        let hash: Vec<i64> = (0..table.num_rows()).map(|row| hash_of(&entities, row)).collect();
        let mut order: Vec<u32> = (0..u32::try_from(table.num_rows()).map_err(|_| Error::invalid("labels: more than 2^32"))?).collect();
        order.sort_by_key(|row| (hash[*row as usize], times[*row as usize], *row));
        let order = UInt32Array::from(order);
        let take = |values: &[i64]| order.values().iter().map(|row| values[*row as usize]).collect::<Vec<_>>();
        Ok(Self {
            table: take_record_batch(table, &order)?,
            entity: arrow::compute::take(&entities, &order, None)?,
            hash: take(&hash),
            time: take(&times),
        })
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.hash.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hash.is_empty()
    }

    #[must_use]
    pub const fn table(&self) -> &RecordBatch {
        &self.table
    }

    pub(super) fn entity(&self, row: usize) -> Entity {
        Entity::at(&self.entity, row)
    }

    pub(super) fn hash(&self, row: usize) -> i64 {
        self.hash[row]
    }

    /// µs
    pub(super) fn time(&self, row: usize) -> i64 {
        self.time[row]
    }

    /// The labels whose entity's hash is in a range, both ends included.
    pub(super) fn of_hashes(&self, (first, last): (i64, i64)) -> Result<Self> {
        let from = self.hash.partition_point(|h| *h < first);
        let to = self.hash.partition_point(|h| *h <= last);
        Ok(Self {
            table: self.table.slice(from, to - from),
            entity: self.entity.slice(from, to - from),
            hash: self.hash[from..to].to_vec(),
            time: self.time[from..to].to_vec(),
        })
    }

    /// The rows of history whose entity's hash is one of these labels'.
    pub(super) fn only_entities(&self, rows: &RecordBatch) -> Result<RecordBatch> {
        let wanted: HashSet<i64> = self.hash.iter().copied().collect();
        let hashes = rows.column(col::ENTITY_HASH).as_primitive::<Int64Type>();
        let keep = BooleanArray::from_iter(hashes.values().iter().map(|h| Some(wanted.contains(h))));
        Ok(filter_record_batch(rows, &keep)?)
    }

    /// Names the labels: every value of the table, in order.
    pub(super) fn digest(&self) -> Result<String> {
        let mut hasher = Xxh3::new();
        for time in &self.time {
            hasher.update(&time.to_le_bytes());
        }
        let mut writer = StreamWriter::try_new(Vec::new(), &self.table.schema())?;
        writer.write(&self.table)?;
        hasher.update(&writer.into_inner()?);
        Ok(format!("{:032x}", hasher.digest128()))
    }
}

fn hash_of(entities: &ArrayRef, row: usize) -> i64 {
    match entities.data_type() {
        DataType::Int64 => hash_bytes(&entities.as_primitive::<Int64Type>().value(row).to_le_bytes()),
        _ => hash_bytes(entities.as_string::<i32>().value(row).as_bytes()),
    }
}

/// Casts without losing anything: a value that does not fit is an error, and so is a null.
fn strict(column: &ArrayRef, to: &DataType, name: &str) -> Result<ArrayRef> {
    if column.null_count() > 0 {
        return Err(Error::invalid(format!("labels: column \"{name}\" has nulls; drop those rows")));
    }
    let number = matches!(column.data_type(), DataType::Float16 | DataType::Float32 | DataType::Float64);
    if number && *to == DataType::Int64 {
        return Err(Error::invalid(format!("labels: column \"{name}\" is a float; entities are whole numbers")));
    }
    cast_with_options(column, to, &CastOptions { safe: false, ..CastOptions::default() })
        // What could not be cast is a value of a user: it is not told.
        .map_err(|_| Error::invalid(format!("labels: column \"{name}\" is {}; {to} is needed", column.data_type())))
}

fn micros(column: &ArrayRef, name: &str, unit: Option<TimeUnit>) -> Result<Vec<i64>> {
    if column.null_count() > 0 {
        return Err(Error::invalid(format!("labels: column \"{name}\" has nulls; drop those rows")));
    }
    if column.data_type().is_integer() {
        let factor = match unit {
            Some(TimeUnit::Seconds) => 1_000_000,
            Some(TimeUnit::Millis) => 1000,
            Some(TimeUnit::Micros) => 1,
            None => {
                return Err(Error::invalid(format!(
                    "labels: column \"{name}\" holds whole numbers; say their unit: seconds, millis or micros"
                )));
            }
        };
        let numbers = strict(column, &DataType::Int64, name)?;
        let numbers: &Int64Array = numbers.as_primitive();
        return numbers
            .values()
            .iter()
            .map(|n| n.checked_mul(factor).ok_or_else(|| Error::invalid(format!("labels: a time of column \"{name}\" is out of range"))))
            .collect();
    }
    let times = strict(column, &ColumnType::scalar(Scalar::Timestamp).arrow(), name)?;
    let times = Arc::clone(&times);
    Ok(times.as_primitive::<TimestampMicrosecondType>().values().to_vec())
}
