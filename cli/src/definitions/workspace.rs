//! Everything that some files say: definitions, tests, and what is wrong with them.

use std::collections::HashMap;
use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use tress_configs::compile::{Compiled, QualifiedObject};
use tress_configs::definition::Object;
use tress_configs::lint::{Linted, SourceText, lint};
use tress_configs::source::{Foreign, Located};
use tress_configs::test_file::TestFile;
use tress_configs::{Issue, Pins, Plan};
use tress_engine::node;

use super::files;
use crate::output;
use crate::render::{Style, issues};

/// What some files say.
#[derive(Debug)]
pub struct Workspace {
    linted: Linted,
    /// Texts by the names that files have in issues.
    sources: HashMap<String, String>,
}

impl Workspace {
    /// Reads and compiles all files that the paths name.
    ///
    /// # Errors
    /// When a file is not there or cannot be read; what is wrong inside a file is an issue.
    pub fn load(paths: &[PathBuf]) -> anyhow::Result<Self> {
        let mut texts = Vec::new();
        for path in files::find(paths)? {
            let bytes = fs::read(&path).with_context(|| format!("read {}", path.display()))?;
            let name = path.strip_prefix("./").unwrap_or(&path).display().to_string();
            texts.push((name, String::from_utf8_lossy(&bytes).into_owned()));
        }
        // A folder of manifests holds many kinds; a file that was named on purpose should be ours.
        let foreign = if paths.iter().any(|p| p.is_dir()) { Foreign::Skip } else { Foreign::Report };
        let sources: Vec<SourceText<'_>> = texts.iter().map(|(file, text)| SourceText { file, text }).collect();
        let linted = lint(&sources, foreign, &Pins::default());
        Ok(Self { linted, sources: texts.into_iter().collect() })
    }

    /// Errors and warnings, by file and place.
    pub fn issues(&self) -> &[Issue] {
        &self.linted.issues
    }

    /// Whether nothing stops these definitions from running.
    pub fn is_sound(&self) -> bool {
        !self.linted.issues.iter().any(Issue::is_error)
    }

    /// Issues as people read them, with their source lines.
    pub fn render_issues(&self, style: Style) -> String {
        issues::render(&self.linted.issues, &self.sources, style)
    }

    /// Prints all issues if there is an error; whether there is none.
    ///
    /// # Errors
    /// When standard output cannot be written.
    pub fn must_be_sound(&self) -> anyhow::Result<bool> {
        if !self.is_sound() {
            output::print(&self.render_issues(Style::stdout()))?;
        }
        Ok(self.is_sound())
    }

    pub fn objects(&self) -> &[Located<Object>] {
        &self.linted.objects
    }

    pub fn tests(&self) -> &[Located<TestFile>] {
        &self.linted.tests
    }

    /// What compiled, by kind and name.
    pub fn compiled(&self) -> impl Iterator<Item = (&QualifiedObject, &Compiled)> {
        self.linted.outcome.iter().filter_map(|(object, compiled)| compiled.as_ref().ok().map(|c| (object, c)))
    }

    /// Everything that compiled, as a node runs it.
    pub fn desired(&self) -> node::Desired {
        let mut desired = node::Desired::default();
        for (_, compiled) in self.compiled() {
            let source_hash = compiled.source_hash.clone();
            match &compiled.plan {
                Plan::Signal(plan) => desired.signals.push(node::Compiled { plan: Arc::new(plan.clone()), source_hash }),
                Plan::Feature(plan) => desired.features.push(node::Compiled { plan: Arc::new(plan.clone()), source_hash }),
            }
        }
        desired
    }

    /// The names of its signals, sorted.
    pub fn signal_names(&self) -> Vec<String> {
        let signals = self.objects().iter().filter(|o| matches!(o.item, Object::SignalDefinition(_)));
        let mut names: Vec<String> = signals.map(|o| o.item.metadata().name.clone()).collect();
        names.sort();
        names.dedup();
        names
    }
}
