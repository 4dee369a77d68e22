//! What a part's file says of itself, beside its rows: so that a run that goes on need not make it again to know.

use bytes::Bytes;
use parquet::file::metadata::{KeyValue, ParquetMetaDataReader};

use crate::error::{Error, Result};

/// The key in the file's metadata.
const TRUNCATED: &str = "tress.truncated";

/// A part's file, made.
#[derive(Debug)]
pub struct Made {
    pub bytes: Vec<u8>,
    /// Labels whose sequence is shorter than it could be and reaches into what retention has dropped.
    pub truncated: usize,
}

/// What is written of such labels.
pub fn metadata(truncated: usize) -> KeyValue {
    KeyValue::new(TRUNCATED.to_owned(), truncated.to_string())
}

/// Reads it back.
///
/// # Errors
/// `Corrupt` when it is not the file of a part.
pub fn truncated(file: Bytes) -> Result<usize> {
    let damaged = || Error::corrupt("it is not a whole part of a dataset; remove it, and run again");
    let metadata = ParquetMetaDataReader::new().parse_and_finish(&file).map_err(|e| damaged().with_source(e))?;
    let values = metadata.file_metadata().key_value_metadata().ok_or_else(damaged)?;
    let value = values.iter().find(|pair| pair.key == TRUNCATED).and_then(|pair| pair.value.as_deref());
    value.and_then(|value| value.parse().ok()).ok_or_else(damaged)
}
