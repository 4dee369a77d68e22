//! What e2e/platform has brought up, as its lines in the environment say.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use futures::TryStreamExt as _;
use k8s_openapi::api::core::v1::{Pod, Service};
use kube::api::{Api, ListParams, LogParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config, ResourceExt};
use object_store::ObjectStore as _;
use serde_json::Value;
use tempfile::TempDir;
use tress_engine::clock::SystemClock;
use tress_engine::entity::Entity;
use tress_engine::platform::Platform;
use tress_engine::serve::Wanted;

/// The longest that anything may take on a machine that does much else.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// A cluster with Tress, Kafka and S3.
pub struct Site {
    pub client: Client,
    /// The operator's namespace.
    pub space: String,
    pub(crate) folder: TempDir,
    /// The namespaces that were made here.
    made: Mutex<BTreeSet<String>>,
}

/// A name that no run before has used: its topics and namespaces may still be there.
pub fn unused(stem: &str) -> String {
    format!("{stem}-{}", std::process::id())
}

/// The files in a folder of the lake.
pub async fn files(platform: &Platform, folder: &object_store::path::Path) -> Vec<String> {
    let all = platform.lake().store().list(Some(folder)).map_ok(|file| file.location.to_string());
    all.try_collect().await.unwrap()
}

/// A line of e2e/platform.
pub fn told(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: e2e/check brings up what these tests need, and runs them"))
}

pub(crate) fn script(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// A program of the images that run: one of the last build, or of TRESS_PROGRAMS.
pub fn program(name: &str) -> PathBuf {
    let built = || std::env::current_exe().unwrap().with_file_name("..").into_os_string();
    let folder = std::env::var_os("TRESS_PROGRAMS").unwrap_or_else(built);
    Path::new(&folder).join(name).canonicalize().unwrap_or_else(|e| panic!("{name} cannot be found: {e}; cargo build --workspace"))
}

pub(crate) fn run(command: &mut Command) -> String {
    let done = command.stdin(Stdio::null()).output().unwrap_or_else(|e| panic!("{command:?} cannot be run: {e}"));
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success(), "{command:?} failed:\n{said}{}", String::from_utf8_lossy(&done.stderr));
    said
}

/// kubectl for this cluster.
pub fn kubectl(arguments: &[&str]) -> Command {
    let mut kubectl = Command::new(told("TRESS_KUBECTL"));
    kubectl.env("KUBECONFIG", told("TRESS_KUBECONFIG")).args(arguments);
    kubectl
}

impl Site {
    pub async fn here() -> Self {
        let read = Kubeconfig::read_from(told("TRESS_KUBECONFIG")).unwrap();
        let mut config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await.unwrap();
        // What is refused is to be seen, not asked for again until it is not.
        config.default_retry = false;
        Self {
            client: Client::try_from(config).unwrap(),
            space: told("TRESS_NAMESPACE"),
            folder: tempfile::tempdir().unwrap(),
            made: Mutex::default(),
        }
    }

    /// Makes a namespace that definitions can be applied in, or gives it its Secrets again.
    pub fn namespace(&self, name: &str) {
        self.made.lock().unwrap().insert(name.to_owned());
        run(Command::new(script("platform")).args(["namespace", name]));
    }

    pub fn kubectl(&self, arguments: &[&str]) -> String {
        run(&mut kubectl(arguments))
    }

    /// As a person does it.
    pub fn apply(&self, namespace: &str, yaml: &str) {
        let file = self.folder.path().join("definitions.yaml");
        std::fs::write(&file, yaml).unwrap();
        self.kubectl(&["apply", "--namespace", namespace, "--filename", file.to_str().unwrap()]);
    }

