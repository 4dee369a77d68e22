//! What a cluster of processes runs on: a Kafka and an S3 server of its own, each behind a proxy, and the files that a pod has mounted.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use object_store::path::Path as Place;
use object_store::{ObjectStoreExt, PutPayload};
use parquet::arrow::ArrowWriter;
use tress_configs::job::{Demanded, Outcome};
use tress_engine::clock::SystemClock;
use tress_engine::platform::Platform;
use tress_engine::serve::{Pinned, Route, RouteFile, write_routes};

use super::definitions::{Defined, PlanFile, TITLES, title};
use super::events::ITEMS;
use super::process::{Ended, Launch};
use super::proxy::Proxy;
use crate::server::Server;

/// Members of a group that say nothing for this long are taken out of it: less than by default, so that a pause is longer.
const SESSION: &str = "group.consumer.session.timeout.ms=3000";

/// Servers and files.
#[derive(Debug)]
pub struct World {
    /// Logs of processes and servers, states of processes: kept when something was found.
    pub folder: PathBuf,
    pub kafka: Server,
    pub s3: Server,
    pub to_kafka: Proxy,
    pub to_s3: Proxy,
    /// Both servers through their proxies.
    pub platform_file: PathBuf,
    /// As the checker sees them: the lake directly.
    pub platform: Platform,
    /// One restart or partition change of a server at a time.
    pub servers: tokio::sync::Mutex<()>,
}

/// A signal revision and its features, prepared.
#[derive(Debug, Clone)]
pub struct Prepared {
    pub defined: Defined,
    pub uid: String,
    /// The numbered list of the features that read it.
    pub demands: PathBuf,
}

