//! `stream`: one pod of the consumer group of a signal revision.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::arguments::Stream;
use super::monitor::{Monitored, stay};
use super::revision::Prepared;
use super::{Ended, World};
use crate::error::Result;
use crate::metrics::SignalMetrics;
use crate::platform::Platform;
use crate::roles::{Role, Streamed, Tasks};

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
    let (watched, told, stop) = (Arc::clone(&streamed), (platform.clone(), metrics), tasks.shutdown().clone());
    tasks.keep(Role::Gauges, move || gauges(Arc::clone(&watched), told.clone(), stop.clone()));
    let health = Arc::clone(tasks.health());
    let monitored = Monitored::listen(monitor, platform, {
        let (streamed, health) = (Arc::clone(&streamed), Arc::clone(&health));
        move || streamed.waiting(&health)
    })
    .await?;
    stay(world, tasks, monitored).await
}

/// Lag of the partitions that this process reads, and what the columns look like.
async fn gauges(streamed: Arc<Streamed>, (platform, metrics): (Platform, SignalMetrics), stop: CancellationToken) -> Result<()> {
    let mut told: Vec<i32> = Vec::new();
    while stop.run_until_cancelled(tokio::time::sleep(LOOK)).await.is_some() {
        streamed.columns.tell(platform.clock().now_micros());
        let Ok(ends) = streamed.ends().await else { continue };
        let published = streamed.published();
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
