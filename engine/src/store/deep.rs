//! Reads that memory cannot answer: history is asked, bucket by bucket, newest first, by the same function.

use arrow::array::RecordBatch;

use super::SignalStore;
use crate::entity::Entity;
use crate::error::{Error, Result};
use crate::history::HistoryFile;
use crate::read::{Feature, Index, Outcome, Part, Query, Sequence, Source, assemble};
use crate::rows::Rows;
use crate::run::NO_FLOOR;
use crate::tail::Held;

/// One signal's history as it is being read.
struct Reading<'h> {
    store: &'h SignalStore,
    held: &'h Held,
    /// Buckets that were not read yet, oldest first.
    left: Vec<(i64, Vec<HistoryFile>)>,
    rows: Vec<Rows>,
    /// Every row at or above it was read.
    floor: i64,
}

/// Answers `query` from history and tail. `held`: one per signal, of the read that could not be answered from memory.
///
/// # Errors
/// `Unavailable` when the lake does not answer.
pub async fn read(feature: &Feature, stores: &[std::sync::Arc<SignalStore>], held: &[Held], query: &Query) -> Result<Sequence> {
    let mut readings: Vec<Reading<'_>> = stores.iter().zip(held).map(|(store, held)| Reading::new(store, held)).collect();
    let mut step = 1;
    loop {
        for reading in &mut readings {
            reading.read_more(&query.entity, step).await?;
        }
        let sources: Vec<Source<'_>> = readings.iter().map(Reading::source).collect();
        match assemble(feature, &sources, query)? {
            Outcome::Complete(sequence) => return Ok(sequence),
            Outcome::NeedMore if readings.iter().all(|reading| reading.left.is_empty()) => {
                return Err(Error::internal("read history: all of it was read, and still more is needed"));
            }
            Outcome::NeedMore => step *= 2,
        }
    }
}

impl<'h> Reading<'h> {
    fn new(store: &'h SignalStore, held: &'h Held) -> Self {
        let left: Vec<(i64, Vec<HistoryFile>)> = held
            .history()
            .map(|snapshot| snapshot.buckets().into_iter().map(|(start, files)| (start, files.into_iter().cloned().collect())).collect())
            .unwrap_or_default();
        let floor = if left.is_empty() { NO_FLOOR } else { i64::MAX };
        Self { store, held, left, rows: Vec::new(), floor }
    }

    /// Reads the next `buckets` buckets that may hold the entity.
    async fn read_more(&mut self, entity: &Entity, buckets: usize) -> Result<()> {
        let hash = entity.hash();
        let mut read = 0;
        while read < buckets
            && let Some((start, mut files)) = self.left.pop()
        {
            files.retain(|file| (file.stats.min_hash..=file.stats.max_hash).contains(&hash));
            if !files.is_empty() {
                let batch: RecordBatch = self.store.history().entity_rows(files, entity, None).await?;
                if batch.num_rows() > 0 {
                    self.rows.push(Rows::new(batch)?);
                }
                read += 1;
            }
            self.floor = if self.left.is_empty() { NO_FLOOR } else { start };
        }
        Ok(())
    }

    fn source(&self) -> Source<'_> {
        let mut source = self.held.tail();
        source.parts.extend(self.rows.iter().map(|rows| Part::new(rows.columns(), Index::Range(0..rows.len()))));
        source.floor = self.floor;
        source
    }
}
