//! A feature's revision: which signal revisions it reads, checked and recorded once.

use serde::{Deserialize, Serialize};
use tress_configs::name::QualifiedName;
use tress_configs::{FeaturePlan, Plan, SignalPlan};

use super::put_plan;
use crate::error::{Error, Result};
use crate::history::agreement;
use crate::layout;
use crate::platform::Platform;
use crate::read::Feature;

/// The format of the record.
const FORMAT: u32 = 1;

/// A feature's revision, as recorded in the lake under its UID.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct FeatureRevision {
    pub format: u32,
    pub uid: String,
    /// Of the feature's plan.
    pub digest: String,
    /// In the plan's order.
    pub signals: Vec<PinnedSignal>,
}

/// The revision of a signal that a feature reads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PinnedSignal {
    /// `namespace/name`.
    pub name: String,
    pub uid: String,
    /// Of the signal's plan.
    pub digest: String,
}

/// Prepares a feature's revision that reads the signal revisions of these UIDs, in any order; everything that is wrong is said at once.
///
/// # Errors
/// `Invalid` with every signal that is missing, not prepared, or not what the plan reads; when the lake does not answer.
pub async fn feature_revision(platform: &Platform, plan: &FeaturePlan, (uid, signals): (&str, &[String])) -> Result<FeatureRevision> {
    let (mut wrong, mut found) = (Vec::new(), Vec::new());
    for signal in signals {
        match signal_of(platform, signal).await? {
            Some((digest, plan)) => found.push((signal, digest, plan)),
            None => wrong.push(format!("signal revision {signal} is not prepared; prepare it first")),
        }
    }
    let mut pinned = Vec::new();
    for read in &plan.signals {
        let of_name =
            |(_, _, signal): &&(&String, String, SignalPlan)| signal.name == read.name && signal.schema_version == read.schema_version;
        match found.iter().find(of_name) {
            Some((uid, digest, _)) => {
                pinned.push(PinnedSignal { name: read.name.to_string(), uid: (*uid).clone(), digest: digest.clone() });
            }
            None => wrong.push(format!("no signal revision is given for {} (schema version {})", read.name, read.schema_version)),
        }
    }
    for (uid, _, signal) in &found {
        if pinned.iter().all(|p| p.uid != **uid) {
            wrong.push(format!("the feature does not read {}, of which {uid} is a revision", signal.name));
        }
    }
    let whole = Plan::Feature(plan.clone());
    if wrong.is_empty() {
        let of =
            |name: &QualifiedName| found.iter().find(|(_, _, signal)| signal.name == *name).map(|(_, _, signal)| signal.clone().into());
        let signals = plan.signals.iter().filter_map(|read| of(&read.name)).collect();
        if let Err(e) = Feature::new(plan.clone().into(), signals) {
            wrong.push(e.to_string());
        }
    }
    if !wrong.is_empty() {
        return Err(Error::invalid(format!("prepare {}: {}", plan.name, wrong.join("; "))));
    }
    put_plan(platform, &whole).await?;
    let revision = FeatureRevision { format: FORMAT, uid: uid.to_owned(), digest: whole.digest(), signals: pinned };
    agreement::put_if_absent(platform.lake().store().as_ref(), &layout::revision(uid), &revision).await?;
    let recorded =
        read_feature(platform, uid).await?.ok_or_else(|| Error::internal("prepare: the revision that was just written is not there"))?;
    if recorded == revision {
        return Ok(recorded);
    }
    Err(Error::invalid(format!(
        "prepare {}: revision {uid} was prepared before for another plan or other signals; a revision never changes, use a new UID",
        plan.name
    )))
}

/// What was recorded of a feature's revision; `None` = it was not prepared.
///
/// # Errors
/// `Corrupt` when the record is damaged, a signal's, or of a newer program; when the lake does not answer.
pub async fn read_feature(platform: &Platform, uid: &str) -> Result<Option<FeatureRevision>> {
    agreement::read(platform.lake().store().as_ref(), &layout::revision(uid), FORMAT).await
}

async fn signal_of(platform: &Platform, uid: &str) -> Result<Option<(String, SignalPlan)>> {
    let Some(revision) = super::read(platform, uid).await? else { return Ok(None) };
    match super::plan(platform, &revision.digest).await? {
        Plan::Signal(plan) => Ok(Some((revision.digest, plan))),
        Plan::Feature(_) => Err(Error::corrupt(format!("revision {uid} names a feature's plan; restore it from a copy"))),
    }
}
