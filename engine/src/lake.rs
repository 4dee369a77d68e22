//! The lake: one object store, and the Delta tables in it. The only place that joins `object_store` and `deltalake`.

#[cfg(feature = "azure")]
mod after;
#[cfg(feature = "azure")]
mod azure;
#[cfg(any(feature = "azure", feature = "gcs", feature = "s3"))]
mod client;
mod disk;
#[cfg(feature = "gcs")]
mod gcs;
mod local;
#[cfg(feature = "s3")]
mod s3;

use std::sync::Arc;

use deltalake::logstore::{LogStoreRef, StorageConfig, default_logstore};
use deltalake::{DeltaTable, DeltaTableError};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt};
use url::Url;

#[cfg(feature = "azure")]
pub use self::azure::Azure;
use self::disk::Disk;
#[cfg(feature = "gcs")]
pub use self::gcs::Gcs;
use self::local::LocalStore;
pub use self::local::with_the_next_agreement;
#[cfg(feature = "s3")]
pub use self::s3::{Keys, S3};
use crate::error::{Context, Error, ErrorKind, Result};

/// An object store and where the lake is in it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Lake {
    /// The whole store, as Delta's log wants it: it resolves full addresses itself.
    base: Arc<dyn ObjectStore>,
    /// The lake's address: of a folder in `base`, with a slash at its end.
    root: Url,
    /// `base` from the lake's folder on.
    store: Arc<dyn ObjectStore>,
}

impl Lake {
    /// `base`: a store without a prefix (the whole bucket, the whole file system). `root`: what kind of store it is and the lake's
    /// folder in it (`s3://bucket/lake`, `file:///var/lake`).
    ///
    /// # Errors
    /// `Invalid` when `root` is no address of a folder.
    pub fn new(base: Arc<dyn ObjectStore>, mut root: Url) -> Result<Self> {
        if root.cannot_be_a_base() {
            return Err(Error::invalid("lake: its address must be one of a folder, for example s3://bucket/lake"));
        }
        if !root.path().ends_with('/') {
            root.set_path(&format!("{}/", root.path()));
        }
        let folder = Path::from_url_path(root.path()).map_err(|e| Error::invalid("lake: its address has no usable path").with_source(e))?;
        let store: Arc<dyn ObjectStore> = Arc::new(PrefixStore::new(Arc::clone(&base), folder));
        Ok(Self { base, root, store })
    }

    /// A folder of this machine, made if it is not there. What is put there survives a loss of power.
    ///
    /// # Errors
    /// When the folder cannot be made, or its path cannot be an address.
    pub fn local(folder: &std::path::Path) -> Result<Self> {
        let doing = || format!("open lake {}", folder.display());
        let made = std::fs::create_dir_all(folder).and_then(|()| folder.canonicalize());
        let folder = made.map_err(|e| Error::from(e).while_doing(doing()))?;
        let root = Url::from_directory_path(&folder).map_err(|()| Error::invalid("its path cannot be an address").while_doing(doing()))?;
        Self::new(Arc::new(LocalStore::new(Arc::new(Disk::new(folder)))), root)
    }

    /// Makes sure that files survive a loss of power: those of a local folder that a program put there which did not see to it.
    ///
    /// # Errors
    /// When a file is not there or the disk fails.
    pub async fn persist(&self, paths: Vec<Path>) -> Result<()> {
        let Ok(root) = self.root.to_file_path() else { return Ok(()) };
        let sync = move || {
            let mut folders = std::collections::BTreeSet::new();
            for path in &paths {
                let file = path.parts().fold(root.clone(), |folder, part| folder.join(part.as_ref()));
                std::fs::File::open(&file).and_then(|f| f.sync_all()).map_err(Error::from).context(|| format!("sync {path}"))?;
                folders.extend(file.parent().map(std::path::Path::to_owned));
            }
            for folder in folders {
                std::fs::File::open(&folder)
                    .and_then(|f| f.sync_all())
                    .map_err(Error::from)
                    .context(|| "sync a folder of the lake".to_owned())?;
            }
            Ok(())
        };
        tokio::task::spawn_blocking(sync).await.map_err(|e| Error::internal("sync the lake").with_source(e))?
    }

    /// The files, by the paths of [`crate::layout`].
    #[must_use]
    pub const fn store(&self) -> &Arc<dyn ObjectStore> {
        &self.store
    }

    /// The file of this machine that `path` is; `None` = the lake is elsewhere.
    #[must_use]
    pub fn file(&self, path: &Path) -> Option<std::path::PathBuf> {
        let root = self.root.to_file_path().ok()?;
        Some(path.parts().fold(root, |folder, part| folder.join(part.as_ref())))
    }

    /// Who this lake is: bucket and prefix. `None` for a folder, which may move with the machine.
    #[must_use]
    pub fn identity(&self) -> Option<&str> {
        (self.root.scheme() != "file").then_some(self.root.as_str())
    }

