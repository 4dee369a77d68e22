//! The route: which revision of a feature answers for which entity. Whoever decides it writes it, and pods that serve follow it.

mod file;
mod words;

use serde::{Deserialize, Serialize};

pub use file::{NotARoute, ROUTE_VERSION, RouteFile, parse_name};
pub use words::Words;

use crate::definition::Contract;

/// All entities, in basis points.
pub const WHOLE_BP: u32 = 10_000;

/// Of one feature. Fields that are not known here are passed over: what a newer program adds under this version decides nothing about
/// what is read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Route {
    /// Of the feature's object, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feature_uid: Option<String>,
    /// Absent before the first revision is live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub live: Option<Pinned>,
    /// Loaded beside what is live, to take its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trial: Option<Pinned>,
    /// Kept ready, but not routed: read until just now, or asked for by digest.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub loaded: Vec<Pinned>,
    /// Share of entities that the trial answers for, in basis points.
    #[serde(default)]
    pub weight_bp: u32,
    /// Goes up with every change of what is read; a lower one is an echo of the past.
    pub epoch: u64,
    /// The number of the attempt that made this route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u64>,
    /// What the feature promises, as its definition says it; it decides nothing about what is read. Absent = whoever wrote the route
    /// did not know. An empty one promises nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub contract: Option<Contract>,
    /// What people say of the feature; it decides nothing about what is read. Absent = whoever wrote the route did not know.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub about: Option<Words>,
}

/// A revision, exactly.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Pinned {
    /// Of the revision's object: where its data is.
    pub uid: String,
    /// Of its plan.
    pub digest: String,
}

/// What the route says of one entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chosen<'a> {
    Live(&'a Pinned),
    /// The canary's share.
    Trial(&'a Pinned),
    /// Nothing is live yet.
    Nothing,
}

impl Route {
    /// `hash`: of the entity. The same entity is always on the same side of the same weight, and stays with the trial while the
    /// weight rises.
    #[must_use]
    pub const fn choose(&self, hash: i64) -> Chosen<'_> {
        let share = (hash as u64) % WHOLE_BP as u64;
        match (&self.live, &self.trial) {
            (_, Some(trial)) if share < self.weight_bp as u64 => Chosen::Trial(trial),
            (Some(live), _) => Chosen::Live(live),
            (None, _) => Chosen::Nothing,
        }
    }

    /// Every revision that is to be loaded: live, trial, loaded; each once.
    pub fn revisions(&self) -> impl Iterator<Item = &Pinned> {
        let named = self.live.iter().chain(&self.trial).chain(&self.loaded);
        let mut seen = Vec::new();
        named.filter(move |pinned| {
            let new = !seen.contains(pinned);
            seen.push(pinned);
            new
        })
    }

    /// Whether both read the same of every entity.
    #[must_use]
    pub fn reads_as(&self, other: &Self) -> bool {
        (&self.live, &self.trial, self.weight_bp) == (&other.live, &other.trial, other.weight_bp)
    }
}

#[cfg(test)]
mod tests;
