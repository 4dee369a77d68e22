//! What is meant of a revision, and what is done for it.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tress_configs::job::{Demanded, Facts as Made};
use tress_crds::Backfill;
use tress_crds::backfill::BackfillPhase;
use tress_crds::revision::{History, Prepared, SignalRevisionStatus, Use};

use super::observe::Facts;
use super::{demands, earliest, schedule};
use crate::backfill;
use crate::jobs::{Observed, Seen};

/// What is done. Each may be done again.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// The map with the plan, and what says that its data goes with it: both come before anything of it is outside.
    Plan,
    Record,
    /// Its data stays when it goes.
    Forget,
    Prepare,
    /// The stream, with this image, and what stands around its pods.
    Stream {
        image: String,
    },
    StopStream,
    /// The archive of its topic, with this image.
    Archive {
        image: String,
    },
    StopArchive,
    List(Demanded),
    Base,
    /// The backfill of the schedule for this time.
    Backfill(Timestamp),
    ForgetBackfill(Arc<Backfill>),
    Drop,
    /// The object goes.
    Delete,
}

/// What is written, then done, and when to look again.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Without conditions: see report.
    pub status: SignalRevisionStatus,
    pub actions: Vec<Action>,
    pub next: Option<Timestamp>,
}

/// What nothing needs is given up after this: a rollback may be on its way.
const GRACE: SignedDuration = SignedDuration::from_secs(60);
/// So many streams and archives take up a new image at a time …
const WAVE: usize = 5;
/// … and those that wait for it look again after this.
const WAVE_PAUSE: SignedDuration = SignedDuration::from_secs(15);
/// A job that succeeded in something else than what is needed is made again after this.
const STALE_PAUSE: SignedDuration = SignedDuration::from_secs(10);

/// Decides. Pure, total; the same again as long as nothing changes.
///
/// Guarantees: what `dropping` names never runs again; nothing is done outside before the plan and the record are there; a paused
/// definition has nothing done.
#[must_use]
pub fn decide(facts: &Facts, now: Timestamp) -> Decision {
    let mut status = facts.revision.status.clone().unwrap_or_default();
    status.observed_generation = facts.revision.metadata.generation;
    let leaving = status.dropping.is_some();
    status.needed = Some(if leaving { Use::Gone } else { facts.needed });
    status.gone = match facts.needed {
        Use::Gone => status.gone.or(Some(Time(now))),
        _ if leaving => status.gone,
        _ => None,
    };
    let given_up = status.gone.as_ref().and_then(|since| since.0.checked_add(GRACE).ok());
    if facts.definition.is_some() && !facts.is_paused() && given_up.is_some_and(|at| at <= now) {
        status.dropping = status.dropping.or(Some(Time(now)));
    }
    status.prepared = status.prepared.or_else(|| prepared(facts, now));
    status.history = history(facts, status.history);
    let mut decision = Decision { status, actions: Vec::new(), next: None };
    if decision.status.prepared.is_some() {
        decision.list(facts);
    }
    let wanted = schedule::wanted(facts, &decision.status, now);
    decision.status.scheduled = wanted.scheduled.map(Time);
    if facts.is_paused() {
        return decision;
    }
    match decision.status.needed {
        _ if decision.status.dropping.is_some() => decision.leave(facts, now),
        Some(Use::Gone) => decision.rest(facts, given_up, now),
        needed => {
            decision.prepare(facts, now);
            decision.run(facts, needed == Some(Use::Running), now);
            if needed == Some(Use::Running) {
                decision.base(facts, now);
                decision.actions.extend(wanted.make.map(Action::Backfill));
                decision.next = earliest([decision.next, wanted.next]);
            }
        }
    }
    decision.archive(facts, now);
    decision.actions.extend(schedule::forgotten(facts).into_iter().map(Action::ForgetBackfill));
    decision
}

impl Decision {
    /// What belongs to it is deleted, then its object.
    fn leave(&mut self, facts: &Facts, now: Timestamp) {
        self.stop(facts);
        match &facts.drop.seen {
            Seen::Succeeded(Some(_)) => self.actions.push(Action::Delete),
            _ => self.make(&facts.drop, Action::Drop, now),
        }
    }

    /// Nothing needs it. Where the definition is gone too, what says that its data goes with it is all that is left of it.
    fn rest(&mut self, facts: &Facts, given_up: Option<Timestamp>, now: Timestamp) {
        self.stop(facts);
        match given_up {
            Some(at) if at <= now => self.actions.push(Action::Delete),
            at => self.next = at,
        }
    }

    fn stop(&mut self, facts: &Facts) {
        if facts.stream.is_some() || facts.guarded {
            self.actions.push(Action::StopStream);
        }
    }

    fn prepare(&mut self, facts: &Facts, now: Timestamp) {
        match (facts.deletes(), &facts.record, &facts.definition) {
            (true, None, _) => self.actions.push(Action::Record),
            (false, Some(_), Some(_)) => self.actions.push(Action::Forget),
            _ => {}
        }
        if self.status.prepared.is_some() || !facts.runs_here() {
            return;
        }
        if !facts.planned {
            self.actions.push(Action::Plan);
        }
        self.make(&facts.prepare, Action::Prepare, now);
    }

