use proptest::prelude::*;
use tress_configs::definition::Lifecycle;
use tress_crds::definition::Class;
use tress_crds::rollout::{Action, ChangedSignal, Intent, Phase, PhaseReason, RevisionRef, RolloutStatus, SequenceRolloutSpec};

use super::*;

fn revision(uid: &str) -> RevisionRef {
    RevisionRef { revision: uid.to_owned(), uid: uid.to_owned(), digest: "0".repeat(32), source_hash: format!("h1:{uid}") }
}

/// A first deploy.
fn first() -> SequenceRolloutSpec {
    SequenceRolloutSpec {
        feature: "f".to_owned(),
        attempt: 1,
        target: revision("new"),
        previous: None,
        changed: Some(vec![ChangedSignal { namespace: "n".to_owned(), revision: "s".to_owned(), uid: "s".to_owned() }]),
        class: None,
        lifecycle: None,
        forced: None,
        pool: "default".to_owned(),
        policy: None,
        intent: None,
    }
}

/// A change of what is read.
fn change(class: Class) -> SequenceRolloutSpec {
    SequenceRolloutSpec { previous: Some(revision("old")), class: Some(class), ..first() }
}

fn wanting(action: Action, nonce: &str, spec: SequenceRolloutSpec) -> SequenceRolloutSpec {
    SequenceRolloutSpec { intent: Some(Intent { action, nonce: nonce.to_owned(), reason: None }), ..spec }
}

