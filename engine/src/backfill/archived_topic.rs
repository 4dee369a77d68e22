//! The raw table that the engine keeps of a topic, as backfill reads it.

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use tokio::sync::Mutex;
use tress_configs::SignalPlan;
use tress_configs::plan::AvailableAtPlan;

use super::cut::Cut;
use super::plan::{Buckets, Mode, Slice};
use super::raw_log::{Ask, RawLog, Survey, TASK_RECORDS};
use crate::archive::{Extent, RawFile, RawSnapshot, RawTable};
use crate::decode::Decoder;
use crate::error::{Error, Result};
use crate::log::TopicId;
use crate::raw::RawBatch;

/// A topic's archive.
#[derive(Debug)]
pub struct ArchivedTopic {
    table: RawTable,
    id: TopicId,
    plan: Arc<SignalPlan>,
    decoder: Arc<Decoder>,
    /// The version that was read last: tasks of one backfill all read the same.
    snapshot: Mutex<Option<Arc<RawSnapshot>>>,
}

impl ArchivedTopic {
    /// `id`: of the topic that `table` is of. `decoder`: of the plan.
    #[must_use]
    pub fn new(table: RawTable, id: TopicId, plan: Arc<SignalPlan>, decoder: Arc<Decoder>) -> Self {
        Self { table, id, plan, decoder, snapshot: Mutex::new(None) }
    }

    /// The ends of the cut before, which must be of this very topic.
    fn ends<'a>(&self, ask: &Ask<'a>) -> Result<Option<&'a BTreeMap<i32, i64>>> {
        match ask.before.map(|b| &b.cut) {
            None => Ok(None),
            Some(Cut::Offsets { cluster, topic, ends }) if *cluster == self.id.cluster && *topic == self.id.topic => Ok(Some(ends)),
            Some(_) => Err(Error::invalid(format!(
                "topic {}: history was sealed from another source; the topic was deleted and made again, or is of another cluster. \
                 Offsets do not go on from there: raise schemaVersion, so that the signal gets a history of its own",
                self.plan.source.stream.topic
            ))),
        }
    }

    /// Whether a file can hold events of these buckets: no event is later than its record by more than the skew that is allowed.
    fn may_hold(&self, file: &RawFile, from: i64) -> bool {
        match self.plan.event.available_at {
            AvailableAtPlan::RecordTimestamp => {
                file.times.1.saturating_add(self.plan.max_future_skew_ms.saturating_mul(1000)).saturating_add(1000) >= from
            }
            AvailableAtPlan::Field(_) | AvailableAtPlan::EventTime { .. } => true,
        }
    }

    async fn at(&self, version: u64) -> Result<Arc<RawSnapshot>> {
        let mut held = self.snapshot.lock().await;
        if let Some(snapshot) = held.as_ref().filter(|s| s.version == version) {
            return Ok(Arc::clone(snapshot));
        }
        let found = self.table.snapshot(Some(version)).await?;
        let found =
            found.ok_or_else(|| Error::not_found(format!("read raw table of topic {}: it is gone", self.plan.source.stream.topic)))?;
        let snapshot = Arc::new(found);
        *held = Some(Arc::clone(&snapshot));
        Ok(snapshot)
    }
}