    fn run(&mut self, facts: &Facts, runs: bool, now: Timestamp) {
        if !runs {
            return self.stop(facts);
        }
        // What runs goes on, whatever a new image may run.
        if self.status.prepared.is_none() || (!facts.runs_here() && facts.stream.is_none()) {
            return;
        }
        let image = match &facts.stream {
            Some(stream) if !facts.runs_here() => stream.image.clone(),
            // A stream that does not run has nothing to spare: another engine may be what helps it.
            Some(stream) if facts.attempt.is_some() && stream.available > 0 => stream.image.clone(),
            stream => self.in_turn(stream.as_ref().map(|stream| stream.image.as_str()), facts, now),
        };
        self.actions.push(Action::Stream { image });
    }

    /// The platform's image; what has another one keeps it until it is its turn.
    fn in_turn(&mut self, current: Option<&str>, facts: &Facts, now: Timestamp) -> String {
        match current {
            Some(current) if current != facts.image && facts.rolling >= WAVE => {
                self.next = earliest([self.next, now.checked_add(WAVE_PAUSE).ok()]);
                current.to_owned()
            }
            _ => facts.image.clone(),
        }
    }

    fn list(&mut self, facts: &Facts) {
        let status = &mut self.status;
        let of_base = match &facts.base.seen {
            Seen::Succeeded(Some(report)) => backfill::covered(report),
            _ => None,
        };
        let sealed = facts.backfills.iter().filter_map(|backfill| backfill.status.as_ref()?.covered);
        let reported = sealed.chain(of_base).max();
        let next = demands::next(status.demands.as_ref(), facts.list.as_ref(), &facts.demands, reported);
        let wanted = Demanded::new(u64::try_from(next.number).unwrap_or_default(), facts.demands.clone());
        status.demands = Some(next);
        let is_needed = status.dropping.is_none() && status.needed != Some(Use::Gone);
        if is_needed && !facts.is_paused() && facts.list.as_ref() != Some(&wanted) {
            self.actions.push(Action::List(wanted));
        }
    }

    fn base(&mut self, facts: &Facts, now: Timestamp) {
        let Some(demands) = &self.status.demands else { return };
        let is_covered = facts.demands.is_empty() || demands.covered >= Some(demands.number);
        let goes_on = facts.backfills.iter().any(|backfill| {
            let phase = backfill.status.as_ref().and_then(|status| status.phase);
            matches!(phase, Some(BackfillPhase::Planning | BackfillPhase::Working | BackfillPhase::Sealing))
        });
        // A seal makes base too.
        if is_covered || self.status.history.is_none() || goes_on || !facts.runs_here() {
            return;
        }
        self.make(&facts.base, Action::Base, now);
    }

    fn archive(&mut self, facts: &Facts, now: Timestamp) {
        let Some(archive) = &facts.archive else { return };
        match archive.owners.as_slice() {
            [] if archive.there => self.actions.push(Action::StopArchive),
            [] => {}
            // Whoever needs it sees to it, so that it is not rendered by one that leaves.
            _ if self.status.needed == Some(Use::Gone) => {}
            // It runs no plan: every engine can.
            _ if archive.found || archive.there => {
                let image = self.in_turn(archive.image.as_deref(), facts, now);
                self.actions.push(Action::Archive { image });
            }
            _ => {}
        }
    }

    /// A job that is not there, or ended without the result that is needed and has waited.
    fn make(&mut self, job: &Observed, action: Action, now: Timestamp) {
        let again = match (&job.seen, job.ended) {
            // Of an older list, or of another object of the name.
            (Seen::Succeeded(Some(_)), Some(ended)) => ended.checked_add(STALE_PAUSE).ok(),
            _ => job.again(),
        };
        match (&job.seen, again) {
            (Seen::Missing, _) => self.actions.push(action),
            (_, Some(at)) if at <= now => self.actions.push(action),
            (_, at) => self.next = earliest([self.next, at]),
        }
    }
}

/// What the job reported, if it is of this revision.
fn prepared(facts: &Facts, now: Timestamp) -> Option<Prepared> {
    let Seen::Succeeded(Some(report)) = &facts.prepare.seen else { return None };
    let Some(Made::Prepared { uid, digest, partitions, path }) = &report.facts else { return None };
    let is_it = facts.revision.metadata.uid.as_ref() == Some(uid) && facts.revision.spec.compiled.digest == *digest;
    is_it.then(|| Prepared {
        partitions: partitions.and_then(|n| i32::try_from(n).ok()),
        path: path.chars().take(1024).collect(),
        since: Time(now),
    })
}

/// Of the newest backfill that was sealed.
fn history(facts: &Facts, before: Option<History>) -> Option<History> {
    let sealed = |backfill: &Arc<Backfill>| {
        let status = backfill.status.as_ref()?;
        Some(History { backfill: status.number?, version: status.history_version?, sealed: status.ended.clone()? })
    };
    facts.backfills.iter().filter_map(sealed).chain(before).max_by_key(|history| (history.version, history.backfill))
}
