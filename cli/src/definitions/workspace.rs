//! Everything that some files say.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use tress_configs::Issue;
use tress_configs::definition::Object;
use tress_configs::source::{self, Located};
use tress_configs::test_file::TestFile;

use super::files;

/// Definitions and tests, and what is wrong with their texts.
#[derive(Debug, Default)]
pub struct Workspace {
    pub objects: Vec<Located<Object>>,
    pub tests: Vec<Located<TestFile>>,
    /// Of syntax and shape.
    pub issues: Vec<Issue>,
    /// Texts by the names that files have in issues.
    pub sources: HashMap<String, String>,
}

impl Workspace {
    /// Reads all files that the paths name.
    ///
    /// # Errors
    /// When a file is not there or cannot be read; what is wrong inside a file is an issue.
    pub fn load(paths: &[PathBuf]) -> anyhow::Result<Self> {
        let mut workspace = Self::default();
        for found in files::find(paths)? {
            let name = found.path.display().to_string();
            let bytes = fs::read(&found.path).with_context(|| format!("read {name}"))?;
            let text = String::from_utf8_lossy(&bytes).into_owned();
            let parsed = source::parse(&name, &text, found.foreign);
            workspace.objects.extend(parsed.objects);
            workspace.tests.extend(parsed.tests);
            workspace.issues.extend(parsed.issues);
            workspace.sources.insert(name, text);
        }
        Ok(workspace)
    }

    /// The names of its signals, sorted.
    pub fn signal_names(&self) -> Vec<String> {
        let signals = self.objects.iter().filter(|o| matches!(o.item, Object::SignalDefinition(_)));
        let mut names: Vec<String> = signals.map(|o| o.item.metadata().name.clone()).collect();
        names.sort();
        names.dedup();
        names
    }
}
