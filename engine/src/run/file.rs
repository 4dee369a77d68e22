//! A run as a file: two uncompressed Arrow IPC files, one of its columns and one of the schema of its rows, behind a header that says
//! how long they are.
//!
//! ```text
//! magic, version │ u64 length of columns │ u64 length of schema │ u64 checksum │ to 64 bytes │ columns, to 64 bytes │ schema
//! ```
//!
//! Version 2. Files of version 1 are read, too: they hold a batch of rows and, in place of the schema, a directory.
//!
//! The checksum is xxh3-64 of every other byte: arrays have none, and a flipped bit in one would be served as a value.

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::buffer::Buffer;
use arrow::datatypes::{Int32Type, Int64Type};
use arrow::ipc::reader::{FileDecoder, read_footer_length};
use arrow::ipc::writer::{FileWriter, IpcWriteOptions};
use arrow::ipc::{Block, root_as_footer};
use bytes::Bytes;
use xxhash_rust::xxh3::Xxh3;

use super::build::Draft;
use super::{Run, stored};
use crate::entity::Entity;
use crate::error::{Context, Error, Result};
use crate::rows::{Columns, Form, Rows};

/// `TRESSRN` and the version of this format.
const MAGIC: [u8; 8] = *b"TRESSRN\x02";
const CHECKSUM: Range<usize> = 24..32;
const HEADER: usize = 64;

/// The bytes of a run's file.
///
/// # Errors
/// `Internal` when a column cannot be written as IPC.
pub fn encode(run: &Run) -> Result<Bytes> {
    let table = ipc(&stored::to_table(run)?)?;
    let schema = ipc(&RecordBatch::new_empty(Arc::clone(run.rows.schema())))?;
    let mut out = Vec::with_capacity(HEADER + table.len() + schema.len() + 64);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&(table.len() as u64).to_le_bytes());
    out.extend_from_slice(&(schema.len() as u64).to_le_bytes());
    out.resize(HEADER, 0);
    out.extend_from_slice(&table);
    out.resize(out.len().next_multiple_of(64), 0);
    out.extend_from_slice(&schema);
    let checksum = checksum(&out);
    out[CHECKSUM].copy_from_slice(&checksum);
    Ok(Bytes::from(out))
}

/// Reads a run from the bytes of its file; the arrays refer to `bytes`.
///
/// # Errors
/// `Corrupt` when the file is no run, of an unknown version, shorter than it says, or damaged.
pub fn read(bytes: Bytes) -> Result<Run> {
    let header = bytes.get(..HEADER).ok_or_else(|| Error::corrupt("read run: the file is shorter than its header"))?;
    if header[..7] != MAGIC[..7] {
        return Err(Error::corrupt("read run: the file is not a run"));
    }
    if !matches!(header[7], 1 | 2) {
        return Err(Error::corrupt(format!("read run: format {} is not known here; use a newer program", header[7])));
    }
    let length = |at: usize| {
        let mut word = [0u8; 8];
        word.copy_from_slice(&header[at..at + 8]);
        usize::try_from(u64::from_le_bytes(word)).unwrap_or(usize::MAX)
    };
    let (first, second) = (length(8), length(16));
    let second_at = HEADER.checked_add(first).map(|end| end.next_multiple_of(64)).unwrap_or(usize::MAX);
    if second_at.checked_add(second) != Some(bytes.len()) {
        return Err(Error::corrupt("read run: the file is not as long as its header says; it was cut or damaged"));
    }
    if header[CHECKSUM] != checksum(&bytes) {
        return Err(Error::corrupt("read run: its checksum is not that of its content; it was damaged"));
    }
    let version = header[7];
    let buffer = Buffer::from(bytes);
    let first = decode(&buffer.slice_with_length(HEADER, first))?;
    let second = decode(&buffer.slice_with_length(second_at, second))?;
    match version {
        1 => read_rows(first, &second),
        _ => stored::from_table(&first, second.schema()),
    }
}

