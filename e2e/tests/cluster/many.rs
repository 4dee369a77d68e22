//! Fifty definitions at once, in any order, five of them with mistakes: the rest is served, each by one attempt.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::declared::{feature, mistaken, with};
use crate::definitions::{file, rate, signal};
use crate::ratings::shuffle;
use crate::site::{Site, unused};
use crate::watched::Watched;

/// Signals that are right; all are parts of one topic.
const SIGNALS: usize = 8;
/// Features that are right.
const FEATURES: usize = 37;
const USERS: [&str; 2] = ["a", "b"];
/// Events of each user in each signal.
const EVENTS: i64 = 3;

fn kind(topic: &str, number: usize) -> Value {
    let mut signal = signal(&format!("s{number}"), topic);
    let field = json!({"name": "kind", "type": "string"});
    signal["spec"]["definition"]["event"]["fields"].as_array_mut().unwrap().push(field);
    with(signal, "/spec/definition/source/where", json!(format!("kind = 's{number}'")))
}

/// The signals that a feature reads, and its length.
fn reads(number: usize) -> (BTreeSet<usize>, usize) {
    let second = number.is_multiple_of(3).then_some((number + 1) % SIGNALS);
    ([number % SIGNALS].into_iter().chain(second).collect(), 1 + number % 5)
}

