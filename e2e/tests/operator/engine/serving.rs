//! A serving pod: the engine's own routes, and revisions that take a while to load. Whatever it is told, it must stay able to answer.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::jiff::Timestamp;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tress_engine::serve::proto;
use tress_engine::serve::proto::control_service_server::ControlServiceServer;
use tress_engine::serve::proto::revision_description::{Role, State as Told};
use tress_engine::serve::{Pinned, Route, RouteFile, Routes, Watch};

use super::control::Control;
use super::lake::Lake;
use super::loading::{Loading, State};
use crate::fate::Fate;

/// Where ControlService is asked.
pub const CONTROL: u16 = 7402;

/// A pod that serves, as long as this lives.
#[derive(Debug)]
pub struct Serving {
    pub pod: Arc<Pod>,
    stop: CancellationToken,
    listening: Option<JoinHandle<()>>,
}

/// What the process of a pod knows.
#[derive(Debug)]
pub struct Pod {
    pub name: String,
    pub fate: Arc<Fate>,
    lake: Arc<Mutex<Lake>>,
    routes: Routes,
    watch: tokio::sync::Mutex<Watch>,
    loading: Mutex<Loading>,
    /// It was ready once: it stays so.
    ready: Mutex<bool>,
    /// Readers that would have got no answer, or one of a revision that is not there.
    failed: Arc<Mutex<Vec<String>>>,
    folder: TempDir,
}

/// The files of the secret that ControlService answers with.
#[derive(Clone, PartialEq, Eq)]
pub struct Papers {
    pub certificate: String,
    pub key: String,
    pub authorities: String,
}

