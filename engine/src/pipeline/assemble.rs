//! Records and tombstones into rows of the signal's schema.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Int32Array, Int64Array, RecordBatch, UInt32Array};
use arrow::compute::take;

use super::events::Events;
use super::layout::{Layout, Place};
use crate::error::Result;
use crate::identity;
use crate::raw::RawBatch;

/// What the executor and the enrichments made of the events.
#[derive(Debug)]
pub(super) struct Records {
    /// Of the executor's schema.
    pub own: RecordBatch,
    /// Per record: its event. Never falls.
    pub event: Vec<u32>,
    /// Per record: a bit per enrichment.
    pub found: Vec<i32>,
    /// Per enrichment: its columns.
    pub enriched: Vec<Vec<ArrayRef>>,
}

#[derive(Debug)]
pub(super) struct Assembled {
    pub rows: RecordBatch,
    /// Per row: its event.
    pub event: Vec<u32>,
    pub yielded_nothing: usize,
}

impl Records {
    pub(super) fn new(own: RecordBatch, event: Vec<u32>) -> Self {
        let found = vec![0; event.len()];
        Self { own, event, found, enriched: Vec::new() }
    }
}

/// The rows of a batch, before their columns are gathered.
#[derive(Default)]
struct Outline {
    event: Vec<u32>,
    /// `None` for a tombstone.
    record: Vec<Option<u32>>,
    ordinal: Vec<i32>,
    yielded_nothing: usize,
}

/// All that rows are assembled from.
pub(super) struct Assembly<'a> {
    pub layout: &'a Layout,
    pub raw: &'a RawBatch,
    pub events: &'a Events,
    pub records: &'a Records,
    pub backfill: i32,
}

impl Assembly<'_> {
    /// The rows of all events but those put aside (`dead`, per event), in the order of events and ordinals.
    pub(super) fn rows(&self, dead: &[bool]) -> Result<Assembled> {
        let Self { layout, raw, events, records, backfill } = *self;
        let outline = outline(layout, records, dead);
        let rows = outline.event.len();
        let event = UInt32Array::from(outline.event.clone());
        let record = UInt32Array::from(outline.record.clone());
        // Signal columns of a tombstone are null: where there is no record, there is no event to take from either.
        let recorded: UInt32Array = outline.event.iter().zip(&outline.record).map(|(event, record)| record.map(|_| *event)).collect();

        let ids = identity(layout, events)?;
        let hashes = identity::raw_hashes(events.fields.columns())?;
        let entity = events.fields.column(layout.entity.index);
        let entity_hashes = identity::entity_hashes(entity)?;
        let row: UInt32Array = outline.event.iter().map(|e| events.row[*e as usize]).collect();
        let of_event = |values: &[i64]| -> Vec<i64> { outline.event.iter().map(|e| values[*e as usize]).collect() };

        let mut columns: Vec<ArrayRef> = vec![
            take(entity, &event, None)?,
            Arc::new(Int64Array::from(of_event(&entity_hashes))),
            Arc::new(Events::timestamps(of_event(events.event_time.values()))),
            Arc::new(Int64Array::from(of_event(&ids))),
            Arc::new(Int32Array::from(outline.ordinal)),
            Arc::new(Int64Array::from(of_event(events.version.values()))),
            Arc::new(outline.event.iter().map(|e| hashes[*e as usize]).collect::<Vec<i32>>().into_iter().collect::<Int32Array>()),
            Arc::new(Events::timestamps(of_event(events.available_at.values()))),
            Arc::new(BooleanArray::from_iter(outline.record.iter().map(|r| Some(r.is_none())))),
            Arc::new(Int32Array::from_iter_values(outline.record.iter().map(|r| r.map_or(0, |r| records.found[r as usize])))),
            take(&raw.partition, &row, None)?,
            take(&raw.offset, &row, None)?,
            Arc::new(Int32Array::from_value(backfill, rows)),
        ];
        for place in &layout.columns {
            columns.push(match place {
                Place::Raw(index) => gather(events.fields.column(*index), &recorded)?,
                Place::Executor(index) => gather(records.own.column(*index), &record)?,
                Place::Enrichment { enrichment, column } => gather(&records.enriched[*enrichment][*column], &record)?,
            });
        }
        let rows = RecordBatch::try_new(layout.schema.clone(), columns)?;
        Ok(Assembled { rows, event: outline.event, yielded_nothing: outline.yielded_nothing })
    }
}

fn outline(layout: &Layout, records: &Records, dead: &[bool]) -> Outline {
    let mut outline = Outline::default();
    let mut next = 0;
    for (event, dead) in dead.iter().enumerate() {
        let start = next;
        while records.event.get(next).is_some_and(|e| *e as usize == event) {
            next += 1;
        }
        if *dead {
            continue;
        }
        for (ordinal, record) in (start..next).enumerate() {
            outline.event.push(event as u32);
            outline.record.push(Some(record as u32));
            outline.ordinal.push(ordinal as i32);
        }
        if start == next {
            outline.yielded_nothing += 1;
            if layout.keeps_tombstones {
                outline.event.push(event as u32);
                outline.record.push(None);
                outline.ordinal.push(0);
            }
        }
    }
    outline
}

/// Per event: the hash of entity, event_time and the fields of the identity.
fn identity(layout: &Layout, events: &Events) -> Result<Vec<i64>> {
    let mut parts: Vec<ArrayRef> =
        vec![events.fields.column(layout.entity.index).clone(), Arc::new(Events::timestamps(events.event_time.values().to_vec()))];
    parts.extend(layout.id.iter().map(|field| events.fields.column(field.index).clone()));
    identity::event_ids(&parts)
}

/// `take`, but for free where every value is taken in order.
pub(super) fn gather(column: &ArrayRef, index: &UInt32Array) -> Result<ArrayRef> {
    let whole = index.null_count() == 0 && index.len() == column.len() && index.values().iter().enumerate().all(|(i, v)| i == *v as usize);
    Ok(if whole { column.clone() } else { take(column, index, None)? })
}
