use futures::FutureExt;
use serde_json::{Value, json};
use tress_configs::compile::signal_source_hash;
use tress_configs::plan::canonical;

use super::*;
use tress_configs::definition::SignalUse;

fn definition(name: &str, change: impl FnOnce(&mut Value)) -> SignalDefinition {
    let mut object = json!({
        "apiVersion": "tress.dev/v1alpha1",
        "kind": "SignalDefinition",
        "metadata": {"name": name, "namespace": "movies", "uid": format!("{name}-uid"), "generation": 1},
        "spec": {"definition": {
            "entity": {"field": "user"},
            "event": {
                "time": {"field": "ts", "unit": "Seconds"},
                "availableAt": {"recordTimestamp": {}},
                "id": ["item"],
                "fields": [
                    {"name": "user", "type": "string"},
                    {"name": "item", "type": "int64"},
                    {"name": "ts", "type": "int64"},
                ],
            },
            "source": {"stream": {"connection": "main", "topic": "t", "format": {"json": {}}}, "archive": true},
        }},
    });
    change(&mut object);
    serde_json::from_value(object).unwrap()
}

fn revision(of: &SignalDefinition, uid: &str, made: i64) -> Arc<SignalRevision> {
    let compiled = Compiler::default().signal(of).as_ref().clone().unwrap();
    let object = json!({
        "apiVersion": "tress.dev/v1alpha1",
        "kind": "SignalRevision",
        "metadata": {"name": format!("{}-{uid}", of.name_any()), "namespace": "movies", "uid": uid, "creationTimestamp": jiff::Timestamp::from_second(made).unwrap()},
        "spec": {
            "signal": of.name_any(),
            "schemaVersion": of.spec.definition.schema_version.unwrap_or(1),
            "semantics": 1,
            "sourceHash": compiled.source_hash,
            "digest": compiled.digest,
            "plan": compiled.plan.canonical_json(),
            "source": canonical(&serde_json::to_value(&of.spec.definition).unwrap()),
        },
    });
    Arc::new(serde_json::from_value(object).unwrap())
}

fn feature(namespace: &str, signals: Value) -> SequenceFeature {
    let object = json!({
        "apiVersion": "tress.dev/v1alpha1",
        "kind": "SequenceFeature",
        "metadata": {"name": "recent", "namespace": namespace, "uid": "f", "generation": 1},
        "spec": {"definition": {"signals": signals, "length": 10}},
    });
    serde_json::from_value(object).unwrap()
}

fn read(definition: &SignalDefinition, revision: Option<&Arc<SignalRevision>>) -> Read {
    let signal = QualifiedName::new("movies", definition.name_any());
    Read { signal, definition: Some(Arc::new(definition.clone())), revision: revision.map(|revision| lean(revision)) }
}

/// As the caches have it: without its plan.
fn lean(revision: &SignalRevision) -> Arc<SignalRevision> {
    let mut lean = revision.clone();
    lean.spec.compiled.plan = String::new();
    Arc::new(lean)
}

/// What becomes of a feature, where `whole` is what the API server has of the revision.
fn made(compiler: &Compiler, feature: &SequenceFeature, reads: &[Read], whole: Option<&SignalRevision>) -> Arc<Feature> {
    compiler.feature(feature, reads, &Whole(whole.cloned())).now_or_never().unwrap().unwrap()
}

/// What the API server has.
struct Whole(Option<SignalRevision>);

impl ReadBack for Whole {
    async fn read_back(&self, _: &SignalRevision) -> crate::Result<Option<SignalRevision>> {
        Ok(self.0.clone())
    }
}

fn with_column(name: &str) -> impl FnOnce(&mut Value) {
    let field = json!({"name": name, "type": "string", "nullable": true});
    move |object| object["spec"]["definition"]["event"]["fields"].as_array_mut().unwrap().push(field)
}

#[test]
fn a_signal_is_compiled_once_for_each_generation() {
    let compiler = Compiler::default();
    let first = definition("rating", |_| {});
    let same = compiler.signal(&first);
    assert!(Arc::ptr_eq(&same, &compiler.signal(&first)));
    assert_eq!(same.as_ref().as_ref().unwrap().source_hash, signal_source_hash(&first.spec.definition));
    let next = definition("rating", |object| {
        object["metadata"]["generation"] = json!(2);
        object["spec"]["definition"]["entity"]["field"] = json!("nobody");
    });
    let issues = compiler.signal(&next);
    assert_eq!(issues.as_ref().as_ref().unwrap_err()[0].path, "definition.entity.field");
}

#[test]
fn a_feature_reads_the_revision_that_is_chosen_and_not_what_its_signal_says_now() {
    let before = definition("rating", |_| {});
    let revision = revision(&before, "r1", 1);
    // The signal's spec has gone bad, or its new revision is not made yet.
    for after in [definition("rating", |o| o["spec"]["definition"]["entity"]["field"] = json!("x")), definition("rating", with_column("c"))]
    {
        let one = feature("movies", json!([{"name": "rating"}]));
        let made = made(&Compiler::default(), &one, &[read(&after, Some(&revision))], Some(&revision));
        let Feature::Compiled { compiled, signals } = made.as_ref() else { panic!("{made:?}") };
        assert_eq!((signals[0].uid.as_str(), &signals[0].digest), ("r1", &revision.spec.compiled.digest));
        assert_eq!(compiled.plan.as_feature().unwrap().columns.len(), 1);
    }
}

