//! The job that deletes what belongs to a signal revision.

use serde_json::{Value, json};

use super::pod::{Pod, words};
use super::{ALL_CONNECTIONS, Owner, Place, job, resources};
use crate::label::Role;
use crate::name::{self, Job};

/// Topics, group and tables go; history stays where a dataset names a version of it. `of`: what the job is owned by, for the revision is
/// gone by then.
#[must_use]
pub fn drop(place: &Place, of: &Owner, (revision, uid): (&str, &str)) -> Value {
    let pod = Pod {
        arguments: words(&["drop", "--uid", uid, "--history", "unless-pinned"]),
        resources: resources(None, ("50m", "256Mi")),
        given: None,
        scratch: "64Mi",
        ports: &[],
        grace: 30,
        restart: "Never",
    };
    job::job(place, &name::job(revision, Job::Drop), Role::Drop, of, &pod)
}

/// The same from the operator's namespace, where all connections are known: by a map of their own, for what definitions in that namespace
/// may use is another matter.
#[must_use]
pub fn drop_elsewhere(place: &Place, of: &Owner, (revision, uid): (&str, &str)) -> Value {
    let mut job = drop(place, of, (revision, uid));
    let volumes = job.pointer_mut("/spec/template/spec/volumes").and_then(Value::as_array_mut);
    for volume in volumes.into_iter().flatten().filter(|volume| volume["name"] == "platform") {
        volume["configMap"]["name"] = json!(ALL_CONNECTIONS);
    }
    job
}
