//! kubectl before the API server of this run.

#![allow(dead_code, reason = "each test binary uses a part of it")]

use std::io::Write;
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;
use tress_e2e::apiserver::ApiServer;

/// An API server that knows the kinds.
#[derive(Debug)]
pub struct Server(&'static ApiServer);

/// What kubectl said.
#[derive(Debug)]
pub struct Said(Output);

impl Server {
    pub fn shared() -> &'static Self {
        static SERVER: OnceLock<Server> = OnceLock::new();
        SERVER.get_or_init(|| Self(ApiServer::shared()))
    }

    pub fn kubectl(&self, arguments: &[&str], object: Option<&Value>) -> Said {
        let mut call = Command::new(&self.0.kubectl);
        call.arg("--kubeconfig").arg(&self.0.kubeconfig).args(arguments).stdout(Stdio::piped()).stderr(Stdio::piped());
        call.stdin(if object.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = call.spawn().unwrap();
        if let Some(object) = object {
            child.stdin.take().unwrap().write_all(object.to_string().as_bytes()).unwrap();
        }
        Said(child.wait_with_output().unwrap())
    }

    /// A namespace in which pods that are not restricted are refused, and warned of.
    pub fn namespace(&self, name: &str) {
        let object = serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {
            "pod-security.kubernetes.io/enforce": "restricted", "pod-security.kubernetes.io/warn": "restricted"}}});
        self.kubectl(&["apply", "--server-side", "-f", "-"], Some(&object)).succeeded();
    }

    pub fn create(&self, namespace: &str, object: &Value) -> Said {
        self.kubectl(&["create", "-n", namespace, "-f", "-"], Some(object))
    }

    pub fn replace(&self, namespace: &str, object: &Value) -> Said {
        self.kubectl(&["replace", "-n", namespace, "-f", "-"], Some(object))
    }

    /// Waits until `look` finds something among the objects of a kind.
    pub fn until<T>(&self, namespace: &str, kind: &str, look: impl Fn(&[Value]) -> Option<T>) -> T {
        let began = std::time::Instant::now();
        loop {
            let all = self.kubectl(&["get", kind, "-n", namespace, "-o", "json"], None).json();
            if let Some(found) = look(all["items"].as_array().unwrap()) {
                return found;
            }
            assert!(began.elapsed() < std::time::Duration::from_secs(60), "waited too long; there is {all:#}");
            std::thread::sleep(std::time::Duration::from_millis(100));
        }
    }

    /// A kubeconfig that may do everything.
    pub fn kubeconfig(&self) -> &str {
        self.0.kubeconfig.to_str().unwrap()
    }

    /// The executable.
    pub fn program(&self) -> &str {
        self.0.kubectl.to_str().unwrap()
    }

    pub fn get(&self, namespace: &str, object: &Value) -> Value {
        let (kind, name) = (object["kind"].as_str().unwrap(), object["metadata"]["name"].as_str().unwrap());
        self.kubectl(&["get", &format!("{kind}.tress.dev"), name, "-n", namespace, "-o", "json"], None).json()
    }
}

impl Said {
    /// It was taken, without a warning.
    pub fn succeeded(&self) {
        let told = String::from_utf8_lossy(&self.0.stderr);
        assert!(self.0.status.success() && !told.contains("Warning"), "{told}");
    }

    /// Why it was not taken.
    pub fn refused(&self) -> String {
        assert!(!self.0.status.success(), "it was taken: {}", String::from_utf8_lossy(&self.0.stdout));
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    pub fn text(&self) -> String {
        self.succeeded();
        String::from_utf8(self.0.stdout.clone()).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text()).unwrap()
    }
}
