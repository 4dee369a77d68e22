//! Small JSON files that are written once: how processes agree in a lake that can do no more than put if absent.

use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{Context, Error, ErrorKind, Result};

/// The largest file that is read: far above any that is written, small enough for any process.
const MAX_BYTES: u64 = 256 << 20;

/// What became of a put if absent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Put {
    Stored,
    /// There is one already; it was left as it is.
    Exists,
}

/// Puts `value` under `path` unless something is there.
///
/// # Errors
/// When the store does not answer.
pub async fn put_if_absent(store: &dyn ObjectStore, path: &Path, value: &(impl Serialize + Sync)) -> Result<Put> {
    let json = serde_json::to_vec_pretty(value).map_err(|e| Error::internal(format!("write {path}")).with_source(e))?;
    let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    match store.put_opts(path, json.into(), options).await {
        Ok(_) => Ok(Put::Stored),
        Err(object_store::Error::AlreadyExists { .. }) => Ok(Put::Exists),
        Err(e) => Err(Error::from(e).while_doing(format!("write {path}"))),
    }
}

/// Reads what was put under `path`; `None` when nothing was. `format` is the newest that this program knows.
///
/// # Errors
/// `Corrupt` when it is not what it should be or of a newer format; when the store does not answer.
pub async fn read<T: DeserializeOwned>(store: &dyn ObjectStore, path: &Path, format: u32) -> Result<Option<T>> {
    let doing = || format!("read {path}");
    let found = match store.get(path).await.map_err(Error::from) {
        Ok(found) => found,
        Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(e.while_doing(doing())),
    };
    if found.meta.size > MAX_BYTES {
        return Err(Error::corrupt(format!("{}: it is too large to be what it should be", doing())));
    }
    let bytes = found.bytes().await.map_err(Error::from).context(doing)?;
    parse(&bytes, format).context(doing).map(Some)
}

fn parse<T: DeserializeOwned>(bytes: &[u8], format: u32) -> Result<T> {
    #[derive(serde::Deserialize)]
    struct Versioned {
        format: u32,
    }
    let found: Versioned = serde_json::from_slice(bytes)
        .map_err(|e| Error::corrupt("it is damaged; restore it from a copy: it has no format number").with_source(e))?;
    if found.format == 0 || found.format > format {
        return Err(Error::corrupt(format!("its format is {}; this program reads up to {format}: use a newer one", found.format)));
    }
    serde_json::from_slice(bytes).map_err(|e| Error::corrupt("it is damaged; restore it from a copy").with_source(e))
}
