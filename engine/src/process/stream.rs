//! `stream`: one pod of the consumer group of a signal revision.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::arguments::Stream;
use super::caught_up::CaughtUp;
use super::monitor::{Monitored, stay};
use super::revision::Prepared;
use super::{Ended, World};
use crate::error::Result;
use crate::metrics::SignalMetrics;
use crate::platform::Platform;
use crate::roles::{Health, Role, Streamed, Tasks};

/// How often gauges are set.
const LOOK: Duration = Duration::from_secs(1);

pub async fn run(world: &World, Stream { uid, monitor }: Stream) -> Result<Ended> {
    let platform = &world.platform;
    let Prepared { revision, plan } = Prepared::find(platform, &uid).await?;
    let metrics = platform.metrics().signal(&plan.name);
    metrics.digest(&revision.digest);
    let mut tasks = Tasks::new(world.shutdown.child_token());
    let streamed = Arc::new(Streamed::start(platform, &revision, &plan, &mut tasks).await?);
    tracing::info!(uid, signal = %plan.name, topic = revision.topic, "streaming");
    let caught_up = Arc::new(CaughtUp::default());
    let health = Arc::clone(tasks.health());
    let watched = Watched { streamed, caught_up, health };
    let (told, stop) = ((platform.clone(), metrics), tasks.shutdown().clone());
    tasks.keep(Role::Gauges, {
        let watched = watched.clone();
        move || gauges(watched.clone(), told.clone(), stop.clone())
    });
    let monitored = Monitored::listen(monitor, platform, move || watched.why_not()).await?;
    stay(world, tasks, monitored).await
}

/// What is told of the stream.
#[derive(Debug, Clone)]
struct Watched {
    streamed: Arc<Streamed>,
    caught_up: Arc<CaughtUp>,
    health: Arc<Health>,
}

impl Watched {
    /// Why its pod is not ready: it takes no input, or has never caught up. Whoever waits for the streams of a change waits for this.
    fn why_not(&self) -> Option<String> {
        self.streamed.waiting(&self.health).or_else(|| self.caught_up.why_not())
    }
}

/// Lag of the partitions that this process reads, and what the columns look like.
async fn gauges(watched: Watched, (platform, metrics): (Platform, SignalMetrics), stop: CancellationToken) -> Result<()> {
    let Watched { streamed, caught_up, health } = watched;
    let mut told: Vec<i32> = Vec::new();
    while stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
        streamed.columns.tell(platform.clock().now_micros());
        let Ok(ends) = streamed.ends().await else { continue };
        let published = streamed.published();
        match streamed.waiting(&health) {
            None => caught_up.look(&published, &ends),
            Some(_) => caught_up.waits(),
        }
        for gone in told.extract_if(.., |partition| published.iter().all(|p| p.partition != *partition)) {
            metrics.forget_partition(gone);
        }
        for at in published {
            if let Some((_, end)) = ends.iter().find(|(partition, _)| *partition == at.partition) {
                metrics.lag(at.partition, end.saturating_sub(at.offset).max(0));
                if !told.contains(&at.partition) {
                    told.push(at.partition);
                }
            }
        }
    }
    Ok(())
}
