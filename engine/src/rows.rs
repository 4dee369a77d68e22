//! Enriched events: the columns that every row carries, before the signal's own, and typed access to them.

mod columns;
mod packed;
mod values;

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, BooleanArray, Int32Array, Int64Array, RecordBatch};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema, SchemaRef, TimestampMicrosecondType};
use tress_configs::SignalPlan;
use tress_configs::column::{ColumnType, Scalar};

pub use columns::{Columns, Form};
pub(crate) use columns::{Flags, Integers, timestamps};
pub(crate) use packed::{Packed, Shape};
pub use values::Values;
pub(crate) use values::gather;

use crate::error::{Error, Result};

/// Positions of the system columns in a batch of rows. The signal's columns follow, in the plan's order.
pub mod col {
    pub const ENTITY: usize = 0;
    pub const ENTITY_HASH: usize = 1;
    pub const EVENT_TIME: usize = 2;
    pub const EVENT_ID: usize = 3;
    pub const ORDINAL: usize = 4;
    pub const VERSION: usize = 5;
    pub const RAW_HASH: usize = 6;
    pub const AVAILABLE_AT: usize = 7;
    pub const DELETED: usize = 8;
    pub const FOUND: usize = 9;
    pub const PARTITION: usize = 10;
    pub const OFFSET: usize = 11;
    pub const BACKFILL: usize = 12;
    /// The first of the signal's own columns.
    pub const SIGNAL: usize = 13;
}

/// The Arrow schema of a signal's rows: system columns, then the signal's, all of those nullable.
#[must_use]
pub fn row_schema(plan: &SignalPlan) -> SchemaRef {
    let timestamp = ColumnType::scalar(Scalar::Timestamp).arrow();
    let mut fields = vec![
        Field::new("entity", plan.entity.scalar.arrow(), false),
        Field::new("entity_hash", DataType::Int64, false),
        Field::new("event_time", timestamp.clone(), false),
        Field::new("event_id", DataType::Int64, false),
        Field::new("ordinal", DataType::Int32, false),
        Field::new("version", DataType::Int64, false),
        Field::new("raw_hash", DataType::Int32, false),
        Field::new("available_at", timestamp, false),
        Field::new("deleted", DataType::Boolean, false),
        Field::new("found", DataType::Int32, false),
        Field::new("partition", DataType::Int32, true),
        Field::new("offset", DataType::Int64, true),
        Field::new("backfill", DataType::Int32, false),
    ];
    fields.extend(plan.columns.iter().map(tress_configs::plan::ColumnPlan::stored_field));
    Arc::new(Schema::new(fields))
}

/// A batch of enriched events with its system columns at hand. Cheap to clone: buffers are shared.
#[derive(Debug, Clone)]
pub struct Rows {
    batch: RecordBatch,
    columns: Columns,
    /// See [`Rows::entity_hash`] and its siblings for what each holds.
    entity_hash: ScalarBuffer<i64>,
    event_time: ScalarBuffer<i64>,
    event_id: ScalarBuffer<i64>,
    ordinal: ScalarBuffer<i32>,
    version: ScalarBuffer<i64>,
    raw_hash: ScalarBuffer<i32>,
    available_at: ScalarBuffer<i64>,
    deleted: BooleanArray,
    found: ScalarBuffer<i32>,
    partition: Int32Array,
    offset: Int64Array,
    backfill: ScalarBuffer<i32>,
}