    /// The files of the table at `path`, by paths relative to the table: what `add` actions name.
    #[must_use]
    pub fn table_store(&self, path: &Path) -> Arc<dyn ObjectStore> {
        Arc::new(PrefixStore::new(Arc::clone(&self.store), path.clone()))
    }

    /// The log of the Delta table at `path`, whether or not there is one: what `CreateBuilder` and `CommitBuilder` take.
    ///
    /// # Errors
    /// `Invalid` when `path` cannot be part of an address.
    pub fn delta_log(&self, path: &Path) -> Result<LogStoreRef> {
        let url = self
            .root
            .join(&format!("{path}/"))
            .map_err(|e| Error::invalid(format!("lake: {path} cannot be part of an address")).with_source(e))?;
        Ok(default_logstore(self.table_store(path), Arc::clone(&self.base), &url, &StorageConfig::default()))
    }

    /// The newest version of the Delta table at `path`; `None` when there is none.
    ///
    /// # Errors
    /// When the store does not answer or the table's log is damaged.
    pub async fn delta(&self, path: &Path) -> Result<Option<DeltaTable>> {
        self.delta_at(path, None).await
    }

    /// A version (`None` = the newest) of the Delta table at `path`; `None` when there is no table.
    ///
    /// # Errors
    /// `NotFound` when the table has no such version; when the store does not answer or the table's log is damaged.
    pub async fn delta_at(&self, path: &Path, version: Option<u64>) -> Result<Option<DeltaTable>> {
        let log = self.delta_log(path)?;
        let doing = |e: DeltaTableError| damaged_log(Error::from(e)).while_doing(format!("read table {path}"));
        match log.is_delta_table_location().await {
            Ok(true) => {}
            Ok(false) => return Ok(None),
            // A local folder fails, rather than finding nothing, when it is asked for what is below a file.
            Err(_) if self.store.head(path).await.is_ok() => return Ok(None),
            Err(e) => return Err(doing(e)),
        }
        let mut table = DeltaTable::new(log);
        match version {
            None => table.load().await.map_err(doing)?,
            Some(version) => {
                let newest = table.get_latest_version().await.map_err(doing)?;
                if version > newest {
                    return Err(Error::not_found(format!("read table {path}: it has no version {version}; the newest is {newest}")));
                }
                table.load_version(version).await.map_err(doing)?;
            }
        }
        Ok(Some(table))
    }
}

/// A commit that is no JSON: asking again does not mend it. The library tells it from a store that does not answer by its words only.
fn damaged_log(error: Error) -> Error {
    if error.kind() == ErrorKind::Unavailable && error.to_string().contains("Json error") {
        return Error::corrupt("a file of its _delta_log is damaged; restore it from a copy").with_source(error);
    }
    error
}

impl From<DeltaTableError> for Error {
    fn from(e: DeltaTableError) -> Self {
        use deltalake::kernel::transaction::TransactionError as Commit;
        let kind = match e {
            DeltaTableError::ObjectStore { source } => return source.into(),
            DeltaTableError::Transaction { source: Commit::ObjectStore { source } } => return source.into(),
            DeltaTableError::Transaction {
                source: Commit::VersionAlreadyExists(_) | Commit::CommitConflict(_) | Commit::MaxCommitAttempts(_),
            }
            | DeltaTableError::VersionAlreadyExists(_) => ErrorKind::Conflict,
            DeltaTableError::NotATable(_) | DeltaTableError::InvalidVersion(_) => ErrorKind::NotFound,
            DeltaTableError::InvalidJsonLog { .. } | DeltaTableError::InvalidStatsJson { .. } | DeltaTableError::Parquet { .. } => {
                ErrorKind::Corrupt
            }
            DeltaTableError::Io { source } => return source.into(),
            _ => ErrorKind::Unavailable,
        };
        Self::new(kind, e.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use deltalake::kernel::{DataType, PrimitiveType};
    use deltalake::operations::create::CreateBuilder;

    #[tokio::test]
    async fn a_table_made_in_a_local_lake_is_found_there_again_and_by_its_versions() {
        let folder = tempfile::tempdir().unwrap();
        let lake = Lake::local(folder.path()).unwrap();
        let path = Path::from("signals/s1/history");
        assert!(lake.delta(&path).await.unwrap().is_none());
        CreateBuilder::new()
            .with_log_store(lake.delta_log(&path).unwrap())
            .with_column("bucket", DataType::Primitive(PrimitiveType::String), false, None)
            .await
            .unwrap();
        assert!(folder.path().join("signals/s1/history/_delta_log/00000000000000000000.json").is_file());
        let table = lake.delta(&path).await.unwrap().expect("a table");
        assert_eq!(table.version(), Some(0));
        assert_eq!(lake.delta_at(&path, Some(0)).await.unwrap().expect("a table").version(), Some(0));
        assert_eq!(lake.delta_at(&path, Some(7)).await.unwrap_err().kind(), ErrorKind::NotFound);
    }

    /// What a loss of power leaves: files whose bytes were brought to the disk, under names that were brought there after.
    fn after_a_loss_of_power(root: &std::path::Path, asked: &[std::path::PathBuf], kept: &std::path::Path) {
        fn lost(place: &std::path::Path, root: &std::path::Path, asked: &[std::path::PathBuf]) -> bool {
            let bytes = asked.iter().rposition(|a| a == place).filter(|_| place.is_file());
            let names = |path: &std::path::Path| asked.iter().rposition(|a| Some(a.as_path()) == path.parent());
            let name = names(place);
            let above = place.ancestors().skip(1).take_while(|a| *a != root).all(|folder| names(folder).is_some());
            !above || bytes.is_none() || name < bytes
        }
        let mut left = vec![root.to_owned()];
        while let Some(folder) = left.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                let to = kept.join(path.strip_prefix(root).unwrap());
                if path.is_dir() {
                    left.push(path);
                } else if !lost(&path, root, asked) {
                    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
                    std::fs::copy(&path, to).unwrap();
                }
            }
        }
    }

