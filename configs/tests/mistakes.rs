//! A table of mistakes: of each, exactly what is said of it, and where. `TRESS_BLESS=1` writes what is said now; the caret below each
//! line shows the place to whoever reviews the difference.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its fixtures fails")]

use std::collections::BTreeSet;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use tress_configs::compile::Pins;
use tress_configs::lint::{SourceText, lint};
use tress_configs::source::Foreign;
use tress_configs::{Issue, IssueCode};

const BASE: &str = include_str!("../golden/movies.yaml");
const CASES: &str = include_str!("mistakes/cases.txt");

struct Case {
    name: String,
    text: String,
}

/// Cases begin with `## name`; the first place of each group of `-` lines is replaced by the `+` lines below it.
fn cases() -> Vec<Case> {
    let blocks = CASES.split("\n## ").skip(1);
    blocks
        .map(|block| {
            let mut lines = block.lines();
            let name = lines.next().unwrap().to_owned();
            let mut edits: Vec<(Vec<&str>, Vec<&str>)> = Vec::new();
            for line in lines {
                match line.split_at_checked(2) {
                    Some(("- ", text)) => match edits.last_mut() {
                        Some((from, to)) if to.is_empty() => from.push(text),
                        _ => edits.push((vec![text], Vec::new())),
                    },
                    Some(("+ ", text)) => match edits.last_mut() {
                        Some((_, to)) => to.push(text),
                        None => edits.push((Vec::new(), vec![text])),
                    },
                    _ => assert!(line.is_empty(), "{name}: {line}"),
                }
            }
            let mut text = BASE.to_owned();
            for (from, to) in edits {
                let (from, to) = (from.join("\n"), to.join("\n"));
                if from.is_empty() {
                    text = to;
                    continue;
                }
                assert!(text.contains(&from), "{name}: this does not stand in the base: {from}");
                text = text.replacen(&from, &to, 1);
            }
            Case { name, text: text + "\n" }
        })
        .collect()
}

fn errors(case: &Case) -> Vec<Issue> {
    let linted = lint(&[SourceText { file: "movies.yaml", text: &case.text }], Foreign::Report, &Pins::default());
    linted.issues.into_iter().filter(Issue::is_error).collect()
}

#[test]
fn every_mistake_is_named_at_its_place_with_its_remedy() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mistakes/expected.txt");
    let mut said = String::new();
    for case in cases() {
        let errors = errors(&case);
        assert!(!errors.is_empty(), "{}: nothing is wrong with it", case.name);
        let _ = writeln!(said, "## {}", case.name);
        for issue in errors {
            assert!(!issue.message.is_empty(), "{issue}");
            let _ = writeln!(said, "{issue}");
            let position = issue.position.unwrap_or_else(|| panic!("{}: {issue} has no place", case.name));
            let line = case.text.lines().nth(position.line - 1).unwrap_or_default();
            let _ = writeln!(said, "  | {line}\n  | {}^", " ".repeat(position.column - 1));
        }
        said.push('\n');
    }
    if std::env::var_os("TRESS_BLESS").is_some() {
        fs::write(&path, &said).unwrap();
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    for (found, wanted) in said.split("\n\n").zip(expected.split("\n\n")) {
        assert_eq!(found, wanted);
    }
    assert_eq!(
        said.len(),
        expected.len(),
        "cases were added or removed: run TRESS_BLESS=1 cargo test -p tress-configs, and look at the difference"
    );
}

#[test]
fn the_table_is_large_and_covers_every_kind_of_mistake() {
    let cases = cases();
    assert!(cases.len() >= 100, "{}", cases.len());
    let names: BTreeSet<_> = cases.iter().map(|c| &c.name).collect();
    assert_eq!(names.len(), cases.len());
    let found: BTreeSet<IssueCode> = cases.iter().flat_map(errors).map(|i| i.code).collect();
    use IssueCode as C;
    for code in [
        C::Syntax,
        C::UnknownKind,
        C::UnknownField,
        C::MissingField,
        C::WrongType,
        C::UnknownValue,
        C::OneOf,
        C::Duplicate,
        C::InvalidName,
        C::InvalidDuration,
        C::InvalidSchedule,
        C::InvalidDate,
        C::OutOfRange,
        C::TooLong,
        C::ExpressionSyntax,
        C::UnknownColumn,
        C::UnknownFunction,
        C::ExpressionType,
        C::ExpressionConstant,
        C::UnknownReference,
        C::UnknownSignal,
        C::NotShared,
        C::DependencyInvalid,
        C::TypeNotAllowed,
        C::TypeConflict,
        C::FieldIdCollision,
        C::Conflict,
    ] {
        assert!(found.contains(&code), "{code:?}");
    }
}

#[test]
fn the_base_of_the_table_has_no_mistakes() {
    let base = Case { name: String::new(), text: BASE.to_owned() };
    assert_eq!(errors(&base), []);
}
