use serde_json::{Value, json};
use tress_configs::job::{Outcome, Role};

use super::*;
use crate::fixture::{at, digest, revision, time};

const DAY: i64 = 86_400;

fn report(outcome: Outcome, facts: Option<Facts>) -> Report {
    Report { reasons: vec!["no table t".to_owned()], ..Report::new(Role::Prepare, outcome, facts) }
}

fn job(seen: Seen, ended: Option<i64>) -> jobs::Observed {
    jobs::Observed { seen, ended: ended.map(at), ..jobs::Observed::missing() }
}

fn seen(status: Value) -> Observed {
    Observed {
        revision: revision("b", "new", status),
        needed: Use::Kept,
        wanted: Some(at(100)),
        unprepared: None,
        job: jobs::Observed::missing(),
        asked: None,
    }
}

fn prepared() -> Value {
    json!({"prepared": {"path": "p", "since": time(1)}})
}

fn says(decision: &Decision) -> Vec<String> {
    decision.status.conditions.iter().map(|c| format!("{}={} {}: {}", c.type_, c.status, c.reason, c.message)).collect()
}

#[test]
fn it_is_recorded_when_an_attempt_brings_it_and_its_signals_are() {
    let what = |seen: &Observed| decide(seen, at(200)).what;
    assert_eq!(what(&seen(json!({}))), What::Prepare);
    assert_eq!(what(&Observed { wanted: None, ..seen(json!({})) }), What::Nothing);
    assert_eq!(what(&Observed { wanted: None, needed: Use::Running, ..seen(json!({})) }), What::Prepare);
    let waits = Observed { unprepared: Some("n/s-new".to_owned()), ..seen(json!({})) };
    assert_eq!(
        (what(&waits), says(&decide(&waits, at(200)))[2].as_str()),
        (What::Nothing, "Reconciling=True Waiting: for signal revision n/s-new to be prepared")
    );
    assert_eq!(what(&Observed { job: job(Seen::Running, None), ..seen(json!({})) }), What::Nothing);
    assert_eq!(what(&seen(prepared())), What::Nothing);
}

#[test]
fn a_report_of_this_very_revision_is_taken_over() {
    let facts = |uid: &str, digest: String| Facts::Prepared { uid: uid.to_owned(), digest, partitions: None, path: "there".to_owned() };
    let done = |facts| {
        let job = job(Seen::Succeeded(Some(report(Outcome::Succeeded, Some(facts)))), Some(150));
        decide(&Observed { job, needed: Use::Running, ..seen(json!({})) }, at(200))
    };
    let decision = done(facts("b-uid", digest("b")));
    assert_eq!(decision.status.prepared.as_ref().map(|p| (p.path.as_str(), p.since.0)), Some(("there", at(200))));
    assert_eq!(says(&decision), ["Prepared=True AsDeclared: ", "Ready=True AsDeclared: "]);
    assert_eq!(done(facts("other", digest("b"))).status.prepared, None);
    assert_eq!(done(facts("b-uid", digest("c"))).status.prepared, None);
}

#[test]
fn a_contradiction_is_told_and_looked_at_again_at_once_for_who_tries_again() {
    let failed = |wanted: i64, now: i64| {
        let job = job(Seen::Failed(Some(report(Outcome::Failed, None))), Some(150));
        let decision = decide(&Observed { job, wanted: Some(at(wanted)), ..seen(json!({})) }, at(now));
        (decision.what, says(&decision)[0].clone(), decision.again.map(Timestamp::as_second))
    };
    let told = "Prepared=False JobFailed: no table t".to_owned();
    assert_eq!(failed(100, 200), (What::Nothing, told.clone(), Some(210)));
    assert_eq!(failed(100, 210).0, What::Prepare);
    assert_eq!(failed(160, 200).0, What::Prepare);
    // A report that is lost is made again.
    let lost = decide(&Observed { job: job(Seen::Succeeded(None), Some(150)), ..seen(json!({})) }, at(200));
    assert_eq!(lost.what, What::Prepare);
}

#[test]
fn what_nothing_needs_goes_and_what_is_kept_is_ready_unused() {
    assert_eq!(decide(&Observed { needed: Use::Gone, ..seen(prepared()) }, at(200)).what, What::Delete);
    let kept = decide(&seen(prepared()), at(200));
    assert_eq!((says(&kept)[1].as_str(), kept.status.needed), ("Ready=True Unused: it is kept for who goes back to it", Some(Use::Kept)));
}

#[test]
fn a_pin_lasts_a_week_and_is_written_when_it_moves_by_much() {
    let pinned = |before: Option<i64>, asked: Option<i64>, now: i64| {
        let status = before.map_or(json!({}), |until| json!({"pinnedUntil": time(until)}));
        let decision = decide(&Observed { asked: asked.map(at), wanted: None, ..seen(status) }, at(now));
        (decision.status.pinned_until.map(|until| until.0.as_second()), decision.again.map(Timestamp::as_second))
    };
    let week = 7 * DAY;
    assert_eq!(pinned(None, None, 200), (None, None));
    assert_eq!(pinned(None, Some(100), 200), (Some(100 + week), Some(100 + week)));
    assert_eq!(pinned(Some(week), Some(3600), 4000).0, Some(week));
    assert_eq!(pinned(Some(week), Some(6 * 3600), 22_000).0, Some(week + 6 * 3600));
    assert_eq!(pinned(Some(week), None, week - 1).0, Some(week));
    assert_eq!(pinned(Some(week), Some(0), week), (None, None));
}