#[test]
fn whether_a_feature_holds_or_follows_makes_no_other_revision_of_it() {
    let signal = definition("rating", |_| {});
    let revision = revision(&signal, "r1", 1);
    let digest = |signals: Value| {
        let made = made(&Compiler::default(), &feature("movies", signals), &[read(&signal, Some(&revision))], Some(&revision));
        let Feature::Compiled { compiled, .. } = made.as_ref() else { panic!("{made:?}") };
        (compiled.digest.clone(), compiled.source_hash.clone())
    };
    let auto = digest(json!([{"name": "rating"}]));
    assert_eq!(auto, digest(json!([{"name": "rating", "update": "Hold"}])));
    // As `tress lint` has it, which compiles both together.
    let objects = [signal.object(), feature("movies", json!([{"name": "rating"}])).object()];
    let together = one(&objects, &QualifiedObject::of(&objects[1]), &Pins::default()).unwrap();
    assert_eq!(auto, (together.digest, together.source_hash));
}

#[test]
fn what_is_not_there_yet_is_missing_and_no_mistake() {
    let signal = definition("rating", |_| {});
    let one = feature("movies", json!([{"name": "rating"}]));
    let ask = |read: Read, whole: Option<&SignalRevision>| match made(&Compiler::default(), &one, &[read], whole).as_ref() {
        Feature::Missing(why) => why.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(ask(Read { definition: None, ..read(&signal, None) }, None), "there is no signal movies/rating");
    assert!(ask(read(&signal, None), None).starts_with("the signal movies/rating has no revision of schema version 1 yet"));
    let revision = revision(&signal, "r1", 1);
    let mut damaged = revision.as_ref().clone();
    damaged.spec.compiled.plan.push(' ');
    assert!(ask(read(&signal, Some(&revision)), Some(&damaged)).contains("digest"));
    damaged.metadata.uid = Some("another".to_owned());
    assert!(ask(read(&signal, Some(&revision)), Some(&damaged)).contains("it is gone"));
}

#[test]
fn a_signal_is_for_the_namespaces_that_it_is_shared_with() {
    let signal = definition("rating", |_| {});
    let shared = definition("rating", |o| {
        o["metadata"]["generation"] = json!(2);
        o["spec"]["definition"]["sharedWith"] = json!(["ranking"]);
    });
    let revision = revision(&signal, "r1", 1);
    let elsewhere = feature("ranking", json!([{"name": "rating", "namespace": "movies"}]));
    let compiler = Compiler::default();
    let refused = made(&compiler, &elsewhere, &[read(&signal, Some(&revision))], Some(&revision));
    let Feature::Invalid(issues) = refused.as_ref() else { panic!("{refused:?}") };
    assert_eq!(format!("{:?}", issues[0].code), "NotShared");
    // The same feature again: what it reads has changed. The plan is not read back again.
    let allowed = made(&compiler, &elsewhere, &[read(&shared, Some(&revision))], None);
    assert!(matches!(allowed.as_ref(), Feature::Compiled { .. }));
    assert!(Arc::ptr_eq(&allowed, &made(&compiler, &elsewhere, &[read(&shared, Some(&revision))], None)));
}

#[test]
fn a_feature_follows_what_is_accepted_holds_what_is_live_and_stays_on_its_schema_version() {
    let first = definition("rating", |_| {});
    let (old, new) = (revision(&first, "old", 1), revision(&definition("rating", with_column("c")), "new", 2));
    let second = revision(&definition("rating", |o| o["spec"]["definition"]["schemaVersion"] = json!(2)), "second", 3);
    let leaving = {
        let mut leaving = revision(&first, "leaving", 9).as_ref().clone();
        let now = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(jiff::Timestamp::UNIX_EPOCH);
        leaving.status.get_or_insert_default().dropping = Some(now);
        Arc::new(leaving)
    };
    let all = [old.clone(), new, second, leaving];
    let live = [PinnedSignal { namespace: "movies".to_owned(), revision: "r".to_owned(), uid: "old".to_owned(), digest: String::new() }];
    let declared = |definition: &SignalDefinition, accepted: Option<&str>, used: Value| {
        let mut definition = definition.clone();
        definition.status.get_or_insert_default().revision = accepted.map(str::to_owned);
        let used: SignalUse = serde_json::from_value(used).unwrap();
        choose(&definition, &all, &used, &live).and_then(|r| r.uid())
    };
    let chosen = |accepted, used| declared(&first, accepted, used);
    let is = |uid: &str| Some(uid.to_owned());
    assert_eq!(chosen(None, json!({"name": "rating"})), is("new"));
    assert_eq!(chosen(Some("rating-old"), json!({"name": "rating"})), is("old"));
    assert_eq!(chosen(Some("rating-new"), json!({"name": "rating", "update": "Hold"})), is("old"));
    assert_eq!(chosen(Some("rating-new"), json!({"name": "rating", "update": "Hold", "schemaVersion": 2})), is("second"));
    assert_eq!(chosen(Some("rating-second"), json!({"name": "rating"})), is("new"));
    assert_eq!(chosen(None, json!({"name": "rating", "schemaVersion": 3})), None);
    let moved_on = definition("rating", |o| o["spec"]["definition"]["schemaVersion"] = json!(2));
    assert_eq!(declared(&moved_on, Some("rating-second"), json!({"name": "rating"})), is("old"));
}

#[test]
fn a_definition_that_changed_and_was_not_looked_at_is_known() {
    let mut signal = definition("rating", |_| {});
    assert_eq!(unobserved(&[read(&signal, None)]).len(), 1);
    signal.status.get_or_insert_default().observed_generation = Some(1);
    assert!(unobserved(&[read(&signal, None)]).is_empty());
}
