//! A real API server of this run, and what the operator's parts need to work on it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{ObjectMeta, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config};
use tokio_util::sync::CancellationToken;
use tress_operator::apply::Writer;
use tress_operator::cluster::{Cluster, Scopes, Watches};
use tress_operator::leader::Leadership;
use tress_operator::metrics::Metrics;

/// The longest that a test waits for anything.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How to reach the server, as a file.
pub fn kubeconfig() -> &'static Path {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    FILE.get_or_init(|| {
        let (folder, lives) = match std::env::var("NEXTEST_RUN_ID") {
            Ok(run) => (std::env::temp_dir().join(format!("tress-apiserver-{run}")), std::os::unix::process::parent_id()),
            Err(_) => (tempfile::Builder::new().prefix("tress-apiserver-").tempdir().unwrap().keep(), std::process::id()),
        };
        let root = Path::new(env!("CARGO_MANIFEST_DIR"));
        let script = root.join("servers/apiserver");
        let mut start = Command::new(&script);
        start.arg("start").arg(&folder).args(["--while", &lives.to_string()]).stdin(Stdio::null()).stderr(Stdio::inherit());
        let started = start.output().unwrap();
        assert!(started.status.success(), "{} failed; what it said is above", script.display());
        let text = String::from_utf8(started.stdout).unwrap();
        let told: HashMap<&str, &str> = text.lines().filter_map(|line| line.split_once('=')).collect();
        let crds = root.join("../crds/yaml");
        for act in [&["apply", "--server-side", "-f"][..], &["wait", "--for=condition=Established", "--timeout=30s", "-f"]] {
            let mut call = Command::new(told["kubectl"]);
            let done = call.args(["--kubeconfig", told["kubeconfig"]]).args(act).arg(&crds).stdout(Stdio::null()).status().unwrap();
            assert!(done.success(), "kubectl {act:?}");
        }
        PathBuf::from(told["kubeconfig"])
    })
}

/// A client that may do everything.
pub async fn client() -> Client {
    let read = Kubeconfig::read_from(kubeconfig()).unwrap();
    let config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await.unwrap();
    Client::try_from(config).unwrap()
}

/// A namespace of its own for a test.
pub async fn namespace(client: &Client, name: &str) {
    let object = Namespace { metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() }, ..Namespace::default() };
    Api::<Namespace>::all(client.clone()).create(&PostParams::default(), &object).await.unwrap();
}

/// The operator's parts, as one process has them.
pub struct Parts {
    pub client: Client,
    pub cluster: Cluster,
    pub writer: Writer,
    pub metrics: Metrics,
    stop: CancellationToken,
    _watches: Watches,
}

impl Parts {
    /// Of a process that leads in this namespace.
    pub async fn leading(namespace: &str) -> Self {
        Self::with(namespace, Leadership::for_a_while(Duration::from_secs(3600))).await
    }

    pub async fn with(namespace: &str, leadership: Leadership) -> Self {
        let (client, stop, metrics) = (client().await, CancellationToken::new(), Metrics::new());
        let scopes = Scopes::Namespaces(vec![namespace.to_owned()]);
        let (cluster, watches) = Watches::start(client.clone(), (&scopes, namespace), &metrics, &stop);
        tokio::time::timeout(PATIENCE, cluster.synced()).await.unwrap();
        let writer = Writer::new(client.clone(), cluster.clone(), leadership, metrics.clone());
        Self { client, cluster, writer, metrics, stop, _watches: watches }
    }
}

impl Drop for Parts {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Waits until something is so.
pub async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    assert!(waited.await.is_ok(), "waited in vain until {what}");
}
