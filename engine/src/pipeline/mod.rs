//! The one pipeline: where → validate → delete → filter → derive → enrich. Streaming, backfill and tests all call it.
//!
//! ```text
//! RawBatch ─▶ where ─▶ validate ─▶ delete ─▶ executor ─▶ enrich ─▶ assemble ─▶ rows
//!               │          ╰───────── dead letters ──────────────────────╯
//!               ╰─ not ours
//! ```

mod assemble;
mod each;
pub(crate) mod early;
mod enrich;
mod events;
mod layout;

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::buffer::BooleanBuffer;
use tress_configs::SignalPlan;
use tress_configs::definition::OnInvalid;
use tress_configs::plan::ExecutorPlan;

use self::assemble::{Assembly, Records};
use self::enrich::Enricher;
use self::events::Events;
use self::layout::Layout;
use crate::error::{Error, Result};
use crate::executor::expression::Expression;
use crate::executor::{self, Executor};
use crate::lookup::Lookup;
use crate::raw::{DeadLetter, Invalid, RawBatch, Reason};
use crate::rows::size;

/// The most bytes that a row may have, as [`size`] estimates them: a changelog record holds at least one.
pub const MAX_ROW_BYTES: usize = 256 * 1024;

/// A compiled plan, ready to run.
#[derive(Debug)]
pub struct Pipeline {
    plan: Arc<SignalPlan>,
    filter: Option<Expression>,
    delete: Option<Expression>,
    executor: Arc<dyn Executor>,
    enrichers: Vec<Enricher>,
    layout: Layout,
    /// No delete, no filter, nothing derived: every valid event is its record.
    passes_all: bool,
}

/// What a batch of raw events became.
#[derive(Debug)]
pub struct Processed {
    /// Rows of [`crate::rows::row_schema`], in the order of their raw events; tombstones included.
    pub rows: RecordBatch,
    /// In the order of their raw events.
    pub dead: Vec<DeadLetter>,
    /// Raw events that the source's `where` did not let in.
    pub not_ours: usize,
    /// Raw events that were ours, valid, and yielded nothing (filtered or deleted), whether or not a tombstone was kept.
    pub yielded_nothing: usize,
}

/// A batch of raw events before enrichment.
struct Prepared {
    /// Per raw event: what is against it.
    verdicts: Vec<Option<Invalid>>,
    ours: BooleanBuffer,
    /// Ours and valid.
    events: Events,
    records: Records,
    /// Per event: whether it was put aside since.
    dead: Vec<bool>,
}

impl Pipeline {
    /// `lookups`: one per enrichment of the plan, in its order.
    ///
    /// # Errors
    /// `Invalid` when an expression does not reach the type that the plan states, or an executor is unknown.
    pub fn new(plan: Arc<SignalPlan>, lookups: Vec<Arc<dyn Lookup>>) -> Result<Self> {
        if lookups.len() != plan.enrichments.len() {
            return Err(Error::internal(format!(
                "signal {}: {} enrichments have {} lookups",
                plan.name,
                plan.enrichments.len(),
                lookups.len()
            )));
        }
        let raw = plan.raw_schema();
        let filter = plan.source.filter.as_ref().map(|e| Expression::new("where", e, &raw)).transpose()?;
        let delete = plan.event.delete.as_ref().map(|e| Expression::new("delete", e, &executor::validated_schema(&plan))).transpose()?;
        let executor = executor::build(&plan)?;
        let layout = Layout::new(&plan, &executor.schema())?;
        // Types that times and versions cannot have show without a row.
        Events::new(&layout, &RawBatch::empty(&plan), &BooleanBuffer::new_unset(0), &mut [])?;
        let enrichers =
            plan.enrichments.iter().zip(lookups).map(|(e, lookup)| Enricher::new(e, lookup, &layout)).collect::<Result<Vec<_>>>()?;
        let passes_all =
            delete.is_none() && matches!(&plan.executor, ExecutorPlan::Declarative { filter: None, derive } if derive.is_empty());
        Ok(Self { plan, filter, delete, executor, enrichers, layout, passes_all })
    }

    #[must_use]
    pub const fn plan(&self) -> &Arc<SignalPlan> {
        &self.plan
    }

    /// Runs raw events through; what happens to a row is what would happen to it alone.
    /// `backfill`: the number of the backfill, 0 for the stream.
    ///
    /// # Errors
    /// For what is not a row's fault: a lookup that does not answer. For a row's fault only where the definition says `onInvalid: Fail`.
    pub async fn process(&self, raw: &RawBatch, backfill: i32) -> Result<Processed> {
        let Prepared { mut verdicts, ours, events, mut records, mut dead } = self.prepare(raw)?;
        let not_ours = ours.len() - ours.count_set_bits();
        for (bit, enricher) in self.enrichers.iter().enumerate() {
            let columns = enricher.enrich(&events, &mut records, bit).await?;
            records.enriched.push(columns);
        }
        let assembly = Assembly { layout: &self.layout, raw, events: &events, records: &records, backfill };
        let mut assembled = assembly.rows(&dead)?;
        // What is too large is known only now; its raw event is put aside as a whole.
        let too_large = size::rows_above(&assembled.rows, MAX_ROW_BYTES);
        if !too_large.is_empty() {
            for event in too_large.into_iter().filter_map(|row| assembled.event.get(row).copied()) {
                events.refuse(event as usize, Invalid { reason: Reason::TooLarge, field: String::new() }, &mut dead, &mut verdicts);
            }
            assembled = assembly.rows(&dead)?;
        }
        let dead = self.judged(raw, verdicts, &ours)?;
        Ok(Processed { rows: assembled.rows, dead, not_ours, yielded_nothing: assembled.yielded_nothing })
    }

