use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ObjectMeta;
use serde_json::json;

use super::lean::item;
use super::*;
use crate::apply::MANIFEST;
use crate::label;
use crate::queue::Key;

fn map(name: &str, uid: &str, version: u64) -> ConfigMap {
    let metadata = ObjectMeta {
        name: Some(name.to_owned()),
        namespace: Some("n".to_owned()),
        uid: Some(uid.to_owned()),
        resource_version: Some(version.to_string()),
        ..ObjectMeta::default()
    };
    ConfigMap { metadata, ..ConfigMap::default() }
}

fn made_for(of: &str, map: ConfigMap) -> ConfigMap {
    let labels = BTreeMap::from([(label::OF.to_owned(), of.to_owned())]);
    ConfigMap { metadata: ObjectMeta { labels: Some(labels), ..map.metadata }, ..map }
}

fn shown(view: &View<ConfigMap>) -> Vec<String> {
    let one = |m: Arc<ConfigMap>| {
        let meta = &m.metadata;
        format!("{} {} {}", meta.name.as_deref().unwrap(), meta.uid.as_deref().unwrap(), meta.resource_version.as_deref().unwrap())
    };
    view.list().into_iter().map(one).collect()
}

fn key(name: &str) -> Key {
    Key::new("n", name)
}

#[test]
fn an_own_write_is_seen_at_once_and_until_the_watch_has_it_or_a_newer_one() {
    let view = View::of(vec![map("a", "u", 5)]);
    view.own_write(item(map("a", "u", 8)));
    assert_eq!(shown(&view), ["a u 8"]);
    view.watched(item(map("a", "u", 6)));
    assert_eq!(shown(&view), ["a u 8"]);
    view.watched(item(map("a", "u", 8)));
    assert!(view.doubtful(Duration::ZERO).is_empty());
    view.watched(item(map("a", "u", 9)));
    assert_eq!(shown(&view), ["a u 9"]);
    // The watch was faster than the answer.
    view.own_write(item(map("a", "u", 7)));
    assert_eq!(shown(&view), ["a u 9"]);
}

#[test]
fn an_own_delete_is_seen_at_once_and_means_one_uid() {
    let view = View::of(vec![map("a", "u", 5)]);
    view.own_delete(&key("a"), "another");
    assert_eq!(shown(&view), ["a u 5"]);
    view.own_delete(&key("a"), "u");
    assert!(shown(&view).is_empty());
    // What the watch still says of it comes from before.
    view.watched(item(map("a", "u", 6)));
    assert!(shown(&view).is_empty());
    // Somebody made another one of its name.
    view.watched(item(map("a", "v", 9)));
    assert_eq!(shown(&view), ["a v 9"]);
    // The end of the first is not the end of the second.
    gone(&view, &map("a", "u", 8));
    assert_eq!(shown(&view), ["a v 9"]);
    gone(&view, &map("a", "v", 10));
    assert!(shown(&view).is_empty());
}

/// The watch says that this is gone.
fn gone(view: &View<ConfigMap>, object: &ConfigMap) {
    view.unwatched(&Key::of(object), object.metadata.uid.as_deref().unwrap());
}

#[test]
fn what_cannot_be_read_any_more_stays_as_it_was_until_it_is_deleted() {
    let view = View::of(vec![map("a", "u", 5), map("b", "u", 5)]);
    let key = |name: &str| Key::of(&map(name, "", 0));
    let lists = |readable: &[&str], unreadable: &[&str]| {
        view.begin(None);
        readable.iter().for_each(|name| view.listed(&None, item(map(name, "u", 6))));
        unreadable.iter().for_each(|name| view.listed_unread(&None, key(name)));
        view.done(&None);
    };
    view.unread(key("a"));
    assert_eq!((shown(&view), view.unreadable()), (vec!["a u 5".to_owned(), "b u 5".to_owned()], vec![key("a")]));
    // A list takes away what is gone, and not what it cannot read.
    lists(&[], &["a", "never"]);
    assert_eq!((shown(&view), view.unreadable()), (vec!["a u 5".to_owned()], vec![key("a"), key("never")]));
    assert!(view.is_unreadable(&key("never").namespace, "never") && view.get(&key("never").namespace, "never").is_none());
    // It is as it should be again.
    lists(&["a"], &["never"]);
    assert_eq!((shown(&view), view.unreadable()), (vec!["a u 6".to_owned()], vec![key("never")]));
    view.unread(key("a"));
    gone(&view, &map("a", "u", 9));
    assert!(shown(&view).is_empty() && view.unreadable() == [key("never")]);
    lists(&[], &[]);
    assert!(view.unreadable().is_empty());
}

