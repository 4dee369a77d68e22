//! The sequence of every entity of a feature, from raw events: of files without anything running, of archived topics through the node.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tress_configs::plan::BatchPlan;
use tress_configs::{FeaturePlan, Plan, SignalPlan};
use tress_engine::backfill::{ExternalFiles, RawLog};
use tress_engine::batch::{self, Batch, Input, Settings, Way};
use tress_engine::dataset::Target;
use tress_engine::error::Context;
use tress_engine::lake::Lake;
use tress_engine::node::{Node, Progress};
use tress_engine::read::Feature;
use tress_engine::{Error, ErrorKind, Result};

use super::operation::feature_named;
use crate::definitions::Workspace;

/// What to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// `name` or `namespace/name`
    pub feature: String,
    /// µs
    pub as_of: i64,
    /// Absolute: a folder that is made.
    pub out: PathBuf,
    /// Absolute: Parquet files, or folders of them, to read instead of what definitions name; by signal, `name` or `namespace/name`.
    pub raw: BTreeMap<String, PathBuf>,
    /// Bytes.
    pub memory: usize,
}

/// Compiled plans, and where their raw events and tables are.
struct Inputs {
    feature: Arc<FeaturePlan>,
    /// In the feature's order.
    signals: Vec<(Arc<SignalPlan>, Arc<dyn RawLog>)>,
    tables: Lake,
}

/// Whether the definitions and the request name files for all signals that the feature reads: then nothing has to run.
pub fn needs_no_node(workspace: &Workspace, feature: &FeaturePlan, request: &Request) -> bool {
    signals_of(workspace, feature)
        .is_ok_and(|plans| plans.iter().all(|plan| matches!(plan.source.batch, BatchPlan::External(_)) || given(plan, request).is_some()))
}

/// From files alone; `dir` has the definitions, and paths of theirs start there.
///
/// # Errors
/// As [`Batch::write`].
pub async fn of_files(
    workspace: &Workspace,
    feature: &Arc<FeaturePlan>,
    (dir, request): (&Path, &Request),
    progress: &(dyn Fn(Progress) + Sync),
) -> Result<Value> {
    let tables = Lake::local(dir)?;
    let mut signals = Vec::new();
    for plan in signals_of(workspace, feature)? {
        let raw: Arc<dyn RawLog> = match (given(&plan, request), &plan.source.batch) {
            (Some(path), _) => files(&plan, path)?,
            (None, BatchPlan::External(log)) => Arc::new(ExternalFiles::new(tables.clone(), &plan, log)?),
            (None, BatchPlan::Archive) => return Err(Error::internal(format!("signal {}: its raw events are with a node", plan.name))),
        };
        signals.push((plan, raw));
    }
    write(Inputs { feature: Arc::clone(feature), signals, tables }, request, progress).await
}

/// Of a feature that is live.
pub async fn of_node(node: &Node, request: &Request, progress: &(dyn Fn(Progress) + Sync)) -> Result<Value> {
    let name = feature_named(node, &request.feature).await?;
    let served = node.feature(&name).await?;
    let mut signals = Vec::new();
    for plan in served.feature.signals() {
        let raw = match given(plan, request) {
            Some(path) => files(plan, path)?,
            None => node.raw_log(plan).await?,
        };
        signals.push((Arc::clone(plan), raw));
    }
    let tables = node.platform().tables("")?;
    write(Inputs { feature: Arc::clone(served.feature.plan()), signals, tables }, request, progress).await
}

