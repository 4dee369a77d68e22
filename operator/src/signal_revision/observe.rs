//! Everything that is read of a signal's revision, before anything is decided.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use tress_configs::definition::{BackfillRuntime, DeletionPolicy, StreamRuntime};
use tress_configs::job::{Demanded, Outcome};
use tress_configs::schedule::Schedule;
use tress_crds::backfill::BackfillPhase;
use tress_crds::revision::{SignalRevisionStatus, Use};
use tress_crds::rollout::Phase;
use tress_crds::{Backfill, SequenceRollout, SignalDefinition, SignalRevision};

use super::archive::{self, Archived};
use super::demands;
use crate::apply::INPUTS;
use crate::cluster::Cluster;
use crate::context::Context;
use crate::jobs::{self, Observed};
use crate::name::{self, Job};
use crate::needs::Reader;
use crate::queue::Key;

/// What there is.
#[derive(Debug, Clone)]
pub struct Facts {
    pub revision: Arc<SignalRevision>,
    /// `None` = it is deleted; its revisions go on as long as they are needed.
    pub definition: Option<Arc<SignalDefinition>>,
    pub needed: Use,
    /// The semantics that the platform's engine runs, from and to.
    pub semantics: [i32; 2],
    /// Whether the map with its plan is there.
    pub planned: bool,
    pub prepare: Observed,
    pub base: Observed,
    pub drop: Observed,
    /// `None` = there is none.
    pub stream: Option<Stream>,
    /// What stands around the pods of a stream is there.
    pub guarded: bool,
    /// Digests of the features' plans that base has to be made for, sorted.
    pub demands: Vec<String>,
    /// The list as it was written last.
    pub list: Option<Demanded>,
    /// All of this revision, also those of people.
    pub backfills: Vec<Arc<Backfill>>,
    /// When incremental backfills are due; `None` = never by themselves.
    pub schedule: Option<(Schedule, TimeZone)>,
    /// Of the topic whose raw log is kept; `None` = none is.
    pub archive: Option<Archived>,
    /// What says that topics and tables go with it.
    pub record: Option<Arc<ConfigMap>>,
    /// An attempt in which its stream takes part: it works with one engine from its beginning to its end.
    pub attempt: Option<String>,
    /// How many streams and archives take up a new image just now.
    pub rolling: usize,
    /// The image that the platform names.
    pub image: String,
}

/// The Deployment of a stream.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stream {
    pub image: String,
    /// What it was rendered from.
    pub inputs: String,
    pub wanted: i32,
    pub available: i32,
    /// Every pod is of its present template.
    pub settled: bool,
    /// What its pods say is wrong, as the engine puts it.
    pub trouble: Option<Trouble>,
}

/// What stops the pods of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// It may pass.
    ForNow(String),
    /// Only a change ends it.
    ForGood(String),
}

impl Facts {
    /// Whether nothing may be started, changed or removed.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.definition.as_ref().is_some_and(|definition| definition.spec.paused == Some(true))
    }

    /// Whether its data goes when the definition does.
    #[must_use]
    pub fn deletes(&self) -> bool {
        self.definition.as_ref().is_some_and(|definition| definition.spec.deletion_policy == Some(DeletionPolicy::Delete))
    }

    /// Whether the platform's engine runs its plan.
    #[must_use]
    pub fn runs_here(&self) -> bool {
        let [least, most] = self.semantics;
        (least..=most).contains(&self.revision.spec.semantics)
    }

    /// When its first backfill was done, or the last one that found something. `None` = none was: what there is outside is not in history.
    #[must_use]
    pub fn folded(&self, status: &SignalRevisionStatus) -> Option<Timestamp> {
        let sealed = status.history.as_ref().map(|history| history.sealed.0);
        // One that finds nothing seals nothing: of an empty topic everything is in the tail.
        let found_nothing = self.backfills.iter().filter_map(|backfill| backfill.status.as_ref()).filter_map(|status| {
            let ended = status.ended.as_ref().map(|time| time.0);
            ended.filter(|_| status.phase == Some(BackfillPhase::Succeeded))
        });
        sealed.or_else(|| found_nothing.max())
    }

    /// How the stream runs, as the definition says; `None` = it says nothing, or is gone.
    #[must_use]
    pub fn stream_runtime(&self) -> Option<&StreamRuntime> {
        self.definition.as_ref()?.spec.runtime.as_ref()?.stream.as_ref()
    }

    #[must_use]
    pub fn backfill_runtime(&self) -> Option<&BackfillRuntime> {
        self.definition.as_ref()?.spec.runtime.as_ref()?.backfill.as_ref()
    }
}

