//! Everything is put together here, and taken apart again.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use kube::{Client, Config};
use tokio::time::timeout;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tokio_util::sync::CancellationToken;

use super::health::Health;
use super::monitor::Monitor;
use super::term::Term;
use super::{Run, controllers, telemetry};
use crate::apply::Writer;
use crate::clock::Clock;
use crate::cluster::{Cluster, Scopes, Watches};
use crate::compile::Compiler;
use crate::context::Context;
use crate::control::Pods;
use crate::event::Events;
use crate::feature::Memory;
use crate::leader::{Elector, Lost};
use crate::metrics::Metrics;
use crate::needs::Needs;
use crate::platform::Loader;

/// The Lease.
const LEASE: &str = "tress-operator";
/// How long the end may take, after the lease was given up.
const PARTING: Duration = Duration::from_secs(2);

/// What lives as long as the process.
pub(super) struct World {
    client: Client,
    scopes: Scopes,
    clock: Clock,
    metrics: Metrics,
    health: Health,
    shutdown: CancellationToken,
}

impl World {
    /// Runs until the process is told to end.
    pub async fn run(arguments: Run) -> anyhow::Result<()> {
        let Run { namespace, watch_namespaces, http, identity, log_format: _ } = arguments;
        // One provider for all connections, whatever else is linked.
        aws_lc_rs::default_provider().install_default().map_err(|_| anyhow!("choose how to encrypt: it was chosen already"))?;
        let (clock, shutdown) = (Clock::system(), CancellationToken::new());
        let world = Self {
            client: client().await?,
            scopes: scopes(watch_namespaces),
            metrics: Metrics::new(),
            health: Health::waiting("it has not begun yet"),
            clock,
            shutdown,
        };
        let monitor = Monitor::bind(http, world.metrics.clone(), world.health.clone()).await?;
        let listening = tokio::spawn(telemetry::until_told_to_end(world.shutdown.clone()));
        let monitoring = tokio::spawn(monitor.run(world.shutdown.clone()));
        let identity = identity.unwrap_or_else(|| own_name(&world.clock));
        let (cluster, watches) = Watches::start(world.client.clone(), (&world.scopes, &namespace), &world.metrics, &world.shutdown);
        world.work(cluster, &namespace, &identity).await;
        world.shutdown.cancel();
        // What is left keeps nothing open that matters.
        let rest = async { tokio::join!(watches.join(), listening, monitoring) };
        if timeout(PARTING, rest).await.is_err() {
            tracing::warn!("not everything has ended in time");
        }
        Ok(())
    }

    /// Reads what is there, then stands by and leads in turns.
    async fn work(&self, cluster: Cluster, namespace: &str, identity: &str) {
        let (events, scribe) = Events::new(&self.metrics, &self.clock);
        let loader = Loader {
            client: self.client.clone(),
            namespace: namespace.to_owned(),
            scopes: self.scopes.clone(),
            metrics: self.metrics.clone(),
            events: events.clone(),
        };
        let mut elector = Elector::new(self.client.clone(), (namespace, LEASE), identity, (&self.clock, &self.metrics));
        let writer = Writer::new(self.client.clone(), cluster.clone(), elector.leadership(), self.metrics.clone());
        // Events wait for whoever may write them.
        let telling = tokio::spawn(scribe.run(writer.clone(), identity.to_owned(), self.shutdown.clone()));
        let Some((platform, following)) = loader.begin(|why| self.health.waits_for(why), &self.shutdown).await else { return };
        let following = tokio::spawn(following.run(self.shutdown.clone()));
        if self.seen(&cluster).await.is_some() {
            let pods = Pods::new(cluster.clone(), self.clock.clone(), self.metrics.clone());
            let context = Context {
                cluster,
                writer,
                platform,
                pods,
                events,
                clock: self.clock.clone(),
                compiled: Compiler::default(),
                needs: Needs::default(),
                home: Arc::from(namespace),
                turn: Arc::default(),
                features: Memory::default(),
            };
            self.lead(&mut elector, context, namespace).await;
        }
        for task in [telling, following] {
            task.abort();
        }
    }

    /// Waits until everything that was there is shown.
    async fn seen(&self, cluster: &Cluster) -> Option<()> {
        loop {
            self.health.waits_for(format!("not everything is read yet: {}", cluster.unsynced().join(", ")));
            tokio::select! {
                () = self.shutdown.cancelled() => return None,
                () = cluster.synced() => {
                    self.health.ready();
                    return Some(());
                }
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
        }
    }

    async fn lead(&self, elector: &mut Elector, context: Context, namespace: &str) {
        let term = Term {
            client: self.client.clone(),
            scopes: self.scopes.clone(),
            namespace: namespace.to_owned(),
            context: Arc::new(context),
            controllers: controllers::all(),
            metrics: self.metrics.clone(),
        };
        for controller in &term.controllers {
            controller.connect(&term.context);
        }
        tracing::info!("standing by");
        while elector.lead(&self.shutdown).await.is_some() {
            let ended = CancellationToken::new();
            let keeping = async {
                let lost = elector.keep(&self.shutdown).await;
                ended.cancel();
                lost
            };
            let (lost, ()) = tokio::join!(keeping, term.serve(&ended));
            if lost == Lost::Asked {
                if let Err(error) = elector.hand_over().await {
                    tracing::warn!(%error, "the lease could not be given up; it ends by itself");
                }
                return;
            }
        }
    }
}

async fn client() -> anyhow::Result<Client> {
    let config = Config::infer().await.context("find the API server: neither a kubeconfig nor a pod's own account is here")?;
    Client::try_from(config).context("connect to the API server")
}

fn scopes(namespaces: Vec<String>) -> Scopes {
    if namespaces.is_empty() { Scopes::All } else { Scopes::Namespaces(namespaces) }
}

/// The host's name, and when this process began: one that begins anew on the same host is another one.
fn own_name(clock: &Clock) -> String {
    let host = std::env::var("HOSTNAME").ok().filter(|host| !host.is_empty()).unwrap_or_else(|| LEASE.to_owned());
    format!("{host}_{}", clock.now().as_microsecond())
}