fn nothing_yet() -> Facts {
    Facts {
        declared: Declared::Target,
        slot: false,
        prepared: Progress::Going,
        caught_up: Progress::Going,
        backfilled: Progress::Going,
        loaded: Progress::Going,
        trial_stopped: false,
        route: Route { live: Some("old".to_owned()), trial: None, loaded: Vec::new(), epoch: 1, acknowledged: true, mounted: true },
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

/// A world in which every effect succeeds at once.
fn obey(facts: &mut Facts, effect: Effect) {
    let route = &mut facts.route;
    match effect {
        Effect::Nothing => facts.slot = true,
        Effect::Prepare => facts.prepared = Progress::Done,
        Effect::Shadow => facts.caught_up = Progress::Done,
        Effect::Backfill => facts.backfilled = Progress::Done,
        Effect::Load => {
            route.trial = Some("new".to_owned());
            facts.loaded = Progress::Done;
        }
        Effect::CutOver => {
            route.loaded.extend(route.live.replace("new".to_owned()).filter(|live| live != "new"));
            route.trial = None;
            route.epoch += 1;
            (route.acknowledged, route.mounted) = (true, true);
        }
        Effect::Retire => route.loaded.clear(),
        Effect::DropTrial => {
            route.trial = None;
            facts.trial_stopped = true;
        }
    }
}

/// Phases from here to where nothing more happens, while every effect succeeds.
fn run(spec: &SequenceRolloutSpec, mut status: RolloutStatus, facts: &mut Facts) -> (Vec<Phase>, RolloutStatus) {
    let mut phases: Vec<Phase> = status.phase.into_iter().collect();
    for step in 0..60 {
        match decide(spec, &status, facts, at(step)) {
            Decision::Write(next) => {
                assert!(is_legal(status.phase, next.phase), "{:?} → {:?}", status.phase, next.phase);
                assert_ne!(status, next, "a write of nothing");
                phases.extend(next.phase.filter(|p| phases.last() != Some(p)));
                status = next;
            }
            Decision::Act { effect, .. } => obey(facts, effect),
            Decision::Rest => return (phases, status),
        }
    }
    panic!("it does not come to an end: {phases:?}")
}

#[test]
fn a_first_deploy_goes_through_every_phase_to_its_end() {
    use Phase::*;
    let mut facts = Facts { route: Route { live: None, ..nothing_yet().route }, ..nothing_yet() };
    let (phases, status) = run(&first(), RolloutStatus::default(), &mut facts);
    assert_eq!(phases, [Pending, Preparing, Shadowing, Backfilling, Loading, CuttingOver, Retiring, Succeeded]);
    assert_eq!((facts.route.live.as_deref(), facts.route.epoch, status.reason), (Some("new"), 2, Some(PhaseReason::Done)));
}

#[test]
fn a_change_of_the_feature_alone_shadows_nothing() {
    let spec = SequenceRolloutSpec { changed: None, ..change(Class::Compatible) };
    let (phases, _) = run(&spec, RolloutStatus::default(), &mut nothing_yet());
    assert!(
        !phases.contains(&Phase::Shadowing) && phases.contains(&Phase::Backfilling) && phases.ends_with(&[Phase::Succeeded]),
        "{phases:?}"
    );
}

#[test]
fn a_behavioural_change_reaches_readers_only_with_evidence_or_by_force() {
    let end = |spec: SequenceRolloutSpec| {
        let mut facts = nothing_yet();
        let (_, status) = run(&spec, RolloutStatus::default(), &mut facts);
        (status.phase.unwrap(), status.reason.unwrap(), facts.route.live.unwrap())
    };
    let refused = (Phase::Inconclusive, PhaseReason::NotCompared, "old".to_owned());
    let passed = (Phase::Succeeded, PhaseReason::Done, "new".to_owned());
    assert_eq!(end(change(Class::Behavioural)), refused);
    assert_eq!(end(SequenceRolloutSpec { lifecycle: Some(Lifecycle::Deprecated), ..change(Class::Behavioural) }), refused);
    assert_eq!(end(change(Class::Compatible)), passed);
    assert_eq!(end(SequenceRolloutSpec { forced: Some(true), ..change(Class::Behavioural) }), passed);
    assert_eq!(end(SequenceRolloutSpec { lifecycle: Some(Lifecycle::Experimental), ..change(Class::Behavioural) }), passed);
}

#[test]
fn what_a_person_sent_to_readers_without_a_comparison_says_so_in_the_end() {
    let message = |class| {
        let spec = SequenceRolloutSpec { forced: Some(true), ..change(class) };
        run(&spec, RolloutStatus::default(), &mut nothing_yet()).1.message
    };
    assert_eq!(message(Class::Behavioural).as_deref(), Some(super::advance::FORCED));
    assert_eq!(message(Class::Compatible), None, "there was nothing to do without");
}

/// Where an attempt stands in a phase, and the facts that it has there.
fn standing(phase: Phase) -> (RolloutStatus, Facts) {
    let mut status = RolloutStatus::default();
    let mut facts = nothing_yet();
    for step in 0..60 {
        if status.phase == Some(phase) {
            return (status, facts);
        }
        match decide(&change(Class::Compatible), &status, &facts, at(step)) {
            Decision::Write(next) => status = next,
            Decision::Act { effect, .. } => obey(&mut facts, effect),
            Decision::Rest => break,
        }
    }
    panic!("{phase:?} is not reached")
}

#[test]
fn what_fails_goes_back_without_touching_what_is_live() {
    let failed = || Progress::Failed("because".to_owned());
    let cases: [(Phase, fn(&mut Facts, Progress), PhaseReason); 4] = [
        (Phase::Preparing, |f, p| f.prepared = p, PhaseReason::PrepareFailed),
        (Phase::Shadowing, |f, p| f.caught_up = p, PhaseReason::StreamFailed),
        (Phase::Backfilling, |f, p| f.backfilled = p, PhaseReason::BackfillFailed),
        (Phase::Loading, |f, p| f.loaded = p, PhaseReason::LoadFailed),
    ];
    for (phase, set, reason) in cases {
        let (status, mut facts) = standing(phase);
        set(&mut facts, failed());
        let (phases, status) = run(&change(Class::Compatible), status, &mut facts);
        assert_eq!(phases, [phase, Phase::Aborting, Phase::Failed]);
        assert_eq!((status.reason, status.message.as_deref()), (Some(reason), Some("because")), "{phase:?}");
        assert_eq!((facts.route.live.as_deref(), facts.route.trial), (Some("old"), None), "{phase:?}");
    }
}

#[test]
fn what_takes_too_long_fails_or_is_inconclusive() {
    for (phase, end, reason) in [
        (Phase::Preparing, Phase::Failed, PhaseReason::DeadlineExceeded),
        (Phase::Shadowing, Phase::Inconclusive, PhaseReason::NotCaughtUp),
        (Phase::Backfilling, Phase::Failed, PhaseReason::DeadlineExceeded),
        (Phase::Loading, Phase::Failed, PhaseReason::DeadlineExceeded),
    ] {
        let (status, facts) = standing(phase);
        let deadline = status.deadline.clone().unwrap().0;
        let spec = change(Class::Compatible);
        let before = deadline.checked_sub(jiff::SignedDuration::from_secs(1)).unwrap();
        assert!(matches!(decide(&spec, &status, &facts, before), Decision::Act { until, .. } if until == Some(deadline)), "{phase:?}");
        let Decision::Write(aborting) = decide(&spec, &status, &facts, deadline) else { panic!("{phase:?} goes on") };
        let (_, status) = run(&spec, aborting, &mut facts.clone());
        assert_eq!((status.phase, status.reason), (Some(end), Some(reason)), "{phase:?}");
    }
    for phase in [Phase::Pending, Phase::CuttingOver, Phase::Retiring] {
        assert!(standing(phase).0.deadline.is_none(), "{phase:?}");
    }
}

#[test]
fn abort_works_in_every_phase_until_readers_are_sent_to_the_target_also_while_paused() {
    for phase in [Phase::Pending, Phase::Preparing, Phase::Shadowing, Phase::Backfilling, Phase::Loading, Phase::CuttingOver] {
        let (status, mut facts) = standing(phase);
        let paused = RolloutStatus { paused: Some(true), ..status };
        let (_, status) = run(&wanting(Action::Abort, "1", change(Class::Compatible)), paused, &mut facts);
        assert_eq!((status.phase, status.handled.as_deref()), (Some(Phase::Aborted), Some("1")), "{phase:?}");
        assert_eq!(facts.route.live.as_deref(), Some("old"), "{phase:?}");
    }
    let (status, mut facts) = standing(Phase::CuttingOver);
    obey(&mut facts, Effect::CutOver);
    let (_, status) = run(&wanting(Action::Abort, "1", change(Class::Compatible)), status, &mut facts);
    assert_eq!((status.phase, facts.route.live.as_deref()), (Some(Phase::Succeeded), Some("new")));
}

#[test]
fn a_new_target_or_a_deleted_feature_ends_it_before_the_cutover_only() {
    let ends = [(Declared::Another, Phase::Superseded), (Declared::Lost, Phase::Superseded), (Declared::Nothing, Phase::Aborted)];
    for (declared, end) in ends {
        let (status, facts) = standing(Phase::Loading);
        let (_, status) = run(&change(Class::Compatible), status, &mut Facts { declared, ..facts });
        assert_eq!(status.phase, Some(end));
        let (status, mut facts) = standing(Phase::CuttingOver);
        obey(&mut facts, Effect::CutOver);
        let (_, status) = run(&change(Class::Compatible), status, &mut Facts { declared, ..facts });
        assert_eq!(status.phase, Some(Phase::Succeeded));
    }
}

#[test]
fn paused_nothing_is_done_and_resumed_it_goes_on() {
    let (status, mut facts) = standing(Phase::Loading);
    let Decision::Write(paused) = decide(&wanting(Action::Pause, "1", change(Class::Compatible)), &status, &facts, at(0)) else {
        panic!("Pause is not heeded")
    };
    let later = at(i64::from(i32::MAX));
    let held = decide(&wanting(Action::Pause, "1", change(Class::Compatible)), &paused, &facts, later);
    assert_eq!(held, Decision::Act { effect: Effect::Nothing, waiting: "paused".to_owned(), until: None });
    let (_, status) = run(&wanting(Action::Resume, "2", change(Class::Compatible)), paused, &mut facts);
    assert_eq!((status.phase, status.paused), (Some(Phase::Succeeded), None));
}

#[test]
fn what_passes_while_it_is_paused_does_not_count_for_the_deadline() {
    let spec = change(Class::Compatible);
    let written = |status: &RolloutStatus, second| match decide(&spec, status, &nothing_yet(), at(second)) {
        Decision::Write(next) => next,
        other => panic!("{other:?}"),
    };
    let until = |status: &RolloutStatus| status.deadline.as_ref().map(|deadline| deadline.0);
    let loading = RolloutStatus { phase: Some(Phase::Loading), deadline: Some(Time(at(100))), ..RolloutStatus::default() };
    // Held by its feature at second 60, for a year.
    let held = written(&RolloutStatus { paused: Some(true), ..loading.clone() }, 60);
    assert_eq!((held.phase, held.held_since.clone()), (Some(Phase::Loading), Some(Time(at(60)))));
    let year = 31_536_000;
    let waits = Decision::Act { effect: Effect::Nothing, waiting: "paused".to_owned(), until: None };
    assert_eq!(decide(&spec, &held, &nothing_yet(), at(year)), waits);
    let resumed = written(&RolloutStatus { paused: None, ..held.clone() }, 60 + year);
    assert_eq!((until(&resumed), resumed.held_since.clone()), (Some(at(100 + year)), None));
    let goes_on = |second| matches!(decide(&spec, &resumed, &nothing_yet(), at(second)), Decision::Act { effect: Effect::Load, .. });
    assert!(goes_on(60 + year) && goes_on(99 + year) && !goes_on(100 + year));
    // Ended while it was held: nothing of it is left.
    let aborted = decide(&wanting(Action::Abort, "1", spec.clone()), &held, &nothing_yet(), at(70));
    let Decision::Write(aborted) = aborted else { panic!("{aborted:?}") };
    assert_eq!((aborted.phase, aborted.held_since), (Some(Phase::Aborting), None));
}

#[test]
fn retry_is_noted_at_an_end_without_success_and_only_there() {
    let retried = |phase| {
        let status = RolloutStatus { phase: Some(phase), ..RolloutStatus::default() };
        match decide(&wanting(Action::Retry, "1", change(Class::Compatible)), &status, &nothing_yet(), at(0)) {
            Decision::Write(next) => (next.phase == Some(phase)).then_some(next.retried == Some(true)),
            other => panic!("{other:?}"),
        }
    };
    for phase in [Phase::Failed, Phase::Inconclusive, Phase::Aborted, Phase::Superseded] {
        assert_eq!(retried(phase), Some(true), "{phase:?}");
    }
    for phase in [Phase::Succeeded, Phase::Loading] {
        assert_eq!(retried(phase), Some(false), "{phase:?}");
    }
}

#[test]
fn a_lost_status_is_found_again_from_the_route() {
    let spec = change(Class::Compatible);
    let first_phase = |facts: &Facts| match decide(&spec, &RolloutStatus::default(), facts, at(0)) {
        Decision::Write(status) => status.phase,
        other => panic!("{other:?}"),
    };
    assert_eq!(first_phase(&nothing_yet()), Some(Phase::Pending));
    let live = Facts { route: Route { live: Some("new".to_owned()), ..nothing_yet().route }, ..nothing_yet() };
    assert_eq!(first_phase(&live), Some(Phase::Retiring));
}

#[test]
fn a_cutover_waits_for_its_window() {
    let (status, facts) = standing(Phase::Loading);
    let facts = Facts { loaded: Progress::Done, ..facts };
    let policy = serde_json::from_value(serde_json::json!({"windows": [{"days": ["Thu"], "from": "09:00", "to": "16:00"}]})).unwrap();
    let spec = SequenceRolloutSpec { policy: Some(policy), ..change(Class::Compatible) };
    // 1970-01-01 was a Thursday.
    assert!(matches!(decide(&spec, &status, &facts, at(8 * 3600)), Decision::Act { effect: Effect::Load, .. }));
    assert!(matches!(decide(&spec, &status, &facts, at(9 * 3600)), Decision::Write(next) if next.phase == Some(Phase::CuttingOver)));
    // The night is no time in which it could have been done: a pod that is not heard of in the morning does not end the attempt.
    let again = Facts { loaded: Progress::Going, ..facts };
    for hour in [8, 9] {
        assert!(matches!(decide(&spec, &status, &again, at(hour * 3600 + 60)), Decision::Act { effect: Effect::Load, .. }), "{hour}");
    }
    let late = decide(&spec, &status, &again, at(10 * 3600 + 60));
    assert!(matches!(late, Decision::Write(next) if next.reason == Some(PhaseReason::DeadlineExceeded)));
}

#[test]
fn what_a_newer_operator_wrote_is_left_alone() {
    let status: RolloutStatus = serde_json::from_value(serde_json::json!({"phase": "Comparing"})).unwrap();
    assert_eq!(decide(&first(), &status, &nothing_yet(), at(0)), Decision::Rest);
    let (status, facts) = standing(Phase::Loading);
    let intent: Intent = serde_json::from_value(serde_json::json!({"action": "Promote", "nonce": "1"})).unwrap();
    let spec = SequenceRolloutSpec { intent: Some(intent), ..change(Class::Compatible) };
    assert_eq!(decide(&spec, &status, &facts, at(0)), decide(&change(Class::Compatible), &status, &facts, at(0)));
}

fn progress() -> impl Strategy<Value = Progress> {
    prop_oneof![4 => Just(Progress::Going), 4 => Just(Progress::Done), 1 => Just(Progress::Failed("x".to_owned()))]
}

fn uid() -> impl Strategy<Value = Option<String>> {
    prop_oneof![Just(None), Just(Some("old".to_owned())), Just(Some("new".to_owned()))]
}

prop_compose! {
    fn any_facts()(
        declared in prop_oneof![8 => Just(Declared::Target), 1 => Just(Declared::Another), 1 => Just(Declared::Nothing)],
        slot in any::<bool>(), prepared in progress(), caught_up in progress(), backfilled in progress(), loaded in progress(),
        trial_stopped in any::<bool>(), live in uid(), trial in uid(), extra in any::<bool>(), acknowledged in any::<bool>(), mounted in any::<bool>(),
    ) -> Facts {
        let loaded_too = if extra { vec!["old".to_owned()] } else { Vec::new() };
        let route = Route { live, trial, loaded: loaded_too, epoch: 1, acknowledged, mounted };
        Facts { declared, slot, prepared, caught_up, backfilled, loaded, trial_stopped, route }
    }
}

fn any_intent() -> impl Strategy<Value = Option<(Action, String)>> {
    let action = prop_oneof![Just(Action::Abort), Just(Action::Retry), Just(Action::Pause), Just(Action::Resume), Just(Action::Unknown)];
    proptest::option::weighted(0.3, (action, "[a-e]"))
}

fn any_change() -> impl Strategy<Value = SequenceRolloutSpec> {
    prop_oneof![Just(first()), Just(change(Class::Compatible)), Just(change(Class::Behavioural))]
}

proptest! {
    #[test]
    fn whatever_is_seen_transitions_are_legal_ends_stay_ends_and_nothing_is_written_twice(
        spec in any_change(), seen in proptest::collection::vec((any_facts(), any_intent(), 0i64..900_000), 1..40),
    ) {
        let mut status = RolloutStatus::default();
        let mut now = 0;
        for (facts, intent, passed) in seen {
            now += passed;
            let spec = match intent {
                Some((action, nonce)) => wanting(action, &nonce, spec.clone()),
                None => spec.clone(),
            };
            // As often as it writes; it must come to rest under the same facts.
            let mut writes = 0;
            while let Decision::Write(next) = decide(&spec, &status, &facts, at(now)) {
                prop_assert!(is_legal(status.phase, next.phase), "{:?} → {:?}", status.phase, next.phase);
                prop_assert_ne!(&status, &next);
                if status.phase.is_some_and(Phase::is_end) {
                    prop_assert_eq!(status.phase, next.phase);
                }
                status = next;
                writes += 1;
                prop_assert!(writes < 20, "it goes on writing: {:?}", status);
            }
            prop_assert_eq!(decide(&spec, &status, &facts, at(now)), decide(&spec, &status, &facts, at(now)));
        }
    }

    #[test]
    fn from_wherever_it_is_it_comes_to_an_end_once_everything_succeeds(
        spec in any_change(), seen in proptest::collection::vec((any_facts(), 0i64..100), 0..20),
    ) {
        let mut status = RolloutStatus::default();
        for (facts, _) in &seen {
            if let Decision::Write(next) = decide(&spec, &status, facts, at(0)) {
                status = next;
            }
        }
        let (_, status) = run(&spec, status, &mut nothing_yet());
        prop_assert!(status.phase.is_some_and(Phase::is_end));
    }
}

#[test]
fn the_table_names_every_phase_once() {
    let all = [
        Phase::Pending,
        Phase::Preparing,
        Phase::Shadowing,
        Phase::Backfilling,
        Phase::Loading,
        Phase::CuttingOver,
        Phase::Retiring,
        Phase::Aborting,
        Phase::Succeeded,
        Phase::Failed,
        Phase::Inconclusive,
        Phase::Aborted,
        Phase::Superseded,
    ];
    for phase in all {
        let rows: Vec<_> = LEGAL.iter().filter(|(from, _)| *from == Some(phase)).collect();
        assert_eq!(rows.len(), 1, "{phase:?}");
        assert_eq!(rows[0].1.is_empty(), phase.is_end(), "{phase:?}");
    }
}
