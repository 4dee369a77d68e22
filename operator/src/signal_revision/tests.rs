use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use tress_configs::job::{BaseMade, Facts as Made, Outcome, Report, Role};
use tress_crds::condition::Condition;
use tress_crds::revision::{ArchivedTopic, SignalRevisionStatus, Use};
use tress_crds::{Backfill, SignalDefinition, SignalRevision};

use super::archive::Archived;
use super::observe::{Facts, Stream, Trouble};
use super::{Action, Decision, act, decide, report, schedule};
use crate::jobs::{Observed, Seen};
use crate::name::{self, Occasion};
use crate::schedule as cron;
use crate::workload::Owner;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

const NOW: i64 = 1_000_000;

fn revision() -> SignalRevision {
    let spec = json!({"signal": "rating", "schemaVersion": 1, "semantics": 1, "sourceHash": "h", "digest": "d", "plan": "", "source": ""});
    let meta = json!({"namespace": "n", "name": "rating-a", "uid": "u", "generation": 1});
    serde_json::from_value(json!({"metadata": meta, "spec": spec})).unwrap()
}

fn definition(spec: Value) -> Arc<SignalDefinition> {
    let mut whole = json!({"definition": {
        "entity": {"field": "u"},
        "event": {"time": {"field": "t", "unit": "Seconds"}, "availableAt": {"recordTimestamp": {}}, "id": [], "fields": []},
        "source": {"stream": {"connection": "c", "topic": "t", "format": {}}},
    }});
    if let (Some(whole), Value::Object(more)) = (whole.as_object_mut(), spec) {
        whole.extend(more);
    }
    Arc::new(serde_json::from_value(json!({"metadata": {"namespace": "n", "name": "rating"}, "spec": whole})).unwrap())
}

/// A revision that was just made, and is not read.
fn made() -> Facts {
    Facts {
        revision: Arc::new(revision()),
        definition: Some(definition(json!({}))),
        needed: Use::Kept,
        semantics: [1, 1],
        planned: false,
        prepare: Observed::missing(),
        base: Observed::missing(),
        drop: Observed::missing(),
        stream: None,
        guarded: false,
        demands: Vec::new(),
        list: None,
        backfills: Vec::new(),
        schedule: None,
        archive: None,
        record: None,
        attempt: None,
        rolling: 0,
        image: "i:1".to_owned(),
    }
}

fn job(seen: Seen) -> Observed {
    Observed { seen, ended: Some(at(NOW - 15)), ..Observed::missing() }
}

fn failed(outcome: Outcome) -> Seen {
    Seen::Failed(Some(Report { reasons: vec!["no topic t".to_owned()], ..Report::new(Role::Prepare, outcome, None) }))
}

fn prepared_by_job() -> Seen {
    let facts = Made::Prepared { uid: "u".to_owned(), digest: "d".to_owned(), partitions: Some(3), path: "p".to_owned() };
    Seen::Succeeded(Some(Report::new(Role::Prepare, Outcome::Succeeded, Some(facts))))
}

/// The same facts after what was decided is written.
fn written(facts: &Facts) -> Facts {
    let Decision { status, actions, .. } = decide(facts, at(NOW));
    let mut revision = facts.revision.as_ref().clone();
    revision.status = Some(status);
    let list = actions.iter().find_map(|action| if let Action::List(list) = action { Some(list.clone()) } else { None });
    Facts { revision: Arc::new(revision), planned: true, list: list.or_else(|| facts.list.clone()), ..facts.clone() }
}

/// Prepared, with its list of features.
fn prepared() -> Facts {
    written(&Facts { prepare: job(prepared_by_job()), ..made() })
}

/// Running, with a history that covers what reads it.
fn running() -> Facts {
    let demands = vec!["f".to_owned()];
    let read = written(&Facts { needed: Use::Running, demands, ..prepared() });
    let facts = written(&Facts { backfills: vec![backfill("b", "Succeeded", 5)], ..read });
    let stream = Stream { image: "i:1".to_owned(), wanted: 1, available: 1, settled: true, ..Stream::default() };
    written(&Facts { stream: Some(stream), ..facts })
}

