//! A job is made for something that is to be done, and is not done yet.

use serde_json::Value;

use super::{Change, Invariant, Moment};
use crate::store::{label, number, text};

pub struct Jobs;

impl Invariant for Jobs {
    fn look(&mut self, moment: &Moment, change: &Change<'_>) -> Vec<String> {
        let version = change.version;
        if version.key.kind != "Job" || version.is_gone || change.before.is_some() {
            return Vec::new();
        }
        let (namespace, of) = (version.key.namespace.as_str(), label(&version.object, "tress.dev/of"));
        let get = |kind| moment.get(kind, namespace, of);
        let wrong = match version.key.name.rsplit('-').next().unwrap_or_default() {
            "prep" => {
                let revision = get("SignalRevision").or_else(|| get("SequenceRevision"));
                not_owned(revision, &version.object).or_else(|| {
                    let prepared = revision?.pointer("/status/prepared")?;
                    (!prepared.is_null()).then(|| "it is prepared already".to_owned())
                })
            }
            step @ ("plan" | "work" | "seal") => {
                let wanted = match step {
                    "plan" => "Planning",
                    "work" => "Working",
                    _ => "Sealing",
                };
                let backfill = get("Backfill");
                not_owned(backfill, &version.object).or_else(|| {
                    let phase = text(backfill?, "/status/phase");
                    (phase != wanted).then(|| format!("a job to {step} is made while the backfill is {phase:?}"))
                })
            }
            "base" => {
                let revision = get("SignalRevision");
                not_owned(revision, &version.object).or_else(|| {
                    let demands = revision?.pointer("/status/demands");
                    let figure = |field: &str| demands.and_then(|d| number(d, field));
                    (figure("/covered") >= figure("/number")).then(|| "base covers all demands already".to_owned())
                })
            }
            _ => None,
        };
        wrong.into_iter().collect()
    }
}

/// A job belongs to the object that it is made for.
fn not_owned(owner: Option<&Value>, job: &Value) -> Option<String> {
    match owner {
        None => Some("a job is made for something that is not there".to_owned()),
        Some(owner) if text(job, "/metadata/ownerReferences/0/uid") != crate::store::uid(owner) => Some("its owner is another".to_owned()),
        Some(_) => None,
    }
}
