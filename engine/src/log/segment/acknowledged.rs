//! How far a partition's bytes are acknowledged: a small file of two slots, written in turns, so that a torn write spoils only the
//! slot that is older anyway.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use super::durable::Sync;
use crate::error::{Context, Error, Result};

/// The name of the file in a partition's folder.
pub const NAME: &str = "acknowledged";
/// Each slot has a disk sector of its own.
const SLOT: u64 = 4096;
const MAGIC: &[u8; 8] = b"tressak1";
const BYTES: usize = 8 + 6 * 8 + 8;

/// What was acknowledged last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Acknowledged {
    /// Rises by one with each write; its parity says which slot.
    pub sequence: u64,
    /// The first offset that is kept: the base of the first segment.
    pub start: i64,
    /// The base of the segment that is appended to.
    pub base: i64,
    /// How many bytes of that segment are acknowledged.
    pub length: u64,
    /// The offset after the last record.
    pub end: i64,
    /// The last time that the log stamped, in milliseconds.
    pub stamped: i64,
}

/// The file, open.
#[derive(Debug)]
pub struct AcknowledgedFile {
    path: PathBuf,
    file: File,
}

impl AcknowledgedFile {
    /// Makes the file of a new partition.
    pub fn create(folder: &Path, first: Acknowledged, sync: Sync) -> Result<Self> {
        let path = folder.join(NAME);
        let make = || {
            let file = OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
            // Both slots exist from the start: writing one later needs no room on the disk.
            file.write_all_at(&[0; 2 * SLOT as usize], 0)?;
            Ok::<_, std::io::Error>(file)
        };
        let file = make().context(|| format!("create {}", path.display()))?;
        let made = Self { path, file };
        made.write(&first, sync)?;
        Ok(made)
    }

    /// Opens the file and reads what was acknowledged last.
    pub fn open(folder: &Path) -> Result<(Self, Acknowledged)> {
        let path = folder.join(NAME);
        let file = OpenOptions::new().read(true).write(true).open(&path).map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound => damaged(&path, "is missing"),
            _ => Error::from(e).while_doing(format!("open {}", path.display())),
        })?;
        // The file was made with both slots: a shorter one has lost the newest, and the older would call what came after it torn.
        if file.metadata().context(|| format!("open {}", path.display()))?.len() < 2 * SLOT {
            return Err(damaged(&path, "is shorter than it was made"));
        }
        let slots = [0, SLOT].into_iter().filter_map(|at| {
            let mut bytes = [0; BYTES];
            // A slot that cannot be read is as good as a torn one: the other decides.
            file.read_exact_at(&mut bytes, at).ok()?;
            decode(&bytes)
        });
        let last = slots.max_by_key(|a| a.sequence).ok_or_else(|| damaged(&path, "has no valid slot"))?;
        Ok((Self { path, file }, last))
    }

    /// Writes the slot of this sequence.
    pub fn write(&self, acknowledged: &Acknowledged, sync: Sync) -> Result<()> {
        let at = (acknowledged.sequence % 2) * SLOT;
        let written = self.file.write_all_at(&encode(acknowledged), at).and_then(|()| sync.data(&self.file));
        written.context(|| format!("write {}", self.path.display()))
    }
}

fn damaged(path: &Path, what: &str) -> Error {
    Error::corrupt(format!(
        "open {}: it {what}, so nothing says how much of this partition was acknowledged; restore it from a copy, or delete the topic",
        path.display()
    ))
}

fn encode(a: &Acknowledged) -> [u8; BYTES] {
    let mut bytes = [0; BYTES];
    bytes[..8].copy_from_slice(MAGIC);
    let fields = [a.sequence.to_le_bytes(), a.start.to_le_bytes(), a.base.to_le_bytes(), a.length.to_le_bytes()];
    let rest = [a.end.to_le_bytes(), a.stamped.to_le_bytes()];
    for (chunk, field) in bytes[8..BYTES - 8].chunks_exact_mut(8).zip(fields.iter().chain(&rest)) {
        chunk.copy_from_slice(field);
    }
    let checksum = xxh3_64(&bytes[..BYTES - 8]);
    bytes[BYTES - 8..].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

fn decode(bytes: &[u8; BYTES]) -> Option<Acknowledged> {
    let (body, checksum) = bytes.split_at(BYTES - 8);
    if !body.starts_with(MAGIC) || xxh3_64(body).to_le_bytes() != checksum {
        return None;
    }
    let field = |i: usize| {
        let mut field = [0; 8];
        field.copy_from_slice(&body[8 + 8 * i..16 + 8 * i]);
        field
    };
    Some(Acknowledged {
        sequence: u64::from_le_bytes(field(0)),
        start: i64::from_le_bytes(field(1)),
        base: i64::from_le_bytes(field(2)),
        length: u64::from_le_bytes(field(3)),
        end: i64::from_le_bytes(field(4)),
        stamped: i64::from_le_bytes(field(5)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state(sequence: u64) -> Acknowledged {
        Acknowledged { sequence, start: 1, base: 2, length: 3 + sequence, end: 4, stamped: -5 }
    }

    #[test]
    fn a_write_torn_at_any_byte_leaves_the_state_before_or_after_it() {
        for cut in 0..=BYTES {
            let folder = tempfile::tempdir().unwrap();
            let file = AcknowledgedFile::create(folder.path(), state(0), Sync::OnlyOrder).unwrap();
            for sequence in 1..4 {
                file.write(&state(sequence), Sync::OnlyOrder).unwrap();
            }
            file.file.write_all_at(&encode(&state(4))[..cut], 0).unwrap();
            let (_, read) = AcknowledgedFile::open(folder.path()).unwrap();
            assert!(read == state(3) || read == state(4), "cut at {cut}: {read:?}");
            assert_eq!(read == state(4), cut == BYTES, "cut at {cut}");
        }
    }

    #[test]
    fn without_a_valid_slot_opening_says_which_file_and_what_to_do() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join(NAME), [7; 9000]).unwrap();
        let error = AcknowledgedFile::open(folder.path()).unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Corrupt);
        assert!(error.to_string().contains("acknowledged: it has no valid slot") && error.to_string().contains("restore"), "{error}");
    }
}