/// One that covers the list of the same number as its version.
fn backfill(name: &str, phase: &str, version: i64) -> Arc<Backfill> {
    let labels = json!({"app.kubernetes.io/managed-by": "tress-operator"});
    let ended = if matches!(phase, "Succeeded" | "Failed") { json!(at(NOW - 1000 + version)) } else { Value::Null };
    let status = json!({"phase": phase, "number": version, "historyVersion": version, "covered": 2, "ended": ended});
    let spec = json!({"revision": "rating-a", "mode": {"incremental": {}}});
    Arc::new(
        serde_json::from_value(json!({"metadata": {"name": name, "namespace": "n", "labels": labels}, "spec": spec, "status": status}))
            .unwrap(),
    )
}

fn actions(facts: &Facts) -> Vec<String> {
    let shown = |action: &Action| match action {
        Action::Stream { image } => format!("Stream {image}"),
        Action::Archive { image } => format!("Archive {image}"),
        Action::List(list) => format!("List {} {}", list.number, list.features.join(",")),
        Action::ForgetBackfill(backfill) => format!("Forget {}", backfill.metadata.name.as_deref().unwrap_or_default()),
        other => format!("{other:?}"),
    };
    decide(facts, at(NOW)).actions.iter().map(shown).collect()
}

fn says(facts: &Facts) -> String {
    let status = decide(facts, at(NOW)).status;
    let told = |c: &Condition| format!("{} {} {}", c.type_, c.status, c.reason);
    report::conditions_of(facts, &status, at(NOW)).iter().map(told).collect::<Vec<_>>().join(", ")
}

fn with_status(facts: Facts, change: impl FnOnce(&mut SignalRevisionStatus)) -> Facts {
    let mut revision = facts.revision.as_ref().clone();
    change(revision.status.get_or_insert_default());
    Facts { revision: Arc::new(revision), ..facts }
}

#[test]
fn a_new_revision_is_prepared_and_one_that_nobody_reads_is_ready() {
    assert_eq!(actions(&made()), ["Plan", "Prepare"]);
    assert_eq!(says(&made()), "Prepared False InProgress, Ready False InProgress, Reconciling True InProgress");
    let done = Facts { planned: true, prepare: job(prepared_by_job()), ..made() };
    assert_eq!(actions(&done), ["List 1 "]);
    assert_eq!(actions(&written(&done)), [""; 0]);
    assert_eq!(says(&written(&done)), "Prepared True AsDeclared, Ready True Unused");
    // The job's time is up; what it said is written.
    assert_eq!(actions(&Facts { prepare: Observed::missing(), ..written(&done) }), [""; 0]);
}

#[test]
fn what_is_missing_outside_is_tried_again_and_what_contradicts_is_told() {
    let after = |seen, ended| Facts { planned: true, prepare: Observed { ended: Some(at(ended)), ..job(seen) }, ..made() };
    let for_now = after(failed(Outcome::FailedForNow), NOW - 9);
    assert_eq!((actions(&for_now).len(), decide(&for_now, at(NOW)).next), (0, Some(at(NOW + 1))));
    assert_eq!(actions(&after(failed(Outcome::FailedForNow), NOW - 10)), ["Prepare"]);
    assert_eq!(says(&for_now), "Prepared False Waiting, Ready False Waiting, Reconciling True Waiting");
    let for_good = after(failed(Outcome::Failed), NOW);
    assert_eq!((actions(&for_good).len(), decide(&for_good, at(NOW)).next), (0, Some(at(NOW + 60))));
    assert_eq!(says(&for_good), "Prepared False JobFailed, Ready False JobFailed, Stalled True JobFailed");
    // While it is looked at again, what was found stays said.
    let mut revision = for_good.revision.as_ref().clone();
    let status = decide(&for_good, at(NOW)).status;
    let conditions = report::conditions_of(&for_good, &status, at(NOW));
    revision.status = Some(SignalRevisionStatus { conditions, ..status });
    let again = Facts { revision: Arc::new(revision), prepare: Observed { attempt: 1, ..job(Seen::Running) }, ..for_good };
    assert_eq!(says(&again), "Prepared False JobFailed, Ready False JobFailed, Stalled True JobFailed");
}

