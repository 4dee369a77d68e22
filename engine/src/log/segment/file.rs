//! One segment: a file of records from its base offset on, with a sparse index in memory.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use parking_lot::{Mutex, RwLock};

use super::checked::Checked;
use super::durable::Sync;
use super::record::{self, Frame};
use crate::error::{Context, Error, Result};
use crate::log::Record;

/// Bytes before the first record: magic with the format's version, base offset.
pub const HEADER: u64 = 16;
const MAGIC: &[u8; 8] = b"tressls1";
/// Every so many bytes a record is remembered by the index.
const INDEX_EVERY: u64 = 16 << 10;
/// How much is read at once while a file is scanned.
const SCAN: usize = 1 << 20;

/// A segment file, open.
#[derive(Debug)]
pub struct SegmentFile {
    path: PathBuf,
    file: File,
    base: i64,
    /// Acknowledged bytes: readers see nothing beyond.
    length: AtomicU64,
    /// (offset, position) of some records, rising.
    index: RwLock<Vec<(i64, u64)>>,
    /// The offset after its last record, if the file is yet to be checked.
    to_check: Mutex<Option<i64>>,
}

/// The file of the segment with this base.
pub fn path(folder: &Path, base: i64) -> PathBuf {
    folder.join(format!("{base:020}.segment"))
}

/// The base that a file's name says; `None` when it is no segment's.
pub fn base_of(name: &str) -> Option<i64> {
    let digits = name.strip_suffix(".segment")?;
    (digits.len() == 20).then(|| digits.parse().ok())?
}

impl SegmentFile {
    /// Makes the file of a new segment, with only its header.
    pub fn create(folder: &Path, base: i64, sync: Sync) -> Result<Self> {
        let path = path(folder, base);
        let make = || {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
            let mut header = [0; HEADER as usize];
            header[..8].copy_from_slice(MAGIC);
            header[8..].copy_from_slice(&base.to_le_bytes());
            file.write_all_at(&header, 0)?;
            sync.data(&file)?;
            sync.folder(folder)?;
            Ok::<_, std::io::Error>(file)
        };
        let file = make().context(|| format!("create {}", path.display()))?;
        Ok(Self { path, file, base, length: AtomicU64::new(HEADER), index: RwLock::default(), to_check: Mutex::default() })
    }

    /// Opens a file of which `length` bytes are acknowledged, checks every record, and returns the offset after the last one.
    pub fn open(folder: &Path, base: i64, length: u64) -> Result<(Self, i64)> {
        let segment = Self::unread(folder, base, length)?;
        let end = segment.check()?;
        Ok((segment, end))
    }

    /// Opens a file that was checked before: it is checked again when it is first read.
    pub fn open_checked(folder: &Path, base: i64, Checked { length, end }: Checked) -> Result<Self> {
        let segment = Self::unread(folder, base, length)?;
        *segment.to_check.lock() = Some(end);
        Ok(segment)
    }

    fn unread(folder: &Path, base: i64, length: u64) -> Result<Self> {
        let path = path(folder, base);
        let file = OpenOptions::new().read(true).write(true).open(&path).context(|| format!("open {}", path.display()))?;
        Ok(Self { path, file, base, length: AtomicU64::new(length), index: RwLock::default(), to_check: Mutex::default() })
    }

    /// Checks every record, and returns the offset after the last one.
    fn check(&self) -> Result<i64> {
        let mut header = [0; HEADER as usize];
        self.fill(&mut header, 0)?;
        if !header.starts_with(MAGIC) || header[8..] != self.base.to_le_bytes() {
            return Err(self.damaged(0, "its header is not of this segment"));
        }
        let mut next = self.base;
        let mut position = HEADER;
        let length = self.length();
        while position < length {
            let (frames, after) = self.frames(position, SCAN)?;
            for (at, record) in frames {
                if record.offset != next {
                    return Err(self.damaged(at, &format!("the record has offset {}, not {next}", record.offset)));
                }
                self.remember(next, at);
                next += 1;
            }
            position = after;
        }
        Ok(next)
    }

    /// Before the first read of a file that opening did not check.
    fn check_once(&self) -> Result<()> {
        let mut to_check = self.to_check.lock();
        if let Some(end) = *to_check {
            let found = self.check()?;
            if found != end {
                return Err(self.damaged(self.length(), &format!("its records end at offset {found}, not {end}")));
            }
            *to_check = None;
        }
        Ok(())
    }

