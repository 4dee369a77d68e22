//! What the platform does not allow a feature, as sentences.

use kube::ResourceExt;
use tress_configs::definition::{SignalUse, Update};
use tress_crds::condition::{ConditionType, is_true};
use tress_crds::revision::Use;
use tress_crds::{SequenceFeature, SequenceRevision};

use super::seen::Limits;
use super::target::{made_at, pool_of};
use crate::cluster::Cluster;
use crate::compile;
use crate::context::Context;
use crate::platform::NamespaceLimits;

/// `made`: what is declared; `live`: what is read.
pub(super) fn limits(context: &Context, feature: &SequenceFeature, made: &compile::Feature, live: Option<&SequenceRevision>) -> Limits {
    let (platform, cluster) = (context.platform.now(), &context.cluster);
    let namespace = feature.namespace().unwrap_or_default();
    let NamespaceLimits { features: most, running_revisions, .. } = &platform.limits.per_namespace;
    let count = |most: i32| usize::try_from(most).unwrap_or_default();
    let features = cluster.features.within(&namespace);
    let is_too_many = features.len() > count(*most) && is_beyond(feature, features.iter().map(|f| &**f), count(*most));
    let pool = pool_of(feature);
    let mut limits = Limits {
        features: is_too_many.then(|| format!("namespace {namespace} may have {most} features")),
        running: (running(cluster, &namespace) >= count(*running_revisions))
            .then(|| format!("namespace {namespace} may run {running_revisions} revisions, and does")),
        pool: (!platform.pools.contains_key(pool)).then(|| format!("runtime.serving.pool: the platform has no pool {pool}")),
        ..Limits::default()
    };
    let [least, most] = platform.engine.semantics;
    let lacks = |what: &str, wanted: i32| {
        let why = || {
            format!("{what} needs semantics {wanted}, and the platform's engine runs {least} to {most}: use an engine image that runs it")
        };
        (!(least..=most).contains(&wanted)).then(why)
    };
    limits.unsettled = live.and_then(|_| unsettled(cluster, feature));
    limits.stranded = live.and_then(|live| lacks("what is read", live.spec.semantics));
    if let compile::Feature::Compiled { compiled, signals } = made {
        let wanted = compiled.plan.as_feature().and_then(|plan| i32::try_from(plan.semantics).ok()).unwrap_or(i32::MAX);
        limits.semantics = lacks("its plan", wanted);
        let reads = compiled.plan.as_feature().map(|plan| plan.signals.iter().map(|read| read.name.clone()).collect::<Vec<_>>());
        let new = reads.unwrap_or_default().into_iter().zip(signals.iter().cloned());
        let new: Vec<_> = new.filter(|(_, pin)| live.is_none_or(|live| live.spec.signals.iter().all(|read| read.uid != pin.uid))).collect();
        limits.crowded = context.needs.look(cluster, context.clock.now()).needed.crowded(&new);
    }
    limits
}

/// A signal that it follows whose definition was not looked at yet, or has mistakes: what is to be read of it will be another soon. A
/// feature that nobody reads yet does not wait for that.
fn unsettled(cluster: &Cluster, feature: &SequenceFeature) -> Option<String> {
    let own = feature.namespace().unwrap_or_default();
    let follows = |used: &&SignalUse| used.update != Some(Update::Hold);
    feature.spec.definition.signals.iter().filter(follows).find_map(|used| {
        let namespace = used.namespace.as_deref().unwrap_or(&own);
        let signal = cluster.signals.get(namespace, &used.name)?;
        let status = signal.status.as_ref();
        let is_observed = status.and_then(|status| status.observed_generation) == signal.metadata.generation;
        let is_accepted = is_observed && status.is_some_and(|status| is_true(&status.conditions, ConditionType::Compiled));
        (!is_accepted)
            .then(|| format!("the definition of the signal {namespace}/{} is not accepted as it is now: see its conditions", used.name))
    })
}

/// Revisions of features and signals that run in a namespace.
fn running(cluster: &Cluster, namespace: &str) -> usize {
    let runs = |needed: Option<Use>| needed == Some(Use::Running);
    let features = cluster.sequence_revisions.within(namespace);
    let signals = cluster.signal_revisions.within(namespace);
    features.iter().filter(|revision| revision.status.as_ref().is_some_and(|status| runs(status.needed))).count()
        + signals.iter().filter(|revision| revision.status.as_ref().is_some_and(|status| runs(status.needed))).count()
}

/// Who came first keeps its place: whether this feature is beyond the number that its namespace may have.
fn is_beyond<'a>(own: &SequenceFeature, all: impl Iterator<Item = &'a SequenceFeature>, most: usize) -> bool {
    let key = |feature: &SequenceFeature| (made_at(feature), feature.name_any());
    all.filter(|other| key(other) < key(own)).count() >= most
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::json;

    use super::*;
    use crate::fixture::{changed_feature, time};

    #[test]
    fn who_came_first_keeps_its_place() {
        let named = |name: &str, second: i64| {
            changed_feature(json!({}), |f| {
                (f["metadata"]["name"], f["metadata"]["creationTimestamp"]) = (json!(name), json!(time(second)));
            })
        };
        let all = [named("a", 2), named("b", 1), named("c", 2)];
        let beyond = |feature: &Arc<SequenceFeature>, most| is_beyond(feature, all.iter().map(|f| &**f), most);
        assert_eq!(all.each_ref().map(|feature| beyond(feature, 2)), [false, false, true]);
        assert_eq!(all.each_ref().map(|feature| beyond(feature, 1)), [true, false, true]);
    }
}
