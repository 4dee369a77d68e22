//! Which files a table is made of: a Parquet file, a folder of them, or a version of a Delta table.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use url::Url;

use crate::error::{Context, Error, ErrorKind, Result};
use crate::lake::Lake;

/// A table at one moment.
#[derive(Debug)]
pub(super) struct TableFiles {
    /// Ordered by path.
    pub files: Vec<TableFile>,
    pub snapshot: Snapshot,
}

/// What names the data of these files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Snapshot {
    /// The table's own version.
    Delta { table: String, version: u64 },
    /// No more than what a listing says: another listing may mean other data, an equal one means equal data as far as the store can
    /// tell. Never shown: times and tags differ from store to store.
    Listing(Vec<Listed>),
}

/// One file of a listing: path, size, time in microseconds, tag.
type Listed = (String, u64, i64, Option<String>);

#[derive(Debug)]
pub(super) struct TableFile {
    pub path: Path,
    /// Columns that are not in the file, because the whole file has one value: as text, or null.
    pub partition: BTreeMap<String, Option<String>>,
}

/// # Errors
/// `NotFound` when nothing is there, or not that version; `Invalid` when it is a table that this program cannot read exactly.
pub(super) async fn find(store: &Arc<dyn ObjectStore>, table: &str, version: Option<u64>) -> Result<TableFiles> {
    let path = Path::parse(table.trim_matches('/')).map_err(|e| Error::invalid(format!("table {table}: it is no path")).with_source(e))?;
    if let Some(found) = delta(store, &path, version).await? {
        return Ok(found);
    }
    if version.is_some() {
        return Err(Error::invalid(format!("table {table}: only a Delta table has versions, and there is none")));
    }
    let metas = match store.head(&path).await {
        // A store that is part of another may tell the other's path.
        Ok(meta) => vec![ObjectMeta { location: path.clone(), ..meta }],
        Err(object_store::Error::NotFound { .. }) => listed(store, &path).await.context(|| format!("list table {table}"))?,
        Err(e) => return Err(Error::from(e).while_doing(format!("find table {table}"))),
    };
    if metas.is_empty() {
        return Err(Error::not_found(format!(
            "table {table}: there is no Parquet file, no folder of them and no Delta table; check the path"
        )));
    }
    let listing = metas.iter().map(|m| (m.location.to_string(), m.size, m.last_modified.timestamp_micros(), m.e_tag.clone())).collect();
    let files = metas.into_iter().map(|m| TableFile { partition: hive(&path, &m.location), path: m.location }).collect();
    Ok(TableFiles { files, snapshot: Snapshot::Listing(listing) })
}

/// The Parquet files below a folder; what begins with `_` or `.` is not data.
async fn listed(store: &Arc<dyn ObjectStore>, folder: &Path) -> Result<Vec<ObjectMeta>> {
    let mut metas: Vec<ObjectMeta> = store.list(Some(folder)).try_collect().await?;
    metas.retain(|meta| {
        let mut parts = meta.location.prefix_match(folder).into_iter().flatten();
        let hidden = parts.any(|part| part.as_ref().starts_with(['_', '.']));
        !hidden && meta.location.extension() == Some("parquet")
    });
    metas.sort_by(|a, b| a.location.cmp(&b.location));
    Ok(metas)
}

/// Partition columns as folders name them: `dt=2024-01-01`.
fn hive(folder: &Path, file: &Path) -> BTreeMap<String, Option<String>> {
    let mut parts: Vec<String> = file.prefix_match(folder).into_iter().flatten().map(|part| part.as_ref().to_owned()).collect();
    parts.pop();
    parts
        .iter()
        .filter_map(|part| part.split_once('='))
        .map(|(k, v)| (k.to_owned(), (v != "__HIVE_DEFAULT_PARTITION__").then(|| v.to_owned())))
        .collect()
}

async fn delta(store: &Arc<dyn ObjectStore>, path: &Path, version: Option<u64>) -> Result<Option<TableFiles>> {
    // The scheme is never resolved: every address leads to `store`.
    let root = Url::parse("memory:///").map_err(|e| Error::internal("the address of a store").with_source(e))?;
    let lake = Lake::new(Arc::clone(store), root)?;
    let Some(table) = lake.delta_at(path, version).await? else { return Ok(None) };
    let state = table.snapshot()?;
    if state.metadata().configuration().get("delta.columnMapping.mode").is_some_and(|mode| mode != "none") {
        return Err(Error::invalid(format!(
            "table {path}: it maps column names, which is not supported; write it without delta.columnMapping.mode"
        )));
    }
    let mut files = Vec::new();
    for view in state.log_data().iter() {
        if view.deletion_vector_descriptor().is_some() {
            return Err(Error::invalid(format!(
                "table {path}: it has deletion vectors, which are not supported; purge them (REORG TABLE … APPLY (PURGE))"
            )));
        }
        let partition = view.partition_values_map().into_iter().collect();
        let file = path.parts().chain(view.object_store_path().parts()).collect();
        files.push(TableFile { path: file, partition });
    }
    files.sort_by(|a, b| a.path.cmp(&b.path));
    let snapshot = Snapshot::Delta { table: state.metadata().id().to_owned(), version: state.version() };
    Ok(Some(TableFiles { files, snapshot }))
}

/// A file that a table named and that is gone was replaced meanwhile: try again.
pub(super) fn gone(error: Error) -> Error {
    if error.kind() == ErrorKind::NotFound {
        return Error::new(ErrorKind::Unavailable, "the table was replaced while it was read; try again").with_source(error);
    }
    error
}
