//! What a Lease says, and what may be done about it. Pure.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};

use super::LASTS;
use crate::clock::Stopwatch;

/// What was seen of the Lease.
#[derive(Debug, Clone, Default)]
pub(super) enum Watched {
    /// Nothing was seen yet.
    #[default]
    Not,
    /// There has been none since we look.
    Absent,
    /// Somebody deleted it, whoever held it then.
    Vanished { since: Stopwatch },
    /// It has been like this.
    Seen { lease: Lease, since: Stopwatch },
}

/// What may be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum May {
    /// There is none: make it.
    Make,
    /// Nobody holds it, or it was given up or not renewed: put ourselves in.
    Take,
    /// Somebody holds it; not before then.
    Wait { left: Duration },
}

impl Watched {
    /// What `identity` may do.
    pub fn may(&self, identity: &str) -> May {
        match self {
            Self::Not => May::Wait { left: LASTS },
            Self::Absent => May::Make,
            // Its holder does not know yet.
            Self::Vanished { since } => after(LASTS, *since, May::Make),
            Self::Seen { lease, since } => {
                let spec = lease.spec.as_ref();
                let holder = spec.and_then(|s| s.holder_identity.as_deref()).unwrap_or_default();
                if holder.is_empty() || holder == identity {
                    return May::Take;
                }
                let lasts = spec.and_then(|s| s.lease_duration_seconds).and_then(|s| u64::try_from(s).ok());
                after(lasts.map_or(LASTS, Duration::from_secs), *since, May::Take)
            }
        }
    }

    /// What is known after another look; what has not changed keeps its time.
    pub fn look(&mut self, found: Option<Lease>) {
        *self = match (std::mem::take(self), found) {
            (Self::Seen { lease, since }, Some(found)) if is_unchanged(&lease, &found) => Self::Seen { lease, since },
            (_, Some(lease)) => Self::Seen { lease, since: Stopwatch::start() },
            (Self::Seen { .. }, None) => Self::Vanished { since: Stopwatch::start() },
            (Self::Vanished { since }, None) => Self::Vanished { since },
            (Self::Not | Self::Absent, None) => Self::Absent,
        };
    }

    /// The Lease that was seen.
    pub const fn lease(&self) -> Option<&Lease> {
        match self {
            Self::Seen { lease, .. } => Some(lease),
            Self::Not | Self::Absent | Self::Vanished { .. } => None,
        }
    }
}

fn after(lasts: Duration, since: Stopwatch, may: May) -> May {
    match lasts.saturating_sub(since.elapsed()) {
        Duration::ZERO => may,
        left => May::Wait { left },
    }
}

/// Whether nobody has written in between.
fn is_unchanged(a: &Lease, b: &Lease) -> bool {
    a.metadata.uid == b.metadata.uid && a.metadata.resource_version == b.metadata.resource_version
}

/// A new Lease that `identity` holds.
pub(super) fn made(name: &str, identity: &str, now: Timestamp) -> Lease {
    let metadata = ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() };
    held(&Lease { metadata, spec: None }, identity, now)
}

/// The Lease, renewed or taken over by `identity`.
pub(super) fn held(lease: &Lease, identity: &str, now: Timestamp) -> Lease {
    let was = lease.spec.clone().unwrap_or_default();
    let is_ours = was.holder_identity.as_deref() == Some(identity);
    let transitions = was.lease_transitions.unwrap_or_default();
    let spec = LeaseSpec {
        holder_identity: Some(identity.to_owned()),
        lease_duration_seconds: i32::try_from(LASTS.as_secs()).ok(),
        acquire_time: if is_ours { was.acquire_time.clone() } else { Some(MicroTime(now)) },
        renew_time: Some(MicroTime(now)),
        lease_transitions: Some(if is_ours || lease.spec.is_none() { transitions } else { transitions.saturating_add(1) }),
        ..was
    };
    Lease { metadata: ours(lease), spec: Some(spec) }
}

/// The Lease, given up: nobody holds it.
pub(super) fn given_up(lease: &Lease, now: Timestamp) -> Lease {
    let was = lease.spec.clone().unwrap_or_default();
    let spec = LeaseSpec { holder_identity: None, lease_duration_seconds: Some(1), renew_time: Some(MicroTime(now)), ..was };
    Lease { metadata: ours(lease), spec: Some(spec) }
}

fn ours(lease: &Lease) -> ObjectMeta {
    ObjectMeta { managed_fields: None, ..lease.metadata.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn seen(lease: Lease) -> Watched {
        Watched::Seen { lease, since: Stopwatch::start() }
    }

    fn waits(may: May) -> bool {
        matches!(may, May::Wait { left } if left <= LASTS && left > LASTS / 2)
    }

    #[test]
    fn a_lease_is_waited_for_as_long_as_it_lasts_from_when_it_was_seen() {
        let theirs = made("l", "them", NOW);
        // Its own times are of another machine's clock: they are not looked at.
        assert!(waits(seen(theirs.clone()).may("us")));
        let mut short = theirs.clone();
        short.spec.as_mut().unwrap().lease_duration_seconds = Some(0);
        assert_eq!(seen(short).may("us"), May::Take);
        assert_eq!(seen(given_up(&theirs, NOW)).may("us"), May::Take);
        assert_eq!(seen(theirs).may("them"), May::Take);
    }

    #[test]
    fn one_that_never_was_is_made_and_one_that_somebody_deleted_is_waited_for() {
        let mut watched = Watched::default();
        assert!(waits(watched.may("us")));
        watched.look(None);
        assert_eq!(watched.may("us"), May::Make);
        watched.look(Some(made("l", "them", NOW)));
        watched.look(None);
        assert!(matches!(watched, Watched::Vanished { .. }) && waits(watched.may("us")));
        watched.look(None);
        assert!(matches!(watched, Watched::Vanished { .. }));
    }

    #[test]
    fn a_renewal_keeps_when_it_was_acquired_and_a_takeover_counts() {
        let first = made("l", "a", NOW);
        let later = NOW + jiff::SignedDuration::from_secs(5);
        let spec = |lease: &Lease| lease.spec.clone().unwrap();
        let renewed = held(&first, "a", later);
        assert_eq!((spec(&renewed).acquire_time, spec(&renewed).renew_time), (Some(MicroTime(NOW)), Some(MicroTime(later))));
        assert_eq!(spec(&renewed).lease_transitions, Some(0));
        let taken = held(&renewed, "b", later);
        assert_eq!((spec(&taken).acquire_time, spec(&taken).lease_transitions), (Some(MicroTime(later)), Some(1)));
        assert_eq!(spec(&given_up(&taken, later)).holder_identity, None);
    }

    #[test]
    fn a_write_in_between_is_a_change_whatever_it_wrote() {
        let mut lease = made("l", "a", NOW);
        lease.metadata.resource_version = Some("5".to_owned());
        let mut watched = Watched::default();
        watched.look(Some(lease.clone()));
        let since = |watched: &Watched| if let Watched::Seen { since, .. } = watched { Some(*since) } else { None };
        let first = since(&watched);
        watched.look(Some(lease.clone()));
        assert_eq!(since(&watched), first);
        lease.metadata.resource_version = Some("6".to_owned());
        watched.look(Some(lease));
        assert!(since(&watched) > first);
    }
}
