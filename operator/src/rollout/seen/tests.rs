use serde_json::{Value, json};
use tress_crds::rollout::Phase;

use super::*;
use crate::fixture::{at, changed_rollout, digest, feature, revision, signal_revision, stream, time};
use crate::pool::told::{Life, OfFeature, OfRevision, Said, State};

fn pinned(hash: &str) -> Pinned {
    Pinned { uid: format!("{hash}-uid"), digest: digest(hash) }
}

fn prepared() -> Value {
    json!({"prepared": {"path": "p", "since": time(1)}})
}

fn whole_signal() -> SignalRevision {
    let history = json!({"backfill": 1, "version": 1, "sealed": time(50)});
    let status =
        json!({"prepared": {"path": "p", "since": time(1)}, "history": history, "demands": {"number": 4, "digest": "d", "covered": 4}});
    signal_revision("new", status).as_ref().clone()
}

fn signal() -> Signal {
    Signal {
        pinned: PinnedSignal { namespace: "n".to_owned(), revision: "s-new".to_owned(), uid: "new-uid".to_owned(), digest: digest("new") },
        revision: Some(Arc::new(whole_signal())),
        stream: Some(Arc::new(serde_json::from_value(stream(2, 2)).unwrap())),
        first: None,
        is_covered: true,
        refused: None,
        is_changed: true,
    }
}

fn pod(epoch: u64, state: State) -> Told {
    let revision = OfRevision { pinned: pinned("b"), state, warm: true, freshness: Some(jiff::SignedDuration::ZERO), asked: None };
    let said = OfFeature { epoch, file_epoch: epoch, revisions: vec![revision] };
    let said = Said { features: [("n/f".to_owned(), said)].into(), at: at(200) };
    Told { name: "p".to_owned(), uid: "p".to_owned(), life: Life::Ready, said: Some(said) }
}

/// Everything is as well as it can be; in this phase since second 100.
fn seen(phase: Phase) -> Observed {
    let entry = Entry { live: Some(pinned("a")), trial: Some(pinned("b")), epoch: 7, ..Entry::default() };
    Observed {
        rollout: changed_rollout(3, "b", json!({"phase": phase, "since": time(100)}), |_| {}),
        feature: Some(feature(json!({"target": {"revision": "f-b", "since": time(90)}}))),
        target: Some(revision("b", "new", prepared())),
        signals: vec![signal()],
        refused: None,
        slot: true,
        entry: Some(entry),
        asked: Vec::new(),
        pods: vec![pod(7, State::Ready)],
    }
}

fn with(change: impl FnOnce(&mut Observed)) -> Facts {
    let mut seen = seen(Phase::Loading);
    change(&mut seen);
    facts(&seen, at(200))
}

#[test]
fn when_all_is_well_every_piece_of_work_is_done() {
    let Facts { declared, slot, prepared, caught_up, backfilled, loaded, trial_stopped, route } = with(|_| {});
    assert_eq!((declared, slot, trial_stopped), (Declared::Target, true, false));
    assert_eq!([prepared, caught_up, backfilled, loaded], [const { Progress::Done }; 4]);
    let Route { live, trial, loaded, epoch, acknowledged, mounted } = route;
    assert_eq!((live.as_deref(), trial.as_deref(), loaded.len(), epoch), (Some("a-uid"), Some("b-uid"), 0, 7));
    assert!(acknowledged && mounted);
}

#[test]
fn what_is_declared_is_what_the_feature_accepted_last() {
    let declared = |change: fn(&mut Observed)| with(change).declared;
    assert_eq!(declared(|seen| seen.feature = None), Declared::Nothing);
    assert_eq!(declared(|seen| seen.feature = Some(feature(json!({})))), Declared::Target);
    let another = |seen: &mut Observed| seen.feature = Some(feature(json!({"target": {"revision": "f-c", "since": time(90)}})));
    assert_eq!(declared(another), Declared::Another);
    assert_eq!(declared(|seen| seen.target = None), Declared::Lost);
    let leaving = |seen: &mut Observed| {
        seen.feature = Some(crate::fixture::changed_feature(json!({}), |f| f["metadata"]["deletionTimestamp"] = json!(time(1))));
    };
    assert_eq!(declared(leaving), Declared::Nothing);
}

#[test]
fn a_contradiction_found_while_it_prepares_fails_it_and_an_old_one_is_looked_at_again() {
    let refused = |second: i64| Some((at(second), "no topic t".to_owned()));
    let own = |second: Option<i64>| {
        with(|seen| {
            seen.target = Some(revision("b", "new", json!({})));
            seen.refused = second.and_then(refused);
        })
        .prepared
    };
    assert_eq!((own(None), own(Some(99))), (Progress::Going, Progress::Going));
    assert_eq!(own(Some(100)), Progress::Failed("f-b: no topic t".to_owned()));
    let of_signal = |second: i64, status: Value| {
        with(|seen| {
            seen.signals[0].revision = Some(signal_revision("new", status));
            seen.signals[0].refused = refused(second);
        })
        .prepared
    };
    assert_eq!(of_signal(100, json!({})), Progress::Failed("n/s-new: no topic t".to_owned()));
    assert_eq!(of_signal(99, json!({})), Progress::Going);
    // It was recorded since.
    assert_eq!(of_signal(100, prepared()), Progress::Done);
    assert_eq!(with(|seen| seen.signals[0].revision = None).prepared, Progress::Going);
}

