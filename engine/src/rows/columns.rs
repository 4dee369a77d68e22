//! Events as reads look at them: every column but the entity's, plain as they arrived, or as a run holds them.
//!
//! A run needs few bytes for what repeats: constants take none, an `available_at` that follows `event_time`, or a `version` that is
//! `available_at`, is held as the difference, and every other system column as packed integers.

use std::ops::Range;
use std::sync::{Arc, LazyLock};

use arrow::array::{ArrayRef, AsArray, BooleanArray, Int32Array, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::buffer::{BooleanBuffer, NullBuffer, ScalarBuffer};
use arrow::datatypes::{Int32Type, Int64Type, SchemaRef, TimestampMicrosecondType};

use super::packed::Packed;
use super::values::{self, Values};
use super::{col, column, wrong};
use crate::error::{Error, Result};

/// Times as rows have them: microseconds, UTC. Every read makes some, so the name of the zone is shared.
pub(crate) fn timestamps(values: ScalarBuffer<i64>) -> TimestampMicrosecondArray {
    static UTC: LazyLock<Arc<str>> = LazyLock::new(|| "UTC".into());
    TimestampMicrosecondArray::new(values, None).with_timezone(Arc::clone(&UTC))
}

/// Events by column. Cheap to clone: buffers are shared.
#[derive(Debug, Clone)]
pub struct Columns {
    pub(crate) schema: SchemaRef,
    pub(crate) event_time: Integers,
    pub(crate) event_id: ScalarBuffer<i64>,
    pub(crate) ordinal: Integers,
    pub(crate) version: Integers,
    pub(crate) raw_hash: Integers,
    pub(crate) available_at: Integers,
    pub(crate) deleted: Flags,
    pub(crate) found: Integers,
    pub(crate) partition: Integers,
    pub(crate) has_partition: Flags,
    pub(crate) offset: Integers,
    pub(crate) has_offset: Flags,
    pub(crate) backfill: Integers,
    /// The signal's own, in the plan's order.
    pub(crate) signal: Vec<Values>,
}

/// A system column of integers.
#[derive(Debug, Clone)]
pub enum Integers {
    Wide(ScalarBuffer<i64>),
    Narrow(ScalarBuffer<i32>),
    Packed(Packed),
    /// What is to be added to `event_time`, or, for a version, to `available_at`.
    Difference(Packed),
}

/// A system column of bits.
#[derive(Debug, Clone)]
pub enum Flags {
    All(bool),
    Each(BooleanBuffer),
}

/// How columns are held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// What answers are made of is plain: reading it is slicing. For base.
    Sliced,
    /// In as few bytes as it takes: reading a few rows unpacks them. For the tail.
    Dense,
}

impl Integers {
    #[inline]
    fn get(&self, row: usize, to: impl FnOnce() -> i64) -> i64 {
        match self {
            Self::Wide(values) => values[row],
            Self::Narrow(values) => i64::from(values[row]),
            Self::Packed(packed) => packed.get(row),
            Self::Difference(packed) => to().wrapping_add(packed.get(row)),
        }
    }

    /// The smaller of a column by itself and as differences to another.
    fn beside(own: impl Iterator<Item = i64> + Clone, other: impl Iterator<Item = i64> + Clone) -> Self {
        let difference = Packed::new(own.clone().zip(other).map(|(own, other)| own.wrapping_sub(other)));
        if difference.bytes() == 0 {
            return Self::Difference(difference);
        }
        let alone = Packed::new(own);
        if difference.bytes() < alone.bytes() { Self::Difference(difference) } else { Self::Packed(alone) }
    }

    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Wide(values) => values.len(),
            Self::Narrow(values) => values.len(),
            Self::Packed(packed) | Self::Difference(packed) => packed.len(),
        }
    }

    fn bytes(&self) -> usize {
        match self {
            Self::Wide(values) => values.inner().capacity(),
            Self::Narrow(values) => values.inner().capacity(),
            Self::Packed(packed) | Self::Difference(packed) => packed.bytes(),
        }
    }
}