/// With when what is needed has to be looked at again. `None` = the revision is gone, or on its way.
pub(super) fn observe(context: &Context, key: &Key) -> Option<(Facts, Option<Timestamp>)> {
    let cluster = &context.cluster;
    let Key { namespace, name } = key;
    let revision = cluster.signal_revisions.get(namespace, name).filter(|r| r.metadata.deletion_timestamp.is_none())?;
    let uid = revision.uid()?;
    let look = context.needs.look(cluster, context.clock.now());
    let definition = cluster.signals.get(namespace, &revision.spec.signal);
    let definition = definition.filter(|definition| definition.metadata.deletion_timestamp.is_none());
    let platform = context.platform.now();
    let list = cluster.maps.get(namespace, &demands::list_of(name));
    let backfills = cluster.backfills.within(namespace).into_iter().filter(|backfill| is_of(backfill, &revision)).collect();
    let job = |job| jobs::observe(cluster, (namespace, &name::job(name, job)), &uid);
    let stream = cluster.deployments.get(namespace, name).map(|deployment| stream(cluster, &deployment));
    let archive = revision.spec.archive.as_ref().map(|topic| archive::observe(cluster, &look.needed, namespace, topic));
    let images = [stream.as_ref().map(|stream| &stream.image), archive.as_ref().and_then(|archive| archive.image.as_ref())];
    let is_behind = images.into_iter().flatten().any(|image| *image != platform.engine.image);
    let mut facts = Facts {
        needed: look.needed.of(&uid),
        semantics: platform.engine.semantics,
        planned: cluster.maps.get(namespace, name).is_some(),
        prepare: job(Job::Prepare),
        base: job(Job::Base),
        drop: job(Job::Drop),
        stream,
        guarded: cluster.network_policies.get(namespace, name).is_some() || cluster.budgets.get(namespace, name).is_some(),
        demands: look.needed.demands(&uid),
        list: list.as_deref().and_then(demands::parse),
        backfills,
        schedule: None,
        archive,
        record: cluster.maps.get(&context.home, &name::record(&uid)),
        attempt: if is_behind { attempt(cluster, look.needed.readers(&uid)) } else { None },
        // Looked for only where it matters: it takes a look at all of them.
        rolling: if is_behind { rolling(cluster, &platform.engine.image) } else { 0 },
        image: platform.engine.image.clone(),
        revision,
        definition,
    };
    facts.schedule = facts.backfill_runtime().and_then(schedule);
    Some((facts, look.again))
}

/// Whether a backfill is of this very revision, not of an earlier one of its name: that made other data.
pub(crate) fn is_of(backfill: &Backfill, revision: &SignalRevision) -> bool {
    if backfill.spec.revision != revision.name_any() {
        return false;
    }
    let owner = backfill.owner_references().iter().find(|owner| owner.kind == "SignalRevision");
    // One that a person made belongs to nobody.
    owner.map_or_else(
        || backfill.creation_timestamp() >= revision.creation_timestamp(),
        |owner| Some(&owner.uid) == revision.metadata.uid.as_ref(),
    )
}

fn schedule(runtime: &BackfillRuntime) -> Option<(Schedule, TimeZone)> {
    let schedule = Schedule::parse(runtime.schedule.as_deref()?).ok()?;
    let zone = runtime.time_zone.as_deref().map_or(Ok(TimeZone::UTC), TimeZone::get).ok()?;
    Some((schedule, zone))
}

fn stream(cluster: &Cluster, deployment: &Deployment) -> Stream {
    let status = deployment.status.clone().unwrap_or_default();
    let spec = deployment.spec.clone().unwrap_or_default();
    let wanted = spec.replicas.unwrap_or(1);
    let containers = spec.template.spec.map(|pod| pod.containers).unwrap_or_default();
    let (namespace, name) = (deployment.namespace().unwrap_or_default(), deployment.name_any());
    let is_seen = status.observed_generation == deployment.metadata.generation;
    let updated = status.updated_replicas.unwrap_or_default();
    let available = status.available_replicas.unwrap_or_default();
    Stream {
        image: containers.first().and_then(|container| container.image.clone()).unwrap_or_default(),
        inputs: deployment.annotations().get(INPUTS).cloned().unwrap_or_default(),
        wanted,
        available,
        settled: is_seen && updated == wanted && available >= wanted && status.replicas.unwrap_or_default() == wanted,
        trouble: trouble(cluster, &namespace, &name),
    }
}

