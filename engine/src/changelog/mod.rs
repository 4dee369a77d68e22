//! The changelog: a topic per signal revision that carries its rows to every tail, and says how far they reach.
//!
//! ```text
//! rows of many batches ─▶ gather (per shard) ─▶ ipc ─▶ record {kind: rows, schema} ─┐
//! positions of the stream ───────────────────▶ record {kind: heartbeat} ────────────┼─▶ partition = shard
//! a new base ─────────────────────────────────▶ record {kind: base} ────────────────┘   (base: partition 0)
//! ```

mod bounds;
pub mod gather;
mod ipc;
mod schema;
#[cfg(test)]
mod tests;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tress_configs::SignalPlan;

pub use self::gather::{Gather, Gathered};
pub use self::schema::schema_digest;
use crate::error::{Error, Result};
use crate::log::{NewRecord, Record};
use crate::rows::row_schema;

/// The most bytes of one record.
pub const MAX_RECORD_BYTES: usize = 512 << 10;
/// A record is written when it has this many rows …
pub const FLUSH_ROWS: usize = 512;
/// … or about this many bytes.
pub const FLUSH_BYTES: usize = 64 << 10;
/// The partition that tells of new bases.
pub const BASE_PARTITION: i32 = 0;

const KIND: &str = "kind";
const SCHEMA: &str = "schema";
/// The format of heartbeats and base records.
const VERSION: u32 = 1;

/// What a record of the changelog says.
#[derive(Debug, Clone, PartialEq)]
pub enum Change {
    /// Rows of the signal's row schema.
    Rows(RecordBatch),
    Heartbeat(Heartbeat),
    Base(Base),
}

/// How far the rows in this changelog partition reach: everything of these raw positions is before this record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Heartbeat {
    version: u32,
    /// Of the raw partitions that the writer reads; the others have heartbeats of their own.
    pub positions: Vec<Published>,
    /// How many partitions the raw topic had, also those that others read; `None` = the writer did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub partitions: Option<i32>,
}

/// A raw partition, as far as the stream has published it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Published {
    pub partition: i32,
    /// All raw records before this offset are published.
    pub offset: i64,
    /// Of the last published raw record, in microseconds; `None` when none was yet.
    pub timestamp: Option<i64>,
    /// The last time, in microseconds, at which nothing was left to publish; `None` when that was never seen.
    pub at_end_as_of: Option<i64>,
}

/// A base that can be read from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Base {
    version: u32,
    /// The number of its manifest.
    pub manifest: u64,
}

/// Turns changes into records and back, for one signal plan.
#[derive(Debug, Clone)]
pub struct Codec {
    schema: SchemaRef,
    digest: Bytes,
}

impl Heartbeat {
    #[must_use]
    pub const fn new(positions: Vec<Published>) -> Self {
        Self { version: VERSION, positions, partitions: None }
    }

    /// The same, saying how many partitions there are.
    #[must_use]
    pub fn of(self, partitions: Option<i32>) -> Self {
        Self { partitions, ..self }
    }

    /// The record, without a key; the log stamps it.
    #[must_use]
    pub fn record(&self) -> NewRecord {
        json_record("heartbeat", self)
    }
}

impl Base {
    #[must_use]
    pub const fn new(manifest: u64) -> Self {
        Self { version: VERSION, manifest }
    }

    /// The record, for [`BASE_PARTITION`].
    #[must_use]
    pub fn record(&self) -> NewRecord {
        json_record("base", self)
    }
}

impl Codec {
    #[must_use]
    pub fn new(plan: &SignalPlan) -> Self {
        Self::of_schema(row_schema(plan))
    }

    /// For rows of this schema.
    #[must_use]
    pub fn of_schema(schema: SchemaRef) -> Self {
        let digest = Bytes::from(schema_digest(&schema));
        Self { schema, digest }
    }