    /// `kubectl wait` until it is Ready. With what is there, if it takes too long.
    pub fn wait(&self, namespace: &str, object: &str) {
        let limit = format!("--timeout={}s", PATIENCE.as_secs());
        let done = Command::new(told("TRESS_KUBECTL"))
            .env("KUBECONFIG", told("TRESS_KUBECONFIG"))
            .args(["wait", "--for=condition=Ready", &limit, "--namespace", namespace, object])
            .output()
            .unwrap();
        if !done.status.success() {
            let there = self.kubectl(&["get", "tress,jobs,deployments,pods,events", "--namespace", namespace, "-o", "wide"]);
            let said = self.kubectl(&["get", object, "--namespace", namespace, "-o", "jsonpath={.status}"]);
            panic!("{object} is not Ready: {}\n{said}\n{there}", String::from_utf8_lossy(&done.stderr));
        }
    }

    /// What kubectl says of definitions that the API server does not take.
    pub fn refused(&self, namespace: &str, yaml: &str) -> String {
        let file = self.folder.path().join("refused.yaml");
        std::fs::write(&file, yaml).unwrap();
        let done = kubectl(&["apply", "--namespace", namespace, "--filename"]).arg(file).output().unwrap();
        assert!(!done.status.success(), "it is taken: {}", String::from_utf8_lossy(&done.stdout));
        String::from_utf8_lossy(&done.stderr).into_owned()
    }

    /// The release as it is, once more.
    pub fn upgrade(&self) {
        let (release, chart) = (told("TRESS_RELEASE"), script("../charts/tress"));
        let arguments =
            ["upgrade", &release, chart.to_str().unwrap(), "--namespace", &self.space, "--reuse-values", "--wait", "--timeout", "120s"];
        run(Command::new(told("TRESS_HELM")).env("KUBECONFIG", told("TRESS_KUBECONFIG")).args(arguments));
    }

    /// An object as JSON.
    pub fn get(&self, namespace: &str, object: &str) -> Value {
        serde_json::from_str(&self.kubectl(&["get", object, "--namespace", namespace, "-o", "json"])).unwrap()
    }

    /// Status, reason and message of a condition; empty if there is none.
    pub fn condition(&self, namespace: &str, object: &str, what: &str) -> [String; 3] {
        let object = self.get(namespace, object);
        let all = object.pointer("/status/conditions").and_then(Value::as_array).cloned().unwrap_or_default();
        let told = all.into_iter().find(|c| c["type"] == what).unwrap_or_default();
        ["status", "reason", "message"].map(|part| told[part].as_str().unwrap_or_default().to_owned())
    }

