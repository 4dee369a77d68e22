use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use super::*;

/// A registry in which each metric has a series.
fn seen() -> Metrics {
    let metrics = Metrics::new();
    metrics.reconciled("feature", Outcome::Done, Duration::from_millis(5));
    metrics.waiting("feature", 0);
    metrics.called("Deployment", "apply", "done");
    metrics.read("Job", "done");
    metrics.watch_restarted("Job");
    metrics.watch_failed("Job");
    metrics.unreadable("Job");
    metrics.asked(Outcome::Done);
    metrics
}

/// Of a line of a sample: the names of its labels but those of buckets.
fn labels(sample: &str) -> BTreeSet<&str> {
    let inner = sample.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or("", |(inner, _)| inner);
    inner.split(',').filter_map(|pair| pair.split_once('=')).map(|(name, _)| name).filter(|name| *name != "le").collect()
}

/// `docs/reference/operator-metrics.md`, from what a scraper is told.
fn reference() -> String {
    let text = seen().text();
    let told = |what: &str, name: &str| {
        let start = format!("# {what} {name} ");
        text.lines().find_map(|line| line.strip_prefix(&start)).unwrap_or_else(|| panic!("{name} has no {what}")).to_owned()
    };
    let mut page = String::from(
        "# Reference of the operator's metrics
Written from the code by `TRESS_BLESS=1 cargo test -p tress-operator`; a test fails when it is stale. Served as OpenMetrics text at `/metrics` of the operator's
port 8080 (Service `tress-operator`). Labels are names of controllers, kinds, verbs and outcomes; no label holds a name that a user chose.

| metric | kind | labels | what it is |
|---|---|---|---|
",
    );
    let names = text.lines().filter_map(|line| line.strip_prefix("# HELP ")?.split(' ').next());
    for name in names {
        let kind = told("TYPE", name);
        let sample = text
            .lines()
            .find(|line| !line.starts_with('#') && line.starts_with(name))
            .unwrap_or_else(|| panic!("{name} has no series here"));
        let labels: Vec<String> = labels(sample).iter().map(|label| format!("`{label}`")).collect();
        let total = if kind == "counter" { "_total" } else { "" };
        let _ = writeln!(page, "| `{name}{total}` | {kind} | {} | {} |", labels.join(", "), told("HELP", name));
    }
    page
}

#[test]
fn the_reference_is_what_a_scraper_is_told() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/operator-metrics.md");
    let wanted = reference();
    if std::env::var_os("TRESS_BLESS").is_some() {
        std::fs::write(&path, &wanted).expect("written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == wanted, "{} is stale: run TRESS_BLESS=1 cargo test -p tress-operator, and look at the difference", path.display());
}
