//! What may be in one file only.

use crate::modules::production;
use crate::tree::{Finding, Tree};

/// Ways to read a clock or to be random. The types are free; it is the reading that is in one place.
const CLOCKS: &[&str] =
    &["SystemTime::now", "Utc::now", "Local::now", "Instant::now", "rand::", "fastrand::", "getrandom::", "Uuid::new_v4"];
/// What paths of the lake and names of topics begin with.
const PATHS: &[&str] = &["\"_tress/", "\"signals/", "\"raw/", "\"tress.{", "\"bucket={"];

/// Measured time: benchmarks are about it.
fn is_measured(path: &str) -> bool {
    path.starts_with("bench/")
}

pub fn clock(tree: &Tree) -> Vec<Finding> {
    outside("/clock.rs", tree, CLOCKS, |what| format!("{what} is for clock.rs: ask a clock::Clock or a clock::Stopwatch"))
        .into_iter()
        .filter(|finding| !is_measured(&finding.path))
        .collect()
}

pub fn layout(tree: &Tree) -> Vec<Finding> {
    outside("engine/src/layout.rs", tree, PATHS, |what| format!("a path that begins with {what} is for layout.rs"))
}

fn outside(place: &str, tree: &Tree, words: &[&str], say: impl Fn(&str) -> String) -> Vec<Finding> {
    let mut found = Vec::new();
    for (path, text) in production(tree).into_iter().filter(|(path, _)| !path.ends_with(place)) {
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim_start().starts_with("//")) {
            for word in words.iter().filter(|word| is_named(line, word)) {
                found.push(Finding::new(path, number, say(word)));
            }
        }
    }
    found
}

fn is_named(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(at, _)| word.starts_with('"') || !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
}

#[test]
fn a_clock_that_is_read_elsewhere_is_found() {
    let tree = Tree::of(&[
        ("engine/Cargo.toml", ""),
        ("engine/src/lib.rs", "mod clock;\nmod stream;\n#[cfg(test)]\nmod tests;\n"),
        ("engine/src/clock.rs", "std::time::SystemTime::now()\n"),
        (
            "engine/src/stream.rs",
            "// Instant::now\nlet since = Instant::now();\nlet n: u8 = operand::random();\nlet n: u8 = rand::random();\n",
        ),
        ("engine/src/tests.rs", "Instant::now()\n"),
    ]);
    let found: Vec<(String, usize)> = clock(&tree).into_iter().map(|f| (f.path, f.line)).collect();
    assert_eq!(found, [("engine/src/stream.rs".to_owned(), 2), ("engine/src/stream.rs".to_owned(), 4)]);
}

#[test]
fn a_path_that_is_formatted_elsewhere_is_found() {
    let tree = Tree::of(&[
        ("engine/Cargo.toml", ""),
        ("engine/src/lib.rs", "mod layout;\nmod archive;\n"),
        ("engine/src/layout.rs", "format!(\"signals/{uid}\")\n"),
        ("engine/src/archive.rs", "format!(\"raw/{topic}\");\nformat!(\"draw/{topic}\");\n"),
    ]);
    let found: Vec<(String, usize)> = layout(&tree).into_iter().map(|f| (f.path, f.line)).collect();
    assert_eq!(found, [("engine/src/archive.rs".to_owned(), 1)]);
}