impl Flags {
    pub(crate) fn new(flags: impl Iterator<Item = bool> + Clone) -> Self {
        let mut rest = flags.clone();
        let first = rest.next().unwrap_or(false);
        if rest.all(|flag| flag == first) { Self::All(first) } else { Self::Each(flags.collect()) }
    }

    fn known(nulls: Option<&NullBuffer>) -> Self {
        nulls.map_or(Self::All(true), |nulls| Self::Each(nulls.inner().clone()))
    }

    #[inline]
    pub(crate) fn get(&self, row: usize) -> bool {
        match self {
            Self::All(flag) => *flag,
            Self::Each(flags) => flags.value(row),
        }
    }

    pub(crate) fn fits(&self, rows: usize) -> bool {
        match self {
            Self::All(_) => true,
            Self::Each(flags) => flags.len() == rows,
        }
    }

    pub(crate) fn bytes(&self) -> usize {
        match self {
            Self::All(_) => 0,
            Self::Each(flags) => flags.inner().capacity(),
        }
    }
}

impl Columns {
    /// The columns of a batch of rows, as they are.
    ///
    /// # Errors
    /// `Corrupt` when a system column is missing or of another type.
    pub(super) fn of_batch(batch: &RecordBatch) -> Result<Self> {
        let int64 = |i: usize| Ok::<_, Error>(column(batch, i)?.as_primitive_opt::<Int64Type>().ok_or_else(|| wrong(i))?);
        let int32 = |i: usize| Ok::<_, Error>(column(batch, i)?.as_primitive_opt::<Int32Type>().ok_or_else(|| wrong(i))?);
        let micros = |i: usize| -> Result<ScalarBuffer<i64>> {
            Ok(column(batch, i)?.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(|| wrong(i))?.values().clone())
        };
        let deleted = column(batch, col::DELETED)?.as_boolean_opt().ok_or_else(|| wrong(col::DELETED))?;
        Ok(Self {
            schema: batch.schema(),
            event_time: Integers::Wide(micros(col::EVENT_TIME)?),
            event_id: int64(col::EVENT_ID)?.values().clone(),
            ordinal: Integers::Narrow(int32(col::ORDINAL)?.values().clone()),
            version: Integers::Wide(int64(col::VERSION)?.values().clone()),
            raw_hash: Integers::Narrow(int32(col::RAW_HASH)?.values().clone()),
            available_at: Integers::Wide(micros(col::AVAILABLE_AT)?),
            deleted: Flags::Each(deleted.values().clone()),
            found: Integers::Narrow(int32(col::FOUND)?.values().clone()),
            partition: Integers::Narrow(int32(col::PARTITION)?.values().clone()),
            has_partition: Flags::known(arrow::array::Array::nulls(int32(col::PARTITION)?)),
            offset: Integers::Wide(int64(col::OFFSET)?.values().clone()),
            has_offset: Flags::known(arrow::array::Array::nulls(int64(col::OFFSET)?)),
            backfill: Integers::Narrow(int32(col::BACKFILL)?.values().clone()),
            signal: batch.columns().iter().skip(col::SIGNAL).map(|array| Values::Plain(Arc::clone(array))).collect(),
        })
    }

