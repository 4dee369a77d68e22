//! Which crate may depend on which, which module may speak to the outside, and that modules form no circle.

use std::collections::{BTreeMap, BTreeSet};

use crate::modules::production;
use crate::tree::{Finding, Tree};

/// A crate, the crates of this workspace that it may depend on, and those from outside that it must not know.
const CRATES: &[(&str, &[&str], &[&str])] = &[
    (
        "configs",
        &[],
        &["axum", "deltalake", "k8s-openapi", "kube", "object_store", "rdkafka", "tokio", "tokio-util", "tonic", "tracing", "ureq"],
    ),
    ("engine", &["tress-configs"], &["anyhow", "k8s-openapi", "kube"]),
    ("crds", &["tress-configs"], &["anyhow", "arrow", "axum", "clap", "deltalake", "object_store", "rdkafka", "tokio", "tonic"]),
    ("operator", &["tress-configs", "tress-crds"], &["arrow", "deltalake", "object_store", "rdkafka"]),
    ("cli", &["tress-configs", "tress-crds", "tress-engine"], &["rdkafka"]),
];

/// A crate from outside, and the only folders of the engine whose production code may name it.
const BORDERS: &[(&str, &[&str])] = &[
    ("axum::", &["engine/src/process/", "engine/src/serve/"]),
    ("deltalake::", &["engine/src/archive/", "engine/src/history/", "engine/src/lake.rs"]),
    ("rdkafka::", &["engine/src/log/kafka"]),
    ("reqwest::", &["engine/src/registry/http.rs"]),
    ("clap::", &["engine/src/main.rs", "engine/src/process/"]),
    ("tonic::", &["engine/src/serve/", "engine/src/pool/control/"]),
];

/// Dependencies that a crate must not have. What only its tests need is its own matter.
pub fn crates(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (name, ours, never) in CRATES {
        let path = format!("{name}/Cargo.toml");
        let mut section = "";
        for (number, line) in (1..).zip(tree.text(&path).unwrap_or_default().lines()) {
            if line.starts_with('[') {
                section = line;
            }
            let Some(dependency) = line.split(['.', '=', ' ']).next().filter(|d| !d.is_empty()) else { continue };
            if section != "[dependencies]" {
                continue;
            }
            if never.contains(&dependency) || (dependency.starts_with("tress-") && !ours.contains(&dependency)) {
                found.push(Finding::new(&path, number, format!("{name} must not depend on {dependency}")));
            }
        }
    }
    found
}

/// Names of wire types and stores where they do not belong.
pub fn borders(tree: &Tree) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, text) in production(tree).into_iter().filter(|(path, _)| path.starts_with("engine/src/")) {
        for (outside, folders) in BORDERS {
            if folders.iter().any(|folder| path.starts_with(folder)) {
                continue;
            }
            for (number, line) in (1..).zip(text.lines()) {
                if !line.trim_start().starts_with("//") && names(line, outside) {
                    let folders = folders.join(", ");
                    found.push(Finding::new(path, number, format!("{outside} belongs into {folders}; convert it there")));
                }
            }
        }
    }
    found
}

/// Whether a crate is named, rather than something that ends like it.
fn names(line: &str, outside: &str) -> bool {
    line.match_indices(outside).any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':'))
}

/// Modules of the engine that depend on one another in a circle: each is told with the way back to itself.
pub fn circles(tree: &Tree) -> Vec<Finding> {
    let mut arrows: BTreeMap<&str, BTreeMap<&str, (&str, usize)>> = BTreeMap::new();
    for (path, text) in production(tree) {
        let Some(module) = path.strip_prefix("engine/src/").map(|rest| rest.split(['/', '.']).next().unwrap_or(rest)) else { continue };
        if module == "lib" {
            continue;
        }
        for (number, line) in (1..).zip(text.lines()) {
            for other in used(line).filter(|other| *other != module) {
                arrows.entry(module).or_default().entry(other).or_insert((path, number));
            }
        }
    }
    let mut found = Vec::new();
    for (module, to) in &arrows {
        for (next, (path, number)) in to {
            if let Some(way) = way(&arrows, next, module) {
                found.push(Finding::new(path, *number, format!("a circle: {module} → {} → {module}", way.join(" → "))));
            }
        }
    }
    found
}

