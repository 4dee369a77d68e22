//! A sequence from a serving pod: where the feature says that it is read, through the API server, by the engine's own client.
//!
//! ```text
//! SequenceFeature.status.endpoint ─▶ Service ─▶ its ready pods ─▶ tunnel ─▶ gRPC
//! ```

use std::collections::BTreeMap;
use std::future::Future;

use anyhow::anyhow;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use tress_crds::SequenceFeature;
use tress_engine::ErrorKind;

use super::Cluster;
use super::connect::Commands;
use super::said::{is_ready, port};
use super::target::Target;
use super::trouble::told;
use super::tunnel::{Port, Tunnel};
use crate::exit::usage;

/// Where a feature is read.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Endpoint {
    service: String,
    namespace: String,
    port: u16,
}

/// Reads through a pod that serves the feature. `read` gets the address of a gRPC server and `namespace/name`; where a pod is lost on
/// the way, the next one is tried.
///
/// # Errors
/// When there is no such feature, nothing of it is live, no pod is ready, or the user may not; as `read`.
pub async fn through_pods<T, F>(cluster: &Cluster, target: &Target, read: impl Fn(String, String) -> F) -> anyhow::Result<T>
where
    F: Future<Output = anyhow::Result<T>>,
{
    let namespace = target.namespace.as_deref().unwrap_or(&cluster.namespace);
    let feature = feature(cluster, namespace, &target.name).await?;
    let endpoint = endpoint(&feature, &cluster.commands)?;
    let ports = ports(cluster, &endpoint).await?;
    let name = format!("{namespace}/{}", target.name);
    let mut lost = None;
    for port in ports {
        let pod = port.pod.clone();
        let tunnel = Tunnel::open(cluster.of::<Pod>(&port.namespace), port).await?;
        match read(tunnel.address(), name.clone()).await {
            Err(e) if is_lost(&e) => lost = Some((pod, tunnel.why().unwrap_or_else(|| format!("{e:#}")))),
            done => return done,
        }
    }
    let (pod, why) = lost.unwrap_or_default();
    Err(anyhow!("read {name}: no pod answers; pod {pod} last: {why}"))
}

/// Whether another pod may do better.
fn is_lost(error: &anyhow::Error) -> bool {
    error.downcast_ref::<tress_engine::Error>().is_some_and(|e| e.kind() == ErrorKind::Unavailable)
}

async fn feature(cluster: &Cluster, namespace: &str, name: &str) -> anyhow::Result<SequenceFeature> {
    let features: Api<SequenceFeature> = cluster.of(namespace);
    let doing = format!("get feature {namespace}/{name}");
    if let Some(feature) = features.get_opt(name).await.map_err(|e| told(e, &doing))? {
        return Ok(feature);
    }
    let all = features.list(&ListParams::default().limit(20)).await.map_err(|e| told(e, &doing))?;
    let names = all.items.iter().map(ResourceExt::name_any).collect::<Vec<_>>().join(", ");
    let there =
        if names.is_empty() { "there is none in that namespace; choose another with -n".to_owned() } else { format!("there are {names}") };
    Err(usage(format!("there is no feature \"{name}\" in namespace {namespace}; {there}")))
}

/// What the feature says, or why it says nothing.
fn endpoint(feature: &SequenceFeature, commands: &Commands) -> anyhow::Result<Endpoint> {
    let (namespace, name) = (feature.namespace().unwrap_or_default(), feature.name_any());
    let status = feature.status.as_ref();
    let look = commands.tress(&format!("status feature/{name}"), &namespace);
    if status.and_then(|s| s.live.as_ref()).is_none() {
        let ready = status.and_then(|s| {
            s.conditions
                .iter()
                .find(|c| c.type_ == "Stalled" && c.status == "True")
                .or_else(|| s.conditions.iter().find(|c| c.type_ == "Ready"))
        });
        let why = ready.map_or_else(|| "the operator has not looked at it yet".to_owned(), |c| format!("{}: {}", c.reason, c.message));
        return Err(anyhow!("nothing of feature {namespace}/{name} is live yet ({why}); see: {look}"));
    }
    let told = status.and_then(|s| s.endpoint.as_deref());
    told.and_then(|told| Endpoint::parse(told, &namespace)).ok_or_else(|| {
        anyhow!("feature {namespace}/{name} does not say where it is read (status.endpoint: {}); see: {look}", told.unwrap_or("none"))
    })
}

impl Endpoint {
    /// `service.namespace.svc…:port`; without a namespace, the feature's.
    fn parse(text: &str, namespace: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let mut parts = host.split('.');
        let service = parts.next().filter(|service| !service.is_empty())?;
        let namespace = parts.next().unwrap_or(namespace);
        Some(Self { service: service.to_owned(), namespace: namespace.to_owned(), port: port.parse().ok()? })
    }
}

async fn ports(cluster: &Cluster, endpoint: &Endpoint) -> anyhow::Result<Vec<Port>> {
    let Endpoint { service, namespace, .. } = endpoint;
    let doing = format!("look for the pods of service {namespace}/{service}");
    let found = cluster.of::<Service>(namespace).get(service).await.map_err(|e| told(e, &doing))?;
    let selector = found.spec.as_ref().and_then(|spec| spec.selector.clone()).filter(|selector| !selector.is_empty());
    let selector: BTreeMap<String, String> = selector.ok_or_else(|| anyhow!("{doing}: it selects none"))?;
    let labels = selector.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(",");
    let pods = cluster.of::<Pod>(namespace).list(&ListParams::default().labels(&labels)).await.map_err(|e| told(e, &doing))?;
    choose(endpoint, &found, &pods.items, &cluster.commands)
}

