//! What the pods of a pool say of themselves, as far as it matters for features; and what follows of it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::entry::Pinned;
use crate::rollout::Progress;

/// A pod of a pool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    pub name: String,
    pub uid: String,
    pub life: Life,
    /// What it said last; `None` = nothing yet, or it does not answer.
    pub said: Option<Said>,
}

/// How Kubernetes sees it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Life {
    /// Its container does not run yet, or not any more.
    #[default]
    Away,
    /// It runs, and gets no requests yet.
    Running,
    /// It gets requests.
    Ready,
    /// It was told to end, and has until then.
    Ending { until: Timestamp },
}

/// By the feature's `namespace/name`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Said {
    pub features: BTreeMap<String, OfFeature>,
    pub at: Timestamp,
}

/// What a pod says of a feature.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OfFeature {
    /// Of the route in force.
    pub epoch: u64,
    /// Of the mounted file.
    pub file_epoch: u64,
    pub revisions: Vec<OfRevision>,
}

/// What a pod says of a revision of a feature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfRevision {
    pub pinned: Pinned,
    pub state: State,
    /// Base covers it: reads stay out of history.
    pub warm: bool,
    /// How old the newest is that it has; `None` = it has heard of nothing yet.
    pub freshness: Option<SignedDuration>,
    /// When a consumer asked for it by its digest last.
    pub asked: Option<Timestamp>,
}

/// How far it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    Loading { reason: String },
    Ready,
    Failed { reason: String },
}

/// A pod that was told to end and did not for this long after its time is on a machine that is lost.
const LOST: SignedDuration = SignedDuration::from_secs(30);
/// How long a pod may take to take a route.
pub const PATIENCE: SignedDuration = SignedDuration::from_secs(10);

/// What is known of a feature in a pool.
#[derive(Debug, Clone, Copy)]
pub struct Heard<'a> {
    pub pods: &'a [Told],
    /// `namespace/name`
    pub feature: &'a str,
    pub now: Timestamp,
}

impl Told {
    fn of(&self, feature: &str) -> Option<&OfFeature> {
        self.said.as_ref()?.features.get(feature)
    }

    /// Whether it may answer readers now.
    fn may_answer(&self, now: Timestamp) -> bool {
        match self.life {
            Life::Away => false,
            Life::Running | Life::Ready => true,
            Life::Ending { until } => now < until.saturating_add(LOST).unwrap_or(Timestamp::MAX),
        }
    }

    /// Whether it will stay.
    const fn stays(&self) -> bool {
        matches!(self.life, Life::Running | Life::Ready)
    }
}

impl<'a> Heard<'a> {
    /// Whether every pod that may answer readers has this epoch in force.
    #[must_use]
    pub fn acknowledged(&self, epoch: u64) -> bool {
        self.pods.iter().filter(|pod| pod.may_answer(self.now)).all(|pod| self.has(pod, epoch))
    }

    /// Whether every pod that may answer readers finds this epoch in its file, too.
    #[must_use]
    pub fn mounted(&self, epoch: u64) -> bool {
        let filed = |pod: &Told| pod.of(self.feature).is_some_and(|said| said.file_epoch >= epoch);
        self.pods.iter().filter(|pod| pod.may_answer(self.now)).all(filed)
    }

    fn has(&self, pod: &Told, epoch: u64) -> bool {
        pod.of(self.feature).is_some_and(|said| said.epoch >= epoch)
    }

    /// Whether every pod that stays has this revision ready, warm and as far as its streams; said after `since`.
    #[must_use]
    pub fn loaded(&self, pinned: &Pinned, since: Timestamp) -> Progress {
        let staying: Vec<&Told> = self.pods.iter().filter(|pod| pod.stays()).collect();
        let all = !staying.is_empty() && staying.iter().all(|pod| self.lacks(pod, pinned, since).is_none());
        if all { Progress::Done } else { Progress::Going }
    }

    /// What the first pod lacks that has not the revision loaded; a sentence.
    #[must_use]
    pub fn waits_for(&self, pinned: &Pinned, since: Timestamp) -> Option<String> {
        let mut staying = self.pods.iter().filter(|pod| pod.stays()).peekable();
        if staying.peek().is_none() {
            return Some("no pod of the pool runs".to_owned());
        }
        staying.find_map(|pod| Some(format!("pod {}: {}", pod.name, self.lacks(pod, pinned, since)?)))
    }

