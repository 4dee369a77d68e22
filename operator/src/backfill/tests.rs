use std::sync::Arc;

use jiff::Timestamp;
use serde_json::{Value, json};
use tress_configs::job::{Outcome, Report, Role};
use tress_crds::Backfill;
use tress_crds::backfill::{BackfillPhase, BackfillStatus};

use super::observe::{Looked, Waits};
use super::*;
use crate::jobs::Observed;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn backfill(name: &str, made: i64, spec: Value, status: Value) -> Backfill {
    let mut whole = json!({"revision": "r", "mode": {"incremental": {}}});
    if let (Some(whole), Value::Object(more)) = (whole.as_object_mut(), spec) {
        whole.extend(more);
    }
    let meta = json!({"name": name, "namespace": "n", "uid": name, "creationTimestamp": at(made), "generation": 1});
    serde_json::from_value(json!({"metadata": meta, "spec": whole, "status": status})).unwrap()
}

fn looked(backfill: Backfill) -> Looked {
    let work = Workers { job: Seen::Missing, done: 0, failed: String::new() };
    Looked {
        backfill: Arc::new(backfill),
        revision: None,
        definition: None,
        facts: Facts { may_start: true, lost: false, plan: Seen::Missing, work, seal: Seen::Missing },
        waits: None,
        plan: Observed::missing(),
        work: Observed::missing(),
        seal: Observed::missing(),
        share: 4,
        again: None,
    }
}

fn says(looked: &Looked, status: &BackfillStatus) -> String {
    let all = report::conditions_of(looked, status, at(1));
    all.iter().map(|c| format!("{} {} {} {}", c.type_, c.status, c.reason, c.message)).collect::<Vec<_>>().join(" | ")
}

#[test]
fn what_people_wait_for_is_said_and_why_it_takes_time() {
    let phase = |phase| BackfillStatus { phase: Some(phase), ..BackfillStatus::default() };
    let plain = looked(backfill("a", 0, json!({}), Value::Null));
    assert_eq!(says(&plain, &phase(BackfillPhase::Succeeded)), "Ready True AsDeclared ");
    let waiting = Looked { waits: Some(Waits::Other("b".to_owned())), ..plain.clone() };
    let other = "False Waiting the backfill b of the same revision is first | Reconciling True Waiting the backfill b of the same revision is first";
    assert_eq!(says(&waiting, &phase(BackfillPhase::Pending)), format!("Ready {other}"));
    let nothing = Looked { waits: Some(Waits::Revision), ..plain.clone() };
    assert!(says(&nothing, &phase(BackfillPhase::Pending)).contains("Stalled True ReferenceMissing"));
    let suspended = looked(backfill("a", 0, json!({"suspend": true}), Value::Null));
    for held in [BackfillPhase::Pending, BackfillPhase::Working] {
        assert_eq!(
            says(&suspended, &phase(held)),
            "Ready False Paused spec.suspend is true | Reconciling True Paused spec.suspend is true"
        );
    }
    let crowded = Looked { share: 0, ..plain };
    assert!(says(&crowded, &phase(BackfillPhase::Working)).starts_with("Ready False Waiting other backfills"));
}

#[test]
fn a_revision_that_is_gone_is_not_waited_for_and_one_that_is_not_there_yet_for_an_hour() {
    let until = |backfill: &Backfill| observe::gives_up(backfill).map(Timestamp::as_second);
    assert_eq!(until(&backfill("a", 7, json!({}), Value::Null)), Some(7 + 3600));
    assert_eq!(until(&backfill("a", 7, json!({}), json!({"phase": "Pending", "started": at(9)}))), Some(7));
    let mut owned = backfill("a", 7, json!({}), Value::Null);
    let owner = json!([{"apiVersion": "tress.dev/v1alpha1", "kind": "SignalRevision", "name": "r", "uid": "u"}]);
    owned.metadata.owner_references = serde_json::from_value(owner).unwrap();
    assert_eq!(until(&owned), Some(7));
    let gone = Looked { waits: Some(Waits::Revision), ..looked(backfill("a", 7, json!({}), Value::Null)) };
    let told = says(&gone, &BackfillStatus { phase: Some(BackfillPhase::Failed), ..BackfillStatus::default() });
    assert!(told.starts_with("Ready False ReferenceMissing there is no signal revision r") && told.contains("Stalled True"), "{told}");
}

#[test]
fn why_it_failed_stays_said_when_its_jobs_are_gone() {
    let failed = BackfillStatus { phase: Some(BackfillPhase::Failed), ..BackfillStatus::default() };
    let report =
        Report { reasons: vec!["bucket 2024-01-31 is damaged".to_owned()], ..Report::new(Role::BackfillSeal, Outcome::Failed, None) };
    let seal = Observed { seen: Seen::Failed(Some(report)), ..Observed::missing() };
    let first = Looked { seal, ..looked(backfill("a", 0, json!({}), Value::Null)) };
    let told = says(&first, &failed);
    assert!(told.starts_with("Ready False JobFailed bucket 2024-01-31 is damaged | Stalled True JobFailed"), "{told}");
    let conditions = report::conditions_of(&first, &failed, at(1));
    let later = looked(backfill("a", 0, json!({}), json!({"phase": "Failed", "conditions": conditions})));
    assert_eq!(says(&later, &failed), told);
}

#[test]
fn pods_are_shared_first_come_first_served() {
    let working = |name: &str, started: i64, spec: Value| {
        Arc::new(backfill(name, 0, spec, json!({"phase": "Working", "workers": 100, "started": at(started)})))
    };
    let wants = |backfill: &Backfill| backfill.spec.parallelism.unwrap_or(4);
    let share = |all: &[Arc<Backfill>], limit| all.iter().map(|one| share::of(all, one, limit, wants)).collect::<Vec<_>>();
    let all = [working("a", 3, json!({})), working("b", 1, json!({"parallelism": 10})), working("c", 2, json!({"parallelism": 3}))];
    assert_eq!(share(&all, 16), [3, 10, 3]);
    assert_eq!(share(&all, 10), [0, 10, 0]);
    assert_eq!(share(&all, 100), [4, 10, 3]);
    // One that is suspended takes none, and one with few tasks no more than those.
    let suspended = working("b", 1, json!({"parallelism": 10, "suspend": true}));
    let few = Arc::new(backfill("d", 0, json!({}), json!({"phase": "Working", "workers": 2, "started": at(0)})));
    assert_eq!(share::of(&[all[0].clone(), suspended, few.clone()], &all[0], 5, wants), 3);
    assert_eq!(share::of(&[few.clone()], &few, 5, wants), 2);
}