impl Rows {
    /// Takes a batch whose first columns are the system columns.
    ///
    /// # Errors
    /// `Corrupt` when a system column is missing or of another type.
    pub fn new(batch: RecordBatch) -> Result<Self> {
        let int64 = |i: usize| -> Result<ScalarBuffer<i64>> {
            Ok(column(&batch, i)?.as_primitive_opt::<Int64Type>().ok_or_else(|| wrong(i))?.values().clone())
        };
        let int32 = |i: usize| -> Result<ScalarBuffer<i32>> {
            Ok(column(&batch, i)?.as_primitive_opt::<Int32Type>().ok_or_else(|| wrong(i))?.values().clone())
        };
        let micros = |i: usize| -> Result<ScalarBuffer<i64>> {
            Ok(column(&batch, i)?.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(|| wrong(i))?.values().clone())
        };
        if !matches!(column(&batch, col::ENTITY)?.data_type(), DataType::Utf8 | DataType::Int64) {
            return Err(wrong(col::ENTITY));
        }
        Ok(Self {
            entity_hash: int64(col::ENTITY_HASH)?,
            event_time: micros(col::EVENT_TIME)?,
            event_id: int64(col::EVENT_ID)?,
            ordinal: int32(col::ORDINAL)?,
            version: int64(col::VERSION)?,
            raw_hash: int32(col::RAW_HASH)?,
            available_at: micros(col::AVAILABLE_AT)?,
            deleted: column(&batch, col::DELETED)?.as_boolean_opt().ok_or_else(|| wrong(col::DELETED))?.clone(),
            found: int32(col::FOUND)?,
            partition: column(&batch, col::PARTITION)?.as_primitive_opt::<Int32Type>().ok_or_else(|| wrong(col::PARTITION))?.clone(),
            offset: column(&batch, col::OFFSET)?.as_primitive_opt::<Int64Type>().ok_or_else(|| wrong(col::OFFSET))?.clone(),
            backfill: int32(col::BACKFILL)?,
            columns: Columns::of_batch(&batch)?,
            batch,
        })
    }

    #[must_use]
    pub const fn batch(&self) -> &RecordBatch {
        &self.batch
    }

    /// All but the entity, as reads look at them.
    #[must_use]
    pub const fn columns(&self) -> &Columns {
        &self.columns
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.batch.num_rows()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    #[must_use]
    pub fn entity(&self) -> &ArrayRef {
        self.batch.column(col::ENTITY)
    }

    /// Top bit flipped: signed order is hash order.
    #[must_use]
    pub fn entity_hash(&self) -> &[i64] {
        &self.entity_hash
    }

    /// Microseconds, UTC.
    #[must_use]
    pub fn event_time(&self) -> &[i64] {
        &self.event_time
    }

    #[must_use]
    pub fn event_id(&self) -> &[i64] {
        &self.event_id
    }

    /// Index among the records of one raw event.
    #[must_use]
    pub fn ordinal(&self) -> &[i32] {
        &self.ordinal
    }

    /// The greater is the newer state of one event.
    #[must_use]
    pub fn version(&self) -> &[i64] {
        &self.version
    }

    /// Breaks ties of version. Top bit flipped, as the entity's hash.
    #[must_use]
    pub fn raw_hash(&self) -> &[i32] {
        &self.raw_hash
    }

    /// Microseconds, UTC.
    #[must_use]
    pub fn available_at(&self) -> &[i64] {
        &self.available_at
    }

    /// Tombstones.
    #[must_use]
    pub const fn deleted(&self) -> &BooleanArray {
        &self.deleted
    }

    /// A bit per enrichment: whether its row was found.
    #[must_use]
    pub fn found(&self) -> &[i32] {
        &self.found
    }

    /// Source partition; null from an external log.
    #[must_use]
    pub const fn partition(&self) -> &Int32Array {
        &self.partition
    }

    /// Source offset; null from an external log.
    #[must_use]
    pub const fn offset(&self) -> &Int64Array {
        &self.offset
    }

    /// Number of the backfill that made the row; 0 = stream.
    #[must_use]
    pub fn backfill(&self) -> &[i32] {
        &self.backfill
    }

    /// The signal's own column with this index in its plan.
    #[must_use]
    pub fn signal_column(&self, index: usize) -> &ArrayRef {
        self.batch.column(col::SIGNAL + index)
    }
}

fn column(batch: &RecordBatch, index: usize) -> Result<&ArrayRef> {
    batch.columns().get(index).ok_or_else(|| wrong(index))
}

fn wrong(index: usize) -> Error {
    Error::corrupt(format!(
        "read rows: system column {index} is missing or of another type; the data was written by another program or is damaged"
    ))
}
