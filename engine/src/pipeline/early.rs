//! The pipeline in two halves, for whoever keeps few of many rows: all before enrichment, then the enrichment of what was kept.
//!
//! Both halves are what [`Pipeline::process`] runs. It is for plans whose executor makes at most one record of a raw event.

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, RecordBatchOptions, UInt32Array, new_null_array};
use arrow::compute::take;
use arrow::datatypes::{Schema, SchemaRef};

use super::assemble::{Records, gather};
use super::enrich::Enricher;
use super::events::Events;
use super::layout::Place;
use super::{Pipeline, size};
use crate::error::{Error, Result};
use crate::identity;
use crate::raw::{DeadLetter, RawBatch};

/// Raw events that are ours, valid and executed, a row each; those that yield nothing only where they are kept as tombstones.
#[derive(Debug, Clone)]
pub(crate) struct Early {
    /// Of the raw schema.
    pub fields: RecordBatch,
    /// Of the executor's schema; null for a tombstone.
    pub own: RecordBatch,
    /// Microseconds, as the next.
    pub event_time: Int64Array,
    pub available_at: Int64Array,
    pub version: Int64Array,
    /// `None` = none is a tombstone.
    pub deleted: Option<BooleanArray>,
}

/// What a batch of raw events became, and what did not become a row.
#[derive(Debug)]
pub(crate) struct EarlyBatch {
    pub rows: Early,
    pub dead: Vec<DeadLetter>,
    pub not_ours: usize,
    pub yielded_nothing: usize,
    /// Whether a row has so many bytes that enrichment might make it too large.
    pub may_grow_too_large: bool,
}

impl Early {
    /// Nothing.
    pub(crate) fn empty() -> Self {
        let (none, nothing) = (RecordBatch::new_empty(Schema::empty().into()), Int64Array::from(Vec::<i64>::new()));
        Self {
            fields: none.clone(),
            own: none,
            event_time: nothing.clone(),
            available_at: nothing.clone(),
            version: nothing,
            deleted: None,
        }
    }
}

impl Pipeline {
    /// Everything before enrichment. `room`: the most bytes that enrichment adds to a row.
    ///
    /// # Errors
    /// As [`Pipeline::process`]; `Internal` when the executor makes more than one record of an event.
    pub(crate) fn early(&self, raw: &RawBatch, room: usize) -> Result<EarlyBatch> {
        let prepared = self.prepare(raw)?;
        let dead = self.judged(raw, prepared.verdicts, &prepared.ours)?;
        let (events, records) = (prepared.events, prepared.records);
        let (mut event, mut record) = (Vec::with_capacity(events.len()), Vec::with_capacity(events.len()));
        let (mut next, mut yielded_nothing) = (0, 0);
        for (at, is_dead) in prepared.dead.iter().enumerate() {
            let own = records.event.get(next).is_some_and(|e| *e as usize == at).then_some(next as u32);
            next += usize::from(own.is_some());
            if records.event.get(next).is_some_and(|e| *e as usize == at) {
                return Err(Error::internal("execute: one record an event was expected"));
            }
            if *is_dead {
                continue;
            }
            yielded_nothing += usize::from(own.is_none());
            if own.is_some() || self.layout.keeps_tombstones {
                event.push(at as u32);
                record.push(own);
            }
        }
        let whole = event.len() == events.len() && yielded_nothing == 0;
        let event = UInt32Array::from(event);
        let deleted = (yielded_nothing > 0 && self.layout.keeps_tombstones)
            .then(|| BooleanArray::from_iter(record.iter().map(|r: &Option<u32>| Some(r.is_none()))));
        let rows = if whole {
            let Events { fields, event_time, available_at, version, .. } = events;
            Early { fields, own: records.own, event_time, available_at, version, deleted }
        } else {
            let picked = |batch: &RecordBatch, at: &UInt32Array| arrow::compute::take_record_batch(batch, at);
            let times =
                |times: &Int64Array| Ok::<_, Error>(event.values().iter().map(|e| times.value(*e as usize)).collect::<Int64Array>());
            let own =
                if records.own.num_columns() == 0 { empty_rows(&records.own, record.len())? } else { nullable(&records.own, record)? };
            Early {
                fields: picked(&events.fields, &event)?,
                own,
                event_time: times(&events.event_time)?,
                available_at: times(&events.available_at)?,
                version: times(&events.version)?,
                deleted,
            }
        };
        let limit = super::MAX_ROW_BYTES.saturating_sub(room + SYSTEM_BYTES);
        let may_grow_too_large = [&rows.fields, &rows.own].into_iter().any(|batch| !size::rows_above(batch, limit / 2).is_empty());
        let not_ours = prepared.ours.len() - prepared.ours.count_set_bits();
        Ok(EarlyBatch { rows, dead, not_ours, yielded_nothing, may_grow_too_large })
    }

