//! What an operator would write.

use serde_json::{Value, json};

use super::server::Server;

/// When everything happened.
pub const SINCE: &str = "2026-01-01T00:00:00Z";

pub fn condition(what: &str, status: &str, reason: &str, message: &str) -> Value {
    json!({"type": what, "status": status, "reason": reason, "message": message, "lastTransitionTime": SINCE, "observedGeneration": 1})
}

pub fn ready(reason: &str, message: &str) -> Value {
    json!([condition("Ready", "True", reason, message)])
}

/// Merges into the status of an object that is there.
pub fn write_status(server: &Server, namespace: &str, object: &Value, mut status: Value) {
    status["observedGeneration"] = json!(1);
    let (kind, name) = (object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap());
    let patch = json!({"status": status}).to_string();
    let kind = format!("{kind}.tress.dev");
    server.kubectl(&["patch", &kind, name, "-n", namespace, "--subresource=status", "--type=merge", "-p", &patch], None).succeeded();
}

fn labels() -> Value {
    json!({
        "tress.dev/role": "serve", "tress.dev/of": "tress-default-route",
        "app.kubernetes.io/managed-by": "tress-operator", "app.kubernetes.io/component": "serve",
    })
}

/// A serving pool: its Deployment, its Service, and a pod that is not ready.
pub fn pool(namespace: &str) -> [Value; 3] {
    let selector = json!({"tress.dev/role": "serve", "tress.dev/of": "tress-default-route"});
    let restricted = json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}});
    let container = json!({
        "name": "engine", "image": "tress-engine",
        "ports": [{"name": "grpc", "containerPort": 7400}, {"name": "http", "containerPort": 7401}],
        "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}},
    });
    let spec = json!({"containers": [container], "securityContext": restricted});
    let metadata = |name: &str| json!({"name": name, "namespace": namespace, "labels": labels()});
    [
        json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata("tress-default"), "spec": {
            "replicas": 1, "selector": {"matchLabels": selector}, "template": {"metadata": {"labels": labels()}, "spec": spec}}}),
        json!({"apiVersion": "v1", "kind": "Service", "metadata": metadata("tress-default"), "spec": {
            "selector": selector, "ports": [{"name": "grpc", "port": 7400, "targetPort": "grpc"}]}}),
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata("tress-default-1"), "spec": spec}),
    ]
}

/// As a kubelet would write it.
pub fn pod_is_ready(server: &Server, namespace: &str) {
    let patch = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}}).to_string();
    server
        .kubectl(&["patch", "pod", "tress-default-1", "-n", namespace, "--subresource=status", "--type=strategic", "-p", &patch], None)
        .succeeded();
}

/// The engine understands how it is called: it gets as far as the platform file, which is not here.
pub fn engine_takes(arguments: &[&str]) {
    let engine = std::env::current_exe().unwrap().with_file_name("../tress-engine");
    assert!(engine.exists(), "{} is not there: cargo build --workspace", engine.display());
    let folder = tempfile::tempdir().unwrap();
    let mut here: Vec<String> = arguments.iter().map(|a| (*a).to_owned()).collect();
    for (option, file) in [("--platform", "platform.yaml"), ("--report", "report")] {
        let at = here.iter().position(|a| a == option).unwrap();
        here[at + 1] = folder.path().join(file).to_str().unwrap().to_owned();
    }
    let ended = std::process::Command::new(&engine).args(&here).output().unwrap();
    let told = String::from_utf8_lossy(&ended.stderr);
    assert!(told.contains("read platform file"), "{told}");
}
