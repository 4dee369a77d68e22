//! Point-in-time training sets: per label, the sequence that a reader would have had.
//!
//! ```text
//! labels ─ by shard of their entity ─▶ rows of history of those entities ─▶ per label: read (merge ─▶ assemble) ─▶ Parquet
//! ```
//!
//! One file a shard, so that memory is bounded by a shard and a run that was stopped goes on where it was.

mod labels;
mod manifest;
mod part;
mod sequences;
mod unpack;

use std::sync::Arc;

use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};

pub use labels::{Labels, TimeUnit};
pub use manifest::{Manifest, SignalVersion};
pub(crate) use sequences::{fields as sequence_fields, lists as sequence_lists};

use crate::backfill::covered_through;
use crate::entity::shard_range;
use crate::error::{Context, Error, ErrorKind, Result};
use crate::history::{History, Scan, Snapshot};
use crate::read::Feature;
use crate::run::Run;

/// Whether a label's sequence may hold events of the label's own time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Edge {
    /// event_time < T and available_at + delay < T: a label cut from the same log does not see itself.
    #[default]
    Strict,
    /// event_time ≤ T and available_at + delay ≤ T.
    Inclusive,
}

/// What is read for a label at time T.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moment {
    pub edge: Edge,
    /// How long a reader is behind, µs.
    pub read_delay: i64,
}

impl Moment {
    /// The newest event_time that a label at `time` sees, µs.
    fn through(self, time: i64) -> i64 {
        match self.edge {
            Edge::Strict => time.saturating_sub(1),
            Edge::Inclusive => time,
        }
    }

    /// The newest available_at that a label at `time` sees, µs.
    fn known_by(self, time: i64) -> i64 {
        self.through(time).saturating_sub(self.read_delay)
    }
}

/// A feature and the histories that it is read from, each at one version.
#[derive(Debug)]
pub struct Dataset {
    pub feature: Arc<Feature>,
    /// Digest of the feature's plan.
    pub digest: String,
    /// One per signal of the feature; `None` = that signal has no history yet.
    pub histories: Vec<(History, Option<Snapshot>)>,
    pub moment: Moment,
}

/// Where a dataset goes.
#[derive(Debug, Clone)]
pub struct Target {
    pub store: Arc<dyn ObjectStore>,
    pub folder: Path,
}

/// The number of files: labels are spread over them by their entity.
const PARTS: u32 = 16;

impl Dataset {
    /// Makes the dataset; `progress` is told how many labels are done. Parts that an earlier run with the same inputs finished are kept.
    ///
    /// # Errors
    /// `Invalid` when the labels do not fit the feature, or the target holds a dataset of other inputs; what the lake says otherwise.
    pub async fn write(&self, labels: &Labels, target: &Target, progress: &(dyn Fn(usize) + Sync)) -> Result<Manifest> {
        let manifest = self.manifest(labels).await?;
        manifest.begin(target).await?;
        self.pin(&manifest).await?;
        let (mut done, mut truncated) = (0, 0);
        for part in 0..PARTS {
            let of_part = labels.of_hashes(shard_range(part, PARTS))?;
            let path = target.folder.clone().join(format!("part-{part:04}.parquet"));
            let there = match target.store.get(&path).await {
                Ok(found) => Some(found.bytes().await.context(|| format!("read {path}"))?),
                Err(object_store::Error::NotFound { .. }) => None,
                Err(e) => return Err(e).context(|| format!("look for {path}")),
            };
            if let Some(bytes) = there {
                truncated += part::truncated(bytes).context(|| format!("read {path}"))?;
            } else if !of_part.is_empty() {
                let runs = self.runs(&of_part, part).await?;
                let made = sequences::encode((&self.feature, self.kept_from()), &runs, &of_part, self.moment)?;
                truncated += made.truncated;
                target.store.put(&path, PutPayload::from(made.bytes)).await.context(|| format!("write {path}"))?;
            }
            done += of_part.len();
            progress(done);
        }
        manifest.finish(truncated, target).await
    }

    /// What retention keeps of the signals, from the newest sealed event on: what happened before may be dropped, µs. `None` = nothing.
    fn kept_from(&self) -> Option<i64> {
        let kept = |(history, snapshot): &(History, Option<Snapshot>)| {
            let keep = history.plan().retention_ms?.saturating_mul(1000);
            Some(snapshot.as_ref()?.newest()?.saturating_sub(keep))
        };
        self.histories.iter().filter_map(kept).max()
    }

    /// Labels whose moment is later than what some signal's history covers.
    async fn incomplete(&self, labels: &Labels) -> Result<usize> {
        let mut covered = i64::MAX;
        for (history, snapshot) in &self.histories {
            let through = match snapshot {
                Some(snapshot) => covered_through(history, snapshot).await?,
                None => None,
            };
            covered = covered.min(through.unwrap_or(i64::MIN));
        }
        Ok((0..labels.len()).filter(|row| self.moment.known_by(labels.time(*row)) >= covered).count())
    }

    /// Keeps the versions that the manifest names: the dataset can be made again, byte for byte.
    async fn pin(&self, manifest: &Manifest) -> Result<()> {
        let by = manifest.digest()?;
        for (history, snapshot) in &self.histories {
            if let Some(snapshot) = snapshot {
                history.pin(snapshot.version, &by).await?;
            }
        }
        Ok(())
    }

    /// The rows of a part's entities, one run per signal.
    async fn runs(&self, labels: &Labels, part: u32) -> Result<Vec<Run>> {
        let (first, last) = shard_range(part, PARTS);
        let mut runs = Vec::with_capacity(self.histories.len());
        for (history, snapshot) in &self.histories {
            let mut batches = vec![arrow::array::RecordBatch::new_empty(Arc::clone(history.schema()))];
            if let Some(snapshot) = snapshot {
                let rows = history.scan(snapshot.files.clone(), Scan { hashes: first..=last, columns: None });
                futures::pin_mut!(rows);
                while let Some(batch) = rows.try_next().await? {
                    let batch = labels.only_entities(&batch)?;
                    if batch.num_rows() > 0 {
                        batches.push(batch);
                    }
                }
            }
            runs.push(Run::from_rows(arrow::compute::concat_batches(history.schema(), &batches)?)?);
        }
        Ok(runs)
    }

    async fn manifest(&self, labels: &Labels) -> Result<Manifest> {
        Ok(Manifest {
            version: manifest::VERSION,
            feature: self.feature.plan().name.clone(),
            plan: self.digest.clone(),
            length: self.feature.plan().length,
            order: manifest::Order::OldestFirst,
            signals: self
                .histories
                .iter()
                .map(|(history, snapshot)| SignalVersion {
                    uid: history.uid().to_owned(),
                    history_version: snapshot.as_ref().map(|s| s.version),
                })
                .collect(),
            inclusive: self.moment.edge == Edge::Inclusive,
            read_delay_us: self.moment.read_delay,
            labels: labels.len(),
            incomplete: self.incomplete(labels).await?,
            truncated: 0,
            labels_digest: labels.digest()?,
            columns: sequences::schema(&self.feature, labels)
                .fields()
                .iter()
                .map(|field| manifest::Column { name: field.name().clone(), arrow: field.data_type().to_string() })
                .collect(),
            complete: false,
        })
    }
}

/// A dataset's target that holds something else.
fn other_inputs(folder: &Path) -> Error {
    Error::new(
        ErrorKind::Conflict,
        format!("write dataset: {folder} holds a dataset of other inputs; give another folder, or remove this one"),
    )
}
