//! Views: events folded into sessions or objects. Both take events newest first.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int32Array, ListArray, RecordBatch, TimestampMicrosecondArray, UInt32Array};
use arrow::buffer::OffsetBuffer;
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimestampMicrosecondType};

use super::key::append;
use crate::error::{Error, Result};

/// Whether the oldest session may have begun before the events that were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oldest {
    Open,
    Whole,
}

/// `start`, `end`, `count`, `open_start`, then every column of the events as a list.
pub fn session_schema(events: &Schema) -> SchemaRef {
    let time = events.field(0).data_type().clone();
    let mut fields = vec![
        Field::new("start", time.clone(), false),
        Field::new("end", time, false),
        Field::new("count", DataType::Int32, false),
        Field::new("open_start", DataType::Boolean, false),
    ];
    fields.extend(events.fields().iter().map(|field| {
        let item = Arc::new(field.as_ref().clone().with_name("item"));
        Field::new(field.name(), DataType::List(item), false).with_metadata(field.metadata().clone())
    }));
    Arc::new(Schema::new(fields))
}

/// `first`, `last`, `count`, then the columns of the latest event but its time.
pub fn object_schema(events: &Schema) -> SchemaRef {
    let time = events.field(0).data_type().clone();
    let mut fields =
        vec![Field::new("first", time.clone(), false), Field::new("last", time, false), Field::new("count", DataType::Int32, false)];
    fields.extend(events.fields().iter().skip(1).map(|field| field.as_ref().clone()));
    Arc::new(Schema::new(fields))
}

/// Splits events where the pause to the next is longer than `gap` (µs). Newest session first, newest event first in it.
pub fn sessions(schema: &SchemaRef, events: &RecordBatch, gap: i64, oldest: Oldest) -> Result<RecordBatch> {
    let times = times(events)?;
    let mut starts: Vec<usize> = Vec::new();
    for row in 0..times.len() {
        if row == 0 || times[row - 1].saturating_sub(times[row]) > gap {
            starts.push(row);
        }
    }
    let ends: Vec<usize> = starts.iter().skip(1).copied().chain((!starts.is_empty()).then_some(times.len())).collect();
    let ranges: Vec<(usize, usize)> = starts.into_iter().zip(ends).collect();
    let stamp = |at: &dyn Fn(&(usize, usize)) -> i64| -> ArrayRef {
        Arc::new(TimestampMicrosecondArray::from_iter_values(ranges.iter().map(at)).with_timezone("UTC"))
    };
    let lengths = || ranges.iter().map(|(from, to)| to - from);
    let mut columns: Vec<ArrayRef> = vec![
        stamp(&|&(_, to)| times[to - 1]),
        stamp(&|&(from, _)| times[from]),
        Arc::new(Int32Array::from_iter_values(lengths().map(count))),
        Arc::new(BooleanArray::from_iter((0..ranges.len()).map(|i| Some(oldest == Oldest::Open && i + 1 == ranges.len())))),
    ];
    for (column, field) in events.columns().iter().zip(schema.fields().iter().skip(4)) {
        let DataType::List(item) = field.data_type() else {
            return Err(Error::internal("fold sessions: a column is not a list"));
        };
        columns.push(Arc::new(ListArray::try_new(Arc::clone(item), OffsetBuffer::from_lengths(lengths()), Arc::clone(column), None)?));
    }
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// Folds events with equal values of `by`; nulls equal one another. The object touched last comes first.
pub fn objects(schema: &SchemaRef, events: &RecordBatch, by: &[String]) -> Result<RecordBatch> {
    let times = times(events)?;
    let keys = by
        .iter()
        .map(|name| events.column_by_name(name).ok_or_else(|| Error::invalid(format!("fold objects: there is no column {name}"))))
        .collect::<Result<Vec<_>>>()?;
    let mut place: HashMap<Vec<u8>, usize> = HashMap::new();
    // Per object: its latest event, its first time, its events.
    let mut objects: Vec<(u32, i64, i32)> = Vec::new();
    for (row, time) in times.iter().enumerate() {
        let mut key = Vec::new();
        for column in &keys {
            key.push(u8::from(column.is_valid(row)));
            let _null_is_a_value = append(&mut key, column.as_ref(), row);
        }
        let next = objects.len();
        match place.entry(key) {
            std::collections::hash_map::Entry::Vacant(entry) => {
                entry.insert(next);
                objects.push((u32::try_from(row).unwrap_or(u32::MAX), *time, 1));
            }
            std::collections::hash_map::Entry::Occupied(entry) => {
                let object = &mut objects[*entry.get()];
                object.1 = *time;
                object.2 += 1;
            }
        }
    }
    let latest = UInt32Array::from_iter_values(objects.iter().map(|o| o.0));
    let mut columns: Vec<ArrayRef> = vec![
        Arc::new(TimestampMicrosecondArray::from_iter_values(objects.iter().map(|o| o.1)).with_timezone("UTC")),
        take(events.column(0), &latest, None)?,
        Arc::new(Int32Array::from_iter_values(objects.iter().map(|o| o.2))),
    ];
    for column in events.columns().iter().skip(1) {
        columns.push(take(column, &latest, None)?);
    }
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// The rows in the opposite order.
pub fn reversed(rows: &RecordBatch) -> Result<RecordBatch> {
    let last = u32::try_from(rows.num_rows()).unwrap_or(u32::MAX);
    Ok(arrow::compute::take_record_batch(rows, &UInt32Array::from_iter_values((0..last).rev()))?)
}

fn times(events: &RecordBatch) -> Result<Vec<i64>> {
    let column = events.column(0).as_primitive_opt::<TimestampMicrosecondType>();
    Ok(column.ok_or_else(|| Error::internal("fold events: the first column is not the time"))?.values().to_vec())
}

fn count(events: usize) -> i32 {
    i32::try_from(events).unwrap_or(i32::MAX)
}
