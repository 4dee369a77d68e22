//! The text files of a tree, by their paths from its root.

use std::collections::BTreeMap;
use std::path::Path;

/// All text files.
#[derive(Debug, Default)]
pub struct Tree(BTreeMap<String, String>);

/// Something that breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub path: String,
    /// From 1 on; 0 = the whole file.
    pub line: usize,
    pub what: String,
}

impl Finding {
    pub fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into() }
    }
}

/// What is built or fetched, wherever it lies.
const MADE: &[&str] = &["target", ".git", ".tress", "__pycache__", "corpus", "artifacts"];

impl Tree {
    /// The tree that this test is part of.
    pub fn read() -> Self {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in a folder of the tree");
        let mut tree = Self::default();
        tree.add(root, "");
        tree
    }

    /// A made-up tree.
    pub fn of(files: &[(&str, &str)]) -> Self {
        Self(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect())
    }

    pub fn text(&self, path: &str) -> Option<&str> {
        self.0.get(path).map(String::as_str)
    }

    pub fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    pub fn rust(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files().filter(|(path, _)| path.ends_with(".rs"))
    }

    fn add(&mut self, root: &Path, below: &str) {
        for entry in std::fs::read_dir(root.join(below)).expect("a folder of the tree") {
            let entry = entry.expect("an entry of a folder");
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = if below.is_empty() { name.clone() } else { format!("{below}/{name}") };
            if entry.file_type().expect("its type").is_dir() {
                if !MADE.contains(&name.as_str()) {
                    self.add(root, &path);
                }
            } else if name != ".git"
                && let Ok(text) = std::fs::read_to_string(entry.path())
            {
                self.0.insert(path, text);
            }
        }
    }
}