#[test]
fn streams_have_caught_up_when_all_their_pods_are_ready() {
    let of = |object: Option<Value>| {
        let stream = object.map(|object| Arc::new(serde_json::from_value::<Deployment>(object).unwrap()));
        let facts = with(|seen| seen.signals[0].stream = stream);
        (facts.caught_up, facts.loaded)
    };
    assert_eq!(of(Some(stream(2, 1))), (Progress::Going, Progress::Going));
    assert_eq!(of(Some(stream(0, 0))).0, Progress::Going);
    assert_eq!(of(None).0, Progress::Going);
    // The pods are of the template before this one.
    let mut older = stream(2, 2);
    older["status"]["observedGeneration"] = json!(2);
    assert_eq!(of(Some(older)).0, Progress::Going);
    // What was read before is waited for when pods load, not before.
    let shared = with(|seen| (seen.signals[0].is_changed, seen.signals[0].stream) = (false, None));
    assert_eq!((shared.caught_up, shared.loaded), (Progress::Done, Progress::Going));
}

#[test]
fn history_is_sealed_once_and_base_covers_the_target() {
    let backfill = |phase: &str, ended: i64| {
        let object = json!({"metadata": {"name": "x"}, "spec": {"revision": "s-new", "mode": {"incremental": {}}}, "status": {"phase": phase, "ended": time(ended)}});
        Some(Arc::new(serde_json::from_value::<Backfill>(object).unwrap()))
    };
    let of = |first: Option<Arc<Backfill>>| {
        with(|seen| {
            let mut bare = whole_signal();
            bare.status.as_mut().unwrap().history = None;
            (seen.signals[0].revision, seen.signals[0].first) = (Some(Arc::new(bare)), first);
        })
        .backfilled
    };
    assert_eq!((of(None), of(backfill("Working", 0))), (Progress::Going, Progress::Going));
    assert_eq!((of(backfill("Succeeded", 150)), of(backfill("Failed", 99))), (Progress::Done, Progress::Going));
    assert!(matches!(of(backfill("Failed", 150)), Progress::Failed(why) if why.contains("n/s-new")));
    assert_eq!(with(|seen| seen.signals[0].is_covered = false).backfilled, Progress::Going);
}

#[test]
fn the_route_counts_as_pods_have_it_and_what_consumers_asked_for_is_no_leftover() {
    let behind = with(|seen| seen.pods[0] = pod(6, State::Ready)).route;
    assert!(!behind.acknowledged && !behind.mounted);
    let none = with(|seen| seen.entry = None);
    assert!(!none.route.acknowledged && none.trial_stopped && none.route.live.is_none());
    let beside = |asked: Vec<Pinned>| {
        with(|seen| {
            seen.entry.as_mut().unwrap().loaded = vec![pinned("o"), pinned("x")];
            seen.asked = asked;
        })
        .route
        .loaded
    };
    assert_eq!((beside(vec![]), beside(vec![pinned("o")])), (vec!["o-uid".to_owned(), "x-uid".to_owned()], vec!["x-uid".to_owned()]));
}

#[test]
fn what_is_waited_for_is_told_by_name() {
    let told = |phase, change: fn(&mut Observed)| {
        let mut seen = seen(phase);
        change(&mut seen);
        waits_for(&seen, at(200)).unwrap_or_default()
    };
    let unprepared: fn(&mut Observed) = |seen| seen.signals[0].revision = Some(signal_revision("new", json!({})));
    assert_eq!(told(Phase::Preparing, unprepared), "signal revision n/s-new");
    assert_eq!(told(Phase::Preparing, |_| {}), "revision f-b");
    assert_eq!(told(Phase::Shadowing, |seen| seen.signals[0].stream = None), "signal revision n/s-new");
    assert_eq!(told(Phase::Backfilling, |seen| seen.signals[0].is_covered = false), "signal revision n/s-new");
    assert_eq!(told(Phase::Loading, |seen| seen.signals[0].stream = None), "the stream of signal revision n/s-new");
    let failing: fn(&mut Observed) = |seen| seen.pods[0] = pod(7, State::Failed { reason: "no lake".to_owned() });
    assert_eq!(told(Phase::Loading, failing), "pod p: no lake");
    assert_eq!(told(Phase::Retiring, |_| {}), "");
}
