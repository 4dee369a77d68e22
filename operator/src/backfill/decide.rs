//! What is done next for a backfill: a job that plans, an indexed one that works, one that seals and makes base.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tress_configs::job::{BaseMade, Facts as Made, Outcome, PlanIs, Report};
use tress_crds::backfill::{BackfillPhase, BackfillSpec, BackfillStatus};

use crate::jobs::Seen;
use crate::name::MAX_WORKERS;

/// What is seen of the indexed job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Workers {
    pub job: Seen,
    /// How many indexes are done.
    pub done: i64,
    /// Indexes that failed, as the job's status says: `1,3-5`.
    pub failed: String,
}

/// Everything that is seen of a backfill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// The revision is prepared and runs, and no other backfill of it goes on.
    pub may_start: bool,
    /// The revision that it is of is gone, or was waited for in vain.
    pub lost: bool,
    pub plan: Seen,
    pub work: Workers,
    pub seal: Seen,
}

/// A job that is wanted. Each may be asked for again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Effect {
    Nothing,
    Plan,
    Work {
        number: i64,
        workers: i32,
    },
    Seal {
        number: i64,
    },
    /// Jobs of an earlier round go: they did what somebody else had left unfinished.
    Clear,
}

/// What is done next.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    Write(BackfillStatus),
    Act(Effect),
    Rest,
}

/// Decides. Total, pure; the same again as long as nothing changes.
#[must_use]
pub fn decide(spec: &BackfillSpec, status: &BackfillStatus, facts: &Facts, now: Timestamp) -> Decision {
    let to = |phase| BackfillStatus { phase: Some(phase), ..status.clone() };
    let ended = |phase| BackfillStatus { ended: Some(Time(now)), ..to(phase) };
    match status.phase {
        None => Decision::Write(to(BackfillPhase::Pending)),
        Some(BackfillPhase::Succeeded | BackfillPhase::Failed | BackfillPhase::Unknown) => Decision::Rest,
        // A revision that comes again under the same name has other data.
        Some(_) if facts.lost && facts.leaves_jobs() => Decision::Act(Effect::Clear),
        Some(_) if facts.lost => Decision::Write(ended(BackfillPhase::Failed)),
        Some(BackfillPhase::Pending) if facts.leaves_jobs() => Decision::Act(Effect::Clear),
        Some(BackfillPhase::Pending) if spec.suspend == Some(true) || !facts.may_start => Decision::Act(Effect::Nothing),
        Some(BackfillPhase::Pending) => {
            let started = status.started.clone().or(Some(Time(now)));
            Decision::Write(BackfillStatus { started, ..to(BackfillPhase::Planning) })
        }
        Some(BackfillPhase::Planning) => match &facts.plan {
            Seen::Missing | Seen::Succeeded(None) => Decision::Act(Effect::Plan),
            Seen::Running => Decision::Act(Effect::Nothing),
            Seen::Failed(_) => Decision::Write(ended(BackfillPhase::Failed)),
            Seen::Succeeded(Some(report)) => match &report.facts {
                _ if report.outcome == Outcome::UpToDate => Decision::Write(ended(BackfillPhase::Succeeded)),
                Some(Made::Planned { backfill, tasks, .. }) => {
                    let (number, tasks) = (whole(*backfill), whole(*tasks));
                    let workers = i32::try_from(tasks.clamp(1, i64::from(MAX_WORKERS))).unwrap_or(1);
                    let planned = BackfillStatus {
                        number: Some(number),
                        tasks: Some(tasks),
                        workers: Some(workers),
                        done: Some(0),
                        ..to(BackfillPhase::Working)
                    };
                    Decision::Write(planned)
                }
                _ => Decision::Write(ended(BackfillPhase::Failed)),
            },
        },
        Some(BackfillPhase::Working) => work(spec, status, facts, now),
        Some(BackfillPhase::Sealing) => seal(status, facts, now),
    }
}

fn work(spec: &BackfillSpec, status: &BackfillStatus, facts: &Facts, now: Timestamp) -> Decision {
    let (number, workers) = (status.number.unwrap_or_default(), status.workers.unwrap_or(1));
    let Workers { job, done, failed } = &facts.work;
    let failed: Vec<String> = failed.split(',').filter(|f| !f.is_empty()).take(32).map(str::to_owned).collect();
    let seen = BackfillStatus { done: Some(*done), failed, ..status.clone() };
    match job {
        Seen::Succeeded(_) => {
            Decision::Write(BackfillStatus { phase: Some(BackfillPhase::Sealing), done: Some(i64::from(workers)), ..seen })
        }
        Seen::Failed(_) => Decision::Write(BackfillStatus { phase: Some(BackfillPhase::Failed), ended: Some(Time(now)), ..seen }),
        Seen::Missing if spec.suspend == Some(true) => Decision::Act(Effect::Nothing),
        Seen::Missing => Decision::Act(Effect::Work { number, workers }),
        Seen::Running if seen != *status => Decision::Write(seen),
        // Applied again: `suspend` and `parallelism` may have changed.
        Seen::Running => Decision::Act(Effect::Work { number, workers }),
    }
}