#[test]
fn a_report_of_something_else_prepares_nothing() {
    let facts = Made::Prepared { uid: "another".to_owned(), digest: "d".to_owned(), partitions: None, path: "p".to_owned() };
    let foreign = Seen::Succeeded(Some(Report::new(Role::Prepare, Outcome::Succeeded, Some(facts))));
    assert_eq!(actions(&Facts { planned: true, prepare: job(foreign), ..made() }), ["Prepare"]);
}

#[test]
fn what_runs_streams_and_what_is_kept_does_not() {
    let read = Facts { needed: Use::Running, ..prepared() };
    assert_eq!(actions(&read), ["Stream i:1"]);
    assert_eq!(
        says(&read),
        "BackfillComplete False InProgress, Prepared True AsDeclared, Ready False InProgress, Reconciling True InProgress, StreamingAvailable False InProgress"
    );
    let waits = Facts { needed: Use::Running, ..made() };
    assert_eq!(actions(&waits), ["Plan", "Prepare"]);
    assert_eq!(
        says(&running()),
        "BackfillComplete True AsDeclared, Prepared True AsDeclared, Ready True AsDeclared, StreamingAvailable True AsDeclared"
    );
    assert_eq!(actions(&Facts { needed: Use::Kept, demands: Vec::new(), ..running() }), ["List 3 ", "StopStream"]);
    // Whoever stopped it was killed before it was done.
    assert_eq!(actions(&Facts { guarded: true, ..prepared() }), ["StopStream"]);
}

#[test]
fn a_first_backfill_that_finds_nothing_is_a_first_backfill() {
    let mut empty = backfill("b", "Succeeded", 5).as_ref().clone();
    let status = empty.status.get_or_insert_default();
    (status.history_version, status.covered) = (None, None);
    let stream = Some(Stream { image: "i:1".to_owned(), wanted: 1, available: 1, settled: true, ..Stream::default() });
    let facts = Facts { needed: Use::Running, stream, demands: vec!["f".to_owned()], backfills: vec![Arc::new(empty)], ..prepared() };
    assert!(says(&facts).contains("BackfillComplete True") && says(&facts).contains("Ready True AsDeclared"), "{}", says(&facts));
    assert!(!actions(&facts).contains(&"Base".to_owned()));
    let daily = Some((tress_configs::schedule::Schedule::parse("0 0 * * *").unwrap(), jiff::tz::TimeZone::UTC));
    assert!(decide(&Facts { schedule: daily, ..facts }, at(NOW)).next.is_some());
}

#[test]
fn a_stream_that_cannot_run_says_why() {
    let with = |trouble| Facts { stream: Some(Stream { wanted: 1, trouble: Some(trouble), ..Stream::default() }), ..running() };
    let moved = "connection main: it led to cluster a when the revision was prepared and leads to cluster b now";
    assert!(says(&with(Trouble::ForGood(moved.to_owned()))).contains("Stalled True ConnectionIdentityChanged"));
    assert!(says(&with(Trouble::ForGood("x".to_owned()))).contains("Ready False JobFailed"));
    assert!(says(&with(Trouble::ForNow("x".to_owned()))).contains("Reconciling True InProgress"));
    let none = Facts { stream: Some(Stream { wanted: 0, ..Stream::default() }), ..running() };
    assert!(
        says(&none).contains("Ready False Paused") && says(&none).contains("Reconciling True Paused") && !says(&none).contains("Stalled")
    );
}

