//! What is done next for a sequence revision. Pure.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use tress_configs::job::{Facts, Report};
use tress_crds::SequenceRevision;
use tress_crds::condition::{ConditionType, Reason, Says, Truth, conditions};
use tress_crds::revision::{Prepared, SequenceRevisionStatus, Use};

use crate::jobs::{self, Seen};

/// How long a revision stays after a consumer asked for it by its digest.
const PINNED: SignedDuration = SignedDuration::from_hours(7 * 24);
/// A pin is written down anew when it moved by this: consumers ask all the time.
const STEP: SignedDuration = SignedDuration::from_hours(6);

/// Everything that is seen of it.
#[derive(Debug, Clone)]
pub struct Observed {
    pub revision: Arc<SequenceRevision>,
    pub needed: Use,
    /// An attempt that is past Pending brings it, since then.
    pub wanted: Option<Timestamp>,
    /// A signal revision that it reads and that is not recorded in the lake.
    pub unprepared: Option<String>,
    pub job: jobs::Observed,
    /// When a consumer asked a pod for it by its digest last.
    pub asked: Option<Timestamp>,
}

/// What is done.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    pub what: What,
    pub status: SequenceRevisionStatus,
    /// When to look again though nothing changes.
    pub again: Option<Timestamp>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    Nothing,
    /// Its plan's map and the job that records it; a job that has ended is made anew.
    Prepare,
    /// Nothing needs it any more.
    Delete,
}

/// Decides. The same again as long as nothing changes.
#[must_use]
pub fn decide(seen: &Observed, now: Timestamp) -> Decision {
    let before = seen.revision.status.clone().unwrap_or_default();
    let generation = seen.revision.metadata.generation.unwrap_or_default();
    if seen.needed == Use::Gone {
        return Decision { what: What::Delete, status: before, again: None };
    }
    let (what, again) = work(seen, &before, now);
    let prepared = before.prepared.clone().or_else(|| recorded(&seen.job.seen, &seen.revision, now));
    let mut status = SequenceRevisionStatus {
        observed_generation: Some(generation),
        needed: Some(seen.needed),
        pinned_until: pinned_until(before.pinned_until.as_ref(), seen.asked, now),
        conditions: Vec::new(),
        prepared,
    };
    status.conditions = conditions(&before.conditions, &says(seen, &status), generation, now);
    // What ends by itself: a pin.
    let unpinned = status.pinned_until.as_ref().map(|until| until.0).filter(|until| *until > now);
    Decision { what, status, again: again.into_iter().chain(unpinned).min() }
}

fn work(seen: &Observed, before: &SequenceRevisionStatus, now: Timestamp) -> (What, Option<Timestamp>) {
    let is_wanted = seen.wanted.is_some() || seen.needed == Use::Running;
    if before.prepared.is_some() || !is_wanted || seen.unprepared.is_some() {
        return (What::Nothing, None);
    }
    if seen.job.seen == Seen::Missing {
        return (What::Prepare, None);
    }
    let Some(again) = seen.job.again() else { return (What::Nothing, None) };
    // Who asks for another attempt has mended something.
    let is_asked_again = seen.wanted > seen.job.ended;
    if again <= now || is_asked_again { (What::Prepare, None) } else { (What::Nothing, Some(again)) }
}

fn recorded(job: &Seen, revision: &SequenceRevision, now: Timestamp) -> Option<Prepared> {
    let Seen::Succeeded(Some(Report { facts: Some(Facts::Prepared { uid, digest, partitions: _, path }), .. })) = job else { return None };
    let is_it = Some(uid.as_str()) == revision.metadata.uid.as_deref() && *digest == revision.spec.compiled.digest;
    is_it.then(|| Prepared { partitions: None, path: path.clone(), since: Time(now) })
}

/// Written down only where it moves by much, or ends.
fn pinned_until(before: Option<&Time>, asked: Option<Timestamp>, now: Timestamp) -> Option<Time> {
    let wanted = asked.and_then(|asked| asked.checked_add(PINNED).ok()).filter(|until| *until > now);
    let kept = before.filter(|before| before.0 > now);
    match (kept, wanted) {
        (Some(kept), Some(wanted)) if wanted.duration_since(kept.0) < STEP => Some(kept.clone()),
        (_, Some(wanted)) => Some(Time(wanted)),
        (kept, None) => kept.cloned(),
    }
}

fn says(seen: &Observed, status: &SequenceRevisionStatus) -> Vec<Says> {
    let (truth, reason, message) = match &status.prepared {
        Some(_) => (Truth::True, Reason::AsDeclared, String::new()),
        None if seen.job.is_contradicted() => (Truth::False, Reason::JobFailed, seen.job.reasons()),
        None => match (&seen.unprepared, seen.wanted) {
            _ if seen.job.seen != Seen::Missing => (Truth::Unknown, Reason::InProgress, seen.job.reasons()),
            (Some(signal), _) => (Truth::Unknown, Reason::Waiting, format!("for signal revision {signal} to be prepared")),
            (None, Some(_)) => (Truth::Unknown, Reason::InProgress, String::new()),
            (None, None) => (Truth::Unknown, Reason::Waiting, "for an attempt that brings it".to_owned()),
        },
    };
    let prepared = Says::new(ConditionType::Prepared, truth, reason, message.clone());
    let ready = match truth {
        Truth::True if seen.needed != Use::Running => {
            Says::new(ConditionType::Ready, truth, Reason::Unused, "it is kept for who goes back to it")
        }
        Truth::True => Says::new(ConditionType::Ready, truth, reason, ""),
        Truth::False | Truth::Unknown => Says::new(ConditionType::Ready, Truth::False, reason, message.clone()),
    };
    let abnormal = match truth {
        Truth::True => None,
        Truth::False => Some(Says::new(ConditionType::Stalled, Truth::True, reason, message)),
        Truth::Unknown => Some(Says::new(ConditionType::Reconciling, Truth::True, reason, message)),
    };
    [prepared, ready].into_iter().chain(abnormal).collect()
}

#[cfg(test)]
mod tests;