    /// Waits until it is so; with what is there, if it takes too long.
    pub async fn until(&self, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
        let limit = Instant::now() + PATIENCE;
        while !is_so().await {
            assert!(
                Instant::now() < limit,
                "not {what} after {PATIENCE:?}; there is:\n{}",
                self.kubectl(&["get", "tress,pods", "--all-namespaces"])
            );
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// The engine's view of the same Kafka and lake: to produce with.
    pub fn platform(&self) -> Platform {
        let folder = self.folder.path();
        let secret = folder.join("secrets/lake");
        std::fs::create_dir_all(&secret).unwrap();
        for (key, variable) in [("accessKeyId", "TRESS_S3_ACCESS_KEY_ID"), ("secretAccessKey", "TRESS_S3_SECRET_ACCESS_KEY")] {
            std::fs::copy(told(variable), secret.join(key)).unwrap();
        }
        let mut text = String::new();
        write!(
            text,
            "connections:\n  main: {{kafka: {{bootstrap: [\"{}\"]}}, namespaces: [\"*\"]}}\n  \
             lake: {{objectStore: {{url: \"{}\", endpoint: \"{}\", credentialsSecret: lake}}, namespaces: [\"*\"]}}\n\
             outputs: {{lake: lake, changelog: main}}\nsecrets: {}/secrets\n",
            told("TRESS_KAFKA"),
            told("TRESS_S3_URL"),
            told("TRESS_S3_ENDPOINT"),
            folder.display(),
        )
        .unwrap();
        let file = folder.join("platform.yaml");
        std::fs::write(&file, text).unwrap();
        Platform::open(&file, Arc::new(SystemClock)).unwrap().0
    }

    /// A client of a pool's Service.
    pub async fn reader(&self, namespace: &str) -> tress_engine::serve::Client {
        let services: Api<Service> = Api::namespaced(self.client.clone(), namespace);
        let service = services.get("tress-default").await.unwrap();
        let address = service.spec.and_then(|spec| spec.cluster_ip).expect("a Service has an address");
        tress_engine::serve::Client::connect(&format!("http://{address}:7400"), Duration::from_secs(60)).await.expect("it answers")
    }

    /// The items of a user's sequence, in order of their numbers.
    pub async fn items(reader: &tress_engine::serve::Client, feature: &str, user: &str) -> tress_engine::Result<Vec<i64>> {
        let reply = reader.get(feature, &Entity::String(user.to_owned()), &Wanted::default()).await?;
        let column = reply.rows.column_by_name("item_id").expect("every feature of these tests gives item_id");
        let mut items: Vec<i64> = column.as_primitive::<Int64Type>().values().to_vec();
        items.sort_unstable();
        Ok(items)
    }

    /// A client of every serving pod.
    pub async fn readers(&self, namespace: &str) -> Vec<tress_engine::serve::Client> {
        let mut all = Vec::new();
        for pod in self.of_role(namespace, "serve").await {
            let address = pod.status.and_then(|status| status.pod_ip).expect("a pod that runs has an address");
            let client = tress_engine::serve::Client::connect(&format!("http://{address}:7400"), Duration::from_secs(60)).await;
            all.push(client.expect("it answers"));
        }
        all
    }

    pub fn pods(&self, namespace: &str) -> Api<Pod> {
        Api::namespaced(self.client.clone(), namespace)
    }

    /// Pods of a role, by name.
    pub async fn of_role(&self, namespace: &str, role: &str) -> Vec<Pod> {
        let selector = ListParams::default().labels(&format!("tress.dev/role={role}"));
        self.pods(namespace).list(&selector).await.unwrap().items
    }

    /// Kills the operator that leads: it hands nothing over. What it called itself; where it begins anew it has another name.
    pub async fn kill_leader(&self) -> String {
        let holder = self.leader().await;
        let pods = self.pods(&self.space).list(&ListParams::default()).await.unwrap().items;
        let leader = pods.iter().map(ResourceExt::name_any).find(|name| holder.starts_with(name.as_str()));
        let leader = leader.unwrap_or_else(|| panic!("no pod is called like the leader {holder}"));
        run(Command::new(script("cluster")).args(["kill", &self.space, &leader]));
        holder
    }

    /// What all containers of a namespace said that is still kept.
    pub async fn logs(&self, namespace: &str) -> String {
        let mut all = String::new();
        for pod in self.pods(namespace).list(&ListParams::default()).await.unwrap().items {
            let name = pod.name_any();
            // A pod that has not begun has said nothing.
            let said = self.pods(namespace).logs(&name, &LogParams::default()).await.unwrap_or_default();
            all.extend(said.lines().map(|line| format!("{namespace}/{name}: {line}\n")));
        }
        all
    }

    /// The namespace goes, with all that is in it.
    pub fn leave(&self, namespace: &str) {
        self.kubectl(&["delete", "namespace", namespace, "--wait=false"]);
    }
}

/// What a test that failed leaves does not take the room of those after it; it is kept for who looks into it (KEEP=1).
impl Drop for Site {
    fn drop(&mut self) {
        if !std::thread::panicking() || std::env::var_os("KEEP").is_some_and(|keep| !keep.is_empty()) {
            return;
        }
        for namespace in self.made.get_mut().into_iter().flat_map(std::mem::take) {
            // It fails already, and says why.
            let _ = kubectl(&["delete", "namespace", &namespace, "--wait=false", "--ignore-not-found"]).output();
        }
    }
}
