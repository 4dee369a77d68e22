//! Raw events into columns: every declared field, nullable, of its declared type.
//!
//! ```text
//! records of a topic ─▶ json, avro ─┐
//!                                   ├─ cell ─▶ field ─▶ RawBatch
//! batches of a table ─▶ columns ────┘   the one place that decides what fits a type
//! ```

mod avro;
mod base64;
mod cast;
mod cell;
mod columns;
mod field;
mod json;
mod scan;
mod text;
pub mod time;

use std::sync::Arc;

use arrow::array::{Int32Array, Int64Array};
use tress_configs::SignalPlan;
use tress_configs::plan::FormatPlan;

use self::avro::AvroDecoder;
pub use self::cast::{Cast, cast};
pub(crate) use self::cell::{NAN32, NAN64};
pub use self::columns::ColumnsDecoder;
use self::json::JsonDecoder;
pub(crate) use self::text::from_text;
use crate::error::{Error, Result};
use crate::log::Record;
use crate::raw::RawBatch;
use crate::registry::{SchemaText, Schemas};

/// The largest payload that is read. A greater one is invalid.
pub const MAX_PAYLOAD_BYTES: usize = 1 << 20;

/// The most bytes that are decoded at once: Arrow counts the letters of a column in 31 bits.
const MAX_BATCH_BYTES: usize = 1 << 30;

/// Turns records of a topic into raw events.
#[derive(Debug)]
pub struct Decoder(Format);

#[derive(Debug)]
enum Format {
    Json(JsonDecoder),
    Avro(AvroDecoder),
}

impl Decoder {
    /// Of a plan that needs nothing else. `prepare::decoder` makes one of any plan.
    ///
    /// # Errors
    /// `Invalid` when the plan's format needs a schema.
    pub fn new(plan: &SignalPlan) -> Result<Self> {
        match &plan.source.stream.format {
            FormatPlan::Json => Ok(Self(Format::Json(JsonDecoder::new(plan)))),
            FormatPlan::Avro { .. } => {
                Err(Error::invalid(format!("signal {}: source.stream.format avro needs the schema of its reader", plan.name)))
            }
        }
    }

    /// Of a plan whose records are Avro. `reader`: the schema of the plan's subject, as it was fixed for the revision; writers' schemas
    /// come from `schemas`.
    ///
    /// # Errors
    /// `Invalid`, with all that is wrong by name, when the reader's schema is not one of the declared fields.
    pub fn avro(plan: &SignalPlan, reader: &SchemaText, schemas: Arc<Schemas>) -> Result<Self> {
        AvroDecoder::new(plan, reader, schemas).map(|decoder| Self(Format::Avro(decoder)))
    }

    /// One row a record, in order. What cannot be decoded is null and named in `broken`.
    ///
    /// # Errors
    /// `Invalid` when a declared type is none of a column, or the records have more than 1 GiB together. Never for what a record holds.
    /// `Unavailable` when a schema is needed that nobody tells now.
    pub async fn decode_records(&self, partition: i32, records: &[Record]) -> Result<RawBatch> {
        if records.iter().map(|r| r.payload.len().min(MAX_PAYLOAD_BYTES)).sum::<usize>() > MAX_BATCH_BYTES {
            return Err(Error::invalid("decode records: they have more than 1 GiB together; give fewer at once"));
        }
        let (fields, broken) = match &self.0 {
            Format::Json(json) => json.decode(records.iter().map(|r| r.payload.as_ref()), MAX_PAYLOAD_BYTES)?,
            Format::Avro(avro) => avro.decode(&records.iter().map(|r| r.payload.as_ref()).collect::<Vec<_>>()).await?,
        };
        Ok(RawBatch {
            fields,
            partition: Int32Array::from_value(partition, records.len()),
            offset: Int64Array::from_iter_values(records.iter().map(|r| r.offset)),
            record_timestamp: records.iter().map(|r| r.timestamp.checked_mul(1000)).collect(),
            broken,
            payload: records.iter().map(|r| r.payload.clone()).collect(),
        })
    }
}

#[cfg(test)]
mod tests;