fn seal(status: &BackfillStatus, facts: &Facts, now: Timestamp) -> Decision {
    let number = status.number.unwrap_or_default();
    match &facts.seal {
        Seen::Missing | Seen::Succeeded(None) => Decision::Act(Effect::Seal { number }),
        Seen::Running => Decision::Act(Effect::Nothing),
        Seen::Failed(_) => Decision::Write(BackfillStatus { phase: Some(BackfillPhase::Failed), ended: Some(Time(now)), ..status.clone() }),
        // What was unfinished is sealed; the one that was asked for begins.
        Seen::Succeeded(Some(_)) if was_another(facts) => Decision::Write(BackfillStatus {
            phase: Some(BackfillPhase::Pending),
            number: None,
            tasks: None,
            workers: None,
            done: None,
            ..status.clone()
        }),
        Seen::Succeeded(Some(report)) => {
            let sealed = BackfillStatus { phase: Some(BackfillPhase::Succeeded), ended: Some(Time(now)), ..status.clone() };
            Decision::Write(match &report.facts {
                Some(Made::Sealed { raw_events, rows, dead, history_version, .. }) => BackfillStatus {
                    raw_events: Some(whole(*raw_events)),
                    rows: Some(whole(*rows)),
                    dead: Some(whole(*dead)),
                    history_version: Some(whole(*history_version)),
                    covered: covered(report),
                    ..sealed
                },
                _ => sealed,
            })
        }
    }
}

impl Facts {
    fn leaves_jobs(&self) -> bool {
        [&self.plan, &self.work.job, &self.seal].iter().any(|job| **job != Seen::Missing)
    }
}

/// Whether the plan that was found is an unfinished one of somebody else.
fn was_another(facts: &Facts) -> bool {
    let Seen::Succeeded(Some(report)) = &facts.plan else { return false };
    matches!(report.facts, Some(Made::Planned { plan: PlanIs::Unfinished, .. }))
}

/// The number of the list of features that the base of a sealed backfill was made for.
#[must_use]
pub fn covered(report: &Report) -> Option<i64> {
    let base: BaseMade = match report.facts.as_ref()? {
        Made::Sealed { base, .. } => (*base)?,
        Made::Based { base, .. } => *base,
        _ => return None,
    };
    Some(whole(base.demands))
}