#[test]
fn a_new_image_rolls_through_few_streams_at_a_time_and_only_where_it_runs_the_plan() {
    let newer = Facts { image: "i:2".to_owned(), ..running() };
    assert_eq!(actions(&newer), ["Stream i:2"]);
    let busy = Facts { rolling: 5, ..newer.clone() };
    assert_eq!((actions(&busy), decide(&busy, at(NOW)).next), (vec!["Stream i:1".to_owned()], Some(at(NOW + 15))));
    let unfit = Facts { semantics: [2, 3], ..newer.clone() };
    assert_eq!(actions(&unfit), ["Stream i:1"]);
    // An attempt works with one engine, unless that does not run.
    let attempted = Facts { attempt: Some("n/f-2".to_owned()), ..newer };
    assert_eq!(actions(&attempted), ["Stream i:1"]);
    let silent = attempted.stream.clone().map(|stream| Stream { available: 0, ..stream });
    assert_eq!(actions(&Facts { stream: silent, ..attempted }), ["Stream i:2"]);
    assert!(says(&unfit).contains("Stalled True SemanticsUnsupported"));
    assert_eq!(actions(&Facts { semantics: [2, 3], ..made() }), [""; 0]);
    assert_eq!(actions(&Facts { semantics: [2, 3], stream: None, ..running() }), [""; 0]);
}

#[test]
fn base_is_made_for_a_feature_more_once_there_is_history_and_no_backfill_goes_on() {
    let more = Facts { demands: vec!["f".to_owned(), "g".to_owned()], ..running() };
    // The list is written before what reads it.
    assert_eq!(actions(&more), ["List 3 f,g", "Stream i:1", "Base"]);
    let busy = Facts { backfills: vec![backfill("b", "Succeeded", 5), backfill("c", "Working", 6)], ..more.clone() };
    assert!(!actions(&busy).contains(&"Base".to_owned()));
    assert!(says(&more).contains("BackfillComplete False InProgress") && says(&more).contains("Ready True AsDeclared"));
    let base = |demands| {
        let facts = Made::Based { uid: "u".to_owned(), base: BaseMade { manifest: 1, demands } };
        job(Seen::Succeeded(Some(Report::new(Role::Base, Outcome::Succeeded, Some(facts)))))
    };
    let covered = Facts { base: base(3), ..written(&more) };
    assert!(says(&covered).contains("BackfillComplete True"));
    assert_eq!(decide(&covered, at(NOW)).status.demands.unwrap().covered, Some(3));
    assert_eq!(actions(&covered), ["Stream i:1"]);
    // It was made for the list before: again, after a while.
    let stale = Facts { base: base(2), ..written(&more) };
    assert_eq!(actions(&stale), ["Stream i:1", "Base"]);
    let just_now = Facts { base: Observed { ended: Some(at(NOW - 1)), ..base(2) }, ..written(&more) };
    assert_eq!((actions(&just_now), decide(&just_now, at(NOW)).next), (vec!["Stream i:1".to_owned()], Some(at(NOW + 9))));
}

#[test]
fn nothing_is_done_for_a_paused_definition_and_its_status_goes_on() {
    let paused = |facts: Facts| Facts { definition: Some(definition(json!({"paused": true}))), ..facts };
    assert_eq!(actions(&paused(made())), [""; 0]);
    assert_eq!(says(&paused(made())), "Prepared False Paused, Ready False Paused, Reconciling True Paused");
    let kept = paused(Facts { needed: Use::Kept, ..running() });
    assert_eq!(actions(&kept), [""; 0]);
    assert_eq!(decide(&kept, at(NOW)).status.needed, Some(Use::Kept));
    let gone = paused(with_status(Facts { needed: Use::Gone, ..running() }, |s| s.gone = Some(time(NOW - 1000))));
    assert_eq!((actions(&gone).len(), decide(&gone, at(NOW)).status.dropping), (0, None));
}

fn time(second: i64) -> k8s_openapi::apimachinery::pkg::apis::meta::v1::Time {
    k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(at(second))
}