    pub const fn base(&self) -> i64 {
        self.base
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    pub const fn file(&self) -> &File {
        &self.file
    }

    /// Acknowledged bytes.
    pub fn length(&self) -> u64 {
        self.length.load(Ordering::Acquire)
    }

    /// Makes bytes visible: all before `length` are acknowledged.
    pub fn acknowledge(&self, length: u64) {
        self.length.store(length, Ordering::Release);
    }

    /// Remembers where a record is, unless one near it is remembered already.
    pub fn remember(&self, offset: i64, position: u64) {
        let mut index = self.index.write();
        if index.last().is_none_or(|(_, last)| position >= last + INDEX_EVERY) {
            index.push((offset, position));
        }
    }

    /// Cuts what is beyond the acknowledged bytes.
    pub fn cut(&self) -> Result<()> {
        self.file.set_len(self.length()).context(|| format!("cut {}", self.path.display()))
    }

    /// Records from `from` on, at least one, up to about `max_bytes` of payload.
    pub fn read(&self, from: i64, max_bytes: usize) -> Result<Vec<Record>> {
        self.check_once()?;
        let mut position = {
            let index = self.index.read();
            let after = index.partition_point(|(offset, _)| *offset <= from);
            after.checked_sub(1).and_then(|i| index.get(i)).map_or(HEADER, |(_, position)| *position)
        };
        let mut bytes = 0usize;
        let mut records: Vec<Record> = Vec::new();
        let end = self.length();
        while position < end && (records.is_empty() || bytes < max_bytes) {
            let want = max_bytes.saturating_sub(bytes).clamp(64 << 10, 8 << 20) + INDEX_EVERY as usize;
            let (frames, after) = self.frames(position, want)?;
            for (_, record) in frames {
                if record.offset < from {
                    continue;
                }
                if !records.is_empty() && (bytes >= max_bytes || bytes.saturating_add(record.payload.len()) > max_bytes) {
                    return Ok(records);
                }
                bytes = bytes.saturating_add(record.payload.len());
                records.push(record);
            }
            position = after;
        }
        Ok(records)
    }

    /// Whole records from `position` on, each with its position: at least one, and those that fit `want` bytes. And the position
    /// after them.
    fn frames(&self, position: u64, want: usize) -> Result<(Vec<(u64, Record)>, u64)> {
        let left = usize::try_from(self.length().saturating_sub(position)).unwrap_or(usize::MAX);
        let mut bytes = self.bytes(position, want.min(left))?;
        let mut frames = Vec::new();
        let mut at = 0;
        while at < left {
            match record::decode(&bytes.slice(at..)) {
                Frame::Whole(record, taken) => {
                    frames.push((position + at as u64, record));
                    at += taken;
                }
                Frame::Short(_) if !frames.is_empty() => break,
                Frame::Short(needed) if needed <= left && needed > bytes.len() => bytes = self.bytes(position, needed)?,
                Frame::Short(_) => return Err(self.damaged(position + at as u64, "a record goes beyond the acknowledged bytes")),
                Frame::Damaged => return Err(self.damaged(position + at as u64, "the record's checksum does not match")),
            }
        }
        Ok((frames, position + at as u64))
    }

    fn bytes(&self, position: u64, count: usize) -> Result<Bytes> {
        let mut bytes = vec![0; count];
        self.fill(&mut bytes, position)?;
        Ok(bytes.into())
    }

    fn fill(&self, bytes: &mut [u8], position: u64) -> Result<()> {
        self.file.read_exact_at(bytes, position).map_err(|e| match e.kind() {
            std::io::ErrorKind::UnexpectedEof => {
                let length = self.file.metadata().map_or(0, |m| m.len());
                self.damaged(length, &format!("the file ends here, but {} bytes were acknowledged", self.length()))
            }
            _ => Error::from(e).while_doing(format!("read {}", self.path.display())),
        })
    }

    fn damaged(&self, position: u64, what: &str) -> Error {
        Error::corrupt(format!(
            "read {} at byte {position}: {what}; something else than the log changed the file. Restore it from a copy, or delete the topic and build it again",
            self.path.display()
        ))
    }
}