/// The modules of the crate that a line names.
fn used(line: &str) -> impl Iterator<Item = &str> {
    let code = line.split("//").next().unwrap_or_default();
    code.match_indices("crate::")
        .flat_map(move |(at, found)| {
            let rest = &code[at + found.len()..];
            let group = rest.strip_prefix('{');
            let names = group.map_or(rest, |g| g.split('}').next().unwrap_or(g));
            // Of a group, each; else the one name.
            names.split(',').take(if group.is_some() { usize::MAX } else { 1 }).map(|name| {
                let name = name.trim();
                name.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or(name)
            })
        })
        .filter(|name| name.starts_with(|c: char| c.is_ascii_lowercase()))
}

/// The shortest way between two modules, both ends included.
fn way<'a>(arrows: &BTreeMap<&'a str, BTreeMap<&'a str, (&'a str, usize)>>, from: &'a str, to: &str) -> Option<Vec<&'a str>> {
    let mut seen = BTreeSet::from([from]);
    let mut ways = std::collections::VecDeque::from([vec![from]]);
    while let Some(way) = ways.pop_front() {
        let last = way[way.len() - 1];
        for next in arrows.get(last).into_iter().flat_map(BTreeMap::keys) {
            if *next == to {
                return Some(way);
            }
            if seen.insert(next) {
                ways.push_back([way.clone(), vec![*next]].concat());
            }
        }
    }
    None
}

#[test]
fn an_arrow_between_crates_that_points_back_is_found() {
    let tree = Tree::of(&[
        (
            "configs/Cargo.toml",
            "[dependencies]\nserde.workspace = true\ntokio = \"1\"\ntress-engine.workspace = true\n[dev-dependencies]\ntokio = \"1\"\n",
        ),
        ("engine/Cargo.toml", "[dependencies]\ntress-configs.workspace = true\ntokio.workspace = true\nkube = { version = \"5\" }\n"),
        ("cli/Cargo.toml", "[dependencies]\ntress-engine.workspace = true\n"),
    ]);
    let found: Vec<(String, usize)> = crates(&tree).into_iter().map(|f| (f.path, f.line)).collect();
    assert_eq!(found, [("configs/Cargo.toml".to_owned(), 3), ("configs/Cargo.toml".to_owned(), 4), ("engine/Cargo.toml".to_owned(), 4)]);
}

#[test]
fn a_wire_type_outside_its_border_is_found() {
    let tree = Tree::of(&[
        ("engine/Cargo.toml", ""),
        ("engine/src/lib.rs", "mod serve;\nmod read;\n"),
        ("engine/src/serve/mod.rs", "use tonic::Status;\n"),
        ("engine/src/read.rs", "// tonic::Status\nuse platonic::Idea;\nuse tonic::Status;\n"),
    ]);
    assert_eq!(
        borders(&tree),
        [Finding::new("engine/src/read.rs", 3, "tonic:: belongs into engine/src/serve/, engine/src/pool/control/; convert it there")]
    );
}

#[test]
fn a_circle_of_modules_is_found_wherever_it_begins() {
    let tree = Tree::of(&[
        ("engine/Cargo.toml", ""),
        ("engine/src/lib.rs", "mod a;\nmod b;\nmod c;\nmod d;\n"),
        ("engine/src/a/mod.rs", "use crate::b::B;\n#[cfg(test)]\nmod tests;\n"),
        ("engine/src/a/tests.rs", "use crate::d::D;\n"),
        ("engine/src/b.rs", "use crate::{c::C, d};\n"),
        ("engine/src/c.rs", "fn f() -> crate::a::A {}\n"),
        ("engine/src/d.rs", "// crate::a\n"),
    ]);
    let found: Vec<String> = circles(&tree).into_iter().map(|f| f.what).collect();
    assert_eq!(found, ["a circle: a → b → c → a", "a circle: b → c → a → b", "a circle: c → a → b → c"]);
}
