//! Follows a signal's changelog into its store: one task a shard.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::SignalStore;
use crate::changelog::{Change, Codec, Published};
use crate::clock::Clock;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::log::{Log, Position};
use crate::metrics::SignalMetrics;
use crate::rows::Rows;

/// Bytes of the changelog that are read at once.
const READ_BYTES: usize = 1 << 20;
/// How long a read waits for something new.
const WAIT: Duration = Duration::from_millis(500);
/// Between attempts while the log does not answer.
const BACKOFF: Duration = Duration::from_millis(200);

/// Follows the changelog of a signal revision.
#[derive(Debug)]
pub struct Follower {
    pub store: Arc<SignalStore>,
    pub log: Arc<dyn Log>,
    pub clock: Arc<dyn Clock>,
    pub metrics: SignalMetrics,
    /// Told the number of each base that is announced.
    pub announced: watch::Sender<u64>,
}

impl Follower {
    #[must_use]
    pub fn new(store: Arc<SignalStore>, log: Arc<dyn Log>, (clock, metrics): (Arc<dyn Clock>, SignalMetrics)) -> Self {
        Self { store, log, clock, metrics, announced: watch::Sender::new(0) }
    }

    /// Follows one shard until `shutdown`.
    ///
    /// # Errors
    /// `Invalid` when the changelog no longer reaches back to where this store, or the base that readers see, is; `Corrupt` when a record is damaged. When the log
    /// does not answer it is asked again, for ever: what was read stays readable meanwhile.
    pub async fn follow(&self, shard: usize, shutdown: &CancellationToken) -> Result<()> {
        let topic = self.store.changelog();
        let partition = i32::try_from(shard).map_err(|_| Error::internal("follow: shards are few"))?;
        let codec = Codec::new(self.store.plan());
        let uid = self.store.uid();
        while !shutdown.is_cancelled() {
            let from = Position { partition, offset: self.store.shards()[shard].position() };
            let read = tokio::select! {
                () = shutdown.cancelled() => break,
                read = self.log.read(topic, from, READ_BYTES, WAIT) => read,
            };
            let batch = match read {
                Ok(batch) => batch,
                Err(e) if e.kind() == ErrorKind::Unavailable => {
                    tracing::warn!(uid, shard, error = %e, "the changelog does not answer; trying again");
                    tokio::time::sleep(BACKOFF).await;
                    continue;
                }
                Err(e) if self.begin_where_it_begins(shard, from).await => {
                    tracing::warn!(uid, shard, error = %e, "the changelog was dropped up to where base has it: it is followed from there");
                    continue;
                }
                Err(e) => return Err(e).context(|| format!("follow changelog of {uid}")),
            };
            for record in &batch.records {
                self.apply(shard, &codec, record).context(|| format!("follow changelog of {uid}"))?;
            }
            if batch.records.is_empty() && batch.next > from.offset {
                self.store.shards()[shard].advance(batch.next);
            }
        }
        Ok(())
    }

    /// Passes over what retention has dropped of the changelog, if base has all of that; whether it did.
    async fn begin_where_it_begins(&self, shard: usize, from: Position) -> bool {
        let Ok(ends) = self.log.ends(self.store.changelog()).await else { return false };
        let Some(start) = ends.get(shard).map(|ends| ends.start) else { return false };
        let passed = from.offset < start && start <= self.store.based(shard);
        if passed {
            self.store.shards()[shard].advance(start);
        }
        passed
    }

    fn apply(&self, shard: usize, codec: &Codec, record: &crate::log::Record) -> Result<()> {
        let next = record.offset + 1;
        let target = &self.store.shards()[shard];
        match codec.decode(record)? {
            Change::Rows(rows) => {
                let available = Rows::new(rows.clone())?.available_at().iter().max().copied();
                target.append(rows, next)?;
                if let Some(available) = available {
                    self.metrics.applied(self.clock.now_micros().saturating_sub(available));
                }
            }
            Change::Heartbeat(heartbeat) => {
                // A producer whose clock runs ahead must not hide that the stream stands still.
                let now = self.clock.now_micros();
                if let Some(partitions) = heartbeat.partitions {
                    self.store.progress().expect(shard, partitions);
                }
                for published in &heartbeat.positions {
                    self.store.progress().heard(shard, &Published { timestamp: published.timestamp.map(|t| t.min(now)), ..*published });
                }
                target.advance(next);
            }
            Change::Base(base) => {
                self.announced.send_if_modified(|seen| {
                    let newer = base.manifest > *seen;
                    *seen = (*seen).max(base.manifest);
                    newer
                });
                target.advance(next);
            }
        }
        Ok(())
    }

    /// Whether everything that the changelog holds now can be read.
    ///
    /// # Errors
    /// When the log does not answer.
    pub async fn caught_up(&self) -> Result<bool> {
        let ends = self.log.ends(self.store.changelog()).await?;
        Ok(ends.iter().zip(self.store.shards()).all(|(end, shard)| shard.position() >= end.end))
    }
}