    /// The rows named by (part, row), of parts of one signal.
    ///
    /// # Errors
    /// `Internal` when the parts are not of one signal.
    pub fn gather(parts: &[&Self], rows: &[(usize, usize)], form: Form) -> Result<Self> {
        let Some(first) = parts.first() else { return Err(Error::internal("gather rows: of no part")) };
        let each = |of: fn(&Self, usize) -> i64| rows.iter().map(move |(part, row)| of(parts[*part], *row));
        let packed = |of: fn(&Self, usize) -> i64| Integers::Packed(Packed::new(each(of)));
        let flags = |of: fn(&Self, usize) -> bool| Flags::new(rows.iter().map(move |(part, row)| of(parts[*part], *row)));
        let signal = (0..first.signal.len()).map(|index| {
            let columns = parts.iter().map(|part| part.signal.get(index)).collect::<Option<Vec<_>>>();
            let array = values::gather(&columns.ok_or_else(|| Error::internal("gather rows: of several signals"))?, rows)?;
            Ok(match form {
                Form::Sliced => Values::Plain(array),
                Form::Dense => Values::dense(array),
            })
        });
        Ok(Self {
            schema: Arc::clone(&first.schema),
            event_time: match form {
                Form::Sliced => Integers::Wide(each(Self::event_time).collect()),
                Form::Dense => packed(Self::event_time),
            },
            event_id: each(|part, row| part.event_id[row]).collect(),
            ordinal: packed(|part, row| part.ordinal(row).into()),
            version: Integers::beside(each(Self::version), each(Self::available_at)),
            raw_hash: packed(|part, row| part.raw_hash(row).into()),
            available_at: Integers::beside(each(Self::available_at), each(Self::event_time)),
            deleted: flags(Self::deleted),
            found: packed(|part, row| part.found(row).into()),
            partition: packed(|part, row| part.partition(row).unwrap_or(0).into()),
            has_partition: flags(|part, row| part.partition(row).is_some()),
            offset: packed(|part, row| part.offset(row).unwrap_or(0)),
            has_offset: flags(|part, row| part.offset(row).is_some()),
            backfill: packed(|part, row| part.backfill(row).into()),
            signal: signal.collect::<Result<_>>()?,
        })
    }

