//! Raw events that are ours and valid, with their times, identity and version.

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Int64Array, RecordBatch, TimestampMicrosecondArray};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use arrow::compute::{filter, filter_record_batch};
use arrow::datatypes::{DataType, Int32Type, Int64Type, TimestampMicrosecondType};
use tress_configs::definition::TimeUnit;

use super::layout::{AvailableAt, FieldRef, Layout, TimeRef};
use crate::decode::time;
use crate::error::{Error, Result};
use crate::raw::{Invalid, RawBatch, Reason};

#[derive(Debug)]
pub(super) struct Events {
    /// Of the raw schema.
    pub fields: RecordBatch,
    /// Of each event: its row in the raw batch.
    pub row: Vec<u32>,
    /// Microseconds, as the other two. No nulls.
    pub event_time: Int64Array,
    pub available_at: Int64Array,
    pub version: Int64Array,
}

impl Events {
    /// The valid ones of `ours`; the reason of every other one goes to `verdicts`, the first one that applies.
    pub(super) fn new(layout: &Layout, raw: &RawBatch, ours: &BooleanBuffer, verdicts: &mut [Option<Invalid>]) -> Result<Self> {
        let (all, valid) = Self::judged(layout, raw, ours, verdicts)?;
        all.filtered(&BooleanArray::from(valid))
    }

    /// All of `ours`, and which of them are valid; times are null where they cannot be known.
    pub(super) fn judged(
        layout: &Layout,
        raw: &RawBatch,
        ours: &BooleanBuffer,
        verdicts: &mut [Option<Invalid>],
    ) -> Result<(Self, Vec<bool>)> {
        let all = Self::selected(layout, raw, ours)?;
        let mut judge = Judge { verdicts, row: &all.row, valid: vec![true; all.row.len()] };
        judge.broken();
        judge.missing(all.fields.column(layout.entity.index).nulls(), Reason::NoEntity, &layout.entity);
        judge.missing(all.event_time.nulls(), Reason::NoTime, &layout.time.field);
        for field in &layout.id {
            judge.missing(all.fields.column(field.index).nulls(), Reason::NoIdentity, field);
        }
        for field in &layout.required {
            judge.missing(all.fields.column(field.index).nulls(), Reason::MissingField, field);
        }
        let nowhere = FieldRef { index: 0, name: String::new() };
        let available_at = if let AvailableAt::Field(t) = &layout.available_at { &t.field } else { &nowhere };
        judge.missing(all.available_at.nulls(), Reason::NoAvailableAt, available_at);
        judge.missing(all.version.nulls(), Reason::NoVersion, layout.version.as_ref().unwrap_or(&nowhere));
        judge.future(&all, layout);
        let valid = judge.valid;
        Ok((all, valid))
    }

    pub(super) fn len(&self) -> usize {
        self.row.len()
    }

    /// Puts one event aside, for the first reason given.
    pub(super) fn refuse(&self, event: usize, invalid: Invalid, dead: &mut [bool], verdicts: &mut [Option<Invalid>]) {
        dead[event] = true;
        verdicts[self.row[event] as usize].get_or_insert(invalid);
    }

    /// All of `ours`, valid or not; times are null where they cannot be known.
    fn selected(layout: &Layout, raw: &RawBatch, ours: &BooleanBuffer) -> Result<Self> {
        let mask = BooleanArray::new(ours.clone(), None);
        let whole = ours.count_set_bits() == ours.len();
        let fields = if whole { raw.fields.clone() } else { filter_record_batch(&raw.fields, &mask)? };
        let event_time = times(&fields, &layout.time)?;
        let available_at = match &layout.available_at {
            AvailableAt::RecordTimestamp => {
                let stamps = filter(&raw.record_timestamp, &mask)?;
                bounded(stamps.as_primitive::<Int64Type>())
            }
            AvailableAt::Field(field) => times(&fields, field)?,
            AvailableAt::Delay(delay) => event_time.unary_opt(|t| t.checked_add(*delay).and_then(time::in_range)),
        };
        let version = match &layout.version {
            None => available_at.clone(),
            Some(field) => whole_numbers(fields.column(field.index)).ok_or_else(|| misused(field, "event.version", &fields))?,
        };
        Ok(Self { fields, row: ours.set_indices().map(|row| row as u32).collect(), event_time, available_at, version })
    }

