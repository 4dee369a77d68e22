//! Words that tie the tree to one machine, one network or one day.

use crate::tree::{Finding, Tree};

/// Each in two halves, so that this file does not hold what it looks for.
const WORDS: &[(&str, &str, &str)] = &[
    ("/ro", "ot/", "a path of one machine"),
    ("/ho", "me/", "a path of one machine"),
    ("/Us", "ers/", "a path of one machine"),
    ("/wo", "rk/", "a path of one machine"),
    ("crat", "es.io", "a registry's host"),
    ("pyp", "i.org", "a registry's host"),
    ("pythonho", "sted.org", "a registry's host"),
    ("npm", "js.org", "a registry's host"),
    ("npm", "js.com", "a registry's host"),
    ("maven", ".org", "a registry's host"),
    ("golan", "g.org", "a registry's host"),
    ("debia", "n.org", "a registry's host"),
    ("issu", "e #", "how it came to be; say why it is so"),
    ("Co-Autho", "red-By", "how it came to be; say why it is so"),
    ("as an A", "I ", "how it came to be; say why it is so"),
];

/// Cargo writes where a crate is from; the licence is quoted whole.
const QUOTED: &[&str] = &["Cargo.lock", "LICENSE"];

pub fn places_and_origins(tree: &Tree) -> Vec<Finding> {
    let words: Vec<(String, &str)> = WORDS.iter().map(|(a, b, what)| (format!("{a}{b}").to_lowercase(), *what)).collect();
    let mut found = Vec::new();
    for (path, text) in tree.files().filter(|(path, _)| !QUOTED.iter().any(|quoted| path.ends_with(quoted))) {
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.to_lowercase();
            for (word, what) in words.iter().filter(|(word, _)| holds(&line, word)) {
                found.push(Finding::new(path, number, format!("`{word}` is {what}")));
            }
        }
    }
    found
}

/// A path begins where nothing that could be a part of it comes before: `bench/work/` is a folder of this tree.
fn holds(line: &str, word: &str) -> bool {
    line.match_indices(word)
        .any(|(at, _)| !word.starts_with('/') || !line[..at].ends_with(|c: char| c.is_alphanumeric() || "_-.}".contains(c)))
}

#[test]
fn a_machine_a_host_and_a_number_of_an_issue_are_found() {
    let (home, host, number) = (["see /ho", "me/me/x"].concat(), ["from Crat", "es.io"].concat(), ["for issu", "e #12"].concat());
    let tree = Tree::of(&[
        ("docs/a.md", &format!("fine\n{home}\n{host}\n")),
        ("engine/src/a.rs", &format!("// {number}\n// target{}\n", &home[4..])),
        ("Cargo.lock", &host),
    ]);
    let found: Vec<(String, usize)> = places_and_origins(&tree).into_iter().map(|f| (f.path, f.line)).collect();
    assert_eq!(found, [("docs/a.md".to_owned(), 2), ("docs/a.md".to_owned(), 3), ("engine/src/a.rs".to_owned(), 1)]);
}
