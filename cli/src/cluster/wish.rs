//! What a person wants of an object that the operator works on: an intent of an attempt, `paused` of a definition, `suspend` of a backfill.
//!
//! Only `spec` is written, by name of this program; the operator heeds it, and says so in `status`.

use std::time::Duration;

use anyhow::anyhow;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use tress_crds::rollout::{Action, RolloutStatus};
use tress_crds::{Backfill, SequenceFeature, SequenceRollout, SignalDefinition};

use super::connect::MANAGER;
use super::target::{Kind, Target};
use super::trouble::told;
use super::{Cluster, follow};
use crate::exit::usage;
use crate::session::address::new_token;

/// What a person wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    pub action: Action,
    /// For those who read it later.
    pub reason: Option<String>,
    /// How long the operator may take to heed it.
    pub patience: Duration,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq)]
pub enum Came {
    /// The operator has heeded it.
    Heeded { rollout: String, status: Box<RolloutStatus> },
    /// It is written, and not heeded within the patience.
    Written { object: String },
}

/// Whether work goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pause {
    Paused,
    Resumed,
}

/// Writes an intent into an attempt: the one that is named, or the newest of the feature.
///
/// # Errors
/// When there is no such attempt, or the cluster refuses.
pub async fn intend(cluster: &Cluster, target: &Target, wish: &Wish) -> anyhow::Result<Came> {
    let rollouts: Api<SequenceRollout> = cluster.of(&cluster.namespace);
    let name = attempt(&rollouts, cluster, target).await?;
    let doing = format!("ask rollout {}/{name} to {:?}", cluster.namespace, wish.action);
    let token = new_token()?;
    let nonce = token.get(..16).unwrap_or(&token);
    // Null takes away what an earlier wish gave as its reason.
    let patch = json!({"spec": {"intent": {"action": wish.action, "nonce": nonce, "reason": wish.reason}}});
    rollouts.patch(&name, &parameters(), &Patch::Merge(&patch)).await.map_err(|e| told(e, &doing))?;
    let mut heeded = None;
    let heeding = follow::object(rollouts, &name, |now| {
        let Some(now) = now else { return Some(Err(anyhow!("{doing}: it was deleted meanwhile"))) };
        if now.spec.intent.as_ref().is_none_or(|intent| intent.nonce != nonce) {
            return Some(Err(anyhow!("{doing}: somebody else asked for something else meanwhile")));
        }
        heeded = now.status.filter(|status| status.handled.as_deref() == Some(nonce));
        heeded.is_some().then_some(Ok(()))
    });
    if let Ok(ended) = tokio::time::timeout(wish.patience, heeding).await {
        ended?;
    }
    Ok(match heeded {
        Some(status) => Came::Heeded { rollout: name, status: Box::new(status) },
        None => Came::Written { object: format!("rollout/{name}") },
    })
}

/// The attempt that is meant: by its name, or the newest of a feature.
async fn attempt(rollouts: &Api<SequenceRollout>, cluster: &Cluster, target: &Target) -> anyhow::Result<String> {
    let namespace = &cluster.namespace;
    let doing = format!("list rollouts in namespace {namespace}");
    let all = rollouts.list(&ListParams::default()).await.map_err(|e| told(e, &doing))?.items;
    match target.kind {
        Some(Kind::Signal | Kind::Backfill) => {
            return Err(usage("only a rollout can be asked: give the name of a feature, or rollout/NAME"));
        }
        Some(Kind::Feature | Kind::Rollout) | None => {}
    }
    let newest = |feature: &str| all.iter().filter(|r| r.spec.feature == feature).max_by_key(|r| r.spec.attempt).map(ResourceExt::name_any);
    let named = all.iter().find(|r| r.name_any() == target.name).map(ResourceExt::name_any);
    let found = if target.kind == Some(Kind::Feature) { newest(&target.name) } else { named.or_else(|| newest(&target.name)) };
    found.ok_or_else(|| {
        usage(format!(
            "there is no rollout of \"{}\" in namespace {namespace}; see: {}",
            target.name,
            cluster.commands.tress("status", namespace)
        ))
    })
}

/// Pauses or resumes a definition or a backfill; which object it was.
///
/// # Errors
/// When there is none, a bare name may be two, or the cluster refuses.
pub async fn pause(cluster: &Cluster, target: &Target, pause: Pause) -> anyhow::Result<Came> {
    let (namespace, name) = (&cluster.namespace, &target.name);
    let kind = match target.kind {
        Some(kind) => kind,
        None => definition(cluster, name).await?,
    };
    let object = format!("{}/{name}", kind.word());
    let doing = format!("change {object} in namespace {namespace}");
    // Null takes the field away: as it was before anybody paused it.
    let value = (pause == Pause::Paused).then_some(true);
    let paused = Patch::Merge(json!({"spec": {"paused": value}}));
    let done = match kind {
        Kind::Feature => cluster.of::<SequenceFeature>(namespace).patch(name, &parameters(), &paused).await.map(|_| ()),
        Kind::Signal => cluster.of::<SignalDefinition>(namespace).patch(name, &parameters(), &paused).await.map(|_| ()),
        Kind::Backfill => {
            let suspended = Patch::Merge(json!({"spec": {"suspend": value}}));
            cluster.of::<Backfill>(namespace).patch(name, &parameters(), &suspended).await.map(|_| ())
        }
        Kind::Rollout => return Err(anyhow!("a rollout is asked by an intent")),
    };
    done.map_err(|e| told(e, &doing))?;
    Ok(Came::Written { object })
}

/// Which kind of definition has this name.
async fn definition(cluster: &Cluster, name: &str) -> anyhow::Result<Kind> {
    let namespace = &cluster.namespace;
    let doing = format!("look for \"{name}\" in namespace {namespace}");
    let (features, signals): (Api<SequenceFeature>, Api<SignalDefinition>) = (cluster.of(namespace), cluster.of(namespace));
    let found = futures::try_join!(features.get_opt(name), signals.get_opt(name));
    let (feature, signal) = found.map_err(|e| told(e, &doing))?;
    match (feature, signal) {
        (Some(_), None) => Ok(Kind::Feature),
        (None, Some(_)) => Ok(Kind::Signal),
        (Some(_), Some(_)) => Err(usage(format!("\"{name}\" is a feature and a signal: write feature/{name} or signal/{name}"))),
        (None, None) => {
            let see = cluster.commands.tress("status", namespace);
            Err(usage(format!("there is no feature or signal \"{name}\" in namespace {namespace}; see: {see}")))
        }
    }
}

fn parameters() -> PatchParams {
    PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() }
}
