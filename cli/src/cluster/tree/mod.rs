//! What was seen, as one tree: definition → revision → rollout → workloads. Pure: no cluster, no clock.

mod advice;
mod backfill;
mod condition;
mod feature;
mod rollout;
mod signal;
#[cfg(test)]
mod tests;
mod workload;

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;

use super::connect::Commands;
use super::seen::Seen;
use super::target::{Kind, Target};
use crate::exit::usage;
use crate::time;

/// One object, and what belongs to it.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Item {
    pub kind: &'static str,
    pub namespace: String,
    pub name: String,
    /// What it is to the one above: `live`, `stream`, `pod` …
    #[serde(skip)]
    pub role: &'static str,
    pub state: State,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// A sentence for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    #[serde(skip_serializing_if = "Facts::is_empty")]
    pub facts: Facts,
    /// What may help where it is not ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub children: Vec<Self>,
}

/// How an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum State {
    Ready,
    /// It is on its way.
    Going,
    /// Only a person can help.
    Failed,
    /// Nothing is known of it yet, or not by this program.
    Unknown,
    /// It neither runs nor has to.
    Idle,
}

/// What is told of an object beside its state: by name for programs, in words for people.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Facts(Vec<(&'static str, Value, String)>);

/// What a tree is made with.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    pub seen: &'a Seen,
    /// µs
    pub now: i64,
    pub commands: &'a Commands,
    pub detail: Detail,
}

/// How much is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Workloads that are as they should be are one line.
    Brief,
    /// Of one object: everything.
    Whole,
}

impl Item {
    fn new(kind: &'static str, role: &'static str, (namespace, name): (&str, &str)) -> Self {
        Self {
            kind,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            role,
            state: State::Unknown,
            reason: None,
            message: None,
            facts: Facts::default(),
            next: None,
            children: Vec::new(),
        }
    }
}

impl Facts {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In words, in their order.
    pub fn shown(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(_, _, shown)| shown.as_str()).filter(|shown| !shown.is_empty())
    }

    fn put(&mut self, name: &'static str, value: impl Into<Value>, shown: impl Into<String>) {
        self.0.push((name, value.into(), shown.into()));
    }

    /// A moment of the past, told as how long it is ago.
    fn ago(&mut self, name: &'static str, (at, now): (Option<i64>, i64), words: impl FnOnce(String) -> String) {
        if let Some(at) = at {
            self.put(name, time::shown(at), words(time::roughly(now.saturating_sub(at).max(0))));
        }
    }
}

impl Serialize for Facts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value, _) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

/// All definitions of what was seen, features first, by name.
pub fn all(view: &View<'_>) -> Vec<Item> {
    let mut features: Vec<Item> = view.seen.features.iter().map(|f| feature::item(view, f)).collect();
    let mut signals: Vec<Item> = view.seen.signals.iter().map(|s| signal::item(view, s)).collect();
    for items in [&mut features, &mut signals] {
        items.sort_by(|a, b| (&a.namespace, &a.name).cmp(&(&b.namespace, &b.name)));
    }
    features.into_iter().chain(signals).collect()
}

/// What a person named, in all its parts.
///
/// # Errors
/// When there is no such object; the names that there are are told.
pub fn one(view: &View<'_>, target: &Target) -> anyhow::Result<Vec<Item>> {
    let is = |name: &Option<String>| name.as_deref() == Some(&target.name);
    let wants = |kind: Kind| target.kind == Some(kind) || (target.kind.is_none() && matches!(kind, Kind::Feature | Kind::Signal));
    let mut found = Vec::new();
    if wants(Kind::Feature) {
        found.extend(view.seen.features.iter().filter(|f| is(&f.metadata.name)).map(|f| feature::item(view, f)));
    }
    if wants(Kind::Signal) {
        found.extend(view.seen.signals.iter().filter(|s| is(&s.metadata.name)).map(|s| signal::item(view, s)));
    }
    if wants(Kind::Rollout) {
        found.extend(view.seen.rollouts.iter().filter(|r| is(&r.metadata.name)).map(|r| rollout::item(view, r)));
    }
    if wants(Kind::Backfill) {
        found.extend(view.seen.backfills.iter().filter(|b| is(&b.metadata.name)).map(|b| backfill::item(view, b)));
    }
    if found.is_empty() {
        return Err(missing(view.seen, target));
    }
    Ok(found)
}

fn missing(seen: &Seen, target: &Target) -> anyhow::Error {
    fn names<K: kube::ResourceExt>(objects: &[std::sync::Arc<K>]) -> Vec<String> {
        objects.iter().map(|object| object.name_any()).collect()
    }
    let (what, mut known) = match target.kind {
        Some(Kind::Feature) => ("feature", names(&seen.features)),
        Some(Kind::Signal) => ("signal", names(&seen.signals)),
        Some(Kind::Rollout) => ("rollout", names(&seen.rollouts)),
        Some(Kind::Backfill) => ("backfill", names(&seen.backfills)),
        None => ("feature or signal", [names(&seen.features), names(&seen.signals)].concat()),
    };
    known.sort();
    known.truncate(20);
    let there = if known.is_empty() { "there is none at all".to_owned() } else { format!("there are {}", known.join(", ")) };
    usage(format!("there is no {what} \"{}\" here; {there}", target.name))
}