/// All or nothing: the folder appears when everything is in it.
async fn write(inputs: Inputs, request: &Request, progress: &(dyn Fn(Progress) + Sync)) -> Result<Value> {
    let Inputs { feature, signals, tables } = inputs;
    for name in request.raw.keys() {
        if !signals.iter().any(|(plan, _)| is_named(plan, name)) {
            let read = signals.iter().map(|(plan, _)| plan.name.to_string()).collect::<Vec<_>>().join(", ");
            return Err(Error::invalid(format!("--raw {name}: {} does not read such a signal; it reads {read}", feature.name)));
        }
    }
    let out = &request.out;
    if fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(Error::new(ErrorKind::Invalid, format!("{} is not empty; give another folder, or remove it", out.display())));
    }
    let mut inputs_of = Vec::new();
    for (plan, raw) in &signals {
        inputs_of.push(Input::load(plan, Arc::clone(raw), |_| Ok(tables.clone())).await?);
    }
    let unfinished = Unfinished::new(out)?;
    let batch = Batch {
        digest: Plan::Feature(FeaturePlan::clone(&feature)).digest(),
        feature: Arc::new(Feature::new(feature, signals.into_iter().map(|(plan, _)| plan).collect())?),
        inputs: inputs_of,
        as_of: request.as_of,
        settings: Settings {
            memory: request.memory,
            scratch: unfinished.0.join(".scratch"),
            parallelism: std::thread::available_parallelism().map_or(1, usize::from),
            way: Way::Fastest,
        },
    };
    let target = Target { store: Arc::clone(Lake::local(&unfinished.0)?.store()), folder: object_store::path::Path::default() };
    let scanned = AtomicUsize::new(0);
    let manifest = batch
        .write(&target, &|at| {
            let (tasks_done, tasks) = match at {
                batch::Progress::Scanned { done, of } => {
                    scanned.store(of, Ordering::Relaxed);
                    (done, 2 * of)
                }
                // Reading and writing take about as long.
                batch::Progress::Written { done, of } => {
                    let all = scanned.load(Ordering::Relaxed);
                    (all + done * all / of.max(1), 2 * all)
                }
            };
            progress(Progress { tasks_done, tasks, rows: 0 });
        })
        .await?;
    unfinished.finish(out)?;
    Ok(json!({ "out": out, "entities": manifest.entities, "events": manifest.events, "manifest": manifest }))
}

/// A folder beside the result, gone unless it becomes it.
struct Unfinished(PathBuf);

impl Unfinished {
    fn new(out: &Path) -> Result<Self> {
        let name = out.file_name().ok_or_else(|| Error::invalid("--out: give a folder that can be made"))?;
        let folder = out.with_file_name(format!(".{}.unfinished-{}", name.to_string_lossy(), std::process::id()));
        let doing = || format!("make folder {}", folder.display());
        match fs::remove_dir_all(&folder) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e).context(doing),
            _ => {}
        }
        fs::create_dir_all(&folder).context(doing)?;
        Ok(Self(folder))
    }

    fn finish(self, out: &Path) -> Result<()> {
        fs::rename(&self.0, out).context(|| format!("move the result to {}", out.display()))
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // After it has become the result it is not there.
        let _not_there = fs::remove_dir_all(&self.0);
    }
}

fn signals_of(workspace: &Workspace, feature: &FeaturePlan) -> Result<Vec<Arc<SignalPlan>>> {
    let desired = workspace.desired();
    let plan = |read: &tress_configs::plan::SignalRead| {
        let found = desired.signals.iter().find(|s| s.plan.name == read.name && s.plan.schema_version == read.schema_version);
        let missing = || Error::not_found(format!("feature {} reads signal {}, which these files do not define", feature.name, read.name));
        found.map(|s| Arc::clone(&s.plan)).ok_or_else(missing)
    };
    feature.signals.iter().map(plan).collect()
}

fn given<'r>(plan: &SignalPlan, request: &'r Request) -> Option<&'r Path> {
    request.raw.iter().find(|(name, _)| is_named(plan, name)).map(|(_, path)| path.as_path())
}

fn is_named(plan: &SignalPlan, text: &str) -> bool {
    text.split_once('/').map_or(plan.name.name == text, |(ns, name)| plan.name.namespace == ns && plan.name.name == name)
}

/// A Parquet file, or all of a folder.
fn files(plan: &SignalPlan, path: &Path) -> Result<Arc<dyn RawLog>> {
    let there = fs::metadata(path).context(|| format!("read the raw events of {} from {}", plan.name, path.display()))?;
    if there.is_dir() {
        return Ok(Arc::new(ExternalFiles::given(Lake::local(path)?, plan, None)?));
    }
    let (folder, name) = (path.parent().unwrap_or(Path::new("/")), path.file_name().unwrap_or_default().to_string_lossy().into_owned());
    if !name.ends_with(".parquet") {
        return Err(Error::invalid(format!("{}: raw events are read from Parquet files; give one, or a folder of them", path.display())));
    }
    Ok(Arc::new(ExternalFiles::given(Lake::local(folder)?, plan, Some(name))?))
}