impl World {
    pub async fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("tress-faults-").tempdir().unwrap().keep();
        std::fs::create_dir_all(folder.join("logs")).unwrap();
        let (mut to_kafka, mut to_s3) = (Proxy::bind().await, Proxy::bind().await);
        // Clients go where the broker says that it is: to the proxy. Nobody uses the secure listener here.
        let advertised = format!("advertised.listeners=PLAIN://{},SECURE://127.0.0.1:1\n{SESSION}", to_kafka.address);
        let starting = tokio::task::spawn_blocking(move || {
            std::thread::scope(|scope| {
                let s3 = scope.spawn(|| Server::start("s3"));
                let kafka = Server::start_with("kafka", vec![("TRESS_KAFKA_SETTINGS", advertised.leak())]);
                (kafka, s3.join().unwrap())
            })
        });
        let (kafka, s3) = starting.await.unwrap();
        to_kafka.run(kafka.tell("bootstrap").to_owned());
        to_s3.run(s3.tell("endpoint").trim_start_matches("http://").to_owned());
        let platform_file = mount(&folder, "platform.yaml", (&s3, &to_kafka.address.to_string(), &format!("http://{}", to_s3.address)));
        let direct = mount(&folder, "direct.yaml", (&s3, &to_kafka.address.to_string(), s3.tell("endpoint")));
        let (platform, _) = Platform::open(&direct, Arc::new(SystemClock)).unwrap();
        let lake = platform.lake().store();
        lake.put(&Place::from(TITLES), PutPayload::from(titles())).await.unwrap();
        Self { folder, kafka, s3, to_kafka, to_s3, platform_file, platform, servers: tokio::sync::Mutex::default() }
    }

    pub fn logs(&self) -> PathBuf {
        self.folder.join("logs")
    }

    /// A role of `tress-engine`.
    pub fn engine(&self, arguments: &[&str]) -> Launch {
        let mut all = vec!["--platform".to_owned(), self.platform_file.display().to_string()];
        all.extend(arguments.iter().map(|a| (*a).to_owned()));
        Launch { program: env!("CARGO_BIN_EXE_tress-engine").into(), arguments: all, environment: Vec::new() }
    }

    /// A process that serves what is routed, with a state folder of its name.
    pub fn serve(&self, name: &str, routes: &Path, (grpc, http): (SocketAddr, SocketAddr)) -> Launch {
        let state = self.folder.join(name);
        let (routes, state) = (routes.display().to_string(), state.display().to_string());
        self.engine(&["serve", "--routes", &routes, "--state", &state, "--grpc", &grpc.to_string(), "--http", &http.to_string()])
    }

    /// Runs a job to its end.
    pub async fn job(&self, arguments: &[&str]) -> Ended {
        let launch = self.engine(arguments);
        let output = tokio::task::spawn_blocking(move || {
            Command::new(launch.program).args(launch.arguments).output().expect("tress-engine can be run")
        });
        let output = output.await.unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let report = text.lines().rev().find_map(|line| tress_configs::job::Report::from_json(line).ok());
        Ended { code: output.status.code(), report }
    }

    async fn has_to_succeed(&self, arguments: &[&str]) {
        let ended = self.job(arguments).await;
        let done = ended.report.as_ref().is_some_and(|r| matches!(r.outcome, Outcome::Succeeded | Outcome::UpToDate));
        assert!(done, "{arguments:?} ended with {:?}: {:?}", ended.code, ended.report);
    }

    /// Makes a topic, and prepares the signal that reads it and its features.
    pub async fn prepare(&self, namespace: &str, topic: &str, partitions: i32) -> Prepared {
        self.platform.log("main").unwrap().create(topic, partitions).await.unwrap();
        let defined = Defined::write(namespace, topic, &self.folder);
        let uid = format!("{namespace}-rating");
        let plan = |file: &PlanFile| file.path.display().to_string();
        self.has_to_succeed(&["prepare", "--plan", &plan(&defined.signal), "--uid", &uid]).await;
        for (name, file) in [("all", &defined.all), ("liked", &defined.liked)] {
            let feature = format!("{namespace}-{name}");
            self.has_to_succeed(&["prepare", "--plan", &plan(file), "--uid", &feature, "--signal", &uid]).await;
        }
        let demands = self.folder.join(format!("{namespace}-demands.json"));
        let list = Demanded::new(1, vec![defined.all.digest.clone(), defined.liked.digest.clone()]);
        std::fs::write(&demands, serde_json::to_string(&list).unwrap()).unwrap();
        Prepared { defined, uid, demands }
    }

    /// A route file for the features of these.
    pub async fn routes(&self, name: &str, prepared: &[&Prepared]) -> PathBuf {
        let mut file = RouteFile::default();
        for of in prepared {
            let namespace = &of.defined.namespace;
            for (name, plan) in [("all", &of.defined.all), ("liked", &of.defined.liked)] {
                let live = Some(Pinned { uid: format!("{namespace}-{name}"), digest: plan.digest.clone() });
                let route = Route { live, epoch: 1, ..Route::default() };
                file.features.insert(format!("{namespace}/{name}"), route);
            }
        }
        let path = self.folder.join(format!("{name}-routes.json"));
        write_routes(&path, &file).await.unwrap();
        path
    }

    /// A library that puts the clock of a process off, made when it is first needed.
    pub async fn skew(&self) -> PathBuf {
        let _one = self.servers.lock().await;
        let (source, library) = (Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/servers/faults/skew.c"), self.folder.join("skew.so"));
        if !library.exists() {
            let made = Command::new("cc").args(["-shared", "-fPIC", "-O1", "-o"]).arg(&library).arg(source).arg("-ldl").status();
            assert!(made.expect("a C compiler").success(), "skew.c does not compile");
        }
        library
    }

    /// Removes what it made; called when nothing was found.
    pub fn remove(&self) {
        std::fs::remove_dir_all(&self.folder).ok();
    }
}

/// What a pod has mounted: the platform file, and the Secret of the lake.
fn mount(folder: &Path, name: &str, (s3, kafka, endpoint): (&Server, &str, &str)) -> PathBuf {
    let secret = folder.join("secrets/lake");
    std::fs::create_dir_all(&secret).unwrap();
    for key in ["accessKeyId", "secretAccessKey"] {
        std::fs::copy(s3.tell(key), secret.join(key)).unwrap();
    }
    let text = format!(
        "connections:\n  main: {{kafka: {{bootstrap: [\"{kafka}\"]}}, namespaces: [\"*\"]}}\n  lake: {{objectStore: {{url: \"s3://{}/faults\", endpoint: \
         \"{endpoint}\", credentialsSecret: lake}}, namespaces: [\"*\"]}}\noutputs: {{lake: lake, changelog: main}}\nsecrets: {}/secrets\n",
        s3.tell("bucket"),
        folder.display(),
    );
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

/// The table of titles, as Parquet.
fn titles() -> Vec<u8> {
    let known: Vec<i64> = (0..ITEMS).filter(|item| title(*item).is_some()).collect();
    let texts = StringArray::from_iter_values(known.iter().filter_map(|item| title(*item)));
    let columns: Vec<(&str, ArrayRef)> = vec![("item_id", Arc::new(Int64Array::from(known))), ("title", Arc::new(texts))];
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.into_inner().unwrap()
}
