//! Partitions on disk: an Arrow IPC file with one batch a partition, removed when nobody needs it.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::FileReader;
use arrow::ipc::writer::FileWriter;

use crate::error::{Context, Error, Result};

/// One scratch file.
#[derive(Debug)]
pub struct Spill {
    path: PathBuf,
    reader: FileReader<BufReader<File>>,
}

/// Tells the scratch files of one process apart.
static NEXT: AtomicU64 = AtomicU64::new(0);

impl Spill {
    /// Writes one batch per partition, empty ones too.
    ///
    /// # Errors
    /// `Full` when the disk is; when the file cannot be written or opened again.
    pub fn write(scratch: &Scratch, schema: &SchemaRef, partitions: Vec<Vec<RecordBatch>>) -> Result<Self> {
        let path = scratch.next();
        let doing = || format!("write scratch file {}", path.display());
        fs::create_dir_all(&scratch.0).context(doing)?;
        let file = File::create(&path).context(doing)?;
        let mut writer = FileWriter::try_new(BufWriter::with_capacity(1 << 20, file), schema).map_err(Error::from).context(doing)?;
        for slices in partitions {
            writer.write(&concat_batches(schema, &slices)?).map_err(Error::from).context(doing)?;
        }
        writer.finish().map_err(Error::from).context(doing)?;
        drop(writer);
        let file = File::open(&path).context(|| format!("open scratch file {}", path.display()))?;
        let reader = FileReader::try_new(BufReader::new(file), None)?;
        Ok(Self { path, reader })
    }

    /// The rows of a partition.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn read(&mut self, partition: usize) -> Result<RecordBatch> {
        let doing = || format!("read scratch file {}", self.path.display());
        self.reader.set_index(partition).map_err(Error::from).context(doing)?;
        let batch = self.reader.next().ok_or_else(|| Error::corrupt(doing()))?;
        batch.map_err(Error::from).context(doing)
    }
}

impl Drop for Spill {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(path = %self.path.display(), %error, "a scratch file could not be removed");
        }
    }
}

/// A folder of scratch files; it goes when the last of them has.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// Removes what a process left there that was killed.
    ///
    /// # Errors
    /// When the folder cannot be read, or a file of it not be removed.
    pub fn new(folder: &Path) -> Result<Self> {
        let doing = || format!("clear scratch folder {}", folder.display());
        match fs::read_dir(folder) {
            Ok(entries) => {
                for entry in entries {
                    let path = entry.context(doing)?.path();
                    if is_ours(&path) {
                        fs::remove_file(&path).context(doing)?;
                    }
                }
            }
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
            Err(e) => return Err(e).context(doing),
        }
        Ok(Self(folder.to_owned()))
    }

    fn next(&self) -> PathBuf {
        self.0.join(format!("rows-{:06}.arrow", NEXT.fetch_add(1, Ordering::Relaxed)))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Others' files stay, and so does their folder.
        let _not_there_or_not_empty = fs::remove_dir(&self.0);
    }
}

fn is_ours(path: &Path) -> bool {
    let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
    name.starts_with("rows-") && name.ends_with(".arrow")
}