/// The port of every ready pod behind an endpoint.
fn choose(endpoint: &Endpoint, service: &Service, pods: &[Pod], commands: &Commands) -> anyhow::Result<Vec<Port>> {
    let Endpoint { service: name, namespace, port: number } = endpoint;
    let ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
    let target = ports.into_iter().find(|p| p.port == i32::from(*number)).map(|p| p.target_port.clone());
    let target = target.ok_or_else(|| anyhow!("service {namespace}/{name} has no port {number}"))?;
    let number_of = |pod: &Pod| match &target {
        Some(IntOrString::String(named)) => port(pod, named),
        Some(IntOrString::Int(number)) => u16::try_from(*number).ok(),
        None => Some(*number),
    };
    let ready = pods.iter().filter(|pod| is_ready(pod));
    let chosen: Vec<Port> =
        ready.filter_map(|pod| Some(Port { namespace: namespace.clone(), pod: pod.name_any(), number: number_of(pod)? })).collect();
    if chosen.is_empty() {
        let look = commands.kubectl("get pods -l app.kubernetes.io/component=serve", namespace);
        return Err(anyhow!("none of the {} pods of service {namespace}/{name} is ready; see: {look}", pods.len()));
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::called::Called;
    use crate::place::Choice;

    fn commands() -> Commands {
        Commands::of(Called::Tress, &Choice::default())
    }

    fn feature(status: &Value) -> SequenceFeature {
        serde_json::from_value(json!({
            "apiVersion": "tress.dev/v1alpha1", "kind": "SequenceFeature", "metadata": {"name": "recent", "namespace": "movies"},
            "spec": {"definition": {"signals": [{"name": "rating"}], "length": 5}}, "status": status,
        }))
        .expect("a feature")
    }

    fn pod(name: &str, ready: &str, going: bool) -> Pod {
        let gone = going.then_some("2026-01-01T00:00:00Z");
        serde_json::from_value(json!({
            "metadata": {"name": name, "namespace": "movies", "deletionTimestamp": gone},
            "spec": {"containers": [{"name": "engine", "ports": [{"name": "grpc", "containerPort": 7400}, {"name": "http", "containerPort": 7401}]}]},
            "status": {"conditions": [{"type": "Ready", "status": ready}]},
        }))
        .expect("a pod")
    }

    #[test]
    fn a_feature_says_where_it_is_read_or_why_it_is_not() {
        let live = json!({"revision": "recent-a", "epoch": 1, "since": "2026-01-01T00:00:00Z"});
        let of = |status: Value| endpoint(&feature(&status), &commands()).map_err(|e| e.to_string());
        let there = |service: &str, namespace: &str| Ok(Endpoint { service: service.into(), namespace: namespace.into(), port: 7400 });
        assert_eq!(of(json!({"live": live, "endpoint": "tress-default.movies.svc:7400"})), there("tress-default", "movies"));
        assert_eq!(of(json!({"live": live, "endpoint": "tress-big.ml.svc.cluster.local:7400"})), there("tress-big", "ml"));
        assert_eq!(of(json!({"live": live, "endpoint": "tress-default:7400"})), there("tress-default", "movies"));
        assert_eq!(
            of(json!({"live": live, "endpoint": "nowhere"})).unwrap_err(),
            "feature movies/recent does not say where it is read (status.endpoint: nowhere); see: tress status feature/recent -n movies"
        );
        assert_eq!(
            of(json!({"observedGeneration": -1})).unwrap_err(),
            "nothing of feature movies/recent is live yet (the operator has not looked at it yet); see: tress status feature/recent -n movies"
        );
        let condition = json!({"type": "Ready", "status": "False", "reason": "InProgress", "message": "Backfilling", "lastTransitionTime": "2026-01-01T00:00:00Z"});
        assert!(of(json!({"conditions": [condition]})).unwrap_err().contains("is live yet (InProgress: Backfilling)"));
    }

    #[test]
    fn only_ready_pods_are_read_and_their_port_is_the_services() {
        let endpoint = Endpoint { service: "tress-default".into(), namespace: "movies".into(), port: 80 };
        let service = |target: Value| -> Service {
            serde_json::from_value(json!({"metadata": {}, "spec": {"ports": [{"port": 80, "targetPort": target}]}})).expect("a service")
        };
        let pods = [pod("a", "True", false), pod("b", "False", false), pod("c", "True", true), pod("d", "True", false)];
        let chosen = |target: Value, pods: &[Pod]| {
            let chosen = choose(&endpoint, &service(target), pods, &commands()).map_err(|e| e.to_string())?;
            Ok::<_, String>(chosen.into_iter().map(|p| (p.pod, p.number)).collect::<Vec<_>>())
        };
        let both = |number| Ok(vec![("a".to_owned(), number), ("d".to_owned(), number)]);
        assert_eq!(chosen(json!("grpc"), &pods), both(7400));
        assert_eq!(chosen(json!(7400), &pods), both(7400));
        assert_eq!(chosen(Value::Null, &pods), both(80));
        assert_eq!(
            chosen(json!("grpc"), &pods[1..3]).unwrap_err(),
            "none of the 2 pods of service movies/tress-default is ready; see: kubectl get pods -l app.kubernetes.io/component=serve -n movies"
        );
        let other = Endpoint { port: 81, ..endpoint.clone() };
        assert_eq!(
            choose(&other, &service(json!("grpc")), &pods, &commands()).unwrap_err().to_string(),
            "service movies/tress-default has no port 81"
        );
    }
}
