//! Every kind of object that the operator, the cluster or the tests touch.

use std::sync::LazyLock;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Namespace, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::api::{Api, ApiResource, DynamicObject};
use kube::{Client, Resource};
use tress_crds::{Backfill, SequenceFeature, SequenceRevision, SequenceRollout, SignalDefinition, SignalRevision};

static KINDS: LazyLock<Vec<ApiResource>> = LazyLock::new(|| {
    fn of<K: Resource<DynamicType = ()>>() -> ApiResource {
        ApiResource::erase::<K>(&())
    }
    vec![
        of::<Namespace>(),
        of::<SignalDefinition>(),
        of::<SequenceFeature>(),
        of::<SignalRevision>(),
        of::<SequenceRevision>(),
        of::<SequenceRollout>(),
        of::<Backfill>(),
        of::<ConfigMap>(),
        of::<Secret>(),
        of::<ServiceAccount>(),
        of::<Service>(),
        of::<Deployment>(),
        of::<Job>(),
        of::<Pod>(),
        of::<PodDisruptionBudget>(),
        of::<NetworkPolicy>(),
        of::<Lease>(),
        of::<Event>(),
    ]
});

/// All of them; owners come before what they own.
pub fn all() -> &'static [ApiResource] {
    &KINDS
}

/// Those of the group of Tress.
pub fn is_ours(kind: &str) -> bool {
    all().iter().any(|k| k.kind == kind && k.group == tress_crds::GROUP)
}

pub fn named(kind: &str) -> &'static ApiResource {
    all().iter().find(|k| k.kind == kind).unwrap_or_else(|| panic!("the tests know no {kind}"))
}

/// The objects of a kind in a namespace; empty = of a kind that is in none.
pub fn api(client: &Client, kind: &str, namespace: &str) -> Api<DynamicObject> {
    match namespace {
        "" => Api::all_with(client.clone(), named(kind)),
        _ => Api::namespaced_with(client.clone(), namespace, named(kind)),
    }
}