#[test]
fn one_that_was_made_anew_by_us_outlives_what_the_watch_says_of_the_first() {
    let view = View::of(vec![map("a", "u", 5)]);
    view.own_delete(&key("a"), "u");
    view.own_write(item(map("a", "v", 9)));
    view.watched(item(map("a", "u", 6)));
    gone(&view, &map("a", "u", 8));
    assert_eq!(shown(&view), ["a v 9"]);
}

#[test]
fn a_list_takes_away_what_is_gone_but_nothing_that_was_written_after_it_was_asked_for() {
    let view = View::of(vec![map("gone", "u", 5), map("stays", "u", 5)]);
    view.own_write(item(map("undone", "u", 6)));
    view.begin(None);
    view.own_write(item(map("new", "u", 9)));
    view.own_delete(&key("stays"), "u");
    for object in [map("stays", "u", 5), map("other", "u", 7)] {
        view.listed(&None, item(object));
    }
    view.done(&None);
    assert_eq!(shown(&view), ["new u 9", "other u 7"]);
}

#[test]
fn a_list_of_one_namespace_says_nothing_of_another() {
    let view: View<ConfigMap> = View::of(vec![map("a", "u", 5)]);
    view.begin(Some("m".to_owned()));
    view.done(&Some("m".to_owned()));
    assert_eq!(shown(&view), ["a u 5"]);
    view.begin(Some("n".to_owned()));
    view.done(&Some("n".to_owned()));
    assert!(shown(&view).is_empty());
}

#[test]
fn what_the_watch_keeps_silent_about_is_settled_by_asking() {
    let view = View::of(vec![]);
    view.own_write(item(map("undone", "u", 6)));
    view.own_write(item(map("there", "u", 7)));
    assert_eq!(view.doubtful(Duration::ZERO), [key("there"), key("undone")]);
    view.settle(&key("undone"), None);
    view.settle(&key("there"), Some(item(map("there", "u", 7))));
    assert!(view.doubtful(Duration::ZERO).is_empty());
    assert_eq!(shown(&view), ["there u 7"]);
}

#[test]
fn what_is_made_for_something_is_found_by_it_for_as_long_as_its_label_says_so() {
    let view = View::of(vec![made_for("x", map("a", "u", 1)), made_for("x", map("b", "u", 2)), made_for("y", map("c", "u", 3))]);
    let names = |of: &str| -> Vec<String> { view.made_for("n", of).iter().map(|m| m.metadata.name.clone().unwrap()).collect() };
    assert_eq!((names("x"), names("y")), (vec!["a".to_owned(), "b".to_owned()], vec!["c".to_owned()]));
    view.watched(item(made_for("y", map("a", "u", 4))));
    gone(&view, &made_for("x", map("b", "u", 5)));
    assert_eq!((names("x"), names("y")), (vec![], vec!["a".to_owned(), "c".to_owned()]));
    assert!(view.made_for("m", "y").is_empty());
}

#[test]
fn every_change_is_told_once_with_what_was_before() {
    let view = View::of(vec![map("a", "u", 1)]);
    let told = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&told);
    view.observe(move |_| {
        count.fetch_add(1, Ordering::SeqCst);
    });
    let changes = view.changes();
    view.watched(item(map("a", "u", 2)));
    assert_eq!(told.load(Ordering::SeqCst), 2);
    // The watch says what we know already: of our own write, and after it was begun anew.
    view.own_write(item(map("b", "u", 3)));
    view.watched(item(map("b", "u", 3)));
    view.begin(None);
    for object in [map("a", "u", 2), map("b", "u", 3)] {
        view.listed(&None, item(object));
    }
    view.done(&None);
    assert_eq!((told.load(Ordering::SeqCst), view.changes() - changes), (3, 2));
}