/// A feature that is right.
fn right(number: usize) -> Value {
    let (signals, length) = reads(number);
    let names: Vec<String> = signals.iter().map(|n| format!("s{n}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    with(feature(&format!("f{number}"), &names), "/spec/definition/length", json!(length))
}

/// Item and second of a user's events in a signal; users rate other items.
fn events(signal: usize, user: usize) -> impl Iterator<Item = (i64, i64)> {
    let (signal, user) = (i64::try_from(signal).unwrap(), i64::try_from(user).unwrap());
    (0..EVENTS).map(move |n| (signal * 100 + user * 10 + n, n * 100 + signal))
}

/// What a user's sequence has to be.
fn expected(number: usize, user: usize) -> Vec<i64> {
    let (signals, length) = reads(number);
    let mut all: Vec<(i64, i64)> = signals.iter().flat_map(|signal| events(*signal, user)).collect();
    all.sort_by_key(|(_, second)| std::cmp::Reverse(*second));
    let mut items: Vec<i64> = all.into_iter().take(length).map(|(item, _)| item).collect();
    items.sort_unstable();
    items
}

/// Each with another mistake: what is to be said of `Ready`, and what its message has to name.
fn wrong(topic: &str) -> Vec<(Value, [&'static str; 3], [&'static str; 2])> {
    let reads = |name: &str, signal: Value| with(feature(name, &[]), "/spec/definition/signals", json!([signal]));
    let elsewhere = with(kind(topic, 9), "/spec/definition/source/stream/connection", json!("elsewhere"));
    vec![
        (mistaken(kind(topic, 8)), ["False", "Invalid", "Stalled"], ["executor.declarative.filter", "ratng"]),
        (elsewhere, ["False", "ConnectionNotAllowed", "Stalled"], ["source.stream.connection", "elsewhere"]),
        (reads("f37", json!({"name": "s0", "columns": ["colour"]})), ["False", "Invalid", "Stalled"], ["signals[0].columns", "colour"]),
        (feature("f38", &["s8"]), ["False", "ReferenceMissing", "Reconciling"], ["/s8", "no revision"]),
        (feature("f39", &["nowhere"]), ["False", "ReferenceMissing", "Reconciling"], ["/nowhere", "there is no signal"]),
    ]
}

/// `name Ready Reason` of each row.
fn rows(site: &Site, space: &str) -> BTreeMap<String, [String; 2]> {
    let table = site.kubectl(&["get", "sig,seq", "--no-headers", "--namespace", space]);
    let row = |line: &str| {
        let cells: Vec<&str> = line.split_whitespace().collect();
        let name = cells.first()?.split_once('/')?.1.to_owned();
        Some((name, [(*cells.get(1)?).to_owned(), (*cells.get(2)?).to_owned()]))
    };
    table.lines().filter_map(row).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster with Tress: e2e/check"]
async fn of_fifty_definitions_in_any_order_those_without_mistakes_are_served_by_one_attempt_each() {
    let (site, space) = (Site::here().await, unused("many"));
    let watched = Watched::follow(&site, &space);
    site.namespace(&space);
    let platform = site.platform();
    let log = platform.log("main").unwrap();
    log.create(&space, 1).await.unwrap();
    for signal in 0..SIGNALS {
        for (number, user) in USERS.iter().enumerate() {
            rate(&*log, &space, (&format!("s{signal}"), user), events(signal, number)).await;
        }
    }
    let wrong = wrong(&space);
    let mut all: Vec<Value> = (0..SIGNALS).map(|n| kind(&space, n)).chain((0..FEATURES).map(right)).collect();
    all.extend(wrong.iter().map(|(definition, ..)| definition.clone()));
    assert_eq!(all.len(), 50);
    // What a schema can tell never comes in.
    let said = site.refused(&space, &file(&[with(right(0), "/spec/definition/length", json!(-1))]));
    assert!(said.contains("spec.definition.length"), "{said}");
    shuffle(&mut all);
    site.apply(&space, &file(&all));

    for (definition, [ready, reason, abnormal], named) in &wrong {
        let object =
            format!("{}/{}", if definition.pointer("/spec/definition/entity").is_some() { "sig" } else { "seq" }, name(definition));
        let told = || site.condition(&space, &object, "Ready");
        site.until(&format!("{object} says {reason}"), async || told()[..2] == [*ready, *reason]).await;
        let [.., message] = told();
        assert!(named.iter().all(|part| message.contains(part)), "{object}: {message}");
        assert_eq!(site.condition(&space, &object, abnormal)[..2], ["True", *reason], "{object}");
    }
    let objects = (0..FEATURES).map(|n| format!("seq/f{n}")).chain((0..SIGNALS).map(|n| format!("sig/s{n}")));
    for object in objects {
        site.wait(&space, &object);
    }
    let reader = site.reader(&space).await;
    for number in 0..FEATURES {
        for (user, name) in USERS.iter().enumerate() {
            let (feature, expected) = (format!("{space}/f{number}"), expected(number, user));
            site.until(&format!("{feature} of {name} is {expected:?}"), async || {
                Site::items(&reader, &feature, name).await.is_ok_and(|items| items == expected)
            })
            .await;
        }
    }

    let mut expected: BTreeMap<String, [String; 2]> =
        wrong.iter().map(|(definition, [ready, reason, _], _)| (name(definition), [*ready, *reason].map(str::to_owned))).collect();
    let right = (0..FEATURES).map(|n| format!("f{n}")).chain((0..SIGNALS).map(|n| format!("s{n}")));
    expected.extend(right.map(|name| (name, ["True", "AsDeclared"].map(str::to_owned))));
    site.until("every row is true", async || rows(&site, &space) == expected).await;

    let once = |names: &mut dyn Iterator<Item = String>| names.map(|name| (name, 1_usize)).collect::<BTreeMap<_, _>>();
    let features = once(&mut (0..FEATURES).map(|n| format!("f{n}")));
    assert_eq!(watched.ever("SequenceRollout", "/spec/feature"), features, "one attempt each");
    assert_eq!(watched.ever("SequenceRevision", "/spec/feature"), features);
    assert_eq!(watched.ever("SignalRevision", "/spec/signal"), once(&mut (0..SIGNALS).map(|n| format!("s{n}"))));
    assert!(watched.attempts().iter().all(|attempt| attempt.ends_with("-1 Succeeded")), "{:?}", watched.attempts());
    let archives = site.of_role(&space, "archive").await;
    assert_eq!(archives.len(), 1, "signals of one topic have one archive");
    watched.assert_unbroken();
    site.leave(&space);
}

fn name(definition: &Value) -> String {
    definition["metadata"]["name"].as_str().unwrap().to_owned()
}
