//! Gathers rows per shard across source batches, so that a record is worth its overhead. Rows are never taken apart: a record is
//! interleaved from the batches that its rows came in.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::interleave_record_batch;
use arrow::datatypes::Int64Type;

use super::{Codec, FLUSH_BYTES, FLUSH_ROWS};
use crate::entity::shard_of;
use crate::error::{Error, Result};
use crate::log::NewRecord;
use crate::rows::col;

/// Rows that wait to be written.
#[derive(Debug)]
pub struct Gather {
    codec: Codec,
    batches: Vec<RecordBatch>,
    shards: Vec<Shard>,
}

#[derive(Debug, Default)]
struct Shard {
    /// (batch, row), in the order they came.
    rows: Vec<(usize, usize)>,
    /// About how many bytes they have.
    bytes: usize,
}

/// Records of one changelog partition, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gathered {
    /// The shard.
    pub partition: i32,
    pub records: Vec<NewRecord>,
}

impl Gather {
    /// `shards`: of the plan, a power of two.
    #[must_use]
    pub fn new(codec: Codec, shards: u32) -> Self {
        Self { codec, batches: Vec::new(), shards: (0..shards).map(|_| Shard::default()).collect() }
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Takes rows, and returns the records of shards that are full.
    ///
    /// # Errors
    /// As [`Codec::encode`]; `Internal` when the batch is not of the row schema.
    pub fn add(&mut self, rows: RecordBatch) -> Result<Vec<Gathered>> {
        if rows.num_rows() == 0 {
            return Ok(Vec::new());
        }
        let hashes = rows.columns().get(col::ENTITY_HASH).and_then(|c| c.as_primitive_opt::<Int64Type>().cloned());
        let hashes = hashes.filter(|h| h.null_count() == 0).ok_or_else(|| Error::internal("write changelog: rows without entity_hash"))?;
        let row_bytes = rows.get_array_memory_size().div_ceil(rows.num_rows());
        let shards = u32::try_from(self.shards.len()).unwrap_or(u32::MAX);
        let batch = self.batches.len();
        for (row, hash) in hashes.values().iter().enumerate() {
            if let Some(shard) = self.shards.get_mut(shard_of(*hash, shards) as usize) {
                shard.rows.push((batch, row));
                shard.bytes += row_bytes;
            }
        }
        self.batches.push(rows);
        self.take(|shard| shard.rows.len() >= FLUSH_ROWS || shard.bytes >= FLUSH_BYTES)
    }

    /// Returns the records of everything that waits.
    ///
    /// # Errors
    /// As [`Codec::encode`].
    pub fn flush(&mut self) -> Result<Vec<Gathered>> {
        self.take(|shard| !shard.rows.is_empty())
    }

    fn take(&mut self, due: impl Fn(&Shard) -> bool) -> Result<Vec<Gathered>> {
        let batches: Vec<&RecordBatch> = self.batches.iter().collect();
        let mut gathered = Vec::new();
        for (partition, shard) in (0..).zip(&mut self.shards) {
            if !due(shard) {
                continue;
            }
            let mut records = Vec::new();
            for rows in shard.rows.chunks(FLUSH_ROWS) {
                records.extend(self.codec.encode(&interleave_record_batch(&batches, rows)?)?);
            }
            *shard = Shard::default();
            gathered.push(Gathered { partition, records });
        }
        if self.shards.iter().all(|s| s.rows.is_empty()) {
            self.batches.clear();
        }
        Ok(gathered)
    }
}
