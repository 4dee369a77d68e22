//! All processes: two streams, two archives, the loop of backfills, two that serve.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tress_configs::job::{Facts, Outcome};

use super::findings::Findings;
use super::process::{Ended, Launch, Process};
use super::world::{Prepared, World};

/// Between looks for something to fold.
const IDLE: Duration = Duration::from_millis(700);
/// Before a step of a backfill that ended is tried again.
const AGAIN: Duration = Duration::from_millis(300);
/// How many share the tasks of a backfill.
const INDEXES: u64 = 2;

/// A process that serves, and where.
#[derive(Debug, Clone)]
pub struct Serving {
    pub process: Arc<Process>,
    pub grpc: SocketAddr,
    pub http: SocketAddr,
}

/// The processes by name.
#[derive(Debug)]
pub struct Cluster {
    processes: BTreeMap<String, Arc<Process>>,
    pub serving: Vec<Serving>,
    /// Backfills that were sealed.
    pub sealed: AtomicU64,
    pub prepared: Prepared,
    kept: parking_lot::Mutex<JoinSet<()>>,
    stop: CancellationToken,
}

/// Ports that nobody listens on now.
pub fn free(count: usize) -> Vec<SocketAddr> {
    let held: Vec<TcpListener> = (0..count).map(|_| TcpListener::bind(("127.0.0.1", 0)).unwrap()).collect();
    held.iter().map(|listener| listener.local_addr().unwrap()).collect()
}

impl Cluster {
    pub fn start(world: &Arc<World>, (prepared, routes): (&Prepared, &Path), findings: &Arc<Findings>) -> Arc<Self> {
        let names = [
            "stream-0",
            "stream-1",
            "stream-2",
            "archive-0",
            "archive-1",
            "serve-0",
            "serve-1",
            "plan",
            "tasks-0",
            "tasks-1",
            "seal",
            "base",
        ];
        let process = |name: &str| Arc::new(Process::new(name, world.logs(), Arc::clone(findings)));
        let processes: BTreeMap<String, Arc<Process>> = names.iter().map(|name| ((*name).to_owned(), process(name))).collect();
        let ports = free(4);
        let serving =
            (0..2).map(|n| Serving { process: Arc::clone(&processes[&format!("serve-{n}")]), grpc: ports[2 * n], http: ports[2 * n + 1] });
        let cluster = Arc::new(Self {
            serving: serving.collect(),
            processes,
            sealed: AtomicU64::new(0),
            prepared: prepared.clone(),
            kept: parking_lot::Mutex::default(),
            stop: CancellationToken::new(),
        });
        let stream = world.engine(&["stream", "--uid", &prepared.uid]);
        let archive = world.engine(&["archive", "--connection", "main", "--topic", &prepared.defined.topic, "--interval", "1"]);
        // The third pod comes and goes.
        cluster.process("stream-2").down(true);
        for n in 0..3 {
            cluster.keep(&format!("stream-{n}"), stream.clone());
        }
        for n in 0..2 {
            cluster.keep(&format!("archive-{n}"), archive.clone());
            let of = &cluster.serving[n];
            cluster.keep(&format!("serve-{n}"), world.serve(&format!("serve-{n}"), routes, (of.grpc, of.http)));
        }
        let (folding, folded) = (Arc::clone(&cluster), Arc::clone(world));
        cluster.kept.lock().spawn(async move { folding.fold(&folded).await });
        cluster
    }

    fn keep(&self, name: &str, launch: Launch) {
        let (process, stop) = (Arc::clone(self.process(name)), self.stop.clone());
        self.kept.lock().spawn(async move { process.keep(launch, stop).await });
    }

    pub fn process(&self, name: &str) -> &Arc<Process> {
        &self.processes[name]
    }

    pub fn all(&self) -> impl Iterator<Item = &Arc<Process>> {
        self.processes.values()
    }

    /// Kills everything.
    pub async fn stop(&self) {
        self.stop.cancel();
        let mut kept = std::mem::take(&mut *self.kept.lock());
        while kept.join_next().await.is_some() {}
        for process in self.all() {
            process.kill();
        }
    }

    /// One backfill after another: plan, tasks, seal; now and then base alone.
    async fn fold(&self, world: &World) {
        let uid = self.prepared.uid.as_str();
        let demands = self.prepared.demands.display().to_string();
        let base = world.engine(&["backfill", "base", "--uid", uid]);
        while !self.stop.is_cancelled() {
            let planned = self.until_done("plan", &world.engine(&["backfill", "plan", "--uid", uid])).await;
            let Some(Facts::Planned { backfill, .. }) = planned.and_then(|ended| ended.report?.facts) else {
                self.until_done("base", &base).await;
                self.stop.run_until_cancelled(tokio::time::sleep(IDLE)).await;
                continue;
            };
            let number = backfill.to_string();
            let tasks = (0..INDEXES).map(|index| {
                let (index, of) = (index.to_string(), INDEXES.to_string());
                let launch = world.engine(&["backfill", "tasks", "--uid", uid, "--backfill", &number, "--index", &index, "--of", &of]);
                async move { self.until_done(&format!("tasks-{index}"), &launch).await }
            });
            futures::future::join_all(tasks).await;
            let seal = world.engine(&["backfill", "seal", "--uid", uid, "--backfill", &number, "--demands", &demands]);
            if self.until_done("seal", &seal).await.is_some() && self.sealed.fetch_add(1, Ordering::Relaxed) % 3 == 2 {
                self.until_done("base", &base).await;
            }
        }
    }

    /// Runs a step again and again until it succeeds; `None` = there is an end to everything.
    async fn until_done(&self, name: &str, launch: &Launch) -> Option<Ended> {
        loop {
            let ended = self.process(name).run(launch, &self.stop).await?;
            let done = ended.code == Some(0)
                && ended.report.as_ref().is_some_and(|report| matches!(report.outcome, Outcome::Succeeded | Outcome::UpToDate));
            if done {
                return Some(ended);
            }
            self.stop.run_until_cancelled(tokio::time::sleep(AGAIN)).await?;
        }
    }
}