#[test]
fn objects_are_found_by_namespace_and_listed_in_order() {
    let mut elsewhere = map("z", "u", 1);
    elsewhere.metadata.namespace = Some("m".to_owned());
    let view = View::of(vec![map("b", "u", 1), map("a", "u", 1), elsewhere]);
    assert_eq!(shown(&view), ["z u 1", "a u 1", "b u 1"]);
    assert_eq!((view.within("n").len(), view.within("m").len(), view.within("").len(), view.count()), (2, 1, 0, 3));
    assert!(view.get("n", "z").is_none() && view.get("m", "z").is_some());
}

fn deployment(manifest: &serde_json::Value, found: &serde_json::Value) -> Deployment {
    let mut object = found.clone();
    object["metadata"]["annotations"] = json!({MANIFEST: manifest.to_string(), "other": "kept"});
    serde_json::from_value(object).unwrap()
}

fn asked() -> serde_json::Value {
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "d", "namespace": "n", "annotations": {}},
        "spec": {"replicas": 2, "selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {
            "containers": [{"name": "engine", "image": "i:1", "resources": {"limits": {"memory": "1024Mi"}}}]}}},
    })
}

#[test]
fn what_the_server_adds_or_says_in_other_words_is_no_drift_and_what_somebody_changes_is() {
    let mut found = asked();
    found["spec"]["progressDeadlineSeconds"] = json!(600);
    found["spec"]["template"]["spec"]["containers"][0]["imagePullPolicy"] = json!("IfNotPresent");
    found["spec"]["template"]["spec"]["containers"][0]["resources"]["limits"]["memory"] = json!("1Gi");
    assert_eq!(item(deployment(&asked(), &found)).drifted, None);
    let mut drifted = Vec::new();
    for (at, value) in [
        ("/spec/replicas", json!(3)),
        ("/spec/template/spec/containers/0/image", json!("i:2")),
        ("/spec/template/spec/containers/0/resources/limits/memory", json!("2Gi")),
    ] {
        let mut found = found.clone();
        *found.pointer_mut(at).unwrap() = value;
        let looks = item(deployment(&asked(), &found)).drifted;
        assert!(looks.is_some(), "{at}");
        drifted.push(looks);
    }
    drifted.dedup();
    assert_eq!(drifted.len(), 3);
    // More containers than were asked for are not ours.
    let second = json!({"name": "sidecar", "image": "x"});
    found.pointer_mut("/spec/template/spec/containers").unwrap().as_array_mut().unwrap().push(second);
    assert!(item(deployment(&asked(), &found)).drifted.is_some());
}

#[test]
fn what_is_kept_is_lean() {
    let kept = item(deployment(&asked(), &asked())).object;
    let annotations = kept.metadata.annotations.as_ref().unwrap();
    assert_eq!(annotations.keys().collect::<Vec<_>>(), ["other"]);
    let container = &kept.spec.as_ref().unwrap().template.spec.as_ref().unwrap().containers[0];
    assert_eq!((container.image.as_deref(), &container.resources), (Some("i:1"), &None));
    let data = Some(BTreeMap::from([("k".to_owned(), "v".to_owned())]));
    let immutable = ConfigMap { immutable: Some(true), data: data.clone(), ..map("a", "u", 1) };
    assert!(item(immutable).object.data.is_none());
    assert_eq!(item(ConfigMap { data: data.clone(), ..map("a", "u", 1) }).object.data, data);
}

#[test]
fn an_own_write_that_no_watch_would_show_is_not_shown() {
    let cluster = Cluster::empty();
    cluster.wrote(&map("theirs", "u", 5));
    let labels = BTreeMap::from([(label::MANAGED.0.to_owned(), label::MANAGED.1.to_owned())]);
    let ours = map("ours", "u", 6);
    cluster.wrote(&ConfigMap { metadata: ObjectMeta { labels: Some(labels), ..ours.metadata }, ..ours });
    assert_eq!(shown(&cluster.maps), ["ours u 6"]);
    for name in ["tress-ca", "tress-control"] {
        let metadata = ObjectMeta { name: Some(name.to_owned()), ..map(name, "u", 7).metadata };
        cluster.wrote(&Secret { metadata, ..Secret::default() });
    }
    assert_eq!(cluster.secrets.count(), 1);
}
