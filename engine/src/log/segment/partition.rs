//! A partition: its segments, its acknowledged length, and the queue of appends that are written together.

use std::collections::{BTreeMap, VecDeque};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Mutex, RwLock};
use tokio::sync::{oneshot, watch};

use super::acknowledged::{Acknowledged, AcknowledgedFile};
use super::checked::Checked;
use super::file::{HEADER, SegmentFile};
use super::folder::Folder;
use super::{Check, checked, open, record};
use crate::error::{Error, ErrorKind, Result};
use crate::faults::{self, Point};
use crate::log::{Ends, NewRecord, Record};

/// About how many bytes are written, and forced to the disk, at once.
const GROUP_BYTES: usize = 8 << 20;

/// One partition, open.
#[derive(Debug)]
pub struct Partition {
    path: PathBuf,
    folder: Arc<Folder>,
    /// What readers see; `None` once the topic is deleted.
    ends: watch::Sender<Option<Ends>>,
    /// By base.
    segments: RwLock<BTreeMap<i64, Arc<SegmentFile>>>,
    queue: Mutex<Queue>,
    writer: Mutex<Writer>,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Append>,
    /// Somebody is writing, and will take what is waiting.
    busy: bool,
}

#[derive(Debug)]
struct Append {
    records: Vec<NewRecord>,
    done: oneshot::Sender<Result<i64>>,
}

#[derive(Debug)]
struct Writer {
    file: AcknowledgedFile,
    last: Acknowledged,
    active: Arc<SegmentFile>,
    /// The segments before it, by base.
    checked: BTreeMap<i64, Checked>,
    /// Written and perhaps acknowledged on disk, but that write failed: it is settled before anything else.
    unsure: Option<(Acknowledged, Arc<SegmentFile>)>,
    /// Bytes beyond the acknowledged ones may be in the file.
    dirty: bool,
}

/// Should writing panic, those who wait are told and the next append starts anew.
struct Unfinished<'a>(&'a Mutex<Queue>);

impl Drop for Unfinished<'_> {
    fn drop(&mut self) {
        *self.0.lock() = Queue::default();
    }
}

impl Partition {
    /// Makes a new partition in a new folder.
    pub fn create(path: PathBuf, folder: Arc<Folder>) -> Result<()> {
        let sync = folder.sync();
        SegmentFile::create(&path, 0, sync)?;
        let first = Acknowledged { sequence: 0, start: 0, base: 0, length: HEADER, end: 0, stamped: i64::MIN };
        AcknowledgedFile::create(&path, first, sync)?;
        Ok(sync.folder(&path)?)
    }

    /// Opens a partition: checks it, and cuts what was torn. Returns also how many bytes that were.
    pub fn open(path: PathBuf, folder: Arc<Folder>) -> Result<(Self, u64)> {
        let (file, last) = AcknowledgedFile::open(&path)?;
        let before = checked::read(&path);
        let trusted = match folder.check() {
            Check::New => &before,
            Check::All => &BTreeMap::new(),
        };
        let opened = open::segments(&path, &last, trusted)?;
        if opened.checked != before {
            checked::write(&path, &opened.checked, folder.sync());
        }
        let writer = Writer { file, last, active: opened.active, checked: opened.checked, unsure: None, dirty: false };
        let partition = Self {
            path,
            folder,
            ends: watch::Sender::new(Some(Ends { start: last.start, end: last.end })),
            segments: RwLock::new(opened.all),
            queue: Mutex::default(),
            writer: Mutex::new(writer),
        };
        Ok((partition, opened.torn))
    }

    /// `None` once the topic is deleted.
    pub fn ends(&self) -> Option<Ends> {
        *self.ends.borrow()
    }

    /// Ends it: whoever waits learns that the topic is deleted.
    pub fn delete(&self) {
        self.ends.send_replace(None);
    }

    /// Waits until there is something at `offset`, at most `wait`. `None` once the topic is deleted.
    pub async fn wait(&self, offset: i64, wait: Duration) -> Option<Ends> {
        let mut ends = self.ends.subscribe();
        let come = ends.wait_for(|e| e.is_none_or(|e| e.end > offset || e.start > offset));
        // Nothing came in time: the caller looks at the ends either way.
        drop(tokio::time::timeout(wait, come).await);
        self.ends()
    }

