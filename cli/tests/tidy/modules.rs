//! Files and the `mod` lines that name them.

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::{Finding, Tree};

/// A crate's whole production code should be read in files of about 150 lines; this is where it stops.
const LONGEST: usize = 400;
/// Names that say nothing of what is in a module.
const NAMELESS: &[&str] = &["common", "helper", "helpers", "misc", "shared", "types", "util", "utils", "v2"];

/// Whether a file is compiled for tests only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Use {
    Production,
    Test,
}

/// Rust files that no `mod` names.
pub fn orphans(tree: &Tree) -> Vec<Finding> {
    let used = uses(tree);
    tree.rust().filter(|(path, _)| !used.contains_key(*path)).map(|(path, _)| Finding::new(path, 0, "no `mod` line names it")).collect()
}

/// Files with too many lines that are not tests.
pub fn size(tree: &Tree) -> Vec<Finding> {
    production(tree)
        .into_iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > LONGEST)
        .map(|(path, lines)| {
            Finding::new(path, LONGEST, format!("{lines} lines without tests, and {LONGEST} are the most: split it by idea"))
        })
        .collect()
}

pub fn names(tree: &Tree) -> Vec<Finding> {
    let nameless = |path: &str| path.trim_end_matches(".rs").split('/').any(|part| NAMELESS.contains(&part));
    tree.rust().filter(|(path, _)| nameless(path)).map(|(path, _)| Finding::new(path, 0, "its name does not say what it does")).collect()
}

/// The files that are compiled into something that is shipped, without the tests in them.
pub fn production(tree: &Tree) -> Vec<(&str, &str)> {
    let used = uses(tree);
    tree.rust().filter(|(path, _)| used.get(*path) == Some(&Use::Production)).map(|(path, text)| (path, before_tests(text))).collect()
}

/// A text up to the module of tests that it ends in.
fn before_tests(text: &str) -> &str {
    text.match_indices("#[cfg(test)]\nmod ").find(|(at, _)| is_inline(&text[*at..])).map_or(text, |(at, _)| &text[..at])
}

fn is_inline(module: &str) -> bool {
    module.lines().nth(1).is_some_and(|line| line.ends_with('{'))
}

/// All files that a crate reaches from its roots.
fn uses(tree: &Tree) -> BTreeMap<String, Use> {
    let mut found: BTreeMap<String, Use> = BTreeMap::new();
    let mut open: Vec<(String, Use)> = tree.rust().filter_map(|(path, _)| root(tree, path).map(|used| (path.to_owned(), used))).collect();
    let roots: BTreeSet<String> = open.iter().map(|(path, _)| path.clone()).collect();
    while let Some((path, used)) = open.pop() {
        let Some(text) = tree.text(&path) else { continue };
        if found.get(&path).is_some_and(|known| *known <= used) {
            continue;
        }
        let names_folder = roots.contains(&path) || path.ends_with("/mod.rs");
        let folder = if names_folder { path.rsplit_once('/').map_or("", |(folder, _)| folder) } else { path.trim_end_matches(".rs") };
        for (module, only_tests) in declared(text) {
            let used = if only_tests { Use::Test } else { used };
            open.push((format!("{folder}/{module}.rs"), used));
            open.push((format!("{folder}/{module}/mod.rs"), used));
        }
        found.insert(path, used);
    }
    found
}

/// What a crate is compiled from: the files that Cargo looks for, and those that a `path` in its manifest names.
fn root(tree: &Tree, path: &str) -> Option<Use> {
    let (folder, manifest, below) = path.match_indices('/').rev().find_map(|(at, _)| {
        let manifest = tree.text(&format!("{}/Cargo.toml", &path[..at]))?;
        Some((&path[..at], manifest, &path[at + 1..]))
    })?;
    let parts: Vec<&str> = below.split('/').collect();
    if manifest.contains(&format!("path = \"{below}\"")) && !folder.is_empty() {
        return Some(Use::Production);
    }
    match parts[..] {
        ["src", "lib.rs" | "main.rs"] | ["src", "bin", _] | ["build.rs"] => Some(Use::Production),
        ["tests" | "benches" | "examples", _] | ["tests", _, "main.rs"] => Some(Use::Test),
        _ => None,
    }
}

/// The modules that a file declares in files of their own, and whether they are for tests only.
fn declared(text: &str) -> Vec<(&str, bool)> {
    let mut found = Vec::new();
    let mut only_tests = false;
    for line in text.lines().map(str::trim) {
        let words =
            line.strip_prefix("pub ").or_else(|| line.strip_prefix("pub(").and_then(|rest| rest.split_once(") ")).map(|(_, rest)| rest));
        if let Some(name) = words.unwrap_or(line).strip_prefix("mod ").and_then(|rest| rest.strip_suffix(';')) {
            found.push((name, only_tests));
        }
        only_tests = line.starts_with("#[cfg(test)]") || line.starts_with("#[cfg(any(test") || (only_tests && line.starts_with("#["));
    }
    found
}

#[test]
fn a_file_that_no_mod_names_is_an_orphan() {
    let tree = Tree::of(&[
        ("engine/Cargo.toml", ""),
        ("engine/src/lib.rs", "mod a;\npub mod b;\npub(crate) mod c;\n// mod lost;\n"),
        ("engine/src/a.rs", "#[cfg(test)]\nmod tests;\n"),
        ("engine/src/a/tests.rs", ""),
        ("engine/src/b/mod.rs", "mod d;\n"),
        ("engine/src/b/d.rs", ""),
        ("engine/src/c.rs", ""),
        ("engine/src/lost.rs", ""),
        ("engine/src/b/tests.rs", ""),
        ("engine/tests/kills/main.rs", "mod child;\n"),
        ("engine/tests/kills/child.rs", ""),
        ("engine/tests/kills/lost.rs", ""),
    ]);
    let found: Vec<String> = orphans(&tree).into_iter().map(|f| f.path).collect();
    assert_eq!(found, ["engine/src/b/tests.rs", "engine/src/lost.rs", "engine/tests/kills/lost.rs"]);
}

#[test]
fn only_production_lines_count() {
    let (long, short) = ("x\n".repeat(LONGEST + 1), "x\n".repeat(LONGEST));
    let with_tests = format!("{short}#[cfg(test)]\nmod tests {{\n{long}}}\n");
    let tree = Tree::of(&[
        ("engine/Cargo.toml", ""),
        ("engine/src/lib.rs", "mod long;\nmod short;\n#[cfg(test)]\nmod tests;\n"),
        ("engine/src/long.rs", &long),
        ("engine/src/short.rs", &with_tests),
        ("engine/src/tests.rs", &long),
        ("engine/tests/product.rs", &long),
    ]);
    let found: Vec<String> = size(&tree).into_iter().map(|f| f.path).collect();
    assert_eq!(found, ["engine/src/long.rs"]);
}

#[test]
fn a_module_called_utils_is_found() {
    let tree = Tree::of(&[("engine/src/utils/mod.rs", ""), ("engine/src/read/helpers.rs", ""), ("engine/src/typing.rs", "")]);
    let found: Vec<String> = names(&tree).into_iter().map(|f| f.path).collect();
    assert_eq!(found, ["engine/src/read/helpers.rs", "engine/src/utils/mod.rs"]);
}