    #[tokio::test]
    async fn what_agreement_depends_on_survives_a_loss_of_power() {
        use crate::backfill::Mode;
        use crate::backfill::fixture::fold;
        use crate::base::{self, Demands, Manifest};
        use crate::history::History;
        use crate::history::fixture::{DAY, event, plan};
        let (folder, kept) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let root = folder.path().canonicalize().unwrap();
        let disk = Arc::new(Disk::new(root.clone()));
        let lake = Lake::new(Arc::new(LocalStore::new(Arc::clone(&disk))), Url::from_directory_path(&root).unwrap()).unwrap();
        let history = History::new(lake, "s1", Arc::new(plan()));
        for number in 1..=6 {
            // More than four files of a bucket: the last of them are compacted, by an upload in parts.
            let events: Vec<_> = (0..4).map(|i| event("u1", i * DAY + 10, i + 100 * number)).collect();
            fold(&history, u64::try_from(number).unwrap(), Mode::Incremental, &[events]).await;
        }
        base::update(&history, &Demands::default()).await.unwrap();
        let (snapshot, manifest) = (history.snapshot().await.unwrap(), Manifest::newest(&history).await.unwrap());
        after_a_loss_of_power(&root, &disk.asked.lock(), kept.path());

        let history = History::new(Lake::local(kept.path()).unwrap(), "s1", Arc::new(plan()));
        assert_eq!(history.snapshot().await.unwrap(), snapshot);
        assert_eq!(Manifest::newest(&history).await.unwrap(), manifest);
        for file in snapshot.unwrap().files {
            assert!(kept.path().join("signals/s1/history").join(&file.path).is_file(), "{} is named and lost", file.path);
        }
        for run in manifest.unwrap().shards.iter().flatten() {
            assert!(kept.path().join(&run.path).is_file(), "{} is named and lost", run.path);
        }
    }

    #[tokio::test]
    async fn files_that_nothing_names_are_brought_to_the_disk_together_before_the_next_agreement() {
        use object_store::{PutMode, PutOptions};
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let disk = Arc::new(Disk::new(root.clone()));
        let lake = Lake::new(Arc::new(LocalStore::new(Arc::clone(&disk))), Url::from_directory_path(&root).unwrap()).unwrap();
        let put = async |path: &str, options: PutOptions| lake.store().put_opts(&Path::from(path), "bytes".into(), options).await;
        for name in ["a/1/x", "a/2/x", "a/2/y"] {
            put(name, with_the_next_agreement()).await.unwrap();
        }
        assert_eq!(*disk.asked.lock(), Vec::<std::path::PathBuf>::new());
        let agreed = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        put("b/plan", agreed.clone()).await.unwrap();
        let asked = disk.asked.lock().clone();
        let at = |name: &str| asked.iter().position(|a| *a == root.join(name)).unwrap_or_else(|| panic!("{name}: {asked:?}"));
        for name in ["a/1/x", "a/2/x", "a/2/y", "a/1", "a/2", "a"] {
            assert!(at(name) < at("b/plan"), "{name}: {asked:?}");
        }
        assert!(at("b/plan") < at("b"), "bytes before names");
        assert!(matches!(put("b/plan", agreed).await, Err(object_store::Error::AlreadyExists { .. })));
        put("b/plan", PutOptions::default()).await.unwrap();
        let left: Vec<_> = std::fs::read_dir(root.join("b")).unwrap().map(|e| e.unwrap().file_name()).collect();
        assert_eq!(left, ["plan"], "nothing is left beside it");
    }
}
