//! Plans to compare with: of another folder, of a file, or of what runs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context;
use serde::{Deserialize, Serialize};
use tress_configs::Plan;
use tress_configs::compile::{Kind, QualifiedObject};
use tress_engine::layout;

use crate::definitions::Workspace;
use crate::exit::usage;

/// The format of the file.
const VERSION: u32 = 1;

/// Plans by `Kind/namespace/name`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Plans {
    version: u32,
    /// Where they come from, for people.
    #[serde(skip)]
    pub from: String,
    pub plans: BTreeMap<String, Revision>,
}

/// A compiled definition and what it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Revision {
    pub source_hash: String,
    pub plan: Plan,
}

/// What is needed of `node.json`.
#[derive(Debug, Deserialize)]
struct NodeRecord {
    features: BTreeMap<String, FeatureRecord>,
    /// By UID.
    signals: BTreeMap<String, RevisionRecord>,
}

#[derive(Debug, Deserialize)]
struct FeatureRecord {
    #[serde(flatten)]
    revision: RevisionRecord,
    /// UIDs.
    signals: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct RevisionRecord {
    digest: String,
    source_hash: String,
}

impl Plans {
    /// Everything that compiles in a workspace.
    pub fn of(workspace: &Workspace) -> Self {
        let revision = |c: &tress_configs::Compiled| Revision { source_hash: c.source_hash.clone(), plan: c.plan.clone() };
        let plans = workspace.compiled().map(|(object, compiled)| (object.to_string(), revision(compiled))).collect();
        Self { version: VERSION, from: String::new(), plans }
    }

    /// A folder of definitions, or a file of plans.
    ///
    /// # Errors
    /// When the path is neither, or its definitions do not compile.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        if path.is_dir() {
            let workspace = Workspace::load(&[path.to_owned()])?;
            if !workspace.is_sound() {
                return Err(usage(format!("--against: the definitions in {} have errors; see `tress lint {0}`", path.display())));
            }
            return Ok(Self { from: path.display().to_string(), ..Self::of(&workspace) });
        }
        Self::from_file(path)
    }

    /// What is live in a folder, as its node recorded it; nothing, if nothing ever ran there.
    ///
    /// # Errors
    /// When a record is damaged.
    pub fn live(dir: &Path) -> anyhow::Result<Self> {
        let state = crate::session::state(dir);
        let path = state.join("node.json");
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                let from = format!("nothing: nothing runs in {}", dir.display());
                return Ok(Self { version: VERSION, from, plans: BTreeMap::new() });
            }
            Err(e) => return Err(e).with_context(|| format!("read {}", path.display())),
        };
        let node: NodeRecord = serde_json::from_slice(&text).with_context(|| format!("read {}: it is damaged", path.display()))?;
        let live = node.features.values().flat_map(|f| &f.signals).filter_map(|uid| node.signals.get(uid));
        let all = live.chain(node.features.values().map(|f| &f.revision));
        let mut plans = BTreeMap::new();
        for RevisionRecord { digest, source_hash } in all {
            let path = state.join("lake").join(layout::plan(digest).as_ref());
            let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
            let plan = Plan::from_json(&text).map_err(|e| anyhow::anyhow!("read {}: {e}", path.display()))?;
            let kind = if plan.as_signal().is_some() { Kind::SignalDefinition } else { Kind::SequenceFeature };
            let object = QualifiedObject { kind, name: plan.name().clone() };
            plans.insert(object.to_string(), Revision { source_hash: source_hash.clone(), plan });
        }
        Ok(Self { version: VERSION, from: format!("what is live in {}", dir.display()), plans })
    }

    fn from_file(path: &Path) -> anyhow::Result<Self> {
        let text = fs::read(path).map_err(|e| usage(format!("read {}: {e}", path.display())))?;
        let plans: Self = serde_json::from_slice(&text)
            .map_err(|e| usage(format!("read {}: no file of plans: {e}; write one with `tress plan --show`", path.display())))?;
        if plans.version > VERSION {
            return Err(usage(format!("read {}: its format {} is of a newer program; use that one", path.display(), plans.version)));
        }
        Ok(Self { from: path.display().to_string(), ..plans })
    }
}
