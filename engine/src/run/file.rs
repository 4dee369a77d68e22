//! A run as a file: two uncompressed Arrow IPC files, one of the rows and one of the directory, behind a header that says how long they are.
//!
//! ```text
//! magic, version │ u64 length of rows │ u64 length of directory │ u64 checksum │ to 64 bytes │ rows, to 64 bytes │ directory
//! ```
//!
//! The checksum is xxh3-64 of every other byte: arrays have none, and a flipped bit in one would be served as a value.

use std::fs::File;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{AsArray, Int32Array, Int64Array, RecordBatch};
use arrow::buffer::Buffer;
use arrow::datatypes::{DataType, Field, Int32Type, Int64Type, Schema};
use arrow::ipc::reader::{FileDecoder, read_footer_length};
use arrow::ipc::writer::{FileWriter, IpcWriteOptions};
use arrow::ipc::{Block, root_as_footer};
use bytes::Bytes;
use xxhash_rust::xxh3::Xxh3;

use super::Run;
use crate::error::{Context, Error, Result};
use crate::rows::Rows;

/// `TRESSRN` and the version of this format.
const MAGIC: [u8; 8] = *b"TRESSRN\x01";
const CHECKSUM: Range<usize> = 24..32;
const HEADER: usize = 64;

/// The bytes of a run's file.
///
/// # Errors
/// `Internal` when a column cannot be written as IPC.
pub fn encode(run: &Run) -> Result<Bytes> {
    let rows = ipc(run.rows.batch())?;
    let d = &run.directory;
    let directory = ipc(&RecordBatch::try_new(
        Arc::new(Schema::new(vec![
            Field::new("hash", DataType::Int64, false),
            Field::new("start", DataType::Int32, false),
            Field::new("count", DataType::Int32, false),
            Field::new("floor", DataType::Int64, false),
        ])),
        vec![
            Arc::new(Int64Array::new(d.hash.clone(), None)),
            Arc::new(Int32Array::new(d.start.clone(), None)),
            Arc::new(Int32Array::new(d.count.clone(), None)),
            Arc::new(Int64Array::new(d.floor.clone(), None)),
        ],
    )?)?;
    let mut out = Vec::with_capacity(HEADER + rows.len() + directory.len() + 64);
    out.extend_from_slice(&MAGIC);
    out.extend_from_slice(&(rows.len() as u64).to_le_bytes());
    out.extend_from_slice(&(directory.len() as u64).to_le_bytes());
    out.resize(HEADER, 0);
    out.extend_from_slice(&rows);
    out.resize(out.len().next_multiple_of(64), 0);
    out.extend_from_slice(&directory);
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
    if header[7] != MAGIC[7] {
        return Err(Error::corrupt(format!("read run: format {} is not known here; use a newer program", header[7])));
    }
    let length = |at: usize| {
        let mut word = [0u8; 8];
        word.copy_from_slice(&header[at..at + 8]);
        usize::try_from(u64::from_le_bytes(word)).unwrap_or(usize::MAX)
    };
    let (rows, directory) = (length(8), length(16));
    let directory_at = HEADER.checked_add(rows).map(|end| end.next_multiple_of(64)).unwrap_or(usize::MAX);
    if directory_at.checked_add(directory) != Some(bytes.len()) {
        return Err(Error::corrupt("read run: the file is not as long as its header says; it was cut or damaged"));
    }
    if header[CHECKSUM] != checksum(&bytes) {
        return Err(Error::corrupt("read run: its checksum is not that of its content; it was damaged"));
    }
    let buffer = Buffer::from(bytes);
    let rows = decode(&buffer.slice_with_length(HEADER, rows))?;
    let directory = decode(&buffer.slice_with_length(directory_at, directory))?;
    let int64 = |i: usize| directory.columns().get(i).and_then(|c| c.as_primitive_opt::<Int64Type>()).map(|c| c.values().clone());
    let int32 = |i: usize| directory.columns().get(i).and_then(|c| c.as_primitive_opt::<Int32Type>()).map(|c| c.values().clone());
    match (int64(0), int32(1), int32(2), int64(3)) {
        (Some(hash), Some(start), Some(count), Some(floor)) => Run::from_parts(Rows::new(rows)?, hash, (start, count), floor),
        _ => Err(Error::corrupt("read run: its directory has other columns than a run's")),
    }
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
