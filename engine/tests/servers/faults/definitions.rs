//! The signal and the two features that are read from it, as plan files for `tress-engine prepare`.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tress_configs::source::{Foreign, parse};
use tress_configs::{Pins, Plan, SignalPlan, compile};

/// How many events `all` gives: more than an entity has.
pub const ALL: usize = 2000;
/// How many `liked` gives.
pub const LIKED: usize = 10;
/// The least rating that `liked` takes, in halves of a star.
pub const LIKES: i64 = 8;
/// The least rating that is kept at all, in halves.
pub const KEPT: i64 = 2;
/// The table of titles, in the lake.
pub const TITLES: &str = "items.parquet";

const DEFINITIONS: &str = r#"
apiVersion: tress.dev/v1alpha1
kind: SignalDefinition
metadata: {name: rating, namespace: NAMESPACE}
spec:
  definition:
    entity: {field: user_id}
    event:
      time: {field: ts, unit: Seconds}
      availableAt: {recordTimestamp: {}}
      id: [item_id]
      version: {field: updated_at}
      delete: "op = 'd'"
      fields:
        - {name: kind, type: string}
        - {name: user_id, type: string}
        - {name: item_id, type: int64}
        - {name: rating, type: float64}
        - {name: ts, type: int64}
        - {name: updated_at, type: int64}
        - {name: op, type: string, nullable: true}
    source:
      where: "kind = 'rating'"
      stream: {connection: main, topic: TOPIC, format: {json: {}}}
      archive: true
    executor:
      declarative:
        filter: "rating >= 1.0"
        derive:
          - {name: liked, expr: "rating >= 4.0"}
    enrichments:
      - name: item
        lookup:
          table: {connection: lake, table: items.parquet, key: {item_id: item_id}}
        onMissing: Null
        columns:
          - {name: title, type: string}
    columns: [item_id, rating, liked, updated_at, title]
---
apiVersion: tress.dev/v1alpha1
kind: SequenceFeature
metadata: {name: all, namespace: NAMESPACE}
spec:
  definition:
    signals: [{name: rating}]
    length: 2000
---
apiVersion: tress.dev/v1alpha1
kind: SequenceFeature
metadata: {name: liked, namespace: NAMESPACE}
spec:
  definition:
    signals: [{name: rating, where: "rating >= 4.0"}]
    length: 10
"#;

/// A plan, in a file.
#[derive(Debug, Clone)]
pub struct PlanFile {
    pub path: PathBuf,
    pub digest: String,
}

/// What was compiled of the definitions, in one namespace.
#[derive(Debug, Clone)]
pub struct Defined {
    pub namespace: String,
    pub topic: String,
    pub plan: Arc<SignalPlan>,
    pub signal: PlanFile,
    pub all: PlanFile,
    pub liked: PlanFile,
}

impl Defined {
    /// Compiles the definitions for a namespace and a topic, and writes the plans below `folder`.
    pub fn write(namespace: &str, topic: &str, folder: &Path) -> Self {
        let text = DEFINITIONS.replace("NAMESPACE", namespace).replace("TOPIC", topic);
        let parsed = parse("faults.yaml", &text, Foreign::Report);
        assert!(parsed.issues.is_empty(), "{:?}", parsed.issues);
        let objects: Vec<_> = parsed.objects.into_iter().map(|o| o.item).collect();
        let outcome = compile(&objects, &Pins::default());
        let plans: Vec<Plan> = outcome.into_values().map(|compiled| compiled.unwrap_or_else(|issues| panic!("{issues:?}")).plan).collect();
        let file = |plan: &Plan, name: &str| {
            let path = folder.join(format!("{namespace}-{name}.json"));
            std::fs::write(&path, plan.canonical_json()).unwrap();
            PlanFile { path, digest: plan.digest() }
        };
        let feature = |name: &str| {
            let found = plans.iter().find(|p| matches!(p, Plan::Feature(f) if f.name.name == name));
            file(found.unwrap_or_else(|| panic!("feature {name} compiles")), name)
        };
        let signal = plans.iter().find(|p| matches!(p, Plan::Signal(_))).unwrap();
        let Plan::Signal(plan) = signal else { unreachable!() };
        Self {
            namespace: namespace.to_owned(),
            topic: topic.to_owned(),
            plan: Arc::new(plan.clone()),
            signal: file(signal, "rating"),
            all: feature("all"),
            liked: feature("liked"),
        }
    }
}

/// What the table of titles says of an item; it does not know all of them.
pub fn title(item: i64) -> Option<String> {
    (item % 3 != 0).then(|| format!("title-{item}"))
}
