//! The raw log of a topic, kept in the lake: payload, key, offset and timestamp of every record, exactly once.
//!
//! ```text
//! topic ─▶ Archive (file per partition ─▶ one commit with txn) ─▶ RawTable ─▶ RawSnapshot ─▶ read ─▶ records, for the same decoder
//! ```
//! Progress lives with the data: each commit adds files and, for each partition in them, sets the transaction
//! `<topic id>/<partition>` to the offset up to which it is archived. Whoever starts reads those and goes on there; of two that race, one
//! is refused and goes on from what the other committed.

mod file;
mod read;
mod table;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use self::file::FileWriter;
pub use self::read::Extent;
pub use self::table::{RawFile, RawSnapshot, RawTable};
use crate::clock::Clock;
use crate::error::{Error, ErrorKind, Result};
use crate::lake::Lake;
use crate::log::{Batch, Ends, Log, Position};

/// How long a read of records that are known to be there may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How often in a row others may be first before an archive gives up: each time they have archived something.
const OVERTAKEN: usize = 64;

/// How an archive cuts its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// How much is read of a partition at once.
    pub fetch_bytes: usize,
    /// About the most payload of one file: it is made in memory.
    pub file_bytes: usize,
    /// About the most payload of one commit.
    pub commit_bytes: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self { fetch_bytes: 2 << 20, file_bytes: 128 << 20, commit_bytes: 1 << 30 }
    }
}

/// What one commit adds.
#[derive(Debug, Default)]
struct Written {
    files: Vec<RawFile>,
    /// By partition, the offset up to which it is archived then.
    ends: BTreeMap<i32, i64>,
}

/// Archives one topic.
#[derive(Debug, Clone)]
pub struct Archive {
    log: Arc<dyn Log>,
    clock: Arc<dyn Clock>,
    topic: String,
    table: RawTable,
    settings: Settings,
}

impl Archive {
    /// The archive of a topic as it is now: a topic that is deleted and made again has another table.
    ///
    /// # Errors
    /// `NotFound` when there is no such topic.
    pub async fn open((log, clock): (Arc<dyn Log>, Arc<dyn Clock>), lake: Lake, connection: &str, topic: &str) -> Result<Self> {
        let id = log.id(topic).await?.topic;
        let table = RawTable::new(lake, connection, topic, &id);
        Ok(Self { log, clock, topic: topic.to_owned(), table, settings: Settings::default() })
    }

    /// The same, with settings.
    #[must_use]
    pub fn with_settings(self, settings: Settings) -> Self {
        Self { settings, ..self }
    }

    #[must_use]
    pub const fn table(&self) -> &RawTable {
        &self.table
    }

    /// Archives what is in the topic now.
    ///
    /// # Errors
    /// As [`Archive::archive_until`].
    pub async fn archive_now(&self) -> Result<RawSnapshot> {
        let ends = self.log.ends(&self.topic).await?;
        let until: Vec<_> = (0..).zip(ends).map(|(partition, Ends { end, .. })| Position { partition, offset: end }).collect();
        self.archive_until(&until).await
    }

    /// Archives at least up to these positions, and returns the table then. What is archived already is not read again.
    ///
    /// # Guarantees
    /// Each record is in the table exactly once, however often this is called, killed, or run beside itself.
    ///
    /// # Errors
    /// `Invalid` when records were dropped by retention before they were archived, or the topic was made anew; when log or lake do not
    /// answer; `Conflict` when others keep committing to the table first. Nothing is lost: call again.
    pub async fn archive_until(&self, until: &[Position]) -> Result<RawSnapshot> {
        let mut snapshot = self.table.create().await?;
        let mut overtaken = 0;
        loop {
            self.check_topic().await?;
            let work = self.left(&snapshot, until).await?;
            if work.is_empty() {
                return Ok(snapshot);
            }
            let written = self.write_files(work, &snapshot).await?;
            // Offsets may have come to be another topic's while they were read.
            self.check_topic().await?;
            match self.table.commit(&snapshot, &written, self.clock.now_micros()).await {
                Ok(()) => overtaken = 0,
                // Somebody else archived meanwhile: go on from what they committed. Equal files are theirs now.
                Err(e) if e.kind() == ErrorKind::Conflict && overtaken < OVERTAKEN => {
                    overtaken += 1;
                    tracing::info!(topic = self.topic, "another archive was first");
                }
                Err(e) => return Err(e),
            }
            snapshot = self.table.create().await?;
        }
    }

