//! What makes a result reproducible, and the proof that it is whole: `manifest.json`, put last and once.

use object_store::path::Path;
use object_store::{ObjectStoreExt, PutMode, PutOptions, PutPayload};
use serde::{Deserialize, Serialize};
use tress_configs::name::QualifiedName;

use super::scan::Scanned;
use super::{Batch, parts};
use crate::backfill::{ConsumedFile, Counts};
use crate::dataset::Target;
use crate::error::{Context, Error, ErrorKind, Result};

/// The format of the manifest.
pub const VERSION: u32 = 1;

/// `manifest.json` beside the parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    pub version: u32,
    pub feature: QualifiedName,
    /// Digest of the feature's plan.
    pub plan: String,
    /// The most events of a sequence.
    pub length: u32,
    /// µs, UTC.
    pub as_of_us: i64,
    pub signals: Vec<SignalInput>,
    /// Entities whose sequence is not empty: the rows of all files.
    pub entities: usize,
    pub events: usize,
    pub columns: Vec<Column>,
    /// By name: that is the order of hash(entity).
    pub parts: Vec<PartFile>,
}

/// What was read of a signal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SignalInput {
    pub signal: QualifiedName,
    /// Of an external log.
    pub files: Vec<ConsumedFile>,
    /// The version of the table that the engine keeps of a topic.
    pub raw_version: Option<u64>,
    /// Names the data of each enrichment's table, in the plan's order.
    pub tables: Vec<String>,
    pub counts: Counts,
}

/// A Parquet file of the result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PartFile {
    pub name: String,
    pub entities: usize,
    pub events: usize,
    pub bytes: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Column {
    pub name: String,
    /// The Arrow type.
    pub arrow: String,
}

impl Manifest {
    pub(super) fn new(batch: &Batch, scanned: &[Scanned], parts: Vec<PartFile>) -> Self {
        let plan = batch.feature.plan();
        let signals = plan.signals.iter().zip(batch.inputs.iter().zip(scanned)).map(|(read, (input, scanned))| SignalInput {
            signal: read.name.clone(),
            files: scanned.files.clone(),
            raw_version: scanned.raw_version,
            tables: input.lookups.iter().map(|lookup| lookup.identity()).collect(),
            counts: scanned.counts.clone(),
        });
        Self {
            version: VERSION,
            feature: plan.name.clone(),
            plan: batch.digest.clone(),
            length: plan.length,
            as_of_us: batch.as_of,
            signals: signals.collect(),
            entities: parts.iter().map(|p| p.entities).sum(),
            events: parts.iter().map(|p| p.events).sum(),
            columns: parts::schema(&batch.feature)
                .fields()
                .iter()
                .map(|field| Column { name: field.name().clone(), arrow: field.data_type().to_string() })
                .collect(),
            parts,
        }
    }

    pub(super) async fn put(&self, target: &Target) -> Result<()> {
        let json = serde_json::to_vec_pretty(self).map_err(|e| Error::internal("write manifest").with_source(e))?;
        let path = path(target);
        let once = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match target.store.put_opts(&path, PutPayload::from(json), once).await {
            Ok(_) => Ok(()),
            Err(object_store::Error::AlreadyExists { .. }) => Err(taken(target)),
            Err(e) => Err(e).context(|| format!("write {path}")),
        }
    }
}

/// Refuses a target that holds a result.
pub(super) async fn must_be_free(target: &Target) -> Result<()> {
    match target.store.head(&path(target)).await {
        Ok(_) => Err(taken(target)),
        Err(object_store::Error::NotFound { .. }) => Ok(()),
        Err(e) => Err(e).context(|| format!("look for {}", path(target))),
    }
}

fn taken(target: &Target) -> Error {
    Error::new(ErrorKind::Conflict, format!("{} holds a result already; give another folder, or remove this one", path(target)))
}

fn path(target: &Target) -> Path {
    target.folder.clone().join("manifest.json")
}
