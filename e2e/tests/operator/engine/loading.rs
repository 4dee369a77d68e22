//! Revisions that a serving pod has, or is about to have.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tress_engine::serve::{Pinned, Route};

use super::lake::Lake;

/// Of one pod, by feature.
#[derive(Debug, Default)]
pub struct Loading(BTreeMap<(String, Pinned), Loaded>);

#[derive(Debug, Clone)]
pub struct Loaded {
    since: Instant,
    takes: Duration,
    /// It was asked for by a call, and no route names it yet.
    asked: bool,
    /// It was there once: it stays, whatever becomes of the lake.
    ready: bool,
}

/// How far a revision is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    Loading,
    Ready,
}

impl Loading {
    /// Begins to load it, unless that was begun.
    pub fn want(&mut self, feature: &str, pinned: &Pinned, takes: Duration) {
        let key = (feature.to_owned(), pinned.clone());
        let begun = || Loaded { since: Instant::now(), takes, asked: false, ready: false };
        self.0.entry(key).or_insert_with(begun);
    }

    /// As [`Loading::want`], for a call: it stays though no route names it.
    pub fn ask(&mut self, feature: &str, pinned: &Pinned, takes: Duration) {
        self.want(feature, pinned, takes);
        if let Some(loaded) = self.0.get_mut(&(feature.to_owned(), pinned.clone())) {
            loaded.asked = true;
        }
    }

    /// What no route names any more goes.
    pub fn keep(&mut self, routes: &BTreeMap<String, Route>) {
        self.0.retain(|(feature, pinned), loaded| {
            let named = routes.get(feature).is_some_and(|route| route.revisions().any(|named| named == pinned));
            loaded.asked &= !named;
            named || loaded.asked
        });
    }

    /// How far it is; `None` = nobody asked for it.
    pub fn state(&mut self, feature: &str, pinned: &Pinned, lake: &Lake) -> Option<State> {
        let loaded = self.0.get_mut(&(feature.to_owned(), pinned.clone()))?;
        let is_recorded = lake.recorded.get(&pinned.uid).is_some_and(|recorded| recorded.plan.digest() == pinned.digest);
        loaded.ready |= is_recorded && loaded.since.elapsed() >= loaded.takes;
        Some(if loaded.ready { State::Ready } else { State::Loading })
    }

    pub fn of(&self, feature: &str) -> Vec<Pinned> {
        self.0.keys().filter(|(name, _)| name == feature).map(|(_, pinned)| pinned.clone()).collect()
    }

    /// The features of which anything is here.
    pub fn features(&self) -> Vec<String> {
        let mut names: Vec<String> = self.0.keys().map(|(feature, _)| feature.clone()).collect();
        names.dedup();
        names
    }
}
