//! Which files hold definitions.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;

use crate::exit::usage;

/// All YAML files below the folders, and the files that were named, in the order of their names.
///
/// Hidden folders are passed over: they hold state, not definitions.
///
/// # Errors
/// When a path is not there or a folder cannot be read.
pub fn find(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            walk(path, &mut found)?;
        } else if path.is_file() {
            found.push(path.clone());
        } else {
            return Err(usage(format!("{}: there is no such file or folder", path.display())));
        }
    }
    found.sort();
    found.dedup();
    Ok(found)
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) -> anyhow::Result<()> {
    let reading = || format!("read folder {}", folder.display());
    for entry in fs::read_dir(folder).with_context(reading)? {
        let path = entry.with_context(reading)?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        if hidden {
            continue;
        }
        if path.is_dir() {
            walk(&path, found)?;
        } else if is_definition(&path) {
            found.push(path);
        }
    }
    Ok(())
}

/// Whether a file may hold definitions, by its name.
pub fn is_definition(path: &Path) -> bool {
    path.extension().is_some_and(|e| e == "yaml" || e == "yml")
}
