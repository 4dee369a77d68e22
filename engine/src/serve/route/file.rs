//! Routes as files: one file, or a folder of them as Kubernetes mounts a ConfigMap.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tress_configs::name::QualifiedName;

use super::{Route, WHOLE_BP};
use crate::error::{Error, ErrorKind, Result};
use crate::faults::{self, Point};
use crate::log::segment::durable::{self, Sync};

/// The format of route files.
pub const ROUTE_VERSION: u32 = 1;
/// The most bytes of one route file.
const MAX_BYTES: u64 = 4 * 1024 * 1024;

/// `routes.json`: `{"version": 1, "features": {"namespace/name": {…}}}`. The files of a folder are read as one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RouteFile {
    pub version: u32,
    /// By `namespace/name`.
    pub features: BTreeMap<String, Route>,
}

impl Default for RouteFile {
    fn default() -> Self {
        Self { version: ROUTE_VERSION, features: BTreeMap::new() }
    }
}

/// What a path held.
#[derive(Debug)]
pub struct Read {
    pub bytes: Vec<(String, Vec<u8>)>,
}

impl RouteFile {
    /// # Errors
    /// `Invalid`, naming the field, for text that is no route file or of a format that is not known here.
    pub fn from_json(bytes: &[u8]) -> Result<Self> {
        let file: Self = serde_json::from_slice(bytes).map_err(|e| Error::invalid(format!("not a route file: {e}")))?;
        file.check()?;
        Ok(file)
    }

    /// Whether it can be so.
    ///
    /// # Errors
    /// `Invalid`, naming the field.
    pub fn check(&self) -> Result<()> {
        if self.version == 0 || self.version > ROUTE_VERSION {
            return Err(Error::invalid(format!("version: route format {} is not known here; use a newer program", self.version)));
        }
        for (name, route) in &self.features {
            parse_name(name)?;
            if route.weight_bp > WHOLE_BP {
                return Err(Error::invalid(format!("features.{name}.weightBp: {} is more than {WHOLE_BP}", route.weight_bp)));
            }
            if route.weight_bp > 0 && route.trial.is_none() {
                return Err(Error::invalid(format!("features.{name}.weightBp: there is no trial to give a share to")));
            }
        }
        Ok(())
    }

    /// # Errors
    /// `Unavailable` or `Full` when the file cannot be written.
    pub async fn write(&self, path: &Path) -> Result<()> {
        let text = serde_json::to_vec_pretty(self).map_err(|e| Error::internal(format!("write routes: {e}")))?;
        replace(path, &text).await
    }
}

/// `namespace/name`.
pub fn parse_name(text: &str) -> Result<QualifiedName> {
    match text.split_once('/') {
        Some((namespace, name)) if !namespace.is_empty() && !name.is_empty() && !name.contains('/') => {
            Ok(QualifiedName::new(namespace, name))
        }
        _ => Err(Error::invalid("a feature is named namespace/name")),
    }
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