    /// The signal's columns with these indexes, enriched where they are of an enrichment.
    ///
    /// # Errors
    /// When a lookup does not answer.
    pub(crate) async fn columns_of(&self, rows: Early, wanted: &[usize]) -> Result<Vec<ArrayRef>> {
        let Early { fields, own, event_time, available_at, version, .. } = rows;
        let all: Vec<u32> = (0..fields.num_rows() as u32).collect();
        let events = Events { fields, row: Vec::new(), event_time, available_at, version };
        let mut records = Records::new(own, all);
        for (bit, enricher) in self.enrichers.iter().enumerate() {
            let needed = wanted
                .iter()
                .any(|column| matches!(self.layout.columns.get(*column), Some(Place::Enrichment { enrichment, .. }) if *enrichment == bit));
            let columns = if needed { enricher.enrich(&events, &mut records, bit).await? } else { Vec::new() };
            records.enriched.push(columns);
        }
        let column = |index: &usize| match self.layout.columns.get(*index) {
            Some(Place::Raw(at)) => Ok(events.fields.column(*at).clone()),
            Some(Place::Executor(at)) => Ok(records.own.column(*at).clone()),
            Some(Place::Enrichment { enrichment, column }) => Ok(records.enriched[*enrichment][*column].clone()),
            None => Err(Error::internal("gather columns: the signal has no such column")),
        };
        wanted.iter().map(column).collect()
    }

    /// The signal's columns with these indexes, none of which may be of an enrichment.
    ///
    /// # Errors
    /// `Internal` when one is.
    pub(crate) fn plain_columns(&self, fields: &RecordBatch, own: &RecordBatch, wanted: &[usize]) -> Result<Vec<ArrayRef>> {
        let column = |index: &usize| match self.layout.columns.get(*index) {
            Some(Place::Raw(at)) => Ok(fields.column(*at).clone()),
            Some(Place::Executor(at)) => Ok(own.column(*at).clone()),
            _ => Err(Error::internal("gather columns: it comes from an enrichment")),
        };
        wanted.iter().map(column).collect()
    }

    /// Whether a column of the signal comes from an enrichment.
    pub(crate) fn is_enriched(&self, column: usize) -> bool {
        matches!(self.layout.columns.get(column), Some(Place::Enrichment { .. }))
    }

    /// The identities of events with these raw fields and times.
    ///
    /// # Errors
    /// As [`identity::event_ids`].
    pub(crate) fn event_ids(&self, fields: &RecordBatch, times: Vec<i64>) -> Result<Vec<i64>> {
        let mut parts: Vec<ArrayRef> =
            vec![fields.column(self.layout.entity.index).clone(), std::sync::Arc::new(Events::timestamps(times))];
        parts.extend(self.layout.id.iter().map(|field| fields.column(field.index).clone()));
        identity::event_ids(&parts)
    }

    /// Those rows of raw fields, as far as these columns of the signal need them; what they do not need is null.
    ///
    /// # Errors
    /// When a field cannot be taken.
    pub(crate) fn taken(&self, fields: &RecordBatch, rows: &UInt32Array, wanted: &[usize]) -> Result<RecordBatch> {
        let mut needed = vec![false; fields.num_columns()];
        for place in wanted.iter().filter_map(|column| self.layout.columns.get(*column)) {
            match place {
                Place::Raw(at) => needed[*at] = true,
                Place::Enrichment { enrichment, .. } => {
                    let keys = self.enrichers.get(*enrichment).map(Enricher::keys).unwrap_or_default();
                    keys.iter().for_each(|key| {
                        if let Place::Raw(at) = key {
                            needed[*at] = true
                        }
                    });
                }
                Place::Executor(_) => {}
            }
        }
        let column = |(array, needed): (&ArrayRef, bool)| {
            if needed { Ok(take(array, rows, None)?) } else { Ok(new_null_array(array.data_type(), rows.len())) }
        };
        let columns = fields.columns().iter().zip(needed).map(column).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows.len()));
        Ok(RecordBatch::try_new_with_options(self.layout.raw.clone(), columns, &options)?)
    }

    /// Of the executor's records.
    pub(crate) fn executor_schema(&self) -> SchemaRef {
        self.layout.executor.clone()
    }

    /// The raw field that holds the entity.
    pub(crate) const fn entity_field(&self) -> usize {
        self.layout.entity.index
    }
}

/// Room for the system columns of a row, as its size is judged.
const SYSTEM_BYTES: usize = 256;

fn nullable(own: &RecordBatch, record: Vec<Option<u32>>) -> Result<RecordBatch> {
    let at = UInt32Array::from(record);
    let columns = own.columns().iter().map(|column| gather(column, &at)).collect::<Result<Vec<_>>>()?;
    Ok(RecordBatch::try_new(own.schema(), columns)?)
}

fn empty_rows(own: &RecordBatch, rows: usize) -> Result<RecordBatch> {
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(own.schema(), Vec::new(), &options)?)
}
