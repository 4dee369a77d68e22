//! What a feature says of itself: its status, with conditions. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::ResourceExt;
use tress_crds::condition::conditions;
use tress_crds::definition::{Attempt, ContractStatus, FeatureStatus, Live, Moved};
use tress_crds::rollout::Phase;

use super::decide::Decision;
use super::says::{heard, says};
use super::seen::{Observed, Pool};
use crate::compile;
use crate::pool::{endpoint, entry};

/// The most source hashes that are told to be held.
const MAX_HELD: usize = 10;

/// The status that is true now. `contract`: what is told of it.
#[must_use]
pub fn status(seen: &Observed, decision: &Decision, contract: Option<ContractStatus>, now: Timestamp) -> FeatureStatus {
    let before = seen.before();
    let mut status = FeatureStatus {
        observed_generation: seen.feature.metadata.generation,
        conditions: Vec::new(),
        source_hash: before.source_hash.clone(),
        live: live(seen, now),
        target: decision.accepted.clone().or_else(|| before.target.clone()),
        last_stable: before.last_stable.clone(),
        held: held(seen),
        change: seen.change.clone(),
        warnings: Vec::new(),
        rollout: seen.attempts.last().map(|attempt| {
            let status = attempt.status.clone().unwrap_or_default();
            Attempt { name: attempt.name_any(), phase: status.phase.unwrap_or(Phase::Pending), deadline: status.deadline }
        }),
        contract,
        ..before.clone()
    };
    if let compile::Feature::Compiled { compiled, .. } = &*seen.compiled {
        status.warnings = compile::warnings(&compiled.warnings);
        if decision.accepted.is_some() {
            status.source_hash = Some(compiled.source_hash.clone());
        }
    }
    let succeeded = seen.attempts.iter().rev().find(|a| a.status.as_ref().is_some_and(|s| s.phase == Some(Phase::Succeeded)));
    if let Some(succeeded) = succeeded {
        status.last_stable = Some(succeeded.spec.target.revision.clone());
    }
    place(seen, &mut status, now);
    status.conditions =
        conditions(&before.conditions, &says(seen, decision, &status, now), seen.feature.metadata.generation.unwrap_or_default(), now);
    status
}

/// What is read, as the route says. A route that is lost says nothing: what was told stays, for it is made again from it.
fn live(seen: &Observed, now: Timestamp) -> Option<Live> {
    let before = seen.before().live;
    let told = seen.pool().entry.as_ref().and_then(|entry| Some((entry.live.as_ref()?, entry::told(entry.epoch))));
    let Some(((pinned, epoch), revision)) = told.zip(seen.live.as_deref()) else { return before };
    if revision.uid().as_deref() != Some(pinned.uid.as_str()) {
        return before;
    }
    let name = revision.name_any();
    let since = before.filter(|before| before.revision == name).map_or(Time(now), |before| before.since);
    Some(Live { revision: name, epoch, since })
}

/// Where readers are sent: to where something is read first, and to the declared pool as soon as it has what is read.
fn place(seen: &Observed, status: &mut FeatureStatus, now: Timestamp) {
    let namespace = seen.feature.namespace().unwrap_or_default();
    let read = |pool: &Pool| pool.entry.as_ref().and_then(|entry| entry.live.clone());
    let (declared, current) = (&seen.serving.declared, seen.pool());
    if status.endpoint.is_none() {
        status.endpoint = read(current).map(|_| endpoint(&namespace, &current.name));
        return;
    }
    let is_there = read(declared).is_some_and(|read| heard(seen, declared, now).waits_for(&read, Timestamp::UNIX_EPOCH).is_none());
    if declared.name != current.name && is_there {
        status.endpoint = Some(endpoint(&namespace, &declared.name));
        status.moved = Some(Moved { from: current.name.clone(), since: Time(now) });
    }
}

/// What waits for `Retry`. Who deletes an attempt that did not succeed does not ask for another: what was held stays so.
fn held(seen: &Observed) -> Vec<String> {
    let is_bad = |phase| matches!(phase, Some(Phase::Failed | Phase::Inconclusive | Phase::Aborted));
    let mut held = seen.before().held;
    for attempt in &seen.attempts {
        let hash = &attempt.spec.target.source_hash;
        held.retain(|other| other != hash);
        if attempt.status.as_ref().is_some_and(|s| is_bad(s.phase) && s.retried != Some(true)) {
            held.push(hash.clone());
        }
    }
    held.split_off(held.len().saturating_sub(MAX_HELD))
}

#[cfg(test)]
mod tests;