    #[must_use]
    pub fn len(&self) -> usize {
        self.event_id.len()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Of a batch with these rows, the entity's columns among them.
    #[must_use]
    pub const fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Microseconds, UTC.
    #[must_use]
    #[inline]
    pub fn event_time(&self, row: usize) -> i64 {
        self.event_time.get(row, || 0)
    }

    /// All of them, where they are held plain.
    #[must_use]
    pub fn event_times(&self) -> Option<&ScalarBuffer<i64>> {
        match &self.event_time {
            Integers::Wide(times) => Some(times),
            _ => None,
        }
    }

    #[must_use]
    #[inline]
    pub fn event_id(&self, row: usize) -> i64 {
        self.event_id[row]
    }

    /// Index among the records of one raw event.
    #[must_use]
    pub fn ordinal(&self, row: usize) -> i32 {
        self.ordinal.get(row, || 0) as i32
    }

    /// The greater is the newer state of one event.
    #[must_use]
    pub fn version(&self, row: usize) -> i64 {
        self.version.get(row, || self.available_at(row))
    }

    /// Breaks ties of version. Top bit flipped, as the entity's hash.
    #[must_use]
    pub fn raw_hash(&self, row: usize) -> i32 {
        self.raw_hash.get(row, || 0) as i32
    }

    /// Microseconds, UTC.
    #[must_use]
    #[inline]
    pub fn available_at(&self, row: usize) -> i64 {
        self.available_at.get(row, || self.event_time(row))
    }

    /// Tombstones.
    #[must_use]
    pub fn deleted(&self, row: usize) -> bool {
        self.deleted.get(row)
    }

    /// A bit per enrichment: whether its row was found.
    #[must_use]
    pub fn found(&self, row: usize) -> i32 {
        self.found.get(row, || 0) as i32
    }

    /// Source partition; `None` from an external log.
    #[must_use]
    pub fn partition(&self, row: usize) -> Option<i32> {
        self.has_partition.get(row).then(|| self.partition.get(row, || 0) as i32)
    }

    /// Source offset; `None` from an external log.
    #[must_use]
    pub fn offset(&self, row: usize) -> Option<i64> {
        self.has_offset.get(row).then(|| self.offset.get(row, || 0))
    }

    /// Number of the backfill that made the row; 0 = stream.
    #[must_use]
    pub fn backfill(&self, row: usize) -> i32 {
        self.backfill.get(row, || 0) as i32
    }

    /// The signal's own column with this index in its plan.
    ///
    /// # Panics
    /// When the signal has no such column.
    #[must_use]
    pub fn signal(&self, index: usize) -> &Values {
        &self.signal[index]
    }

    /// Some rows' times, as an answer has them.
    #[must_use]
    pub fn times(&self, rows: Range<usize>) -> ArrayRef {
        let values = match &self.event_time {
            Integers::Wide(times) => times.slice(rows.start, rows.len()),
            _ => rows.map(|row| self.event_time(row)).collect(),
        };
        Arc::new(timestamps(values))
    }

    /// Some rows as a batch, with the entity's columns before the others.
    ///
    /// # Errors
    /// `Internal` when they are not of its schema.
    pub fn batch(&self, rows: Range<usize>, entity: [ArrayRef; 2]) -> Result<RecordBatch> {
        let long = |of: &dyn Fn(usize) -> i64| -> ArrayRef { Arc::new(Int64Array::from_iter_values(rows.clone().map(of))) };
        let int = |of: &dyn Fn(usize) -> i32| -> ArrayRef { Arc::new(Int32Array::from_iter_values(rows.clone().map(of))) };
        let available = rows.clone().map(|row| self.available_at(row)).collect();
        let mut columns: Vec<ArrayRef> = Vec::with_capacity(self.schema.fields().len());
        columns.extend(entity);
        columns.extend([
            self.times(rows.clone()),
            long(&|row| self.event_id(row)),
            int(&|row| self.ordinal(row)),
            long(&|row| self.version(row)),
            int(&|row| self.raw_hash(row)),
            Arc::new(timestamps(available)),
            Arc::new(rows.clone().map(|row| Some(self.deleted(row))).collect::<BooleanArray>()),
            int(&|row| self.found(row)),
            Arc::new(rows.clone().map(|row| self.partition(row)).collect::<Int32Array>()),
            Arc::new(rows.clone().map(|row| self.offset(row)).collect::<Int64Array>()),
            int(&|row| self.backfill(row)),
        ]);
        for column in &self.signal {
            columns.push(column.slice(rows.clone())?);
        }
        Ok(RecordBatch::try_new(Arc::clone(&self.schema), columns)?)
    }

    /// Bytes of memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let Self {
            schema: _,
            event_time,
            event_id,
            ordinal,
            version,
            raw_hash,
            available_at,
            deleted,
            found,
            partition,
            has_partition,
            offset,
            has_offset,
            backfill,
            signal,
        } = self;
        let integers = [event_time, ordinal, version, raw_hash, available_at, found, partition, offset, backfill];
        let flags = [deleted, has_partition, has_offset];
        event_id.inner().capacity()
            + integers.map(Integers::bytes).iter().sum::<usize>()
            + flags.map(Flags::bytes).iter().sum::<usize>()
            + signal.iter().map(Values::bytes).sum::<usize>()
    }

    /// Whether all columns have as many rows, and every one can be read.
    pub(crate) fn fits(&self) -> bool {
        let rows = self.len();
        let integers = [
            &self.event_time,
            &self.ordinal,
            &self.version,
            &self.raw_hash,
            &self.available_at,
            &self.found,
            &self.partition,
            &self.offset,
            &self.backfill,
        ];
        let own = self.schema.fields().iter().skip(col::SIGNAL).map(|field| field.data_type());
        !matches!(self.event_time, Integers::Difference(_))
            && integers.iter().all(|column| column.len() == rows)
            && [&self.deleted, &self.has_partition, &self.has_offset].iter().all(|flags| flags.fits(rows))
            && self.signal.iter().map(Values::data_type).eq(own)
            && self.signal.iter().all(|column| column.len() == rows && column.fits())
    }
}