/// Version 1: sorted rows and (hash, first row, rows, floor) per entity. Entries without rows do not say whose they are.
fn read_rows(rows: RecordBatch, directory: &RecordBatch) -> Result<Run> {
    let wrong = || Error::corrupt("read run: its directory does not fit its rows");
    let int64 = |i: usize| directory.columns().get(i).and_then(|c| c.as_primitive_opt::<Int64Type>()).map(|c| c.values().clone());
    let int32 = |i: usize| directory.columns().get(i).and_then(|c| c.as_primitive_opt::<Int32Type>()).map(|c| c.values().clone());
    let (Some(hash), Some(start), Some(count), Some(floor)) = (int64(0), int32(1), int32(2), int64(3)) else {
        return Err(wrong());
    };
    let rows = Rows::new(rows)?;
    let mut drafts = Vec::with_capacity(hash.len());
    let mut next = 0usize;
    for ((hash, floor), (start, count)) in hash.iter().zip(floor.iter()).zip(start.iter().zip(count.iter())) {
        let (start, count) = (usize::try_from(*start).map_err(|_| wrong())?, usize::try_from(*count).map_err(|_| wrong())?);
        if count > 0 && (start != next || next + count > rows.len() || rows.entity_hash()[next] != *hash) {
            return Err(wrong());
        }
        let entity = (count > 0).then(|| Entity::at(rows.entity(), next));
        drafts.push(Draft { hash: *hash, entity, rows: count, floor: *floor });
        next += count;
    }
    let all: Vec<(usize, usize)> = (0..rows.len()).map(|row| (0, row)).collect();
    Run::assemble(Columns::gather(&[rows.columns()], &all, Form::Sliced)?, drafts)
}

/// Of all bytes but its own. `file` is at least a header long.
fn checksum(file: &[u8]) -> [u8; 8] {
    let mut hasher = Xxh3::new();
    hasher.update(&file[..CHECKSUM.start]);
    hasher.update(&file[CHECKSUM.end..]);
    hasher.digest().to_le_bytes()
}

/// Maps a run's file into memory.
///
/// # Errors
/// As [`read`], naming the file; `NotFound` when there is none.
pub fn open(path: &Path) -> Result<Run> {
    let file = File::open(path).context(|| format!("open run {}", path.display()))?;
    let map = map(&file).context(|| format!("map run {}", path.display()))?;
    read(Bytes::from_owner(map)).context(|| format!("open run {}", path.display()))
}

#[expect(unsafe_code, reason = "run files are written once under a new name and never changed or cut afterwards")]
fn map(file: &File) -> Result<memmap2::Mmap> {
    // SAFETY: a run's file is put whole under a name that is used once; nobody writes to it or truncates it while it is mapped.
    Ok(unsafe { memmap2::Mmap::map(file)? })
}

fn ipc(batch: &RecordBatch) -> Result<Vec<u8>> {
    let mut writer = FileWriter::try_new_with_options(
        Vec::new(),
        &batch.schema(),
        IpcWriteOptions::try_new(64, false, arrow::ipc::MetadataVersion::V5)?,
    )?;
    writer.write(batch)?;
    writer.finish()?;
    Ok(writer.into_inner()?)
}

/// Decodes the one batch of an IPC file without copying.
fn decode(buffer: &Buffer) -> Result<RecordBatch> {
    let damaged = || Error::corrupt("read run: a part of it is no Arrow file; it was cut or damaged");
    let trailer_at = buffer.len().checked_sub(10).ok_or_else(damaged)?;
    let mut trailer = [0u8; 10];
    trailer.copy_from_slice(&buffer[trailer_at..]);
    let footer_length = read_footer_length(trailer).map_err(|_| damaged())?;
    let footer_at = trailer_at.checked_sub(footer_length).ok_or_else(damaged)?;
    let footer = root_as_footer(&buffer[footer_at..trailer_at]).map_err(|_| damaged())?;
    let schema = arrow::ipc::convert::fb_to_schema(footer.schema().ok_or_else(damaged)?);
    let decoder = FileDecoder::new(Arc::new(schema), footer.version());
    let block: &Block = footer.recordBatches().and_then(|b| (b.len() == 1).then(|| b.get(0))).ok_or_else(damaged)?;
    let at = usize::try_from(block.offset()).map_err(|_| damaged())?;
    let length = usize::try_from(i64::from(block.metaDataLength()).saturating_add(block.bodyLength())).map_err(|_| damaged())?;
    if at.checked_add(length).is_none_or(|end| end > buffer.len()) {
        return Err(damaged());
    }
    let data = buffer.slice_with_length(at, length);
    decoder.read_record_batch(block, &data).map_err(|_| damaged())?.ok_or_else(damaged)
}