    /// Archives every `interval` until `stop` is cancelled. What does not answer is tried again next time.
    ///
    /// # Errors
    /// What trying again does not mend.
    pub async fn run(&self, interval: Duration, stop: CancellationToken) -> Result<()> {
        loop {
            match stop.run_until_cancelled(self.archive_now()).await {
                None => return Ok(()),
                Some(Err(e))
                    if matches!(
                        e.kind(),
                        ErrorKind::Conflict | ErrorKind::Full | ErrorKind::NotFound | ErrorKind::Refused | ErrorKind::Unavailable
                    ) =>
                {
                    tracing::warn!(topic = self.topic, error = %e, "the archive waits");
                }
                Some(done) => drop(done?),
            }
            if stop.run_until_cancelled(tokio::time::sleep(interval)).await.is_none() {
                return Ok(());
            }
        }
    }

    fn no_answer(&self, Position { partition, offset }: Position) -> Error {
        let what = format!("archive topic {} partition {partition}: offset {offset} exists, but nothing came in time", self.topic);
        Error::new(ErrorKind::Unavailable, what)
    }

    async fn check_topic(&self) -> Result<()> {
        let id = self.log.id(&self.topic).await?.topic;
        if id == self.table.topic_id() {
            return Ok(());
        }
        Err(Error::invalid(format!("archive topic {}: it was deleted and made again; open its archive anew", self.topic)))
    }

    /// Per partition, what is not archived yet.
    async fn left(&self, snapshot: &RawSnapshot, until: &[Position]) -> Result<Vec<Extent>> {
        let archived: BTreeMap<i32, i64> = snapshot.cut.iter().map(|p| (p.partition, p.offset)).collect();
        let ends = self.log.ends(&self.topic).await?;
        let mut left = Vec::new();
        for Position { partition, offset } in until {
            let ends = usize::try_from(*partition).ok().and_then(|p| ends.get(p));
            let ends = ends.ok_or_else(|| Error::not_found(format!("archive topic {}: it has no partition {partition}", self.topic)))?;
            let from = archived.get(partition).copied().unwrap_or(ends.start);
            let to = (*offset).min(ends.end);
            if from < to {
                left.push(Extent { partition: *partition, from, to });
            }
        }
        Ok(left)
    }

    /// Writes files of what is left, up to the bytes of one commit.
    async fn write_files(&self, work: Vec<Extent>, snapshot: &RawSnapshot) -> Result<Written> {
        let mut written = Written::default();
        let mut bytes = 0;
        for Extent { partition, from, to } in work {
            let mut next = from;
            while next < to && bytes < self.settings.commit_bytes {
                let mut writer = FileWriter::new(Position { partition, offset: next })?;
                while next < to && writer.payload_bytes() < self.settings.file_bytes {
                    let at = Position { partition, offset: next };
                    let Batch { mut records, next: end } =
                        self.log.read(&self.topic, at, self.settings.fetch_bytes, PATIENCE).await.map_err(Error::of_a_new_partition)?;
                    if end == next {
                        // That nothing came is no reason to think that nothing is there.
                        return Err(self.no_answer(at));
                    }
                    records.retain(|r| r.offset < to);
                    next = end.min(to);
                    writer = tokio::task::spawn_blocking(move || writer.write(&records).map(|()| writer))
                        .await
                        .map_err(|e| Error::internal("the writer of a raw file ended").with_source(e))??;
                }
                bytes += writer.payload_bytes();
                // Offsets without records need no file, unless it is the partition's first: what has none has no place in the table.
                let known = snapshot.cut.iter().any(|p| p.partition == partition) || written.ends.contains_key(&partition);
                if !(writer.is_empty() && known) {
                    written.files.push(self.table.put(writer.finish(next)?).await?);
                }
                written.ends.insert(partition, next);
            }
        }
        Ok(written)
    }
}
