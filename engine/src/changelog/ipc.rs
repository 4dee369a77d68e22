//! Rows as one Arrow IPC message: encapsulated as the format says, without schema, dictionaries or compression.
//!
//! ```text
//! 0xFFFFFFFF | i32 length of metadata | metadata: flatbuffer, padded to 8 | body: the buffers
//! ```

use std::collections::HashMap;

use arrow::array::RecordBatch;
use arrow::buffer::Buffer;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::read_record_batch;
use arrow::ipc::writer::{DictionaryTracker, IpcDataGenerator, IpcWriteOptions, write_message};
use arrow::ipc::{MetadataVersion, root_as_message};
use bytes::Bytes;

use super::bounds;
use crate::error::{Error, Result};

const CONTINUATION: [u8; 4] = [0xff; 4];

/// One batch as one message.
pub fn encode(rows: &RecordBatch) -> Result<Vec<u8>> {
    let options = IpcWriteOptions::try_new(8, false, MetadataVersion::V5)?;
    let mut dictionaries = DictionaryTracker::new(true);
    let (dictionaries, message) = IpcDataGenerator::default().encode(rows, &mut dictionaries, &options, &mut Default::default())?;
    if !dictionaries.is_empty() {
        return Err(Error::internal("write changelog: rows with dictionaries cannot be written"));
    }
    let mut bytes = Vec::with_capacity(message.ipc_message.len() + message.arrow_data.len() + 16);
    write_message(&mut bytes, message, &options)?;
    Ok(bytes)
}

/// Reads one batch of `schema`. Buffers that are aligned share `payload`'s memory.
pub fn decode(payload: &Bytes, schema: &SchemaRef) -> Result<RecordBatch> {
    let damaged = |what: &str| Error::corrupt(format!("its rows are damaged: {what}"));
    let head = payload.get(..8).filter(|head| head.starts_with(&CONTINUATION)).ok_or_else(|| damaged("no message"))?;
    let length = i32::from_le_bytes([head[4], head[5], head[6], head[7]]);
    let body_at = usize::try_from(length).ok().and_then(|l| l.checked_add(8)).filter(|at| *at <= payload.len());
    let body_at = body_at.ok_or_else(|| damaged("the metadata's length"))?;
    let metadata = payload.get(8..body_at).ok_or_else(|| damaged("the metadata's length"))?;
    let message = root_as_message(metadata).map_err(|_| damaged("the metadata"))?;
    let batch = message.header_as_record_batch().ok_or_else(|| damaged("the message is no record batch"))?;
    let body = payload.slice(body_at..);
    bounds::check(&batch, body.len(), schema).map_err(damaged)?;
    let rows = read_record_batch(&Buffer::from(body), batch, SchemaRef::clone(schema), &HashMap::new(), None, &message.version());
    rows.map_err(|_| damaged("the values"))
}
