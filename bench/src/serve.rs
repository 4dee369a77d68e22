//! The real server over a lake that is folded, until standard input ends.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::anyhow;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio_util::sync::CancellationToken;
use tress_engine::clock::FixedClock;
use tress_engine::metrics::Metrics;
use tress_engine::serve::{About, Absent, Admission, Budgets, Pinned, Reader, Route, RouteFile, Routes, Server, Settings};

use crate::Places;
use crate::world::{NOW, World};

#[derive(clap::Args)]
pub struct Serve {
    #[command(flatten)]
    places: Places,
    #[arg(long, default_value = "last100")]
    feature: String,
    #[arg(long, default_value_t = 1)]
    pub workers: usize,
}

impl Serve {
    /// Prints `{"grpc": address, "pid": …}` as soon as it listens.
    pub async fn run(self) -> anyhow::Result<Value> {
        let world = World::open(&self.places)?;
        let served = Arc::new(world.serve(&self.feature).await?);
        let reader = Reader {
            registry: Arc::default(),
            routes: Arc::new(Routes::open(None).await?),
            admission: Admission::new(Budgets::default()),
            clock: Arc::new(FixedClock::new(NOW)),
            metrics: Metrics::new(),
        };
        reader.registry.ready(Arc::clone(&served), About::default());
        let live = Pinned { uid: self.feature.clone(), digest: served.digest.clone() };
        let route = Route { live: Some(live), epoch: 1, ..Route::default() };
        let file = RouteFile { features: [(format!("bench/{}", self.feature), route)].into(), ..RouteFile::default() };
        let applied = reader.routes.apply(&file, Absent::Remove).await?;
        if !applied.refused.is_empty() {
            return Err(anyhow!("the route was refused: {:?}", applied.refused));
        }
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let settings =
            Settings { grpc: any, http: any, drain_delay: Duration::ZERO, concurrency_per_connection: 1024, ..Settings::default() };
        let server = Server::bind(settings, Arc::new(reader)).await?;
        println!("{}", json!({"grpc": server.addresses().grpc.to_string(), "pid": std::process::id()}));
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(server.run(shutdown.clone()));
        tokio::io::stdin().read_to_end(&mut Vec::new()).await?;
        shutdown.cancel();
        running.await??;
        Ok(json!({"served": true}))
    }
}
