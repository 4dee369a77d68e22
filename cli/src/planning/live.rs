//! Plans to compare with: of another folder, of a file, or of what runs.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use tress_configs::Plan;

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

    /// What runs in a folder; nothing, if nothing ever did.
    ///
    /// # Errors
    /// When the record of it is damaged.
    pub fn live(dir: &Path) -> anyhow::Result<Self> {
        let path = file(dir);
        if !path.exists() {
            return Ok(Self { version: VERSION, from: format!("nothing: nothing runs in {}", dir.display()), plans: BTreeMap::new() });
        }
        let plans = Self::from_file(&path)?;
        Ok(Self { from: format!("what runs in {}", dir.display()), ..plans })
    }

    /// Records what runs in a folder.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn record(&self, dir: &Path) -> anyhow::Result<()> {
        let path = file(dir);
        let next = path.with_extension("json.next");
        let writing = || format!("write {}", path.display());
        fs::write(&next, serde_json::to_vec_pretty(self)?).with_context(writing)?;
        fs::rename(&next, &path).with_context(writing)
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

fn file(dir: &Path) -> PathBuf {
    dir.join(".tress").join("live.json")
}
