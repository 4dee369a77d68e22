//! Everything about a set of texts at once: read, compiled, and every issue at its line.

use std::collections::{BTreeMap, BTreeSet};

use crate::compile::{Kind, Outcome, Pins, QualifiedObject, compile_with};
use crate::definition::Object;
use crate::issue::Issue;
use crate::source::{Foreign, Located, parse};
use crate::test_file::TestFile;

/// A text and how it is named in issues.
#[derive(Debug, Clone, Copy)]
pub struct SourceText<'a> {
    pub file: &'a str,
    pub text: &'a str,
}

/// What a set of texts holds.
#[derive(Debug, Default)]
pub struct Linted {
    pub objects: Vec<Located<Object>>,
    pub tests: Vec<Located<TestFile>>,
    /// What became of each object of a sound shape.
    pub outcome: Outcome,
    /// Errors and warnings, by file and place.
    pub issues: Vec<Issue>,
}

/// Reads and compiles all texts together. `pins`: see [`crate::compile()`].
#[must_use]
pub fn lint(texts: &[SourceText<'_>], foreign: Foreign, pins: &Pins) -> Linted {
    let mut linted = Linted::default();
    let mut unreadable = BTreeSet::new();
    for SourceText { file, text } in texts {
        let parsed = parse(file, text, foreign);
        linted.objects.extend(parsed.objects);
        unreadable.extend(parsed.broken.into_iter().filter(|o| o.kind == Kind::SignalDefinition).map(|o| o.name));
        linted.tests.extend(parsed.tests);
        linted.issues.extend(parsed.issues);
    }
    let objects: Vec<Object> = linted.objects.iter().map(|o| o.item.clone()).collect();
    linted.outcome = compile_with(&objects, &unreadable, pins);
    let mut places: BTreeMap<QualifiedObject, Vec<&Located<Object>>> = BTreeMap::new();
    for located in &linted.objects {
        places.entry(QualifiedObject::of(&located.item)).or_default().push(located);
    }
    for (object, compiled) in &linted.outcome {
        let issues = match compiled {
            Ok(compiled) => &compiled.warnings,
            Err(issues) => issues,
        };
        // Of definitions that share a name each is at fault.
        for located in places.get(object).into_iter().flatten() {
            linted.issues.extend(issues.iter().map(|issue| located.placed(issue)));
        }
    }
    linted
        .issues
        .sort_by(|a, b| (&a.file, a.position, &a.path, a.code, &a.message).cmp(&(&b.file, b.position, &b.path, b.code, &b.message)));
    linted
}
