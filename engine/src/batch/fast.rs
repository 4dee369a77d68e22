//! The way for what commonly holds: rows are chosen by what they are before enrichment, and only the chosen ones are enriched.
//!
//! It is taken where nothing that a read decides on comes from an enrichment, and gives the bytes of the general way.

use std::ops::RangeInclusive;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray, UInt32Array};
use arrow::compute::{filter_record_batch, take, take_record_batch};
use tokio::runtime::Handle;
use tress_configs::definition::OnMissing;
use tress_configs::plan::{ExecutorPlan, ViewPlan};

use super::Input;
use super::carried::Carried;
use super::choose::{self, Law};
use super::group::Groups;
use super::parts::{CHUNK, Chunk};
use crate::error::{Error, Result};
use crate::identity;
use crate::pipeline::Pipeline;
use crate::pipeline::early::{Early, EarlyBatch};
use crate::raw::RawBatch;
use crate::read::{Feature, MAX_LIMIT};

/// One signal's rows, chosen before they are enriched.
#[derive(Debug)]
pub struct Fast {
    feature: Arc<Feature>,
    pub carried: Carried,
    /// The most bytes that enrichment adds to a row.
    room: usize,
    limit: usize,
    /// The signal's columns that the feature has, in its order.
    columns: Vec<usize>,
}

/// What a batch of raw events became before enrichment.
pub struct Scanned {
    /// Of [`Carried::schema`], within bounds.
    pub rows: RecordBatch,
    /// Rows before bounds were looked at.
    pub made: usize,
    pub of: EarlyBatch,
}

impl Fast {
    /// `None` when the plans do not allow it.
    pub fn of(feature: &Arc<Feature>, input: &Input, pipeline: &Pipeline) -> Option<Self> {
        let ([signal], [read]) = (feature.signals(), feature.reads()) else { return None };
        let plan = feature.plan();
        let one_record = matches!(signal.executor, ExecutorPlan::Declarative { .. });
        let decided_early = read.required_found == 0
            && read.filter.as_ref().is_none_or(|filter| !filter.columns().iter().any(|column| pipeline.is_enriched(*column)));
        if !(plan.view == ViewPlan::Events && plan.deduplicate.is_empty() && one_record && decided_early) {
            return None;
        }
        let mut room = 0usize;
        for (lookup, enrichment) in input.lookups.iter().zip(&signal.enrichments) {
            room = room.saturating_add(lookup.widest_row()?);
            if enrichment.on_missing == OnMissing::Default {
                room = room.saturating_add(enrichment.columns.iter().filter_map(|c| c.default.as_ref()).map(String::len).sum());
            }
        }
        Some(Self {
            carried: Carried::new(signal, &pipeline.executor_schema()),
            feature: Arc::clone(feature),
            room,
            limit: (plan.length as usize).min(read.length.unwrap_or(usize::MAX)).min(MAX_LIMIT),
            columns: read.sources.iter().copied().collect::<Option<Vec<_>>>()?,
        })
    }

    /// Everything before enrichment. `None` when a row might become too large by it: then the general way has to judge.
    pub fn scan(&self, pipeline: &Pipeline, raw: &RawBatch, times: &RangeInclusive<i64>) -> Result<Option<Scanned>> {
        let mut of = pipeline.early(raw, self.room)?;
        if of.may_grow_too_large {
            return Ok(None);
        }
        let early = std::mem::replace(&mut of.rows, Early::empty());
        let within = BooleanArray::from_iter(early.event_time.values().iter().map(|time| Some(times.contains(time))));
        let rows = self.carried.join(early)?;
        let rows = if within.true_count() == within.len() { rows } else { filter_record_batch(&rows, &within)? };
        Ok(Some(Scanned { rows, made: within.len(), of }))
    }

    /// As [`super::sequences::of_partition`].
    pub fn of_partition(&self, pipeline: &Pipeline, rows: &RecordBatch, emit: &mut dyn FnMut(Chunk) -> Result<()>) -> Result<()> {
        let early = self.carried.split(rows)?;
        let entities = early.fields.column(pipeline.entity_field());
        let groups = Groups::new(entities)?;
        let passing = match self.feature.reads().first().and_then(|read| read.filter.as_ref()) {
            None => None,
            Some(filter) => Some(filter.holds(pipeline.plain_columns(&early.fields, &early.own, filter.columns())?, rows.num_rows())?),
        };
        let some = |of: &[u32]| Ok::<_, Error>(take_record_batch(&early.fields, &UInt32Array::from(of.to_vec()))?);
        let view = choose::Rows {
            time: early.event_time.values(),
            deleted: early.deleted.as_ref(),
            passing: passing.as_ref(),
            identities: &|of| pipeline.event_ids(&some(of)?, of.iter().map(|row| early.event_time.value(*row as usize)).collect()),
            law: &|of| {
                let hashes = identity::raw_hashes(some(of)?.columns())?;
                let law = |(row, hash): (&u32, i32)| Law {
                    version: std::cmp::Reverse(early.version.value(*row as usize)),
                    raw_hash: std::cmp::Reverse(hash),
                    available_at: early.available_at.value(*row as usize),
                };
                Ok(of.iter().zip(hashes).map(law).collect())
            },
        };
        let chosen = choose::choose(&groups, &view, self.limit)?;
        let (mut from, mut first) = (0, Vec::with_capacity(CHUNK));
        let (mut lengths, mut events) = (Vec::with_capacity(CHUNK), 0);
        for (entity, length) in chosen.lengths.iter().enumerate().filter(|(_, length)| **length > 0) {
            first.push(groups.rows(entity)[0]);
            lengths.push(*length);
            events += length;
            if first.len() == CHUNK {
                emit(self.chunk(pipeline, &early, (&first, std::mem::take(&mut lengths), &chosen.rows[from..from + events]))?)?;
                (from, events) = (from + events, 0);
                first.clear();
            }
        }
        if first.is_empty() { Ok(()) } else { emit(self.chunk(pipeline, &early, (&first, lengths, &chosen.rows[from..]))?) }
    }

    /// `first`: a row of each entity; `rows`: of all their events.
    fn chunk(&self, pipeline: &Pipeline, early: &Early, (first, lengths, rows): (&[u32], Vec<usize>, &[u32])) -> Result<Chunk> {
        let at = UInt32Array::from(rows.to_vec());
        let times = |times: &Int64Array| rows.iter().map(|row| times.value(*row as usize)).collect::<Vec<i64>>();
        let event_time = times(&early.event_time);
        let available_at = Int64Array::from(times(&early.available_at));
        let kept = Early {
            fields: pipeline.taken(&early.fields, &at, &self.columns)?,
            own: take_record_batch(&early.own, &at)?,
            event_time: Int64Array::from(event_time.clone()),
            version: available_at.clone(),
            available_at,
            deleted: None,
        };
        // Tables in memory answer at once; whatever else answers may wait here, on a thread of its own.
        let columns = Handle::current().block_on(pipeline.columns_of(kept, &self.columns))?;
        let label = self.feature.reads().first().map_or("", |read| read.label.as_str());
        let mut events: Vec<ArrayRef> = vec![
            Arc::new(TimestampMicrosecondArray::from(event_time).with_timezone("UTC")),
            Arc::new(StringArray::from_iter_values(std::iter::repeat_n(label, rows.len()))),
        ];
        events.extend(columns);
        let entities = take(early.fields.column(pipeline.entity_field()), &UInt32Array::from(first.to_vec()), None)?;
        Ok(Chunk { entities, lengths, events })
    }
}
