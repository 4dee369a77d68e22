use serde_json::{Value, json};

use super::*;
use crate::fixture::{at, changed_feature, changed_rollout, digest, feature, revision, time};
use crate::pool::told::{Life, OfFeature, Said};

fn read(hash: &str) -> Pinned {
    Pinned { uid: format!("{hash}-uid"), digest: digest(hash) }
}

fn entry() -> Entry {
    Entry { feature_uid: Some("f-uid".to_owned()), live: Some(read("a")), epoch: 4, ..Entry::default() }
}

fn live(endpoint: &str) -> Value {
    json!({"live": {"revision": "f-a", "epoch": 6, "since": time(1)}, "endpoint": endpoint})
}

struct World {
    feature: Arc<SequenceFeature>,
    attempts: Vec<Arc<SequenceRollout>>,
    entry: Option<Entry>,
    pods: Vec<Told>,
}

fn world(status: Value) -> World {
    World { feature: feature(status), attempts: Vec::new(), entry: Some(entry()), pods: Vec::new() }
}

/// In a pool, at second 1000.
fn in_pool(pool: &str, world: &World) -> Option<Member> {
    let revisions = [
        revision("a", "old", json!({})),
        revision("b", "new", json!({"pinnedUntil": time(2000), "prepared": {"path": "p", "since": time(1)}})),
        revision("c", "new", json!({"pinnedUntil": time(900), "prepared": {"path": "p", "since": time(1)}})),
        revision("d", "new", json!({"pinnedUntil": time(2000)})),
    ];
    let World { feature, attempts, entry, pods } = world;
    of(Seen { pool, feature, entry: entry.as_ref(), attempts, revisions: &revisions, pods, now: at(1000) })
}

fn attempt(phase: &str, status: Value) -> Arc<SequenceRollout> {
    let mut told = json!({"phase": phase});
    told.as_object_mut().unwrap().extend(status.as_object().cloned().unwrap_or_default());
    changed_rollout(3, "b", told, |object| object["spec"]["previous"] = crate::fixture::reference("a"))
}

#[test]
fn what_is_known_of_a_feature_comes_from_its_status_its_attempts_and_its_pods() {
    let said = OfFeature { epoch: 9, file_epoch: 2, revisions: Vec::new() };
    let said = Said { features: [("n/f".to_owned(), said)].into(), at: at(1) };
    let pod = Told { life: Life::Ready, said: Some(said), ..Told::default() };
    let seen =
        World { attempts: vec![attempt("Succeeded", json!({"epoch": 8}))], pods: vec![pod], ..world(live("tress-default.n.svc:7400")) };
    let Member { wish, known, until } = in_pool("default", &seen).unwrap();
    let wanted = Known {
        feature_uid: "f-uid".to_owned(),
        live: Some(read("a")),
        asked: vec![read("b")],
        baking: None,
        epoch: 9,
        attempt: None,
        contract: Some(Contract { freshness: None, complete_within: None }),
        about: Some(Words::default()),
    };
    assert_eq!((wish, known, until), (Wish::Keep, wanted, Some(at(2000))));
    let epoch = |seen: &World| in_pool("default", seen).unwrap().known.epoch;
    assert_eq!(epoch(&World { pods: Vec::new(), ..seen }), 8);
    assert_eq!(epoch(&world(live("tress-default.n.svc:7400"))), 6);
    // Epochs of another pool are another's.
    assert_eq!(epoch(&world(live("tress-other.n.svc:7400"))), 0);
}

#[test]
fn a_trial_belongs_to_an_attempt_that_goes_on() {
    let trial = |attempts: Vec<Arc<SequenceRollout>>| {
        let entry = Some(Entry { trial: Some(read("b")), ..entry() });
        in_pool("default", &World { attempts, entry, ..world(json!({})) }).unwrap().wish
    };
    assert_eq!(trial(vec![attempt("Loading", json!({}))]), Wish::Keep);
    assert_eq!(trial(vec![attempt("Aborted", json!({}))]), Wish::DropTrial("b-uid".to_owned()));
    assert_eq!(trial(vec![]), Wish::DropTrial("b-uid".to_owned()));
}

#[test]
fn what_was_read_bakes_while_pods_take_the_new_route() {
    let baking =
        |phase: &str| in_pool("default", &World { attempts: vec![attempt(phase, json!({}))], ..world(json!({})) }).unwrap().known.baking;
    assert_eq!((baking("CuttingOver"), baking("Retiring"), baking("Loading")), (Some(read("a")), None, None));
}

#[test]
fn a_pool_keeps_who_is_read_from_it_who_leaves_it_for_a_day_and_whose_attempt_goes_on_there() {
    let elsewhere = |status: Value| changed_feature(status, |object| object["spec"]["runtime"] = json!({"serving": {"pool": "other"}}));
    let is_member = |status: Value, entry: Option<Entry>, attempts: Vec<Arc<SequenceRollout>>| {
        in_pool("default", &World { feature: elsewhere(status), entry, attempts, pods: Vec::new() }).map(|member| member.until)
    };
    let moved = |second: i64| json!({"endpoint": "tress-other.n.svc:7400", "moved": {"from": "default", "since": time(second)}});
    assert_eq!(is_member(live("tress-default.n.svc:7400"), Some(entry()), vec![]), Some(Some(at(2000))));
    assert_eq!(is_member(live("tress-default.n.svc:7400"), None, vec![]), None);
    assert_eq!(is_member(moved(1000 - 86_400), Some(entry()), vec![]), None);
    assert_eq!(is_member(moved(-84_600), Some(entry()), vec![]), Some(Some(at(1800))));
    assert_eq!(is_member(json!({}), Some(entry()), vec![attempt("Loading", json!({}))]), Some(Some(at(2000))));
    assert_eq!(is_member(json!({}), Some(entry()), vec![attempt("Failed", json!({}))]), None);
    // The pool that it is declared for takes it in, with what is read elsewhere.
    let here = World { feature: elsewhere(live("tress-default.n.svc:7400")), entry: None, attempts: vec![], pods: vec![] };
    assert_eq!(in_pool("other", &here).unwrap().known.live, Some(read("a")));
}