    fn lacks(&self, pod: &Told, pinned: &Pinned, since: Timestamp) -> Option<String> {
        if pod.said.as_ref().is_none_or(|said| said.at < since) {
            return Some("it does not answer the operator".to_owned());
        }
        let revision = pod.of(self.feature).and_then(|said| said.revisions.iter().find(|revision| revision.pinned == *pinned));
        match revision {
            None => Some("it has not heard of the revision yet".to_owned()),
            Some(OfRevision { state: State::Loading { reason }, .. }) if reason.is_empty() => Some("it loads".to_owned()),
            Some(OfRevision { state: State::Loading { reason } | State::Failed { reason }, .. }) => Some(reason.clone()),
            Some(OfRevision { warm: false, .. }) => Some("its base does not cover the revision yet".to_owned()),
            Some(OfRevision { freshness: None, .. }) => Some("a signal has not told yet how far it is".to_owned()),
            Some(_) => None,
        }
    }

    /// How many pods that get requests answer for this revision; `None` = no pod has said anything.
    #[must_use]
    pub fn answering(&self, pinned: &Pinned) -> Option<usize> {
        let said: Vec<&Told> = self.pods.iter().filter(|pod| pod.life == Life::Ready && pod.said.is_some()).collect();
        let is_ready = |pod: &&&Told| self.of(pod, pinned).is_some_and(|revision| revision.state == State::Ready);
        (!said.is_empty() || self.pods.iter().all(|pod| !matches!(pod.life, Life::Ready))).then(|| said.iter().filter(is_ready).count())
    }

    /// The oldest that readers get of this revision; `None` = no pod says.
    #[must_use]
    pub fn freshness(&self, pinned: &Pinned) -> Option<SignedDuration> {
        let ready = self.pods.iter().filter(|pod| pod.life == Life::Ready);
        ready.filter_map(|pod| self.of(pod, pinned)?.freshness).max()
    }

    /// When a consumer asked any pod for this revision by its digest last.
    #[must_use]
    pub fn asked(&self, pinned: &Pinned) -> Option<Timestamp> {
        self.pods.iter().filter_map(|pod| self.of(pod, pinned)?.asked).max()
    }

