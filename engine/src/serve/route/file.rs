//! Routes as files: one file, or a folder of them as Kubernetes mounts a ConfigMap.

use std::path::Path;

use tress_configs::route::{NotARoute, RouteFile};

use crate::error::{Error, ErrorKind, Result};
use crate::faults::{self, Point};
use crate::log::segment::durable::{self, Sync};

/// The most bytes of one route file.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// What a path held.
#[derive(Debug)]
pub struct Read {
    pub bytes: Vec<(String, Vec<u8>)>,
}

impl From<NotARoute> for Error {
    fn from(why: NotARoute) -> Self {
        Self::invalid(why.to_string())
    }
}

/// Puts routes in the place of a file.
///
/// # Errors
/// `Unavailable` or `Full` when the file cannot be written.
pub async fn write(path: &Path, routes: &RouteFile) -> Result<()> {
    let text = serde_json::to_vec_pretty(routes).map_err(|e| Error::internal(format!("write routes: {e}")))?;
    replace(path, &text).await
}

/// Reads the file, or every file of the folder whose name begins with no dot; `None` when there is neither.
pub async fn read(path: &Path) -> Result<Option<Read>> {
    let doing = || format!("read routes {}", path.display());
    let meta = match tokio::fs::metadata(path).await {
        Ok(meta) => meta,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(Error::from(e).while_doing(doing())),
    };
    if meta.is_file() {
        return Ok(Some(Read { bytes: vec![(path.display().to_string(), bounded(path).await?)] }));
    }
    let mut bytes = Vec::new();
    let mut entries = tokio::fs::read_dir(path).await.map_err(|e| Error::from(e).while_doing(doing()))?;
    while let Some(entry) = entries.next_entry().await.map_err(|e| Error::from(e).while_doing(doing()))? {
        let name = entry.file_name().to_string_lossy().into_owned();
        // Follows links: a mounted key is a link into `..data`.
        let file = tokio::fs::metadata(entry.path()).await.is_ok_and(|m| m.is_file());
        if file && !name.starts_with('.') {
            bytes.push((entry.path().display().to_string(), bounded(&entry.path()).await?));
        }
    }
    bytes.sort();
    Ok(Some(Read { bytes }))
}

async fn bounded(path: &Path) -> Result<Vec<u8>> {
    let doing = || format!("read routes {}", path.display());
    let length = tokio::fs::metadata(path).await.map_err(|e| Error::from(e).while_doing(doing()))?.len();
    if length > MAX_BYTES {
        return Err(Error::new(ErrorKind::Invalid, format!("{}: {length} bytes; at most {MAX_BYTES} are allowed", doing())));
    }
    tokio::fs::read(path).await.map_err(|e| Error::from(e).while_doing(doing()))
}

/// Puts a whole file in the place of another: whoever reads sees the old one or the new one, also after a loss of power.
pub async fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let (path, bytes) = (path.to_owned(), bytes.to_vec());
    let replace = faults::carry(move || {
        let staged = durable::stage(&path, &bytes, Sync::EveryAppend)?;
        faults::point(Point::RouteWrite)?;
        staged.publish()
    });
    tokio::task::spawn_blocking(replace).await.map_err(|_| Error::internal("write routes: what writes them ended"))?
}