#[test]
fn what_nothing_needs_is_dropped_after_a_while_and_then_its_object_goes() {
    let gone = Facts { needed: Use::Gone, demands: Vec::new(), ..running() };
    let first = decide(&gone, at(NOW));
    assert_eq!((first.status.gone.clone(), first.status.dropping.clone(), first.next), (Some(time(NOW)), None, Some(at(NOW + 60))));
    assert_eq!(actions(&gone), ["StopStream"]);
    // A rollback came in time.
    let back = with_status(Facts { needed: Use::Running, ..gone.clone() }, |s| s.gone = Some(time(NOW - 59)));
    assert_eq!(decide(&back, at(NOW)).status.gone, None);
    let late = with_status(gone.clone(), |s| s.gone = Some(time(NOW - 60)));
    assert_eq!(
        (decide(&late, at(NOW)).status.dropping, actions(&late)),
        (Some(time(NOW)), vec!["StopStream".to_owned(), "Drop".to_owned()])
    );
    // From then on nothing brings it back.
    let dropping = with_status(Facts { needed: Use::Running, stream: None, ..late }, |s| s.dropping = Some(time(NOW)));
    assert_eq!((actions(&dropping), decide(&dropping, at(NOW)).status.needed), (vec!["Drop".to_owned()], Some(Use::Gone)));
    let dropped = Facts { drop: job(Seen::Succeeded(Some(Report::new(Role::Drop, Outcome::UpToDate, None)))), ..dropping.clone() };
    assert_eq!(actions(&dropped), ["Delete"]);
    let stuck = Facts { drop: job(failed(Outcome::Failed)), ..dropping };
    assert_eq!((actions(&stuck).len(), decide(&stuck, at(NOW)).next), (0, Some(at(NOW + 45))));
    assert!(says(&stuck).contains("Stalled True JobFailed"));
}

#[test]
fn without_its_definition_the_object_goes_and_the_policy_decides_of_the_rest() {
    let gone = Facts { needed: Use::Gone, definition: None, ..prepared() };
    assert_eq!(actions(&gone), [""; 0]);
    let late = with_status(gone, |s| s.gone = Some(time(NOW - 60)));
    assert_eq!((actions(&late), decide(&late, at(NOW)).status.dropping), (vec!["Delete".to_owned()], None));
}

#[test]
fn what_says_that_data_goes_with_it_comes_before_anything_is_made() {
    let deletes = |facts: Facts| Facts { definition: Some(definition(json!({"deletionPolicy": "Delete"}))), ..facts };
    assert_eq!(actions(&deletes(made())), ["Record", "Plan", "Prepare"]);
    let record = Some(Arc::new(k8s_openapi::api::core::v1::ConfigMap::default()));
    assert_eq!(actions(&deletes(Facts { record: record.clone(), ..made() })), ["Plan", "Prepare"]);
    assert_eq!(actions(&Facts { record: record.clone(), ..prepared() }), ["Forget"]);
    // A definition that is gone has no other word.
    assert_eq!(actions(&Facts { record, definition: None, ..prepared() }), [""; 0]);
}

#[test]
fn the_archive_of_a_topic_runs_as_long_as_a_revision_needs_it() {
    let archive = |owners: usize, found, there| {
        let owner = |n: usize| Owner { kind: "SignalRevision", name: format!("r{n}"), uid: format!("u{n}") };
        let topic = ArchivedTopic { connection: "main".to_owned(), topic: "t".to_owned() };
        Some(Archived { name: "archive-a".to_owned(), topic, owners: (0..owners).map(owner).collect(), found, there, image: None })
    };
    let with = |facts: Facts, archive| actions(&Facts { archive, ..facts });
    assert_eq!(with(made(), archive(1, false, false)), ["Plan", "Prepare"]);
    assert_eq!(with(prepared(), archive(1, true, false)), ["Archive i:1"]);
    assert_eq!(with(running(), archive(2, true, true)), ["Stream i:1", "Archive i:1"]);
    // A new image comes to it in its turn, also where the definition is gone, and whatever plans it runs.
    let old = || archive(1, true, true).map(|archive| Archived { image: Some("i:0".to_owned()), ..archive });
    let unfit = Facts { definition: None, semantics: [2, 3], ..prepared() };
    assert_eq!(with(unfit.clone(), old()), ["Archive i:1"]);
    let crowded = Facts { rolling: 5, archive: old(), ..unfit };
    assert_eq!((actions(&crowded), decide(&crowded, at(NOW)).next), (vec!["Archive i:0".to_owned()], Some(at(NOW + 15))));
    let gone = Facts { needed: Use::Gone, ..prepared() };
    assert_eq!(with(gone.clone(), archive(1, true, true)), [""; 0]);
    assert_eq!(with(gone.clone(), archive(0, false, true)), ["StopArchive"]);
    assert_eq!(with(gone, archive(0, false, false)), [""; 0]);
}

