use serde_json::{Value, json};
use tress_crds::{SequenceFeature, SequenceRevision, SequenceRollout, SignalDefinition, SignalRevision};

use k8s_openapi::api::core::v1::ConfigMap;

use super::*;
use crate::cluster::View;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn object<K: serde::de::DeserializeOwned>(meta: Value, spec: Value, status: Value) -> K {
    serde_json::from_value(json!({"metadata": meta, "spec": spec, "status": status})).unwrap()
}

fn feature(status: Value) -> SequenceFeature {
    let spec = json!({"definition": {"signals": [{"name": "s"}, {"name": "w", "namespace": "play"}], "length": 1}, "rollout": {"revisionHistory": 1}});
    object(json!({"namespace": "n", "name": "f"}), spec, status)
}

fn sequence(name: &str, made: i64, signal: &str) -> SequenceRevision {
    let pin = json!({"namespace": "n", "revision": signal, "uid": signal, "digest": ""});
    let spec = json!({"feature": "f", "semantics": 1, "sourceHash": "", "digest": format!("{name}-digest"), "plan": "", "source": "", "signals": [pin]});
    let meta = json!({"namespace": "n", "name": name, "uid": name, "creationTimestamp": at(made), "labels": {"tress.dev/of": "f"}});
    object(meta, spec, json!({"prepared": {"path": "p", "since": at(0)}}))
}

fn signal(name: &str, made: i64) -> SignalRevision {
    let spec = json!({"signal": "s", "schemaVersion": 1, "semantics": 1, "sourceHash": "", "digest": "", "plan": "", "source": ""});
    object(json!({"namespace": "n", "name": name, "uid": name, "creationTimestamp": at(made)}), spec, Value::Null)
}

fn rollout(phase: Option<&str>, target: &str, previous: Option<&str>) -> SequenceRollout {
    let revision = |name: &str| json!({"revision": name, "uid": name, "digest": "", "sourceHash": ""});
    let spec = json!({"feature": "f", "attempt": 1, "target": revision(target), "previous": previous.map(revision), "pool": "default"});
    object(json!({"namespace": "n", "name": "f-1"}), spec, json!({"phase": phase}))
}

fn route(text: &str) -> ConfigMap {
    let labels = json!({"tress.dev/role": "serve"});
    serde_json::from_value(json!({"metadata": {"namespace": "n", "name": "r", "labels": labels}, "data": {"f.json": text}})).unwrap()
}

/// Three revisions of a feature, each with a signal revision of its own.
fn three() -> Cluster {
    let sequence_revisions = View::of(vec![sequence("q1", 1, "s1"), sequence("q2", 2, "s2"), sequence("q3", 3, "s3")]);
    let signal_revisions = View::of(vec![signal("s1", 1), signal("s2", 2), signal("s3", 3)]);
    Cluster { features: View::of(vec![feature(Value::Null)]), sequence_revisions, signal_revisions, ..Cluster::empty() }
}

#[test]
fn what_a_revision_reads_that_is_read_and_was_deleted_goes_on_as_it_was() {
    let live = r#"{"version": 1, "features": {"n/f": {"live": {"uid": "gone", "digest": "d"}, "weightBp": 0, "epoch": 1}}}"#;
    let needed = |name: &str, needed: &str| {
        let mut revision = signal(name, 1);
        revision.status = serde_json::from_value(json!({"use": needed})).unwrap();
        revision
    };
    let signal_revisions = View::of(vec![needed("s1", "Running"), needed("s2", "Kept"), needed("s3", "Gone")]);
    let cluster = Cluster { signal_revisions, sequence_revisions: View::of(Vec::new()), maps: View::of(vec![route(live)]), ..three() };
    let found = |cluster: &Cluster| {
        let needed = Needs::default().look(cluster, at(9)).needed;
        ["s1", "s2", "s3"].map(|uid| needed.of(uid))
    };
    assert_eq!(found(&cluster), [Use::Running, Use::Kept, Use::Kept]);
    let nobody = Cluster { maps: View::of(Vec::new()), ..cluster };
    assert_eq!(found(&nobody), [Use::Gone; 3]);
}

fn shown(cluster: &Cluster) -> String {
    let (needed, _) = needed(cluster, at(100));
    ["q1", "q2", "q3", "s1", "s2", "s3"].map(|uid| format!("{:?}", needed.of(uid))).join(" ")
}

#[test]
fn a_revision_runs_while_route_status_or_attempt_say_so() {
    assert_eq!(shown(&three()), "Gone Gone Kept Gone Gone Kept");
    let live = json!({"live": {"revision": "q1", "epoch": 1, "since": at(0)}, "target": {"revision": "q2", "since": at(0)}});
    assert_eq!(shown(&Cluster { features: View::of(vec![feature(live)]), ..three() }), "Running Kept Kept Running Kept Kept");
    let routed = r#"{"version":1,"features":{"n/f":{"live":{"uid":"q1"},"trial":{"uid":"q2"},"loaded":[{"uid":"q3"}]}}}"#;
    assert_eq!(shown(&Cluster { maps: View::of(vec![route(routed)]), ..three() }), "Running Running Running Running Running Running");
}