impl Serving {
    /// `failed`: where reads are told of that would have failed.
    pub async fn begin(name: &str, fate: Arc<Fate>, lake: Arc<Mutex<Lake>>, failed: Arc<Mutex<Vec<String>>>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("routes")).unwrap();
        let watch = Watch::new(folder.path().join("routes"));
        let pod = Pod {
            name: name.to_owned(),
            fate,
            lake,
            routes: Routes::open(None).await.unwrap(),
            watch: tokio::sync::Mutex::new(watch),
            loading: Mutex::default(),
            ready: Mutex::new(false),
            failed,
            folder,
        };
        Self { pod: Arc::new(pod), stop: CancellationToken::new(), listening: None }
    }

    /// Answers at this address with these papers; with newer ones, again.
    pub async fn listen(&mut self, address: Ipv4Addr, papers: &Papers) {
        self.close().await;
        self.stop = CancellationToken::new();
        // Several are linked; that one is chosen already is fine.
        drop(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider().install_default());
        let tls = ServerTlsConfig::new()
            .identity(Identity::from_pem(&papers.certificate, &papers.key))
            .client_ca_root(Certificate::from_pem(&papers.authorities));
        let mut server = Server::builder().tls_config(tls).expect("certificates that can be used");
        let service = ControlServiceServer::new(Control(Arc::clone(&self.pod)));
        let (stop, at) = (self.stop.clone(), (address, CONTROL).into());
        self.listening = Some(tokio::spawn(async move {
            // A pod that was killed answers nobody: nothing waits for what is under way.
            let serving = server.add_service(service).serve(at);
            if let Some(Err(error)) = stop.run_until_cancelled(serving).await {
                panic!("a serving pod cannot listen at {at}: {error}");
            }
        }));
    }

    /// It answers no more.
    pub async fn close(&mut self) {
        self.stop.cancel();
        if let Some(listening) = self.listening.take() {
            listening.await.expect("a serving pod ends when it is told to");
        }
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Pod {
    /// The route file is mounted, and read.
    pub async fn mount(&self, files: &BTreeMap<String, String>) {
        let folder = self.folder.path().join("routes");
        for entry in std::fs::read_dir(&folder).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
        for (name, text) in files {
            std::fs::write(folder.join(name), text).unwrap();
        }
        let before = self.in_force();
        let looked = self.watch.lock().await.poll(&self.routes).await.expect("a folder that can be read");
        if let tress_engine::serve::Polled::Applied { broken, applied } = looked {
            let mut failed = self.failed.lock().unwrap();
            failed.extend(broken.iter().map(|e| format!("{}: a route file cannot be used: {e}", self.name)));
            let refused = |r: &tress_engine::serve::Refused| format!("{}: the route of {} is refused: {r:?}", self.name, r.feature);
            failed.extend(applied.refused.iter().map(refused));
        }
        self.load(&before);
    }

    /// Routes that are told before they are mounted.
    pub async fn push(&self, file: &RouteFile) -> tress_engine::Result<tress_engine::serve::Applied> {
        let before = self.in_force();
        let applied = self.watch.lock().await.push(&self.routes, file).await?;
        self.load(&before);
        Ok(applied)
    }

    pub fn ask(&self, feature: &str, pinned: &Pinned) -> State {
        let mut loading = self.loading.lock().unwrap();
        loading.ask(feature, pinned, self.takes(feature, pinned));
        loading.state(feature, pinned, &self.lake.lock().unwrap()).unwrap_or(State::Loading)
    }

    /// By feature.
    pub fn in_force(&self) -> BTreeMap<String, Route> {
        self.routes.current().iter().map(|(name, route)| (name.to_string(), (**route).clone())).collect()
    }

    fn takes(&self, feature: &str, pinned: &Pinned) -> Duration {
        self.fate.takes(self.fate.mood.slow, &format!("load {} {feature} {}", self.name, pinned.digest))
    }

    /// What the routes name is loaded, and what they do not name goes. A reader of what was live must find what is live now.
    fn load(&self, before: &BTreeMap<String, Route>) {
        let routes = self.in_force();
        let mut loading = self.loading.lock().unwrap();
        for (feature, route) in &routes {
            route.revisions().for_each(|pinned| loading.want(feature, pinned, self.takes(feature, pinned)));
        }
        let lake = self.lake.lock().unwrap();
        for (feature, route) in &routes {
            let was = before.get(feature).and_then(|route| route.live.as_ref());
            let Some(live) = route.live.as_ref().filter(|live| was.is_some_and(|was| was != *live)) else { continue };
            if *self.ready.lock().unwrap() && loading.state(feature, live, &lake) != Some(State::Ready) {
                let told = format!("{}: readers of {feature} are sent to {}, which is not loaded", self.name, live.uid);
                self.failed.lock().unwrap().push(told);
            }
        }
        drop(lake);
        loading.keep(&routes);
    }

    /// Whether it is ready for readers; once it is, it stays so.
    pub fn is_ready(&self) -> bool {
        let current = self.routes.current();
        let (mut loading, lake, mut ready) = (self.loading.lock().unwrap(), self.lake.lock().unwrap(), self.ready.lock().unwrap());
        let mut is_loaded = |name: &str, live: &Pinned| loading.state(name, live, &lake) == Some(State::Ready);
        let all = current.iter().all(|(name, route)| route.live.as_ref().is_none_or(|live| is_loaded(&name.to_string(), live)));
        *ready |= current.is_known() && all;
        *ready
    }

    pub async fn status(&self) -> proto::GetStatusResponse {
        let ready = self.is_ready();
        let watch = self.watch.lock().await;
        let routes = self.in_force();
        let (mut loading, lake) = (self.loading.lock().unwrap(), self.lake.lock().unwrap());
        let mut names = loading.features();
        names.extend(routes.keys().cloned());
        names.sort();
        names.dedup();
        let features = names.iter().map(|name| {
            let route = routes.get(name);
            let revisions = loading.of(name).into_iter().map(|pinned| {
                let state = loading.state(name, &pinned, &lake);
                revision(pinned, route, state == Some(State::Ready), &lake)
            });
            proto::FeatureStatus {
                feature: name.clone(),
                epoch: route.map_or(0, |route| route.epoch),
                file_epoch: watch.filed(name).unwrap_or(0),
                trial_weight_bp: route.map_or(0, |route| route.weight_bp),
                revisions: revisions.collect(),
            }
        });
        let features: Vec<_> = features.collect();
        let mut signals: Vec<&String> = features.iter().flat_map(|f| &f.revisions).flat_map(|r| &r.signals).collect();
        signals.sort();
        signals.dedup();
        let signals = signals.into_iter().map(|uid| signal(uid, &lake)).collect();
        let not_ready = if ready { String::new() } else { "a revision that is routed is not loaded".to_owned() };
        proto::GetStatusResponse { ready, not_ready, features, signals, budget_bytes: 1 << 30, used_bytes: 1 << 20, troubles: Vec::new() }
    }
}

fn now_micros() -> i64 {
    Timestamp::now().as_microsecond()
}

fn revision(pinned: Pinned, route: Option<&Route>, ready: bool, lake: &Lake) -> proto::RevisionStatus {
    let is = |of: fn(&Route) -> Option<&Pinned>| route.and_then(of).is_some_and(|other| *other == pinned);
    let role = if is(|r| r.live.as_ref()) {
        Role::Live
    } else if is(|r| r.trial.as_ref()) {
        Role::Trial
    } else {
        Role::Loaded
    };
    let recorded = lake.recorded.get(&pinned.uid).filter(|_| ready);
    let signals = recorded.map(|recorded| recorded.signals.clone()).unwrap_or_default();
    let covers = |uid: &String| lake.data.get(uid).and_then(|d| d.base.as_ref()).is_none_or(|b| b.features.contains(&pinned.digest));
    proto::RevisionStatus {
        role: role.into(),
        state: if ready { Told::Ready } else { Told::Loading }.into(),
        applied_through: ready.then(now_micros),
        freshness: ready.then_some(0),
        warm: ready && signals.iter().all(covers),
        signals,
        counters: Some(proto::Counters::default()),
        revision: Some(proto::PinnedRevision { uid: pinned.uid, digest: pinned.digest }),
        ..proto::RevisionStatus::default()
    }
}

fn signal(uid: &str, lake: &Lake) -> proto::SignalStatus {
    let recorded = lake.recorded.get(uid);
    let data = lake.data.get(uid);
    proto::SignalStatus {
        uid: uid.to_owned(),
        signal: recorded.map(|r| r.plan.name().to_string()).unwrap_or_default(),
        digest: recorded.map(|r| r.plan.digest()).unwrap_or_default(),
        applied_through: Some(now_micros()),
        freshness: Some(0),
        base: data.and_then(|d| Some((d, d.base.as_ref()?))).map(|(data, base)| proto::BaseStatus {
            manifest: base.manifest,
            demands_epoch: base.demands,
            history_version: data.backfill,
            bytes: 1 << 10,
        }),
        users: 1,
        ..proto::SignalStatus::default()
    }
}