#[test]
fn the_schedule_makes_one_backfill_at_a_time_and_catches_up_once() {
    let hourly = || Some((tress_configs::schedule::Schedule::parse("0 * * * *").unwrap(), jiff::tz::TimeZone::UTC));
    let hour = |n: i64| at(NOW - NOW % 3600 + n * 3600);
    let scheduled = |facts: Facts| Facts { schedule: hourly(), ..facts };
    // Its history was sealed within this hour.
    let wanted = |facts: &Facts| {
        let status = decide(facts, at(NOW)).status;
        let wanted = schedule::wanted(facts, &status, at(NOW));
        (wanted.make, wanted.scheduled, wanted.next)
    };
    assert_eq!(wanted(&scheduled(running())), (None, None, Some(hour(1))));
    let behind = with_status(scheduled(running()), |s| s.scheduled = Some(time(NOW - 10 * 3600)));
    assert_eq!(wanted(&behind).0, Some(hour(0)));
    assert!(actions(&behind).contains(&format!("Backfill({:?})", hour(0))), "{:?}", actions(&behind));
    let name = name::backfill("rating", "u", &Occasion::Scheduled(hour(0)));
    let made = Facts { backfills: vec![backfill(&name, "Pending", 6)], ..behind.clone() };
    assert_eq!(wanted(&made), (None, Some(hour(0)), Some(hour(1))));
    let busy = Facts { backfills: vec![backfill("other", "Working", 6)], ..behind.clone() };
    assert_eq!(wanted(&busy).0, None);
    // Without history, and without readers, nothing is due.
    assert_eq!(wanted(&scheduled(Facts { needed: Use::Running, ..prepared() })), (None, None, None));
    assert!(!actions(&Facts { needed: Use::Kept, ..behind }).iter().any(|action| action.starts_with("Backfill")));
    let object = act::scheduled(&revision(), hour(0));
    assert_eq!((object["metadata"]["name"].as_str(), &object["spec"]["mode"]), (Some(name.as_str()), &json!({"incremental": {}})));
    assert_eq!(object["metadata"]["ownerReferences"][0]["uid"], "u");
    // The time of the schedule is that of its own clock.
    assert_eq!(cron::due(&hourly().unwrap().0, &jiff::tz::TimeZone::UTC, hour(0), at(NOW)).missed, None);
}

#[test]
fn a_few_backfills_that_ended_are_remembered() {
    let mut backfills: Vec<Arc<Backfill>> = (1..=7).map(|n| backfill(&format!("b{n}"), "Succeeded", n)).collect();
    let mut by_hand = backfill("mine", "Failed", 0).as_ref().clone();
    by_hand.metadata.labels = None;
    backfills.push(Arc::new(by_hand));
    backfills.push(backfill("b0", "Working", 8));
    let facts = Facts { backfills, ..running() };
    let forgotten: Vec<String> = actions(&facts).into_iter().filter(|action| action.starts_with("Forget")).collect();
    assert_eq!(forgotten, ["Forget b2", "Forget b1"]);
    let history = decide(&facts, at(NOW)).status.history.unwrap();
    assert_eq!((history.version, history.sealed), (7, time(NOW - 1000 + 7)));
}

#[test]
fn what_was_decided_is_decided_again() {
    for facts in [made(), prepared(), running(), Facts { demands: vec!["f".to_owned(), "g".to_owned()], ..running() }] {
        let once = written(&facts);
        assert_eq!(decide(&once, at(NOW)).status, decide(&written(&once), at(NOW)).status);
        assert!(decide(&once, at(NOW)).actions.iter().all(|action| !matches!(action, Action::List(_))));
    }
}
