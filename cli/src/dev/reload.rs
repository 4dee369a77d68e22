//! Definitions as they change: read again, compiled, and made to run.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use notify::{RecursiveMode, Watcher};
use tokio::sync::mpsc;
use tress_engine::node::{Change, Node};

use crate::definitions::{Workspace, is_definition};
use crate::render::Style;
use crate::say;

/// Quiet after the last change of a file before it is read: editors write in steps.
const QUIET: Duration = Duration::from_millis(200);

/// Tells of changes to definitions below a folder.
pub struct Watch {
    changed: mpsc::Receiver<()>,
    _watcher: notify::RecommendedWatcher,
}

impl Watch {
    /// # Errors
    /// When the system watches no more files.
    pub fn new(dir: &Path) -> anyhow::Result<Self> {
        let (sender, changed) = mpsc::channel(1);
        let root = dir.canonicalize().with_context(|| format!("find {}", dir.display()))?;
        let below = root.clone();
        let mut watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            let concerns = event.as_ref().map_or(true, |e| !e.kind.is_access() && e.paths.iter().any(|p| is_ours(&below, p)));
            if concerns {
                // One that waits already is enough.
                let _full = sender.try_send(());
            }
        })
        .context("watch files")?;
        watcher.watch(&root, RecursiveMode::Recursive).with_context(|| format!("watch {}", dir.display()))?;
        Ok(Self { changed, _watcher: watcher })
    }

    /// Waits until something changed and is quiet again.
    pub async fn next(&mut self) -> Option<()> {
        self.changed.recv().await?;
        while let Ok(more) = tokio::time::timeout(QUIET, self.changed.recv()).await {
            more?;
        }
        Some(())
    }
}

/// A definition, or a folder that may hold some; nothing hidden.
fn is_ours(root: &Path, path: &Path) -> bool {
    let below = path.strip_prefix(root).unwrap_or(path);
    let hidden = below.components().any(|c| c.as_os_str().to_string_lossy().starts_with('.'));
    !hidden && (is_definition(path) || path.extension().is_none())
}

/// Reads the definitions and makes them run; what is wrong is printed and changes nothing. `None` = nothing changed.
///
/// # Errors
/// When the node as a whole cannot go on.
pub async fn reload(dir: &Path, node: &Node) -> anyhow::Result<Option<Workspace>> {
    let workspace = match Workspace::load(&[PathBuf::from(dir)]) {
        Ok(workspace) => workspace,
        Err(e) => {
            say!("the definitions cannot be read, and what runs goes on: {e:#}");
            return Ok(None);
        }
    };
    if !workspace.is_sound() {
        say!("{}the definitions have errors, and what runs goes on as it was", workspace.render_issues(Style::stderr()));
        return Ok(None);
    }
    for change in node.apply(workspace.desired()).await? {
        if let Some(line) = shown(&change, Style::stderr()) {
            say!("{line}");
        }
    }
    Ok(Some(workspace))
}

/// A change for people; `None` = there is nothing to tell.
pub fn shown(change: &Change, style: Style) -> Option<String> {
    let short = |digest: &str| digest.chars().take(12).collect::<String>();
    Some(match change {
        Change::Added { feature, digest } => format!("{} {feature} {}", style.green("Added"), short(digest)),
        Change::Swapped { feature, from, to } => format!("{} {feature} from {} → to {}", style.green("Swapped"), short(from), short(to)),
        Change::Removed { feature } => format!("{} {feature}", style.yellow("Removed")),
        Change::Failed { feature, reason } => format!("{} {feature}: {reason}; what was live goes on", style.red("Failed")),
        Change::Unchanged { .. } => return None,
    })
}