    fn of<'b>(&self, pod: &'b Told, pinned: &Pinned) -> Option<&'b OfRevision> {
        pod.of(self.feature)?.revisions.iter().find(|revision| revision.pinned == *pinned)
    }

    /// The greatest epoch that a pod has of the feature.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.pods.iter().filter_map(|pod| pod.of(self.feature)).map(|said| said.epoch.max(said.file_epoch)).max().unwrap_or_default()
    }

    /// A pod that has not taken a route that is in force since then, and may go: one at a time, and only while another that gets
    /// requests has taken it.
    #[must_use]
    pub fn laggard(&self, epoch: u64, since: Timestamp) -> Option<&'a Told> {
        let is_late = self.now.duration_since(since) >= PATIENCE;
        let is_one_going = self.pods.iter().any(|pod| matches!(pod.life, Life::Ending { .. }) && pod.may_answer(self.now));
        let another = self.pods.iter().any(|pod| pod.life == Life::Ready && self.has(pod, epoch));
        (is_late && !is_one_going && another).then_some(())?;
        self.pods.iter().filter(|pod| pod.stays() && !self.has(pod, epoch)).min_by_key(|pod| &pod.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn pinned() -> Pinned {
        Pinned { uid: "r".to_owned(), digest: "d".to_owned() }
    }

    fn ready() -> OfRevision {
        OfRevision { pinned: pinned(), state: State::Ready, warm: true, freshness: Some(SignedDuration::from_secs(1)), asked: None }
    }

    fn pod(name: &str, life: Life, epochs: (u64, u64), revision: OfRevision) -> Told {
        let said = OfFeature { epoch: epochs.0, file_epoch: epochs.1, revisions: vec![revision] };
        let said = Said { features: BTreeMap::from([("n/f".to_owned(), said)]), at: at(100) };
        Told { name: name.to_owned(), uid: name.to_owned(), life, said: Some(said) }
    }

    fn silent(name: &str, life: Life) -> Told {
        Told { name: name.to_owned(), uid: name.to_owned(), life, said: None }
    }

    fn heard(pods: &[Told]) -> Heard<'_> {
        Heard { pods, feature: "n/f", now: at(100) }
    }

    const ENDING: Life = Life::Ending { until: Timestamp::UNIX_EPOCH };

    #[test]
    fn a_route_is_acknowledged_when_everyone_has_it_who_may_answer() {
        let ending = |second| Life::Ending { until: at(second) };
        for (pods, acknowledged, mounted) in [
            (vec![pod("a", Life::Ready, (3, 3), ready())], true, true),
            (vec![pod("a", Life::Ready, (3, 2), ready())], true, false),
            (vec![pod("a", Life::Ready, (3, 3), ready()), pod("b", Life::Running, (2, 2), ready())], false, false),
            (vec![pod("a", Life::Ready, (3, 3), ready()), silent("b", Life::Away)], true, true),
            (vec![pod("a", Life::Ready, (3, 3), ready()), silent("b", Life::Ready)], false, false),
            (vec![pod("a", Life::Ready, (3, 3), ready()), silent("b", ending(90))], false, false),
            // Its machine is lost.
            (vec![pod("a", Life::Ready, (3, 3), ready()), silent("b", ending(60))], true, true),
        ] {
            assert_eq!((heard(&pods).acknowledged(3), heard(&pods).mounted(3)), (acknowledged, mounted), "{pods:?}");
        }
    }

    #[test]
    fn a_revision_is_loaded_when_every_pod_that_stays_is_ready_warm_and_heard_of_its_streams() {
        let of = |pods: &[Told]| (heard(pods).loaded(&pinned(), at(50)), heard(pods).waits_for(&pinned(), at(50)).unwrap_or_default());
        let with = |revision: OfRevision| vec![pod("a", Life::Ready, (1, 1), ready()), pod("b", Life::Running, (1, 1), revision)];
        assert_eq!(of(&with(ready())), (Progress::Done, String::new()));
        assert_eq!(of(&[]), (Progress::Going, "no pod of the pool runs".to_owned()));
        assert_eq!(of(&[silent("a", Life::Ready)]).1, "pod a: it does not answer the operator");
        assert_eq!(of(&with(OfRevision { state: State::Failed { reason: "no lake".to_owned() }, ..ready() })).1, "pod b: no lake");
        assert_eq!(of(&with(OfRevision { warm: false, ..ready() })).1, "pod b: its base does not cover the revision yet");
        assert_eq!(of(&with(OfRevision { freshness: None, ..ready() })).0, Progress::Going);
        let other = OfRevision { pinned: Pinned { uid: "other".to_owned(), ..pinned() }, ..ready() };
        assert_eq!(of(&with(other)).1, "pod b: it has not heard of the revision yet");
        // What was said before the phase began says nothing of it.
        assert_eq!(heard(&with(ready())).loaded(&pinned(), at(101)), Progress::Going);
        // One that ends, and one that does not run, are not waited for.
        let others = [pod("a", Life::Ready, (1, 1), ready()), silent("b", Life::Away), silent("c", ENDING)];
        assert_eq!(of(&others).0, Progress::Done);
    }

    #[test]
    fn a_pod_that_takes_no_route_goes_while_another_has_it() {
        let late = || pod("b", Life::Ready, (2, 2), ready());
        let has = |name| pod(name, Life::Ready, (3, 3), ready());
        let found = |pods: &[Told], since| heard(pods).laggard(3, at(since)).map(|pod| pod.name.clone());
        assert_eq!(found(&[has("a"), late()], 90), Some("b".to_owned()));
        assert_eq!(found(&[has("a"), late()], 91), None);
        assert_eq!(found(&[late(), silent("c", Life::Ready)], 0), None);
        assert_eq!(found(&[has("a"), late(), silent("c", Life::Running)], 0), Some("b".to_owned()));
        assert_eq!(found(&[has("a"), late(), silent("c", Life::Ending { until: at(100) })], 0), None);
        assert_eq!(found(&[has("a"), has("b"), silent("c", Life::Away)], 0), None);
        let unready = Told { life: Life::Running, ..has("a") };
        assert_eq!(found(&[unready, late()], 0), None);
    }

    #[test]
    fn figures_come_from_pods_that_get_requests() {
        let old = OfRevision { freshness: Some(SignedDuration::from_secs(9)), asked: Some(at(7)), ..ready() };
        let pods =
            [pod("a", Life::Ready, (1, 1), ready()), pod("b", Life::Ready, (5, 1), old.clone()), pod("c", Life::Running, (1, 6), old)];
        let heard = heard(&pods);
        assert_eq!((heard.answering(&pinned()), heard.freshness(&pinned())), (Some(2), Some(SignedDuration::from_secs(9))));
        assert_eq!((heard.asked(&pinned()), heard.epoch()), (Some(at(7)), 6));
        assert_eq!(super::Heard { pods: &[silent("a", Life::Ready)], ..heard }.answering(&pinned()), None);
        assert_eq!(super::Heard { pods: &[silent("a", Life::Away)], ..heard }.answering(&pinned()), Some(0));
    }
}
