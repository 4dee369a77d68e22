//! Avro records with a schema registry's framing, straight into the arrays of the declared fields.
//!
//! ```text
//! registry ─(text)─▶ parse ─▶ schema ─┐
//! plan, the reader's schema ─▶ reader ─┴▶ resolve ─▶ step   once a writer's schema
//! record ─▶ cursor ─▶ run ─▶ cell ─▶ field                  every record, alone
//! ```
//! `arrow-avro` is not used: a record that it cannot decode leaves a part of itself in the columns of its batch, its framing ends a
//! batch where the writer changes, and a count in a record makes it take memory. Here every record is decoded alone.

mod cursor;
mod default;
mod parse;
mod reader;
mod resolve;
mod run;
mod schema;
mod step;
#[cfg(test)]
mod tests;
mod writers;

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::SchemaRef;
use tress_configs::SignalPlan;
use tress_configs::plan::FieldPlan;

use self::reader::Reader;
use self::run::{Failure, Slot, Slots};
use self::writers::{Program, Writer, Writers};
use super::MAX_PAYLOAD_BYTES;
use super::field::{FieldBuilder, Fit};
use crate::error::{Error, Result};
use crate::raw::{Invalid, Reason};
use crate::registry::{SchemaText, Schemas};

/// How deep values may lie in one another: as in JSON.
const MAX_DEPTH: usize = 128;

/// Decodes records of one signal.
#[derive(Debug)]
pub(super) struct AvroDecoder {
    schema: SchemaRef,
    fields: Vec<FieldPlan>,
    writers: Writers,
}

impl AvroDecoder {
    /// `reader`: the schema that the plan's subject has, in the version that counts for this revision.
    ///
    /// # Errors
    /// `Invalid`, with all that is wrong, when the reader's schema is none or has not the declared fields.
    pub(super) fn new(plan: &SignalPlan, reader: &SchemaText, schemas: Arc<Schemas>) -> Result<Self> {
        let fields = plan.event.fields.clone();
        let parsed = parse::of(reader).map_err(|parse::BadSchema(why)| Error::invalid(why))?;
        let reader = Reader::new(Arc::new(parsed), &fields).map_err(|wrong| Error::invalid(wrong.join("; ")))?;
        Ok(Self { schema: plan.raw_schema(), fields, writers: Writers::new(reader, schemas) })
    }

    /// One row a payload. Beside the fields: what did not fit, per row.
    ///
    /// # Errors
    /// `Unavailable` when a schema is needed that neither lake nor registry tell now; `Invalid` when a declared type is none of a column.
    pub(super) async fn decode(&self, payloads: &[&[u8]]) -> Result<(RecordBatch, Vec<Option<Invalid>>)> {
        let frames: Vec<_> = payloads.iter().map(|payload| frame(payload)).collect();
        let writers = self.writers.of(frames.iter().filter_map(|frame| frame.ok().map(|(id, _)| id)).collect()).await?;
        let rows = payloads.len();
        let mut builders = self.fields.iter().map(|f| FieldBuilder::new(&f.column_type, rows)).collect::<Result<Vec<_>>>()?;
        let mut broken = Vec::with_capacity(rows);
        let mut slots = Slots::default();
        for frame in frames {
            let program = frame.and_then(|(id, body)| match writers.get(&id).map(AsRef::as_ref) {
                Some(Writer::Readable(program)) => Ok((program, body)),
                Some(Writer::Incompatible) => Err(Reason::IncompatibleSchema),
                Some(Writer::Unknown) | None => Err(Reason::UnknownSchema),
            });
            match program.and_then(|(program, body)| self.read(program, body, &mut slots)) {
                Ok(()) => broken.push(self.append(&slots, &mut builders)),
                Err(reason) => {
                    builders.iter_mut().for_each(FieldBuilder::push_null);
                    broken.push(Some(Invalid { reason, field: String::new() }));
                }
            }
        }
        let columns = builders.into_iter().map(FieldBuilder::finish).collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok((RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?, broken))
    }

    fn read<'a>(&'a self, program: &'a Program, body: &'a [u8], slots: &mut Slots<'a>) -> Result<(), Reason> {
        slots.clear(self.fields.len());
        run::record(&program.step, (&program.schema, self.writers.reader()), body, slots).map_err(|failure| match failure {
            Failure::Malformed => Reason::Unreadable,
            Failure::Mismatch => Reason::IncompatibleSchema,
        })
    }

    /// One row from the slots; the first declared field that does not fit.
    fn append(&self, slots: &Slots<'_>, builders: &mut [FieldBuilder]) -> Option<Invalid> {
        let mut misfit = None;
        for ((field, slot), builder) in self.fields.iter().zip(&slots.values).zip(builders) {
            let fit = match slot {
                Slot::List(range) => {
                    let elements = slots.elements.get(range.clone()).unwrap_or_default();
                    builder.push_list(elements.iter().map(|slot| slots.cell(slot)))
                }
                slot => builder.push(slots.cell(slot)),
            };
            if fit == Fit::Misfit && misfit.is_none() {
                misfit = Some(Invalid { reason: Reason::WrongType, field: field.name.clone() });
            }
        }
        misfit
    }
}

/// The id of the writer's schema, and what was written with it: a zero, the id in four bytes, the record.
fn frame(payload: &[u8]) -> Result<(u32, &[u8]), Reason> {
    if payload.len() > MAX_PAYLOAD_BYTES {
        return Err(Reason::TooLarge);
    }
    match payload.split_first_chunk::<5>() {
        Some(([0, id @ ..], body)) => Ok((u32::from_be_bytes(*id), body)),
        _ => Err(Reason::Unreadable),
    }
}