    /// Appends; returns when the records are acknowledged.
    pub async fn append(self: &Arc<Self>, records: Vec<NewRecord>) -> Result<i64> {
        let (done, acknowledged) = oneshot::channel();
        let idle = {
            let mut queue = self.queue.lock();
            queue.waiting.push_back(Append { records, done });
            !std::mem::replace(&mut queue.busy, true)
        };
        if idle {
            let partition = Arc::clone(self);
            let work = self.folder.work();
            let write = faults::carry(move || {
                partition.write_all_waiting();
                drop(work);
            });
            // Not joined here, because it also writes for others; the folder's `work` is waited for before the folder is let go.
            drop(tokio::task::spawn_blocking(write));
        }
        acknowledged.await.map_err(|_| Error::internal("append: the writer ended before it answered"))?
    }

    /// Records from `from` on, which lies within the ends: across segments, at least one if there is one.
    pub fn read(&self, from: i64, max_bytes: usize) -> Result<Vec<Record>> {
        let segments: Vec<_> = {
            let all = self.segments.read();
            let first = all.range(..=from).next_back().map_or(from, |(base, _)| *base);
            all.range(first..).map(|(_, s)| Arc::clone(s)).collect()
        };
        let mut records: Vec<Record> = Vec::new();
        let mut left = max_bytes;
        for segment in segments {
            if records.last().is_some_and(|last| left == 0 || last.offset + 1 != segment.base()) {
                break;
            }
            let more = segment.read(from, left)?;
            let bytes: usize = more.iter().map(|r| r.payload.len()).sum();
            if !records.is_empty() && bytes > left {
                break;
            }
            left = left.saturating_sub(bytes);
            records.extend(more);
        }
        Ok(records)
    }

    /// Drops whole segments that end at or before `before`.
    pub fn trim(&self, before: i64) -> Result<()> {
        let mut writer = self.writer.lock();
        self.settle(&mut writer)?;
        let start = self.segments.read().range(..=before).next_back().map_or(writer.last.start, |(base, _)| *base);
        if start > writer.last.start {
            faults::point(Point::LogTrim)?;
            // First nobody may read them any more, then they go: a kill in between leaves files that opening removes.
            let next = Acknowledged { sequence: writer.last.sequence + 1, start, ..writer.last };
            let active = Arc::clone(&writer.active);
            self.acknowledge(&mut writer, next, active)?;
        }
        let dropped = {
            let mut segments = self.segments.write();
            let kept = segments.split_off(&writer.last.start);
            std::mem::replace(&mut *segments, kept)
        };
        for segment in dropped.values() {
            std::fs::remove_file(segment.path()).map_err(|e| Error::from(e).while_doing(format!("trim {}", segment.path().display())))?;
        }
        Ok(())
    }

    fn write_all_waiting(&self) {
        let unfinished = Unfinished(&self.queue);
        loop {
            let mut group = Vec::new();
            let mut bytes = 0;
            {
                let mut queue = self.queue.lock();
                while bytes < GROUP_BYTES {
                    let Some(append) = queue.waiting.pop_front() else { break };
                    bytes += append.records.iter().map(|r| r.payload.len() + 64).sum::<usize>();
                    group.push(append);
                }
                if group.is_empty() {
                    queue.busy = false;
                    std::mem::forget(unfinished);
                    return;
                }
            }
            self.write_group(group);
        }
    }

    fn write_group(&self, group: Vec<Append>) {
        let written = {
            let mut writer = self.writer.lock();
            self.write(&mut writer, &group)
        };
        let mut next = written.as_ref().copied().unwrap_or_default();
        for append in group {
            let count = i64::try_from(append.records.len()).unwrap_or(i64::MAX);
            let answer = match &written {
                Ok(_) => Ok(next),
                Err(e) => Err(Error::new(e.kind(), e.to_string())),
            };
            next += count;
            // Whoever no longer waits does not need the answer.
            drop(append.done.send(answer));
        }
    }

    /// Writes a group and returns the offset of its first record.
    fn write(&self, writer: &mut Writer, group: &[Append]) -> Result<i64> {
        if self.ends().is_none() {
            return Err(Error::not_found(format!("append to {}: the topic was deleted", self.path.display())));
        }
        self.settle(writer)?;
        let first = writer.last.end;
        let now = self.folder.now_millis();
        let mut next = Acknowledged { sequence: writer.last.sequence + 1, ..writer.last };
        writer.dirty = true;
        let active = match self.segment_for_append(writer) {
            Ok(active) => active,
            Err(e) => return Err(self.give_up(writer, e)),
        };
        let position = active.length();
        let mut bytes = Vec::new();
        let mut places = Vec::new();
        for record in group.iter().flat_map(|a| &a.records) {
            places.push((next.end, position + bytes.len() as u64));
            let timestamp = record.timestamp.unwrap_or_else(|| {
                next.stamped = next.stamped.max(now);
                next.stamped
            });
            record::encode(&mut bytes, next.end, timestamp, record);
            next.end += 1;
        }
        next.base = active.base();
        next.length = position + bytes.len() as u64;
        if let Err(e) = self.put(&active, position, &bytes) {
            return Err(self.give_up(writer, e));
        }
        self.acknowledge(writer, next, active)?;
        for (offset, position) in places {
            writer.active.remember(offset, position);
        }
        writer.dirty = false;
        faults::point(Point::LogAcked)?;
        Ok(first)
    }

