//! Backfills of the schedule: which is due, and which are forgotten.

use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt;
use tress_crds::Backfill;
use tress_crds::backfill::BackfillPhase;
use tress_crds::revision::SignalRevisionStatus;

use super::observe::Facts;
use crate::schedule::{Due, due};
use crate::{label, name};

/// What the schedule wants.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Wanted {
    /// The one of this time is to be made.
    pub make: Option<Timestamp>,
    /// The time that was acted upon last.
    pub scheduled: Option<Timestamp>,
    pub next: Option<Timestamp>,
}

/// How many of ours that have ended are kept, of each revision.
const KEPT: usize = 5;

/// `status`: as it is now. A time that was missed while another backfill goes on is caught up after it, once.
pub(super) fn wanted(facts: &Facts, status: &SignalRevisionStatus, now: Timestamp) -> Wanted {
    let acted = status.scheduled.as_ref().map(|time| time.0);
    let nothing = Wanted { scheduled: acted, ..Wanted::default() };
    // The first history is the rollout's.
    let (Some((schedule, zone)), Some(folded)) = (&facts.schedule, facts.folded(status)) else { return nothing };
    let last = acted.unwrap_or(folded);
    let Due { missed, next } = due(schedule, zone, last, now);
    let Some(at) = missed else { return Wanted { next, ..nothing } };
    let uid = facts.revision.uid().unwrap_or_default();
    let of_then = name::backfill(&facts.revision.spec.signal, &uid, &name::Occasion::Scheduled(at));
    if facts.backfills.iter().any(|backfill| backfill.name_any() == of_then) {
        return Wanted { scheduled: Some(at), next, make: None };
    }
    let make = (!facts.backfills.iter().any(|backfill| is_going(backfill))).then_some(at);
    Wanted { make, next, ..nothing }
}

/// Of ours that have ended, all but the newest.
pub(super) fn forgotten(facts: &Facts) -> Vec<Arc<Backfill>> {
    let is_ours = |b: &&Arc<Backfill>| b.labels().get(label::MANAGED.0).map(String::as_str) == Some(label::MANAGED.1);
    let mut ended: Vec<&Arc<Backfill>> = facts.backfills.iter().filter(is_ours).filter(|b| !is_going(b)).collect();
    let end = |b: &Arc<Backfill>| b.status.as_ref().and_then(|status| status.ended.as_ref()).map(|time| time.0);
    ended.sort_by_key(|b| (std::cmp::Reverse(end(b)), b.name_any()));
    ended.into_iter().skip(KEPT).cloned().collect()
}

/// Whether it has not ended.
pub(super) fn is_going(backfill: &Backfill) -> bool {
    let phase = backfill.status.as_ref().and_then(|status| status.phase);
    !matches!(phase, Some(BackfillPhase::Succeeded | BackfillPhase::Failed))
}