/// What the pods of the stream that are not ready said last.
fn trouble(cluster: &Cluster, namespace: &str, name: &str) -> Option<Trouble> {
    let role = crate::label::Role::Stream.as_str();
    let of_stream = |pod: &&Arc<k8s_openapi::api::core::v1::Pod>| pod.labels().get(crate::label::ROLE).map(String::as_str) == Some(role);
    let is_ready = |pod: &k8s_openapi::api::core::v1::Pod| {
        let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_ref());
        conditions.into_iter().flatten().any(|c| c.type_ == "Ready" && c.status == "True")
    };
    let pods = cluster.pods.made_for(namespace, name);
    let troubled: Vec<_> = pods.iter().filter(of_stream).filter(|pod| !is_ready(pod)).collect();
    let failed = troubled.iter().filter_map(|pod| jobs::last_words(pod)).filter(|(_, report)| !report.reasons.is_empty());
    if let Some((_, report)) = failed.max_by_key(|(at, _)| *at) {
        let reasons = report.reasons.join("; ");
        return Some(if report.outcome == Outcome::Failed { Trouble::ForGood(reasons) } else { Trouble::ForNow(reasons) });
    }
    let word = troubled.iter().find_map(|pod| jobs::waits_for(pod))?;
    Some(Trouble::ForNow(format!("its pod does not start: {word}")))
}

/// An attempt under way that comes from or leads to one of these readers.
fn attempt(cluster: &Cluster, readers: &[Reader]) -> Option<String> {
    use Phase::{Aborting, Backfilling, CuttingOver, Loading, Retiring, Shadowing};
    let goes_on = |rollout: &SequenceRollout| {
        let phase = rollout.status.as_ref().and_then(|status| status.phase);
        matches!(phase, Some(Shadowing | Backfilling | Loading | CuttingOver | Retiring | Aborting))
    };
    readers.iter().find_map(|reader| {
        let (namespace, feature) = reader.feature.split_once('/')?;
        let reads = |rollout: &SequenceRollout| {
            let previous = rollout.spec.previous.as_ref();
            rollout.spec.target.digest == reader.digest || previous.is_some_and(|previous| previous.digest == reader.digest)
        };
        let rollouts = cluster.rollouts.made_for(namespace, feature);
        rollouts.iter().find(|rollout| goes_on(rollout) && reads(rollout)).map(|rollout| format!("{namespace}/{}", rollout.name_any()))
    })
}

/// How many streams and archives take up this image just now.
fn rolling(cluster: &Cluster, image: &str) -> usize {
    let roles = [crate::label::Role::Stream, crate::label::Role::Archive].map(crate::label::Role::as_str);
    let takes_up = |deployment: &&Arc<Deployment>| {
        let is_one = deployment.labels().get(crate::label::ROLE).is_some_and(|role| roles.contains(&role.as_str()));
        let seen = is_one.then(|| bare(deployment));
        seen.is_some_and(|(has, settled)| has == image && !settled)
    };
    cluster.deployments.list().iter().filter(takes_up).count()
}

/// Its image, and whether every pod is of it.
pub(super) fn bare(deployment: &Deployment) -> (&str, bool) {
    let spec = deployment.spec.as_ref();
    let container = spec.and_then(|spec| spec.template.spec.as_ref()).and_then(|pod| pod.containers.first());
    let wanted = spec.and_then(|spec| spec.replicas).unwrap_or(1);
    let settled = deployment.status.as_ref().is_some_and(|status| {
        status.observed_generation == deployment.metadata.generation
            && status.updated_replicas.unwrap_or_default() == wanted
            && status.available_replicas.unwrap_or_default() >= wanted
    });
    (container.and_then(|container| container.image.as_deref()).unwrap_or_default(), settled)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::cluster::View;
    use crate::fixture::{changed_rollout, digest, reference};

    #[test]
    fn an_attempt_holds_the_streams_that_it_comes_from_and_leads_to_from_shadowing_to_its_end() {
        let in_phase = |phase: &str| {
            let rollout = changed_rollout(2, "new", json!({"phase": phase}), |object| object["spec"]["previous"] = reference("old"));
            Cluster { rollouts: View::of(vec![(*rollout).clone()]), ..Cluster::empty() }
        };
        let read_by = |cluster: &Cluster, feature: &str, of: &str| {
            let reader = Reader { feature: feature.to_owned(), digest: digest(of), needed: Use::Running, prepared: true };
            attempt(cluster, &[reader])
        };
        for phase in ["Shadowing", "Backfilling", "Loading", "CuttingOver", "Retiring", "Aborting"] {
            let cluster = in_phase(phase);
            for of in ["new", "old"] {
                assert_eq!(read_by(&cluster, "n/f", of).as_deref(), Some("n/f-2"), "{phase} {of}");
            }
            assert_eq!((read_by(&cluster, "n/f", "older"), read_by(&cluster, "n/g", "new")), (None, None), "{phase}");
        }
        for phase in ["Pending", "Preparing", "Succeeded", "Failed", "Inconclusive", "Aborted", "Superseded"] {
            assert_eq!(read_by(&in_phase(phase), "n/f", "new"), None, "{phase}");
        }
    }
}
