//! What of an object nobody reads, so that it is not kept.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Container, Pod, PodSpec, PodTemplateSpec, Secret};
use tress_crds::revision::CompiledSource;

use super::shelf::Item;
use super::{Watched, drift};
use crate::apply::MANIFEST;

/// Where kubectl keeps a copy of what it applied.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// An object as it is kept. Whether it has drifted is found out before what that takes is dropped.
pub(super) fn item<K: Watched>(mut object: K) -> Item<K> {
    let drifted = drift::of(&object);
    let meta = object.meta_mut();
    meta.managed_fields = None;
    if let Some(annotations) = &mut meta.annotations {
        annotations.remove(LAST_APPLIED);
        annotations.remove(MANIFEST);
    }
    object.lean();
    Item { object: Arc::new(object), drifted }
}

pub(super) fn compiled(compiled: &mut CompiledSource) {
    compiled.plan = String::new();
    compiled.source = String::new();
}

pub(super) fn job(job: &mut Job) {
    if let Some(spec) = &mut job.spec {
        template(&mut spec.template);
        spec.pod_failure_policy = None;
    }
}

pub(super) fn deployment(deployment: &mut Deployment) {
    if let Some(spec) = &mut deployment.spec {
        template(&mut spec.template);
    }
}

fn template(template: &mut PodTemplateSpec) {
    template.metadata = None;
    if let Some(spec) = &mut template.spec {
        let containers = std::mem::take(&mut spec.containers);
        let bare = |c: Container| Container { name: c.name, image: c.image, ..Container::default() };
        *spec = PodSpec { containers: containers.into_iter().map(bare).collect(), ..PodSpec::default() };
    }
}

pub(super) fn pod(pod: &mut Pod) {
    if let Some(spec) = &mut pod.spec {
        *spec = PodSpec { node_name: spec.node_name.take(), ..PodSpec::default() };
    }
}

pub(super) fn map(map: &mut ConfigMap) {
    if map.immutable == Some(true) {
        map.data = None;
        map.binary_data = None;
    }
}

pub(super) fn secret(secret: &mut Secret) {
    secret.data = None;
    secret.string_data = None;
}
