//! Files that are written from the code: each must be what the code would write now. `TRESS_BLESS=1` writes them anew.

#![expect(clippy::unwrap_used, reason = "a test that cannot read its fixtures fails")]

use std::fs;
use std::path::{Path, PathBuf};

use tress_configs::compile::{Kind, Pins};
use tress_configs::lint::{SourceText, lint};
use tress_configs::plan::Plan;
use tress_configs::source::Foreign;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn is_fresh(path: &Path, wanted: &str) {
    if std::env::var_os("TRESS_BLESS").is_some() {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, wanted).unwrap();
        return;
    }
    let found = fs::read_to_string(path).unwrap_or_default();
    assert!(found == wanted, "{} is stale: run TRESS_BLESS=1 cargo test -p tress-configs, and look at the difference", path.display());
}

#[test]
fn the_reference_is_what_the_types_say() {
    is_fresh(&repository().join("docs/reference/definitions.md"), &tress_configs::reference::reference());
}

#[test]
fn the_schema_for_editors_is_what_the_types_say() {
    let schema = serde_json::to_string_pretty(&tress_configs::schema::schema()).unwrap() + "\n";
    is_fresh(&repository().join("docs/reference/definitions.schema.json"), &schema);
}

#[test]
fn the_schema_of_platform_files_is_what_the_types_say() {
    let schema = serde_json::to_string_pretty(tress_configs::platform::OperatedPlatform::schema()).unwrap() + "\n";
    is_fresh(&repository().join("docs/reference/platform.schema.json"), &schema);
}

/// A golden plan that changes without a raised `semantics` would start rollouts everywhere.
#[test]
fn plans_and_hashes_of_the_golden_definitions_stay_as_they_are() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let mut files: Vec<_> =
        fs::read_dir(&folder).unwrap().map(|f| f.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "yaml")).collect();
    files.sort();
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let linted = lint(&[SourceText { file: "golden.yaml", text: &text }], Foreign::Report, &Pins::default());
        assert!(linted.issues.iter().all(|i| !i.is_error()), "{}: {:#?}", file.display(), linted.issues);
        assert!(!linted.outcome.is_empty());
        for (object, compiled) in linted.outcome {
            let compiled = compiled.unwrap();
            let value = serde_json::json!({
                "digest": compiled.digest,
                "sourceHash": compiled.source_hash,
                "plan": serde_json::from_str::<serde_json::Value>(&compiled.plan.canonical_json()).unwrap(),
            });
            let kind = match object.kind {
                Kind::SignalDefinition => "signal",
                Kind::SequenceFeature => "feature",
            };
            let stem = file.file_stem().unwrap().to_str().unwrap();
            let path = folder.join(format!("{stem}.{kind}.{}.json", object.name.name));
            is_fresh(&path, &(serde_json::to_string_pretty(&value).unwrap() + "\n"));
            // What is stored can be read again, to the same digest.
            let again = Plan::from_json(&compiled.plan.canonical_json()).unwrap();
            assert_eq!((again.digest(), &again), (compiled.digest, &compiled.plan));
        }
    }
    every_stored_plan_can_be_read(&folder);
}

/// Plans of every format there ever was are readable for ever.
fn every_stored_plan_can_be_read(folder: &Path) {
    let mut read = 0;
    for file in fs::read_dir(folder).unwrap().map(|f| f.unwrap().path()).filter(|p| p.extension().is_some_and(|e| e == "json")) {
        let stored: serde_json::Value = serde_json::from_str(&fs::read_to_string(&file).unwrap()).unwrap();
        let plan = Plan::from_json(&stored["plan"].to_string()).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        assert_eq!(plan.digest(), stored["digest"], "{}", file.display());
        read += 1;
    }
    assert!(read > 0);
}

#[test]
fn a_plan_with_a_vector_longer_than_any_definition_can_have_is_refused() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/movies.signal.rating.json");
    let stored: serde_json::Value = serde_json::from_str(&fs::read_to_string(golden).unwrap()).unwrap();
    let (text, dim) = (stored["plan"].to_string(), "\"dim\":");
    let (before, after) = text.split_once(dim).unwrap();
    let rest = after.trim_start_matches(|c: char| c.is_ascii_digit());
    for length in ["0", "65537", "4294967295"] {
        let refused = Plan::from_json(&format!("{before}{dim}{length}{rest}")).unwrap_err();
        assert!(refused.contains(&format!("a vector has 1 to 65536 elements, not {length}")), "{refused}");
    }
    Plan::from_json(&format!("{before}{dim}65536{rest}")).unwrap();
}
