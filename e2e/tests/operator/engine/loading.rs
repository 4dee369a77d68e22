//! Revisions that a serving pod has, or is about to have.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use tress_engine::serve::{Pinned, Route};

use super::lake::Lake;

/// Of one pod, by feature and digest.
#[derive(Debug, Default)]
pub struct Loading(BTreeMap<(String, String), Loaded>);

#[derive(Debug, Clone)]
pub struct Loaded {
    pub pinned: Pinned,
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
        let key = (feature.to_owned(), pinned.digest.clone());
        let begun = || Loaded { pinned: pinned.clone(), since: Instant::now(), takes, asked: false, ready: false };
        self.0.entry(key).or_insert_with(begun);
    }

    /// As [`Loading::want`], for a call: it stays though no route names it.
    pub fn ask(&mut self, feature: &str, pinned: &Pinned, takes: Duration) {
        self.want(feature, pinned, takes);
        if let Some(loaded) = self.0.get_mut(&(feature.to_owned(), pinned.digest.clone())) {
            loaded.asked = true;
        }
    }

    /// What no route names any more goes.
    pub fn keep(&mut self, routes: &BTreeMap<String, Route>) {
        self.0.retain(|(feature, digest), loaded| {
            let named = routes.get(feature).is_some_and(|route| route.revisions().any(|pinned| pinned.digest == *digest));
            loaded.asked &= !named;
            named || loaded.asked
        });
    }

    /// How far it is; `None` = nobody asked for it.
    pub fn state(&mut self, feature: &str, digest: &str, lake: &Lake) -> Option<State> {
        let loaded = self.0.get_mut(&(feature.to_owned(), digest.to_owned()))?;
        let is_recorded = lake.recorded.get(&loaded.pinned.uid).is_some_and(|recorded| recorded.plan.digest() == digest);
        loaded.ready |= is_recorded && loaded.since.elapsed() >= loaded.takes;
        Some(if loaded.ready { State::Ready } else { State::Loading })
    }

    pub fn of(&self, feature: &str) -> Vec<Pinned> {
        let first = (feature.to_owned(), String::new());
        self.0.range(first..).take_while(|((name, _), _)| name == feature).map(|(_, loaded)| loaded.pinned.clone()).collect()
    }

    /// The features of which anything is here.
    pub fn features(&self) -> Vec<String> {
        let mut names: Vec<String> = self.0.keys().map(|(feature, _)| feature.clone()).collect();
        names.dedup();
        names
    }
}