    #[must_use]
    pub const fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Rows as records of at most [`MAX_RECORD_BYTES`], in order.
    ///
    /// # Errors
    /// `Invalid` when one row alone is larger; `Internal` when the batch is not of the schema.
    pub fn encode(&self, rows: &RecordBatch) -> Result<Vec<NewRecord>> {
        if rows.schema_ref().fields() != self.schema.fields() {
            return Err(Error::internal("write changelog: the rows are not of the plan's row schema"));
        }
        let mut records = Vec::new();
        self.encode_into(rows, &mut records)?;
        Ok(records)
    }

    fn encode_into(&self, rows: &RecordBatch, records: &mut Vec<NewRecord>) -> Result<()> {
        let payload = ipc::encode(rows)?;
        if payload.len() <= MAX_RECORD_BYTES {
            let headers = vec![(KIND.to_owned(), Bytes::from_static(b"rows")), (SCHEMA.to_owned(), self.digest.clone())];
            records.push(NewRecord { payload: payload.into(), headers, ..NewRecord::default() });
            return Ok(());
        }
        let half = rows.num_rows() / 2;
        if half == 0 {
            return Err(Error::invalid(format!(
                "write changelog: a row takes {} bytes, at most {MAX_RECORD_BYTES} are allowed; give it fewer or smaller columns",
                payload.len()
            )));
        }
        self.encode_into(&rows.slice(0, half), records)?;
        self.encode_into(&rows.slice(half, rows.num_rows() - half), records)
    }

    /// Reads a record. Nothing that a record may hold makes this panic.
    ///
    /// # Errors
    /// `Corrupt` when it is not what this plan's stream writes.
    pub fn decode(&self, record: &Record) -> Result<Change> {
        let found = || format!("read changelog record at offset {}", record.offset);
        if record.payload.len() > MAX_RECORD_BYTES {
            return Err(Error::corrupt(format!(
                "{}: it has {} bytes, at most {MAX_RECORD_BYTES} are written",
                found(),
                record.payload.len()
            )));
        }
        let header = |name: &str| record.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_ref());
        match header(KIND) {
            Some(b"rows") => {
                if header(SCHEMA) != Some(self.digest.as_ref()) {
                    return Err(Error::corrupt(format!("{}: its rows are of another schema than this plan's", found())));
                }
                ipc::decode(&record.payload, &self.schema).map(Change::Rows).map_err(|e| e.while_doing(found()))
            }
            Some(b"heartbeat") => {
                let heartbeat: Heartbeat = from_json(&record.payload).map_err(|e| e.while_doing(found()))?;
                check_version(heartbeat.version).map_err(|e| e.while_doing(found()))?;
                Ok(Change::Heartbeat(heartbeat))
            }
            Some(b"base") => {
                let base: Base = from_json(&record.payload).map_err(|e| e.while_doing(found()))?;
                check_version(base.version).map_err(|e| e.while_doing(found()))?;
                Ok(Change::Base(base))
            }
            _ => Err(Error::corrupt(format!("{}: its kind is not known here; something else or a newer program wrote it", found()))),
        }
    }
}

fn json_record(kind: &'static str, value: &impl Serialize) -> NewRecord {
    let payload = serde_json::to_vec(value).expect("plain structs of numbers");
    NewRecord { payload: payload.into(), headers: vec![(KIND.to_owned(), Bytes::from_static(kind.as_bytes()))], ..NewRecord::default() }
}

fn from_json<T: for<'a> Deserialize<'a>>(payload: &[u8]) -> Result<T> {
    // The parser's message would quote the payload.
    serde_json::from_slice(payload)
        .map_err(|e| Error::corrupt(format!("it is not the JSON expected, at line {} column {}", e.line(), e.column())))
}

fn check_version(version: u32) -> Result<()> {
    if version == VERSION {
        return Ok(());
    }
    Err(Error::corrupt(format!("its format is {version}, this program reads {VERSION}: use a newer one")))
}
