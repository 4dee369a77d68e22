//! What rustc and clippy cannot see of the tree: files that nothing names, files that grew too long, arrows between folders that point the
//! wrong way, what must be in one place only. Each rule is tried on a made-up tree that breaks it, then on this one.

mod arrows;
mod modules;
mod places;
mod syntax;
mod tree;
mod words;

use tree::{Finding, Tree};

/// A rule: all that is wrong with a tree by it.
type Rule = fn(&Tree) -> Vec<Finding>;

const RULES: &[(&str, Rule)] = &[
    ("every Rust file is named by a `mod`", modules::orphans),
    ("no file has more than 400 production lines", modules::size),
    ("modules are named by what they do", modules::names),
    ("dependencies of crates point from the users' tool to the definitions", arrows::crates),
    ("what speaks to the outside stays at its border", arrows::borders),
    ("modules of the engine form no circle", arrows::circles),
    ("the clock is read in clock.rs, and nothing is random", places::clock),
    ("paths of the lake are formatted in layout.rs", places::layout),
    ("`matches!` is not a statement", syntax::matches),
    ("code in doc comments is run, or marked as text", syntax::doc_code),
    ("nothing names a machine, a registry's host, or how the text came to be", words::places_and_origins),
];

#[test]
fn the_tree_is_tidy() {
    let tree = Tree::read();
    let mut said = String::new();
    for (rule, findings) in RULES.iter().map(|(rule, check)| (rule, check(&tree))).filter(|(_, f)| !f.is_empty()) {
        said.push_str(&format!("\n{rule}:\n"));
        for finding in findings {
            said.push_str(&format!("  {}:{}: {}\n", finding.path, finding.line, finding.what));
        }
    }
    assert!(said.is_empty(), "{said}");
}

#[test]
fn the_whole_tree_is_looked_at() {
    let tree = Tree::read();
    for path in ["Cargo.toml", "engine/src/lib.rs", "configs/src/lib.rs", "cli/src/main.rs", "docs/status.md", "scripts/test", ".ci/run"] {
        assert!(tree.text(path).is_some(), "{path} is not looked at");
    }
    assert!(tree.rust().count() > 300);
}