    fn filtered(self, valid: &BooleanArray) -> Result<Self> {
        if valid.true_count() == valid.len() {
            return Ok(self);
        }
        let keep = |array: &Int64Array| Ok::<_, Error>(filter(array, valid)?.as_primitive::<Int64Type>().clone());
        Ok(Self {
            fields: filter_record_batch(&self.fields, valid)?,
            row: valid.values().set_indices().filter_map(|i| self.row.get(i).copied()).collect(),
            event_time: keep(&self.event_time)?,
            available_at: keep(&self.available_at)?,
            version: keep(&self.version)?,
        })
    }

    /// A column of these times as Arrow types them.
    pub(super) fn timestamps(values: Vec<i64>) -> TimestampMicrosecondArray {
        TimestampMicrosecondArray::from(values).with_timezone("UTC")
    }
}

/// Finds the first reason against each event.
struct Judge<'a> {
    verdicts: &'a mut [Option<Invalid>],
    row: &'a [u32],
    valid: Vec<bool>,
}

impl Judge<'_> {
    /// What could not be decoded, or failed in `where`.
    fn broken(&mut self) {
        for (valid, row) in self.valid.iter_mut().zip(self.row) {
            *valid = self.verdicts[*row as usize].is_none();
        }
    }

    fn missing(&mut self, nulls: Option<&NullBuffer>, reason: Reason, field: &FieldRef) {
        let Some(nulls) = nulls.filter(|n| n.null_count() > 0) else { return };
        for event in (0..nulls.len()).filter(|event| nulls.is_null(*event)) {
            self.refuse(event, reason, field);
        }
    }

    fn future(&mut self, events: &Events, layout: &Layout) {
        let times = events.event_time.values().iter().zip(events.available_at.values());
        for (event, (event_time, available_at)) in times.enumerate() {
            if *event_time > available_at.saturating_add(layout.max_future_skew) {
                self.refuse(event, Reason::FutureTime, &layout.time.field);
            }
        }
    }

    fn refuse(&mut self, event: usize, reason: Reason, field: &FieldRef) {
        self.valid[event] = false;
        self.verdicts[self.row[event] as usize].get_or_insert_with(|| Invalid { reason, field: field.name.clone() });
    }
}

/// A field of times, floored to microseconds; null where it is null, unparseable or out of range.
fn times(fields: &RecordBatch, at: &TimeRef) -> Result<Int64Array> {
    let column = fields.column(at.field.index);
    match at.unit {
        TimeUnit::Rfc3339 => column
            .as_string_opt::<i32>()
            .map(|texts| texts.iter().map(|text| text.and_then(time::rfc3339).and_then(time::in_range)).collect())
            .ok_or_else(|| misused(&at.field, "a time in RFC 3339", fields)),
        TimeUnit::Timestamp if !matches!(column.data_type(), DataType::Timestamp(..)) => Err(misused(&at.field, "a timestamp", fields)),
        unit => whole_numbers(column)
            .map(|numbers| numbers.unary_opt(|number| time::from_number(number, unit)))
            .ok_or_else(|| misused(&at.field, "a time in a unit", fields)),
    }
}

fn bounded(times: &Int64Array) -> Int64Array {
    times.unary_opt(time::in_range)
}

fn whole_numbers(column: &ArrayRef) -> Option<Int64Array> {
    match column.data_type() {
        DataType::Int32 => Some(column.as_primitive::<Int32Type>().unary(i64::from)),
        DataType::Int64 => Some(column.as_primitive::<Int64Type>().clone()),
        DataType::Timestamp(..) => column.as_primitive_opt::<TimestampMicrosecondType>().map(|a| a.reinterpret_cast::<Int64Type>()),
        _ => None,
    }
}

fn misused(field: &FieldRef, what: &str, fields: &RecordBatch) -> Error {
    let found = fields.schema_ref().field(field.index).data_type();
    Error::invalid(format!("field {}: it is {found}, which cannot be {what}; compile the definition again", field.name))
}
