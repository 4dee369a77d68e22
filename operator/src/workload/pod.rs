//! The pod that every role runs in.

use serde_json::{Value, json};

use super::{CONNECTIONS, Place, SERVICE_ACCOUNT};

/// A role's part of its pod.
pub(super) struct Pod<'a> {
    /// Behind `tress-engine --platform … --report …`.
    pub arguments: Vec<String>,
    pub resources: Value,
    /// A ConfigMap mounted at `/etc/tress-given`.
    pub given: Option<&'a str>,
    /// Size of `/tmp`.
    pub scratch: &'a str,
    /// Ports by name, with probes of the one that is called `http`.
    pub ports: &'a [(&'a str, u16)],
    /// Seconds from SIGTERM to SIGKILL.
    pub grace: u32,
    pub restart: &'a str,
}

/// Where a role finds what it is given.
pub(super) const GIVEN: &str = "/etc/tress-given";
/// Where Kubernetes keeps the last words of a pod.
const REPORT: &str = "/dev/termination-log";
/// Nobody in particular: not root.
const USER: u32 = 65532;

impl Pod<'_> {
    /// `spec` of the pod.
    pub fn spec(&self, place: &Place) -> Value {
        let Pod { arguments, resources, given, scratch, ports, grace, restart } = self;
        let mut command = vec!["--platform".to_owned(), "/etc/tress/platform.yaml".to_owned(), "--report".to_owned(), REPORT.to_owned()];
        command.extend(arguments.iter().cloned());
        let mut volumes = vec![
            json!({"name": "platform", "configMap": {"name": CONNECTIONS}}),
            json!({"name": "scratch", "emptyDir": {"sizeLimit": scratch}}),
        ];
        let mut mounts =
            vec![json!({"name": "platform", "mountPath": "/etc/tress", "readOnly": true}), json!({"name": "scratch", "mountPath": "/tmp"})];
        if let Some(map) = given {
            volumes.push(json!({"name": "given", "configMap": {"name": map}}));
            mounts.push(json!({"name": "given", "mountPath": GIVEN, "readOnly": true}));
        }
        for (number, secret) in place.secrets.iter().enumerate() {
            let name = format!("secret-{number}");
            // A pod starts without a secret that is not there; the connection that needs it says so.
            volumes.push(json!({"name": name, "secret": {"secretName": secret, "optional": true, "defaultMode": 0o440}}));
            mounts.push(json!({"name": name, "mountPath": format!("/var/run/secrets/tress/{secret}"), "readOnly": true}));
        }
        let mut container = json!({
            "name": "engine",
            "image": place.image,
            "imagePullPolicy": "IfNotPresent",
            "args": command,
            "resources": resources,
            "volumeMounts": mounts,
            "terminationMessagePath": REPORT,
            "terminationMessagePolicy": "File",
            "securityContext": {
                "allowPrivilegeEscalation": false,
                "readOnlyRootFilesystem": true,
                "capabilities": {"drop": ["ALL"]},
            },
        });
        if !ports.is_empty() {
            container["ports"] = ports.iter().map(|(name, port)| json!({"name": name, "containerPort": port, "protocol": "TCP"})).collect();
            let probe = |path: &str, period: u32, failures: u32| json!({"httpGet": {"path": path, "port": "http"}, "periodSeconds": period, "timeoutSeconds": 2, "failureThreshold": failures});
            // A start may read a long log; liveness begins after it.
            container["startupProbe"] = probe("/healthz", 2, 150);
            container["livenessProbe"] = probe("/healthz", 10, 6);
            container["readinessProbe"] = probe("/readyz", 2, 3);
        }
        json!({
            "serviceAccountName": SERVICE_ACCOUNT,
            "automountServiceAccountToken": false,
            "enableServiceLinks": false,
            "restartPolicy": restart,
            "terminationGracePeriodSeconds": grace,
            "securityContext": {
                "runAsNonRoot": true,
                "runAsUser": USER,
                "runAsGroup": USER,
                "fsGroup": USER,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
            "volumes": volumes,
        })
    }
}

/// The path of a key of what is given.
pub(super) fn given(key: &str) -> String {
    format!("{GIVEN}/{key}")
}

/// `--a b …`
pub(super) fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|w| (*w).to_owned()).collect()
}
