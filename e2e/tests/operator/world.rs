//! A world of one test: namespaces of its own on the API server, a cluster that plays, operators.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::path::Path;
use std::sync::Arc;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use kube::api::{DeleteParams, DynamicObject, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde_json::{Value, json};
use tokio::task::{JoinHandle, JoinSet};
use tokio_util::sync::CancellationToken;
use tress_configs::job::Role;
use tress_e2e::apiserver::ApiServer;

use crate::engine::lake::Lake;
use crate::fate::{Fate, Mood};
use crate::play::Play;
use crate::process::{Operator, Start, calm};
use crate::proxy::{Fortune, Rule};
use crate::store::{Key, Store, items, label, number, text};
use crate::{invariants, kinds};

/// The longest that a test waits for anything.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// Of the platform configuration.
const PLATFORM: &str = "tress-platform";

pub struct World {
    pub client: Client,
    pub store: Store,
    pub fate: Arc<Fate>,
    pub lake: Arc<Mutex<Lake>>,
    failed: Arc<Mutex<Vec<String>>>,
    /// What was deleted though it is needed.
    forced: Mutex<Vec<Key>>,
    prefix: String,
    playing: Option<JoinHandle<()>>,
    stop: CancellationToken,
    _following: JoinSet<()>,
}

/// A client of a server that may do everything.
pub async fn client(kubeconfig: &Path) -> Client {
    let read = Kubeconfig::read_from(kubeconfig).unwrap();
    let mut config = Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await.unwrap();
    // Watches last.
    config.read_timeout = None;
    Client::try_from(config).unwrap()
}

impl World {
    /// On the server that the tests of a run share. `name`: no other test has it; what a try of it that failed has left is not in the way.
    pub async fn begin(name: &str, mood: Mood) -> Self {
        Self::on(ApiServer::shared(), name, mood).await
    }

    pub async fn on(server: &ApiServer, name: &str, mood: Mood) -> Self {
        let client = client(&server.kubeconfig).await;
        let prefix = format!("{name}-{}-", std::process::id());
        let (store, following) = Store::follow(&client, &prefix);
        let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
        let fate = Arc::new(Fate::new(seed, mood));
        let play = Play::new(client.clone(), store.clone(), Arc::clone(&fate));
        let (lake, failed) = (Arc::clone(&play.lake), Arc::clone(&play.failed));
        let stop = CancellationToken::new();
        let playing = Some(tokio::spawn(play.run(stop.clone())));
        let world = Self { client, store, fate, lake, failed, forced: Mutex::default(), prefix, playing, stop, _following: following };
        world.namespace("system").await;
        world.namespace("movies").await;
        world.platform(&platform()).await;
        world
    }

    /// A namespace as it is called on the server.
    pub fn at(&self, namespace: &str) -> String {
        format!("{}{namespace}", self.prefix)
    }

    pub async fn namespace(&self, name: &str) {
        let object = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": self.at(name)}});
        self.create("Namespace", "", object).await;
    }

    /// Puts the platform configuration.
    pub async fn platform(&self, text: &str) {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": PLATFORM}, "data": {"platform.yaml": text}});
        self.apply("ConfigMap", &self.at("system"), map).await;
    }

    pub fn start(&self) -> Start {
        Start {
            namespace: self.at("system"),
            namespaces: vec![self.at("movies")],
            identity: "operator-0".to_owned(),
            variables: Vec::new(),
        }
    }

    pub async fn operator(&self) -> Operator {
        self.operator_with(&self.start(), calm()).await
    }

    pub async fn operator_with(&self, start: &Start, rule: Rule) -> Operator {
        Operator::start(self.client.clone(), start, rule).await
    }

    pub async fn create(&self, kind: &str, namespace: &str, object: Value) -> Value {
        let name = text(&object, "/metadata/name").to_owned();
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let created = kinds::api(&self.client, kind, namespace).create(&PostParams::default(), &object).await;
        serde_json::to_value(created.unwrap_or_else(|e| panic!("create {kind} {namespace}/{name}: {e}"))).unwrap()
    }

    /// As a person does it: whole.
    pub async fn apply(&self, kind: &str, namespace: &str, mut object: Value) -> Value {
        let resource = kinds::named(kind);
        object["apiVersion"] = json!(resource.api_version);
        object["kind"] = json!(kind);
        let name = text(&object, "/metadata/name").to_owned();
        let parameters = PatchParams::apply("person").force();
        let applied = kinds::api(&self.client, kind, namespace).patch(&name, &parameters, &Patch::Apply(&object)).await;
        serde_json::to_value(applied.unwrap_or_else(|e| panic!("apply {kind} {namespace}/{name}: {e}"))).unwrap()
    }

    pub async fn merge(&self, kind: &str, namespace: &str, name: &str, patch: Value) {
        let done = kinds::api(&self.client, kind, namespace).patch(name, &PatchParams::default(), &Patch::Merge(patch)).await;
        done.unwrap_or_else(|e| panic!("patch {kind} {namespace}/{name}: {e}"));
    }

    /// Whatever is there goes; what is not there is gone.
    pub async fn delete(&self, kind: &str, namespace: &str, name: &str) {
        match kinds::api(&self.client, kind, namespace).delete(name, &DeleteParams::background()).await {
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            done => drop(done.unwrap_or_else(|e| panic!("delete {kind} {namespace}/{name}: {e}"))),
        }
    }

    /// Somebody deletes what is needed, in the namespace of most tests: what follows is that it is gone, and everything else still holds.
    pub async fn delete_by_force(&self, kind: &'static str, name: &str) {
        let key = Key { kind, namespace: self.at("movies"), name: name.to_owned() };
        self.forced.lock().unwrap().push(key);
        self.delete(kind, &self.at("movies"), name).await;
    }

    /// An object in the namespace of most tests.
    pub fn get(&self, kind: &'static str, name: &str) -> Option<Arc<Value>> {
        self.store.get(kind, &self.at("movies"), name)
    }

    /// Waits until `is_so`, and fails with everything that is there if it takes too long.
    pub async fn until(&self, what: &str, mut is_so: impl FnMut(&Store) -> bool) {
        let mut changes = self.store.changes();
        let limit = Instant::now() + PATIENCE;
        while !is_so(&self.store) {
            assert!(!self.playing.as_ref().is_some_and(JoinHandle::is_finished), "the simulator has ended");
            if tokio::time::timeout_at(limit.into(), changes.changed()).await.is_err() {
                panic!("not {what} after {PATIENCE:?} (SEED={}); there is:\n{}", self.fate.seed(), self.summary());
            }
        }
    }

    /// As [`World::until`], for what only a look tells.
    pub async fn until_seen<F: Future<Output = bool>>(&self, what: &str, mut look: impl FnMut() -> F) {
        let limit = Instant::now() + PATIENCE;
        while !look().await {
            assert!(Instant::now() < limit, "not {what} after {PATIENCE:?}; there is:\n{}", self.summary());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Waits until nothing has changed for a while but leases.
    pub async fn rest(&self, quiet: Duration) {
        let limit = Instant::now() + PATIENCE;
        let changed = |store: &Store| {
            let versions = store.history();
            versions.iter().rev().find(|v| v.key.kind != "Lease").map(|v| v.revision)
        };
        let (mut last, mut since) = (changed(&self.store), Instant::now());
        while since.elapsed() < quiet {
            let now = changed(&self.store);
            if now != last {
                (last, since) = (now, Instant::now());
            }
            assert!(Instant::now() < limit, "it does not come to rest; there is:\n{}", self.summary());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    pub async fn define_signal(&self, definition: Value) {
        self.apply("SignalDefinition", &self.at("movies"), definition).await;
    }

    pub async fn define_feature(&self, definition: Value) {
        self.apply("SequenceFeature", &self.at("movies"), definition).await;
    }

    /// Status and reason of a condition that speaks of the present generation; empty if there is none.
    pub fn condition(&self, kind: &'static str, name: &str, what: &str) -> (String, String) {
        self.condition_at(kind, "movies", name, what)
    }

    pub fn condition_at(&self, kind: &'static str, namespace: &str, name: &str, what: &str) -> (String, String) {
        let told = self.said(kind, namespace, name, what).unwrap_or_default();
        (text(&told, "/status").to_owned(), text(&told, "/reason").to_owned())
    }

    pub fn condition_message(&self, kind: &'static str, name: &str, what: &str) -> String {
        text(&self.said(kind, "movies", name, what).unwrap_or_default(), "/message").to_owned()
    }

    fn said(&self, kind: &'static str, namespace: &str, name: &str, what: &str) -> Option<Value> {
        let object = self.store.get(kind, &self.at(namespace), name)?;
        let is_present =
            |c: &&Value| text(c, "/type") == what && number(c, "/observedGeneration") == number(&object, "/metadata/generation");
        items(&object, "/status/conditions").iter().find(is_present).cloned()
    }

    pub fn is_ready(&self, kind: &'static str, name: &str) -> bool {
        self.condition(kind, name, "Ready").0 == "True"
    }

    /// Whether a feature is Ready, and the attempt that made it so has come to its end.
    pub fn is_settled(&self, feature: &str) -> bool {
        let stable = self.get("SequenceFeature", feature).map(|object| text(&object, "/status/lastStable").to_owned());
        let ended = self.attempts(feature).last().is_some_and(|(_, phase)| phase == "Succeeded");
        self.is_ready("SequenceFeature", feature) && self.is_updated(feature) && ended && stable == Some(self.live(feature))
    }

    /// Whether what is live is what is declared.
    pub fn is_updated(&self, feature: &str) -> bool {
        self.condition("SequenceFeature", feature, "Updated").0 == "True"
    }

    /// The revision that is live, as its status says; empty = none is.
    pub fn live(&self, feature: &str) -> String {
        self.get("SequenceFeature", feature).map_or_else(String::new, |object| text(&object, "/status/live/revision").to_owned())
    }

    /// Number and phase of every attempt of a feature.
    pub fn attempts(&self, feature: &str) -> Vec<(i64, String)> {
        let rollouts = self.store.all("SequenceRollout").into_iter();
        let mine = rollouts.filter(|(key, r)| key.namespace == self.at("movies") && text(r, "/spec/feature") == feature);
        let mut all: Vec<(i64, String)> =
            mine.map(|(_, r)| (number(&r, "/spec/attempt").unwrap_or(0), text(&r, "/status/phase").to_owned())).collect();
        all.sort();
        all
    }

    /// The routes of the namespace of most tests, by feature.
    pub fn routes(&self) -> BTreeMap<String, tress_engine::serve::Route> {
        let Some(map) = self.get("ConfigMap", "tress-default-route") else { return BTreeMap::new() };
        let routes = invariants::routes_of(&map).unwrap_or_else(|e| panic!("the route cannot be used: {e}"));
        routes.into_iter().map(|(name, route)| (name.rsplit('/').next().unwrap_or_default().to_owned(), route)).collect()
    }

    /// The Deployment that streams a signal; empty = none does.
    pub fn stream(&self, signal: &str) -> String {
        let all = self.store.all("Deployment").into_iter();
        let mine = all.filter(|(key, d)| label(d, "tress.dev/role") == "stream" && key.name.starts_with(&format!("{signal}-")));
        mine.map(|(key, _)| key.name).next_back().unwrap_or_default()
    }

    pub fn versions(&self, kind: &str) -> Vec<String> {
        self.store.all(kind).into_iter().map(|(key, object)| format!("{key} {}", text(&object, "/metadata/resourceVersion"))).collect()
    }

    /// Work that more than one job has done, of what is done once.
    pub fn repeated(&self) -> Vec<String> {
        let lake = self.lake.lock().unwrap();
        let once = [Role::Prepare, Role::Drop];
        let of =
            |role: Role, uid: &str| lake.effects.iter().filter(|e| e.role == role && e.uid == uid).map(|e| &e.job).collect::<BTreeSet<_>>();
        let all: BTreeSet<String> = lake
            .effects
            .iter()
            .filter(|effect| once.contains(&effect.role) && of(effect.role, &effect.uid).len() > 1)
            .map(|effect| format!("{:?} of {} was done by more than one job", effect.role, effect.uid))
            .collect();
        all.into_iter().collect()
    }

    /// Calls that are refused or not answered as this world's mood has it.
    pub fn rough(&self) -> Rule {
        let fate = Arc::clone(&self.fate);
        Box::new(move |call| {
            let path = call.path.split('?').next().unwrap_or_default();
            let of = format!("{} {path}", call.method);
            if fate.happens(fate.mood.refused, &format!("refuse {of}")) {
                return Fortune::Refused([409, 429, 500, 503][fate.one_of(4, &of)]);
            }
            if fate.happens(fate.mood.unanswered, &format!("lose {of}")) {
                return Fortune::Unanswered;
            }
            Fortune::Late(fate.takes(fate.mood.slow, &of))
        })
    }

    /// Whoever held the lease is known to be gone.
    pub async fn release_lease(&self) {
        let at = self.at("system");
        for (key, _) in self.store.all("Lease").into_iter().filter(|(key, _)| key.namespace == at) {
            self.delete("Lease", &at, &key.name).await;
        }
    }

    /// From now on nothing happens but what the operator does.
    pub async fn still(&mut self) {
        self.stop.cancel();
        if let Some(playing) = self.playing.take() {
            playing.await.expect("the simulator does not fail");
        }
    }

    /// Ends the world, and checks that nothing that must never be ever was.
    pub async fn finish(self) {
        let history = self.store.history();
        let mut broken = invariants::broken(&history);
        let forced: Vec<String> = self.forced.lock().unwrap().iter().map(|key| format!(" {key}: it is removed while ")).collect();
        broken.retain(|what| !forced.iter().any(|forced| what.contains(forced)));
        self.end(broken).await;
    }

    /// As [`World::finish`], where the tests did the operator's part.
    pub async fn leave(self) {
        self.end(Vec::new()).await;
    }

    async fn end(mut self, mut broken: Vec<String>) {
        self.still().await;
        broken.extend(self.failed.lock().unwrap().clone());
        assert!(broken.is_empty(), "SEED={}\n{}\nthere is:\n{}", self.fate.seed(), broken.join("\n"), self.summary());
        for namespace in self.store.all("Namespace") {
            self.delete("Namespace", "", &namespace.0.name).await;
        }
    }

    /// What is there, a line each.
    pub fn summary(&self) -> String {
        let line = |(key, object): &(Key, Arc<Value>)| {
            let said: Vec<String> = crate::store::items(object, "/status/conditions")
                .iter()
                .map(|c| format!("{}={} {} {}", text(c, "/type"), text(c, "/status"), text(c, "/reason"), text(c, "/message")))
                .collect();
            let phase = text(object, "/status/phase");
            let data = if key.name.ends_with("-route") { object["data"].to_string() } else { String::new() };
            let ended = text(object, "/status/containerStatuses/0/state/terminated/message");
            format!("  {key} {phase} {} {data}{ended}", said.join("; "))
        };
        let shown = |key: &Key| !matches!(key.kind, "Event" | "Lease");
        self.store.everything().iter().filter(|(key, _)| shown(key)).map(line).collect::<Vec<_>>().join("\n")
    }
}

/// The platform configuration of most tests.
pub fn platform() -> String {
    "connections:\n  main: {kafka: {bootstrap: ['kafka:9092']}, namespaces: ['*']}\n  \
     lake: {objectStore: {url: 's3://bucket/lake'}, namespaces: ['*']}\n\
     outputs: {lake: lake, changelog: main}\n\
     pools: {default: {replicas: 2, disk: 1Gi, memory: 1Gi}}\n\
     engine: {image: 'tress-engine:test', semantics: [1, 1]}\nquiet: 0s\n"
        .to_owned()
}