#[async_trait]
impl RawLog for ArchivedTopic {
    async fn survey(&self, ask: Ask<'_>) -> Result<Survey> {
        let before = self.ends(&ask)?;
        let snapshot = self.table.snapshot(None).await?;
        let mut ends = before.cloned().unwrap_or_default();
        // Restating a range takes only what is sealed; the rest comes with the next incremental backfill.
        let sealed = match (ask.mode, before) {
            (Mode::Restate(Buckets::Spans(_)), None) => {
                return Err(Error::invalid("restate: nothing is sealed yet; restate all buckets, or run an incremental backfill"));
            }
            (Mode::Restate(Buckets::Spans(_)), Some(sealed)) => Some(sealed),
            (Mode::Incremental | Mode::Restate(Buckets::All), _) => {
                for position in snapshot.iter().flat_map(|s| &s.cut) {
                    let end = ends.entry(position.partition).or_insert(position.offset);
                    *end = (*end).max(position.offset);
                }
                None
            }
        };
        let mut packer = Packer::default();
        for file in snapshot.iter().flat_map(|s| &s.files) {
            let start = match (ask.mode, before) {
                (Mode::Incremental, Some(before)) => before.get(&file.partition).copied().unwrap_or(i64::MIN),
                _ => i64::MIN,
            };
            let end = sealed.map_or(i64::MAX, |s| s.get(&file.partition).copied().unwrap_or(i64::MIN));
            let wanted = match ask.mode {
                Mode::Restate(Buckets::Spans(spans)) => spans.first().is_some_and(|first| self.may_hold(file, first.start)),
                _ => true,
            };
            if wanted {
                packer.add(file.partition, file.offsets.start.max(start), file.offsets.end.min(end));
            }
        }
        let cut = Cut::Offsets { cluster: self.id.cluster.clone(), topic: self.id.topic.clone(), ends };
        Ok(Survey { raw_version: snapshot.map(|s| s.version), cut, consumed: Vec::new(), tasks: packer.tasks })
    }

    async fn read(&self, raw_version: Option<u64>, slice: &Slice) -> Result<BoxStream<'static, Result<RawBatch>>> {
        let (Slice::Offsets { partition, offsets }, Some(version)) = (slice, raw_version) else {
            return Err(Error::invalid("read archive: the work plan was made for an external log"));
        };
        let snapshot = self.at(version).await?;
        let overlaps = |f: &&RawFile| f.partition == *partition && f.offsets.start < offsets.end && offsets.start < f.offsets.end;
        let files: Vec<RawFile> = snapshot.files.iter().filter(overlaps).cloned().collect();
        let within = vec![Extent { partition: *partition, from: offsets.start, to: offsets.end }];
        let decoder = Arc::clone(&self.decoder);
        let records = self.table.read(files, within);
        let decoded = records.and_then(move |(partition, records)| {
            let decoder = Arc::clone(&decoder);
            async move { decoder.decode_records(partition, &records).await }
        });
        Ok(decoded.boxed())
    }
}

/// Cuts offsets into tasks of about equal size.
#[derive(Debug, Default)]
struct Packer {
    tasks: Vec<Vec<Slice>>,
    /// Records that the last task still takes.
    room: i64,
}

impl Packer {
    /// Adds the offsets of a partition from `start` up to, but not, `end`, if there are any.
    fn add(&mut self, partition: i32, mut start: i64, end: i64) {
        while start < end {
            if self.room == 0 {
                self.tasks.push(Vec::new());
                self.room = i64::try_from(TASK_RECORDS).unwrap_or(i64::MAX);
            }
            let to = end.min(start.saturating_add(self.room));
            self.room -= to - start;
            if let Some(task) = self.tasks.last_mut() {
                match task.last_mut() {
                    // Files of one partition follow one another.
                    Some(Slice::Offsets { partition: p, offsets }) if *p == partition && offsets.end == start => offsets.end = to,
                    _ => task.push(Slice::Offsets { partition, offsets: start..to }),
                }
            }
            start = to;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_are_packed_into_tasks_without_gaps_or_overlaps() {
        let size = i64::try_from(TASK_RECORDS).unwrap();
        let mut packer = Packer::default();
        packer.add(0, 5, 10);
        packer.add(0, 10, 10 + size);
        packer.add(1, 3, 3);
        packer.add(2, 0, 7);
        let slice = |partition, offsets| Slice::Offsets { partition, offsets };
        assert_eq!(packer.tasks, [vec![slice(0, 5..5 + size)], vec![slice(0, 5 + size..10 + size), slice(2, 0..7)]]);
    }
}
