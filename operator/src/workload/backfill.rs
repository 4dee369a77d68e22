//! A backfill: plan, work, seal; and base alone.

use serde_json::{Value, json};
use tress_configs::definition::Resources;
use tress_configs::job::Demanded;
use tress_crds::backfill::BackfillSpec;

use super::pod::{Pod, given, words};
use super::{Owner, Place, metadata, resources};
use crate::label::Role;
use crate::name::{self, Job};

/// How many workers run at a time, unless the Backfill says.
const PARALLELISM: i32 = 4;

/// The ConfigMap that the jobs of a signal revision read the list from.
#[must_use]
pub fn demands(place: &Place, revision: &Owner, demanded: &Demanded) -> Value {
    let list = serde_json::to_string(demanded).unwrap_or_default();
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata(place, &list_of(revision), Role::Base, revision),
        "data": {"demands.json": list},
    })
}

/// A backfill, as its jobs see it.
#[derive(Debug, Clone, Copy)]
pub struct Filled<'a> {
    pub owner: &'a Owner,
    pub spec: &'a BackfillSpec,
    /// Of its pods, as the signal's definition says.
    pub resources: Option<&'a Resources>,
}

fn list_of(revision: &Owner) -> String {
    format!("{}-list", revision.name)
}

fn pod<'a>(arguments: Vec<String>, given: Option<&'a str>, runtime: Option<&Resources>) -> Pod<'a> {
    Pod { arguments, resources: resources(runtime, ("1", "2Gi")), given, scratch: "10Gi", ports: &[], grace: 30, restart: "Never" }
}

/// The job that fixes the inputs.
#[must_use]
pub fn plan(place: &Place, filled: Filled<'_>, revision: &Owner) -> Value {
    let Filled { owner: backfill, spec: BackfillSpec { mode, .. }, resources } = filled;
    let mut arguments = words(&["backfill", "plan", "--uid", &revision.uid]);
    if let Some(restate) = &mode.restate {
        let buckets = restate.buckets.as_ref().map_or_else(|| "all".to_owned(), |buckets| buckets.join(","));
        arguments.extend(words(&["--restate", &buckets]));
    }
    super::job::job(place, &name::job(&backfill.name, Job::Plan), Role::Backfill, backfill, &pod(arguments, None, resources))
}

/// The indexed job that does the tasks: its pods share them by their index.
#[must_use]
pub fn work(place: &Place, filled: Filled<'_>, revision: &Owner, (number, workers): (i64, i32)) -> Value {
    let Filled { owner: backfill, spec, resources } = filled;
    let arguments = words(&["backfill", "tasks", "--uid", &revision.uid, "--backfill", &number.to_string(), "--of", &workers.to_string()]);
    let mut job = super::job::job(place, &name::job(&backfill.name, Job::Work), Role::Backfill, backfill, &pod(arguments, None, resources));
    let spec_of_job = &mut job["spec"];
    if let Some(map) = spec_of_job.as_object_mut() {
        map.shift_remove("backoffLimit");
    }
    spec_of_job["completionMode"] = json!("Indexed");
    spec_of_job["completions"] = json!(workers);
    spec_of_job["parallelism"] = json!(spec.parallelism.unwrap_or(PARALLELISM).min(workers));
    spec_of_job["backoffLimitPerIndex"] = json!(3);
    spec_of_job["maxFailedIndexes"] = json!(0);
    spec_of_job["suspend"] = json!(spec.suspend.unwrap_or(false));
    job
}

/// The job that makes a backfill part of history, then base.
#[must_use]
pub fn seal(place: &Place, filled: Filled<'_>, revision: &Owner, number: i64) -> Value {
    let Filled { owner: backfill, spec: _, resources } = filled;
    let list = list_of(revision);
    let arguments =
        words(&["backfill", "seal", "--uid", &revision.uid, "--backfill", &number.to_string(), "--demands", &given("demands.json")]);
    super::job::job(place, &name::job(&backfill.name, Job::Seal), Role::Backfill, backfill, &pod(arguments, Some(&list), resources))
}

/// The job that makes base alone, for a demand that is not covered. `resources`: as of a [`Filled`].
#[must_use]
pub fn base(place: &Place, revision: &Owner, resources: Option<&Resources>) -> Value {
    let list = list_of(revision);
    let arguments = words(&["backfill", "base", "--uid", &revision.uid, "--demands", &given("demands.json")]);
    super::job::job(place, &name::job(&revision.name, Job::Base), Role::Base, revision, &pod(arguments, Some(&list), resources))
}