#[test]
fn what_an_attempt_brings_runs_from_shadowing_until_it_is_given_up_and_what_it_came_from_until_its_end() {
    let with = |phase| shown(&Cluster { rollouts: View::of(vec![rollout(phase, "q1", Some("q2"))]), ..three() });
    for phase in [None, Some("Pending"), Some("Preparing"), Some("Aborting")] {
        assert_eq!(with(phase), "Kept Running Kept Kept Running Kept", "{phase:?}");
    }
    // The last one is a newer operator's.
    for phase in ["Shadowing", "Backfilling", "Loading", "CuttingOver", "Retiring", "Dancing"] {
        assert_eq!(with(Some(phase)), "Running Running Kept Running Running Kept", "{phase}");
    }
    for phase in ["Succeeded", "Failed", "Aborted"] {
        assert_eq!(with(Some(phase)), "Gone Gone Kept Gone Gone Kept", "{phase}");
    }
}

#[test]
fn nothing_goes_that_a_route_may_name_which_cannot_be_read() {
    for text in ["{", r#"{"version":1,"features":{}}"#] {
        assert_eq!(shown(&Cluster { maps: View::of(vec![route(text)]), ..three() }), "Kept Kept Kept Kept Kept Kept");
    }
}

#[test]
fn what_a_definition_is_stays_and_what_nobody_has_seen_too() {
    let definition: SignalDefinition = serde_json::from_value(json!({
        "metadata": {"namespace": "n", "name": "s"},
        "spec": {"definition": {
            "entity": {"field": "u"},
            "event": {"time": {"field": "t", "unit": "Seconds"}, "availableAt": {"recordTimestamp": {}}, "id": [], "fields": []},
            "source": {"stream": {"connection": "c", "topic": "t", "format": {}}},
        }},
        "status": {"revision": "s1"},
    }))
    .unwrap();
    let cluster = Cluster { signals: View::of(vec![definition]), sequence_revisions: View::of(vec![]), ..three() };
    assert_eq!(shown(&cluster), "Kept Kept Kept Kept Gone Kept");
}

#[test]
fn base_is_made_for_what_runs_and_is_prepared() {
    let live = json!({"live": {"revision": "q1", "epoch": 1, "since": at(0)}});
    let mut unprepared = sequence("q2", 2, "s1");
    unprepared.status = None;
    let cluster = Cluster {
        features: View::of(vec![feature(live)]),
        sequence_revisions: View::of(vec![sequence("q1", 1, "s1"), unprepared, sequence("q3", 3, "s1")]),
        rollouts: View::of(vec![rollout(Some("Shadowing"), "q2", None)]),
        ..three()
    };
    let (needed, _) = needed(&cluster, at(100));
    assert_eq!(needed.readers("s1").len(), 3);
    assert_eq!(needed.demands("s1"), ["q1-digest"]);
}

#[test]
fn of_one_signal_three_revisions_run_and_who_runs_them_is_told() {
    let routed = r#"{"version":1,"features":{"n/f":{"live":{"uid":"q1"},"trial":{"uid":"q2"},"loaded":[{"uid":"q3"}]}}}"#;
    let (full, _) = needed(&Cluster { maps: View::of(vec![route(routed)]), ..three() }, at(100));
    let pin = |uid: &str| {
        let pin = PinnedSignal { namespace: "n".to_owned(), revision: uid.to_owned(), uid: uid.to_owned(), digest: String::new() };
        [(QualifiedName::new("n", "s"), pin)]
    };
    assert_eq!(full.crowded(&pin("s2")), None);
    assert_eq!(full.crowded(&pin("s4")).as_deref(), Some("of n/s run s1 for n/f; s2 for n/f; s3 for n/f"));
    let (two, _) = needed(&Cluster { rollouts: View::of(vec![rollout(Some("Loading"), "q1", Some("q2"))]), ..three() }, at(100));
    assert_eq!(two.crowded(&pin("s4")), None);
}

#[test]
fn it_is_made_anew_when_something_changed_but_not_twice_in_a_moment() {
    let cluster = three();
    let needs = Needs::default();
    let first = needs.look(&cluster, at(100));
    assert!(Arc::ptr_eq(&first.needed, &needs.look(&cluster, at(200)).needed) && first.again.is_none());
    let wrote = |phase, version: &str| {
        let mut rollout = rollout(Some(phase), "q1", None);
        rollout.metadata.uid = Some("f-1".to_owned());
        rollout.metadata.resource_version = Some(version.to_owned());
        cluster.wrote(&rollout);
    };
    wrote("Loading", "1");
    let anew = needs.look(&cluster, at(200));
    assert_eq!((anew.needed.of("q1"), anew.again), (Use::Running, None));
    wrote("Succeeded", "2");
    let old = needs.look(&cluster, at(200));
    let next = at(200).checked_add(PAUSE).unwrap();
    assert_eq!((old.needed.of("q1"), old.again), (Use::Running, Some(next)));
    assert_eq!(needs.look(&cluster, next).needed.of("q1"), Use::Gone);
}

#[test]
fn a_pin_ends_at_its_time() {
    let mut pinned = sequence("q1", 1, "s1");
    pinned.status.get_or_insert_default().pinned_until = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(150)));
    let cluster = Cluster { sequence_revisions: View::of(vec![pinned]), features: View::of(vec![]), ..three() };
    let needs = Needs::default();
    let before = needs.look(&cluster, at(100));
    assert_eq!((before.needed.of("s1"), before.again), (Use::Running, Some(at(150))));
    assert_eq!(needs.look(&cluster, at(150)).needed.of("s1"), Use::Gone);
}

#[test]
fn the_features_that_name_a_signal_are_known() {
    let needs = Needs::default();
    let named = |name: QualifiedName| needs.named_by(&three(), &name).into_iter().collect::<Vec<_>>();
    assert_eq!(named(QualifiedName::new("n", "s")), ["n/f"]);
    assert_eq!(named(QualifiedName::new("play", "w")), ["n/f"]);
    assert!(named(QualifiedName::new("n", "w")).is_empty());
}