    /// Everything before enrichment.
    fn prepare(&self, raw: &RawBatch) -> Result<Prepared> {
        let mut verdicts = raw.broken.clone();
        let ours = self.ours(raw, &mut verdicts)?;
        let events = Events::new(&self.layout, raw, &ours, &mut verdicts)?;
        let mut dead = vec![false; events.len()];
        let records = self.execute(&events, &mut dead, &mut verdicts)?;
        Ok(Prepared { verdicts, ours, events, records, dead })
    }

    /// The letters of what is ours and invalid; an error where the definition says so.
    fn judged(&self, raw: &RawBatch, verdicts: Vec<Option<Invalid>>, ours: &BooleanBuffer) -> Result<Vec<DeadLetter>> {
        let dead = dead_letters(raw, verdicts, ours);
        if let (OnInvalid::Fail, Some(letter)) = (self.plan.on_invalid, dead.first()) {
            return Err(self.refusal(letter));
        }
        Ok(dead)
    }

    /// The raw events that are this signal's: for which `where` is true, or cannot be known. A payload that cannot be read might be
    /// anybody's, so it counts as everybody's: what is lost is lost in the open.
    fn ours(&self, raw: &RawBatch, verdicts: &mut [Option<Invalid>]) -> Result<BooleanBuffer> {
        let rows = raw.fields.num_rows();
        let Some(filter) = &self.filter else { return Ok(BooleanBuffer::new_set(rows)) };
        let judged = each::is_true(filter, &raw.fields)?;
        let mut failed = vec![false; rows];
        for (row, field) in judged.failed {
            failed[row] = true;
            verdicts[row].get_or_insert(Invalid { reason: Reason::Expression, field });
        }
        let unread = |verdict: &Option<Invalid>| verdict.as_ref().is_some_and(|v| v.reason.is_of_the_payload());
        Ok(BooleanBuffer::collect_bool(rows, |row| judged.value.value(row) || failed[row] || unread(&verdicts[row])))
    }

    /// The records of all events that are neither deleted nor refused.
    fn execute(&self, events: &Events, dead: &mut [bool], verdicts: &mut [Option<Invalid>]) -> Result<Records> {
        let mut live = vec![true; events.len()];
        if let Some(delete) = &self.delete {
            let judged = each::is_true(delete, &events.fields)?;
            for (event, live) in live.iter_mut().enumerate() {
                *live = !judged.value.value(event);
            }
            for (event, field) in judged.failed {
                live[event] = false;
                events.refuse(event, Invalid { reason: Reason::Expression, field }, dead, verdicts);
            }
        }
        let (raw, rows) = each::keep(&events.fields, &live)?;
        let executed = each::execute(self.executor.as_ref(), &raw)?;
        for (row, field) in executed.failed {
            events.refuse(rows[row] as usize, Invalid { reason: Reason::Expression, field }, dead, verdicts);
        }
        let event: Vec<u32> = executed.value.source_row.values().iter().map(|row| rows[*row as usize]).collect();
        Ok(Records::new(executed.value.records, event))
    }

    fn refusal(&self, letter: &DeadLetter) -> Error {
        let at = match (letter.partition, letter.offset) {
            (Some(partition), Some(offset)) => format!("at partition {partition}, offset {offset}"),
            _ => "of the external log".to_owned(),
        };
        let field = if letter.invalid.field.is_empty() { String::new() } else { format!(" in {}", letter.invalid.field) };
        Error::invalid(format!(
            "signal {}: the raw event {at} is invalid: {:?}{field}; repair the source, or let onInvalid be DeadLetter",
            self.plan.name, letter.invalid.reason
        ))
    }
}

/// The letters of what is ours and invalid.
fn dead_letters(raw: &RawBatch, verdicts: Vec<Option<Invalid>>, ours: &BooleanBuffer) -> Vec<DeadLetter> {
    use arrow::array::{Array, ArrowPrimitiveType, PrimitiveArray};
    fn at<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>, row: usize) -> Option<T::Native> {
        array.is_valid(row).then(|| array.value(row))
    }
    verdicts
        .into_iter()
        .enumerate()
        .filter(|(row, _)| ours.value(*row))
        .filter_map(|(row, verdict)| {
            Some(DeadLetter {
                invalid: verdict?,
                partition: at(&raw.partition, row),
                offset: at(&raw.offset, row),
                record_timestamp: at(&raw.record_timestamp, row),
                payload: raw.payload.get(row).cloned().unwrap_or_default(),
            })
        })
        .collect()
}

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;