fn whole(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use tress_configs::job::Role;
    use tress_crds::backfill::{Incremental, Mode};

    use super::*;

    fn spec() -> BackfillSpec {
        let mode = Mode { incremental: Some(Incremental {}), restate: None };
        BackfillSpec { revision: "s".to_owned(), mode, parallelism: None, suspend: None }
    }

    fn nothing() -> Facts {
        let work = Workers { job: Seen::Missing, done: 0, failed: String::new() };
        Facts { may_start: true, lost: false, plan: Seen::Missing, work, seal: Seen::Missing }
    }

    fn done(role: Role, outcome: Outcome, facts: Option<Made>) -> Seen {
        Seen::Succeeded(Some(Report::new(role, outcome, facts)))
    }

    fn planned(plan: PlanIs, tasks: u64) -> Seen {
        let facts = Made::Planned { uid: "u".to_owned(), backfill: 7, tasks, plan, path: "p".to_owned() };
        done(Role::BackfillPlan, Outcome::Succeeded, Some(facts))
    }

    fn sealed() -> Seen {
        let base = Some(BaseMade { manifest: 1, demands: 3 });
        let facts = Made::Sealed { uid: "u".to_owned(), backfill: 7, raw_events: 10, rows: 9, dead: 1, history_version: 2, base };
        done(Role::BackfillSeal, Outcome::Succeeded, Some(facts))
    }

    /// What is asked for and written until it rests; every job that is asked for succeeds.
    fn run(mut status: BackfillStatus, facts: &mut Facts, plans: &mut Vec<Seen>) -> (Vec<String>, BackfillStatus) {
        let mut told = Vec::new();
        for _ in 0..40 {
            match decide(&spec(), &status, facts, Timestamp::UNIX_EPOCH) {
                Decision::Write(next) => {
                    assert_ne!(next, status);
                    status = next;
                }
                Decision::Act(effect) => {
                    told.push(format!("{effect:?}"));
                    match effect {
                        Effect::Plan => facts.plan = plans.pop().unwrap(),
                        Effect::Work { .. } => facts.work.job = Seen::Succeeded(None),
                        Effect::Seal { .. } => facts.seal = sealed(),
                        Effect::Clear => *facts = nothing(),
                        Effect::Nothing => return (told, status),
                    }
                }
                Decision::Rest => return (told, status),
            }
        }
        panic!("it does not come to rest: {told:?}")
    }

    #[test]
    fn a_backfill_is_planned_worked_and_sealed() {
        let (told, status) = run(BackfillStatus::default(), &mut nothing(), &mut vec![planned(PlanIs::Asked, 5)]);
        assert_eq!(told, ["Plan", "Work { number: 7, workers: 5 }", "Seal { number: 7 }"]);
        assert_eq!((status.phase, status.rows, status.dead, status.done), (Some(BackfillPhase::Succeeded), Some(9), Some(1), Some(5)));
        assert_eq!((status.history_version, status.covered), (Some(2), Some(3)));
        let Seen::Succeeded(Some(report)) = sealed() else { panic!() };
        assert_eq!(covered(&report), Some(3));
    }

    #[test]
    fn one_whose_revision_is_gone_ends_its_jobs_and_fails() {
        use BackfillPhase::{Failed, Pending, Planning, Sealing, Succeeded, Working};
        for phase in [Pending, Planning, Working, Sealing] {
            let status = BackfillStatus { phase: Some(phase), number: Some(7), workers: Some(1), ..BackfillStatus::default() };
            let mut facts = Facts { lost: true, may_start: false, plan: planned(PlanIs::Asked, 1), ..nothing() };
            let next = |facts: &Facts| decide(&spec(), &status, facts, Timestamp::UNIX_EPOCH);
            assert_eq!(next(&facts), Decision::Act(Effect::Clear), "{phase:?}");
            facts.plan = Seen::Missing;
            let Decision::Write(BackfillStatus { phase: Some(Failed), ended: Some(_), .. }) = next(&facts) else { panic!("{phase:?}") };
        }
        let done = BackfillStatus { phase: Some(Succeeded), ..BackfillStatus::default() };
        assert_eq!(decide(&spec(), &done, &Facts { lost: true, ..nothing() }, Timestamp::UNIX_EPOCH), Decision::Rest);
    }

    #[test]
    fn more_tasks_than_pods_are_shared_and_no_tasks_are_one_pods() {
        for (tasks, workers) in [(0, 1), (1000, 1000), (1_000_000, 1000)] {
            let (told, _) = run(BackfillStatus::default(), &mut nothing(), &mut vec![planned(PlanIs::Asked, tasks)]);
            assert_eq!(told[1], format!("Work {{ number: 7, workers: {workers} }}"));
        }
    }

    #[test]
    fn what_somebody_left_unfinished_is_finished_first() {
        let mut plans = vec![planned(PlanIs::Asked, 1), planned(PlanIs::Unfinished, 2)];
        let (told, status) = run(BackfillStatus::default(), &mut nothing(), &mut plans);
        assert_eq!(
            told,
            [
                "Plan",
                "Work { number: 7, workers: 2 }",
                "Seal { number: 7 }",
                "Clear",
                "Plan",
                "Work { number: 7, workers: 1 }",
                "Seal { number: 7 }"
            ]
        );
        assert_eq!(status.phase, Some(BackfillPhase::Succeeded));
    }

    #[test]
    fn with_nothing_to_do_it_succeeds_at_once_and_a_lost_report_is_asked_for_again() {
        let up_to_date = done(Role::BackfillPlan, Outcome::UpToDate, None);
        let (told, status) = run(BackfillStatus::default(), &mut nothing(), &mut vec![up_to_date, Seen::Succeeded(None)]);
        assert_eq!((told, status.phase), (vec!["Plan".to_owned(), "Plan".to_owned()], Some(BackfillPhase::Succeeded)));
    }

    #[test]
    fn it_waits_for_its_turn_and_a_failure_is_its_end() {
        let waiting = Facts { may_start: false, ..nothing() };
        let pending = BackfillStatus { phase: Some(BackfillPhase::Pending), ..BackfillStatus::default() };
        assert_eq!(decide(&spec(), &pending, &waiting, Timestamp::UNIX_EPOCH), Decision::Act(Effect::Nothing));
        let suspended = BackfillSpec { suspend: Some(true), ..spec() };
        assert_eq!(decide(&suspended, &pending, &nothing(), Timestamp::UNIX_EPOCH), Decision::Act(Effect::Nothing));
        let working =
            BackfillStatus { phase: Some(BackfillPhase::Working), number: Some(7), workers: Some(9), ..BackfillStatus::default() };
        let work = Workers { job: Seen::Failed(None), done: 4, failed: "1,3-5".to_owned() };
        let Decision::Write(failed) = decide(&spec(), &working, &Facts { work, ..nothing() }, Timestamp::UNIX_EPOCH) else { panic!() };
        assert_eq!(
            (failed.phase, failed.done, failed.failed),
            (Some(BackfillPhase::Failed), Some(4), vec!["1".to_owned(), "3-5".to_owned()])
        );
    }
}