    fn segment_for_append(&self, writer: &Writer) -> Result<Arc<SegmentFile>> {
        if writer.active.length() < self.folder.segment_bytes() || writer.active.base() == writer.last.end {
            return Ok(Arc::clone(&writer.active));
        }
        Ok(Arc::new(SegmentFile::create(&self.path, writer.last.end, self.folder.sync())?))
    }

    fn put(&self, active: &SegmentFile, position: u64, bytes: &[u8]) -> Result<()> {
        let doing = |e: std::io::Error| Error::from(e).while_doing(format!("append to {}", active.path().display()));
        if let Some(part) = faults::write_point(Point::LogAppend, bytes.len())? {
            active.file().write_all_at(bytes.get(..part).unwrap_or(bytes), position).map_err(doing)?;
            faults::tore(Point::LogAppend)?;
        }
        active.file().write_all_at(bytes, position).map_err(doing)?;
        faults::point(Point::LogWritten)?;
        self.folder.sync().data(active.file()).map_err(doing)?;
        faults::point(Point::LogAck)
    }

    /// Writes what is acknowledged from now on, and lets readers see it.
    fn acknowledge(&self, writer: &mut Writer, next: Acknowledged, active: Arc<SegmentFile>) -> Result<()> {
        if let Err(e) = writer.file.write(&next, self.folder.sync()) {
            // It may be on the disk or not, so the bytes it speaks of must stay.
            writer.unsure = Some((next, active));
            return Err(e);
        }
        self.show(writer, next, active);
        Ok(())
    }

    fn show(&self, writer: &mut Writer, next: Acknowledged, active: Arc<SegmentFile>) {
        active.acknowledge(next.length);
        if active.base() != writer.active.base() {
            self.segments.write().insert(active.base(), Arc::clone(&active));
            // Every byte of the one before was written by this process: opening need not look at it again.
            let whole = Checked { length: writer.active.length(), end: active.base() };
            writer.checked.insert(writer.active.base(), whole);
            writer.checked = writer.checked.split_off(&next.start);
            checked::write(&self.path, &writer.checked, self.folder.sync());
        }
        writer.active = active;
        writer.last = next;
        self.ends.send_if_modified(|ends| {
            let now = ends.as_ref().map(|_| Ends { start: next.start, end: next.end });
            std::mem::replace(ends, now) != now
        });
    }

    /// Brings the files to a known state after a failure: what was unsure is acknowledged, what was torn is cut.
    fn settle(&self, writer: &mut Writer) -> Result<()> {
        if let Some((next, active)) = writer.unsure.take() {
            self.acknowledge(writer, next, active)?;
            writer.dirty = false;
        }
        if writer.dirty {
            self.cut(writer)?;
        }
        Ok(())
    }

    /// Cuts at once what a failed append left, so that a full disk has its room back; if even that fails, the next append tries again.
    fn give_up(&self, writer: &mut Writer, error: Error) -> Error {
        if let Err(e) = self.cut(writer) {
            tracing::warn!(error = %e, "a failed append could not be cut yet");
        }
        if error.kind() == ErrorKind::Full {
            return error.while_doing("the disk of the log is full; make room and the log goes on");
        }
        error
    }

    fn cut(&self, writer: &mut Writer) -> Result<()> {
        writer.active.cut()?;
        let begun = super::file::path(&self.path, writer.last.end);
        if writer.last.end != writer.active.base() {
            match std::fs::remove_file(&begun) {
                Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                    return Err(Error::from(e).while_doing(format!("cut {}", begun.display())));
                }
                _ => {}
            }
        }
        writer.dirty = false;
        Ok(())
    }

    /// Keeps appends waiting while what is returned lives.
    #[cfg(test)]
    pub fn hold_writes(&self) -> impl Sized + '_ {
        self.writer.lock()
    }
}
