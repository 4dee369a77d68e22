//! What compiles and does not do what it looks like.

use crate::tree::{Finding, Tree};

/// `matches!(…);` as a statement: an assertion that was meant and asserts nothing.
pub fn matches(tree: &Tree) -> Vec<Finding> {
    let opening = concat!("matches", "!(");
    let mut found = Vec::new();
    for (path, text) in tree.rust() {
        for (at, _) in text.match_indices(opening) {
            let before = text[..at].trim_end();
            let begins = before.is_empty() || before.ends_with([';', '{', '}']);
            if begins && !is_comment(text, at) && after_brackets(&text[at + opening.len()..]).is_some_and(|rest| rest.starts_with(';')) {
                found.push(Finding::new(path, line_of(text, at), "its value goes nowhere: put assert! around it"));
            }
        }
    }
    found
}

/// Code blocks of doc comments that would be run, in crates whose doc tests are off.
pub fn doc_code(tree: &Tree) -> Vec<Finding> {
    let off: Vec<String> = tree
        .files()
        .filter(|(path, text)| path.ends_with("/Cargo.toml") && (text.contains("doctest = false") || !text.contains("[lib]")))
        .map(|(path, _)| path.trim_end_matches("Cargo.toml").to_owned())
        .collect();
    let mut found = Vec::new();
    for (path, text) in tree.rust().filter(|(path, _)| off.iter().any(|folder| path.starts_with(folder.as_str()))) {
        let mut inside = false;
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim_start();
            let Some(said) = line.strip_prefix("///").or_else(|| line.strip_prefix("//!")) else {
                inside = false;
                continue;
            };
            let Some(language) = said.trim().strip_prefix("```") else { continue };
            if !inside && (language.is_empty() || language.starts_with("rust") || language.starts_with("should_panic")) {
                found.push(Finding::new(path, number, "nothing runs this code: make it a test, or mark it as text"));
            }
            inside = !inside;
        }
    }
    found
}

/// What follows the bracket that closes the one already open.
fn after_brackets(text: &str) -> Option<&str> {
    let mut depth = 1;
    for (at, c) in text.char_indices() {
        match c {
            '(' => depth += 1,
            ')' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(&text[at + 1..]);
        }
    }
    None
}

fn is_comment(text: &str, at: usize) -> bool {
    text[..at].lines().next_back().is_some_and(|line| line.contains("//"))
}

fn line_of(text: &str, at: usize) -> usize {
    text[..at].matches('\n').count() + 1
}

#[test]
fn a_match_that_nobody_asserts_is_found() {
    let statement = ["matches", "!(x,\n    Some(_)\n);\n"].concat();
    let text = format!("fn f() {{\n{statement}assert!({});\nlet y = {statement}// {statement}}}\n", statement.trim_end_matches(";\n"));
    let tree = Tree::of(&[("engine/src/a.rs", &text)]);
    assert_eq!(matches(&tree), [Finding::new("engine/src/a.rs", 2, "its value goes nowhere: put assert! around it")]);
}

#[test]
fn code_in_a_comment_that_nothing_runs_is_found() {
    let text = "//! ```text\n//! a\n//! ```\n\n/// ```\n/// let x = 1;\n/// ```\nfn f() {}\n/// ```rust\n/// ```\nfn g() {}\n";
    let tree = Tree::of(&[
        ("engine/Cargo.toml", "[lib]\ndoctest = false\n"),
        ("engine/src/a.rs", text),
        ("run/Cargo.toml", "[lib]\n"),
        ("run/src/lib.rs", text),
    ]);
    let found: Vec<(String, usize)> = doc_code(&tree).into_iter().map(|f| (f.path, f.line)).collect();
    assert_eq!(found, [("engine/src/a.rs".to_owned(), 5), ("engine/src/a.rs".to_owned(), 9)]);
}
