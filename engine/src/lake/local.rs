//! A folder of this machine as an object store whose puts survive a loss of power.
//!
//! What a put says is there is on the disk: the file's bytes, its name, and the names of folders made for it. Files that come in great
//! numbers before something names them may be put [`with_the_next_agreement`]: they are brought to the disk together, before the next
//! file that is put if absent, which is the only way in which the engine agrees on anything.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path as Place, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, Extensions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt, PutMode,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result, UploadPart,
};

use super::disk::Disk;

/// The marker of [`with_the_next_agreement`].
#[derive(Debug, Clone, Copy)]
struct Deferred;

/// Options of a put of a file that nothing names yet: it is durable once the next file that is put if absent is. Stores that are no
/// local folder take no notice: what they have is durable.
#[must_use]
pub fn with_the_next_agreement() -> PutOptions {
    let mut extensions = Extensions::new();
    extensions.insert(Deferred);
    PutOptions { extensions, ..PutOptions::default() }
}

/// The file system of this machine, from its root on.
#[derive(Debug)]
pub struct LocalStore {
    inner: LocalFileSystem,
    disk: Arc<Disk>,
}

impl std::fmt::Display for LocalStore {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "durable {}", self.inner)
    }
}

impl LocalStore {
    /// `disk` looks after the part of it that is put to.
    pub fn new(disk: Arc<Disk>) -> Self {
        Self { inner: LocalFileSystem::new(), disk }
    }

    /// Makes what was put under this name otherwise durable.
    async fn sync(&self, location: &Path) -> Result<()> {
        let (path, disk) = (self.inner.path_to_filesystem(location)?, Arc::clone(&self.disk));
        blocking(move || disk.file(&File::open(&path)?, &path).and_then(|()| disk.names_up_to(&path))).await
    }
}

#[async_trait]
impl ObjectStore for LocalStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        if matches!(opts.mode, PutMode::Update(_)) || !opts.attributes.is_empty() {
            // Refused there, in its words.
            return self.inner.put_opts(location, payload, opts).await;
        }
        let (path, disk) = (self.inner.path_to_filesystem(location)?, Arc::clone(&self.disk));
        let deferred = opts.extensions.get::<Deferred>().is_some();
        let created = opts.mode == PutMode::Create;
        blocking(move || {
            if created && !deferred {
                disk.settle()?;
            }
            let (mut file, staged) = stage(&path)?;
            let mut put = || {
                payload.iter().try_for_each(|bytes| file.write_all(bytes))?;
                if !deferred {
                    disk.file(&file, &path)?;
                }
                if created {
                    std::fs::hard_link(&staged, &path)?;
                    std::fs::remove_file(&staged)
                } else {
                    std::fs::rename(&staged, &path)
                }
            };
            match put() {
                Ok(()) if deferred => {
                    disk.defer(path);
                    Ok(())
                }
                Ok(()) => disk.names_up_to(&path),
                Err(e) => {
                    // It may be a link that could not be made, or a file without room: either way nothing is to be left of it.
                    let _best_effort = std::fs::remove_file(&staged);
                    if e.kind() == io::ErrorKind::AlreadyExists {
                        // Whoever put it may have been killed before its name was durable.
                        disk.names_up_to(&path)?;
                    }
                    Err(e)
                }
            }
        })
        .await
        .map_err(|e| already_exists(e, location))?;
        Ok(PutResult { e_tag: self.inner.head(location).await?.e_tag, version: None })
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        let path = self.inner.path_to_filesystem(location)?;
        let inner = self.inner.put_multipart_opts(location, opts).await?;
        Ok(Box::new(Upload { inner, path, disk: Arc::clone(&self.disk) }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.inner.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list_with_offset(prefix, offset)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await?;
        self.sync(to).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        self.inner.rename_opts(from, to, options).await?;
        self.sync(to).await
    }
}

/// An upload in parts that is durable once it is complete.
#[derive(Debug)]
struct Upload {
    inner: Box<dyn MultipartUpload>,
    path: PathBuf,
    disk: Arc<Disk>,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        self.inner.put_part(data)
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let done = self.inner.complete().await?;
        let (path, disk) = (self.path.clone(), Arc::clone(&self.disk));
        // Nothing names it before this returns.
        blocking(move || disk.file(&File::open(&path)?, &path).and_then(|()| disk.names_up_to(&path))).await?;
        Ok(done)
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}

/// A new file beside `path`, under a name that listings leave out, and the folders that it needs.
fn stage(path: &Place) -> io::Result<(File, PathBuf)> {
    let mut number = 1u32;
    loop {
        let mut staged = path.as_os_str().to_owned();
        staged.push(format!("#{number}"));
        let staged = PathBuf::from(staged);
        match OpenOptions::new().write(true).create_new(true).open(&staged) {
            Ok(file) => return Ok((file, staged)),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                std::fs::create_dir_all(path.parent().ok_or(e)?)?;
            }
            Err(e) => return Err(e),
        }
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> io::Result<T> + Send + 'static) -> Result<T> {
    let done = tokio::task::spawn_blocking(work).await?;
    done.map_err(|source| object_store::Error::Generic { store: "local folder", source: source.into() })
}

fn already_exists(error: object_store::Error, location: &Path) -> object_store::Error {
    match error {
        object_store::Error::Generic { source, .. }
            if source.downcast_ref::<io::Error>().is_some_and(|e| e.kind() == io::ErrorKind::AlreadyExists) =>
        {
            object_store::Error::AlreadyExists { path: location.to_string(), source }
        }
        other => other,
    }
}
