//! One process leads at a time, and gives way at once when it is told to.

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use tokio_util::sync::CancellationToken;
use tress_operator::clock::Clock;
use tress_operator::leader::{Elector, Lost};
use tress_operator::metrics::Metrics;

use crate::server::{Parts, client, kubeconfig, namespace, until};

fn elector(client: &Client, namespace: &str, identity: &str) -> Elector {
    Elector::new(client.clone(), (namespace, "tress-operator"), identity, (&Clock::system(), &Metrics::new()))
}

/// When somebody wrote: from the call to its answer.
type Writes = Arc<Mutex<Vec<(Instant, Instant)>>>;

/// Writes as often as it may, until told to stop.
async fn write_on(parts: Parts, (namespace, who): (&str, &str), writes: Writes, stop: CancellationToken) {
    let metadata = ObjectMeta { namespace: Some(namespace.to_owned()), ..ObjectMeta::default() };
    let mut map = ConfigMap { metadata, ..ConfigMap::default() };
    for n in 0.. {
        if stop.is_cancelled() {
            return;
        }
        map.metadata.name = Some(format!("{who}-{n}"));
        let began = Instant::now();
        if parts.writer.create(&map).await.is_ok() {
            writes.lock().unwrap().push((began, Instant::now()));
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn two_leaders_never_write_at_the_same_time() {
    let admin = client().await;
    namespace(&admin, "electing").await;
    let (stop, forever) = (CancellationToken::new(), CancellationToken::new());
    let (mut first, mut second) = (elector(&admin, "electing", "first"), elector(&admin, "electing", "second"));
    let (of_first, of_second): (Writes, Writes) = (Writes::default(), Writes::default());
    let parts = [Parts::with("electing", first.leadership()).await, Parts::with("electing", second.leadership()).await];
    let [a, b] = parts;
    let writing = [
        tokio::spawn(write_on(a, ("electing", "first"), Arc::clone(&of_first), stop.clone())),
        tokio::spawn(write_on(b, ("electing", "second"), Arc::clone(&of_second), stop.clone())),
    ];
    first.lead(&forever).await.unwrap();
    let standing_by = tokio::spawn(async move {
        second.lead(&CancellationToken::new()).await.unwrap();
        (Instant::now(), second)
    });
    until("the first writes", async || !of_first.lock().unwrap().is_empty()).await;
    // It renews for a while, then hangs: it is not there to renew, and goes on writing for as long as it may.
    let _ = tokio::time::timeout(Duration::from_secs(6), first.keep(&forever)).await;
    let hung = Instant::now();
    let (took_over, second) = tokio::time::timeout(Duration::from_secs(40), standing_by).await.unwrap().unwrap();
    assert!(took_over - hung < Duration::from_secs(20), "it took {:?}", took_over - hung);
    until("the second writes", async || !of_second.lock().unwrap().is_empty()).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    stop.cancel();
    for writer in writing {
        writer.await.unwrap();
    }
    let last_of_first = of_first.lock().unwrap().iter().map(|(_, answered)| *answered).max().unwrap();
    let first_of_second = of_second.lock().unwrap().iter().map(|(began, _)| *began).min().unwrap();
    assert!(last_of_first < first_of_second);
    // It went on for a while after it hung, so that there was something to overlap with.
    assert!(last_of_first > hung);
    assert!(second.leadership().left() > Duration::ZERO);
    // When it comes back it finds out.
    assert!(matches!(first.keep(&forever).await, Lost::Expired | Lost::Taken));
}

#[tokio::test]
async fn a_lease_that_somebody_else_took_is_given_up() {
    let admin = client().await;
    namespace(&admin, "taken").await;
    let forever = CancellationToken::new();
    let mut first = elector(&admin, "taken", "first");
    first.lead(&forever).await.unwrap();
    let leases: Api<Lease> = Api::namespaced(admin, "taken");
    let mut lease = leases.get("tress-operator").await.unwrap();
    lease.spec.as_mut().unwrap().holder_identity = Some("somebody".to_owned());
    leases.replace("tress-operator", &PostParams::default(), &lease).await.unwrap();
    assert_eq!(first.keep(&forever).await, Lost::Taken);
    assert_eq!(first.leadership().left(), Duration::ZERO);
}

/// An operator as a process; it is killed when this is dropped.
struct Process {
    child: Child,
    port: u16,
    log: std::path::PathBuf,
    _folder: tempfile::TempDir,
}

impl Process {
    fn start(namespace: &str, identity: &str) -> Self {
        let program = std::env::current_exe().unwrap().with_file_name("../tress-operator");
        assert!(program.exists(), "{} is not there: cargo build --workspace", program.display());
        // Free just now; the system gives it to nobody else so soon.
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut command = Command::new(program);
        command.args(["run", "--namespace", namespace, "--watch-namespaces", namespace, "--identity", identity]);
        command.args(["--http", &format!("127.0.0.1:{port}"), "--log-format", "json"]).env("KUBECONFIG", kubeconfig());
        let child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(fs::File::create(&log).unwrap()).spawn().unwrap();
        Self { child, port, log, _folder: folder }
    }

    /// Status and text of a page.
    async fn page(&self, path: &str) -> Option<(u16, String)> {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut connection = tokio::net::TcpStream::connect(("127.0.0.1", self.port)).await.ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
        connection.write_all(request.as_bytes()).await.ok()?;
        let mut text = String::new();
        connection.read_to_string(&mut text).await.ok()?;
        let status = text.split(' ').nth(1)?.parse().ok()?;
        Some((status, text))
    }

    async fn is_ready(&self) -> bool {
        self.page("/readyz").await.is_some_and(|(status, _)| status == 200)
    }

    async fn leads(&self) -> bool {
        self.page("/metrics").await.is_some_and(|(_, text)| text.lines().any(|line| line == "tress_operator_leader 1"))
    }

    fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let _ = std::io::stderr().write_all(self.said().as_bytes());
        }
    }
}

const PLATFORM: &str = "
connections:
  main: {kafka: {bootstrap: [\"kafka:9092\"]}, namespaces: [\"*\"]}
  lake: {objectStore: {url: \"s3://acme/ml\"}, namespaces: [\"*\"]}
outputs: {lake: lake, changelog: main}
engine: {image: \"engine:1\"}
";

#[tokio::test]
async fn who_is_told_to_end_hands_over_within_three_seconds_and_at_rest_only_the_lease_is_written() {
    let admin = client().await;
    namespace(&admin, "handover").await;
    let maps: Api<ConfigMap> = Api::namespaced(admin.clone(), "handover");
    let mut first = Process::start("handover", "first");
    until("it tells what it waits for", async || {
        first.page("/readyz").await.is_some_and(|(status, text)| status == 503 && text.contains("tress-platform"))
    })
    .await;
    let metadata = ObjectMeta { name: Some("tress-platform".to_owned()), ..ObjectMeta::default() };
    let data = Some([("platform.yaml".to_owned(), PLATFORM.to_owned())].into());
    maps.create(&PostParams::default(), &ConfigMap { metadata, data, ..ConfigMap::default() }).await.unwrap();
    until("the first leads", async || first.is_ready().await && first.leads().await).await;
    let second = Process::start("handover", "second");
    until("the second stands by, and is ready", async || second.is_ready().await).await;
    assert!(!second.leads().await);
    until("what is in force is kept", async || maps.get_opt("tress-platform-good").await.unwrap().is_some()).await;

    let (_, before) = first.page("/metrics").await.unwrap();
    tokio::time::sleep(Duration::from_secs(5)).await;
    let (_, after) = first.page("/metrics").await.unwrap();
    let writes = |text: &str| text.lines().filter(|l| l.starts_with("tress_operator_writes")).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(writes(&before), writes(&after));

    let told = Instant::now();
    assert!(Command::new("kill").args(["-TERM", &first.child.id().to_string()]).status().unwrap().success());
    until("the second leads", async || second.leads().await).await;
    let took = told.elapsed();
    assert!(took < Duration::from_secs(3), "it took {took:?}");
    until("the first has ended", async || first.child.try_wait().unwrap().is_some()).await;
    assert!(first.child.try_wait().unwrap().unwrap().success(), "{}", first.said());
    for process in [&first, &second] {
        for line in process.said().lines() {
            let line: serde_json::Value = serde_json::from_str(line).unwrap();
            // It had no configuration at first, and said so.
            let is_fine = !matches!(line["level"].as_str(), Some("WARN" | "ERROR")) || line.to_string().contains("tress-platform");
            assert!(is_fine, "{line}");
        }
    }
}
