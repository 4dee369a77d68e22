//! `archive`: the raw log of one topic, kept in the lake.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::arguments::Archive as Arguments;
use super::monitor::{Monitored, stay};
use super::{Ended, World};
use crate::archive::{Archive, RawTable};
use crate::error::Result;
use crate::roles::{Now, Role, Tasks};
use crate::vacuum;

/// How often it is looked for files that nothing refers to.
const VACUUM: Duration = Duration::from_secs(3600);

pub async fn run(world: &World, Arguments { connection, topic, interval, monitor }: Arguments) -> Result<Ended> {
    let platform = &world.platform;
    let log = platform.log(&connection)?;
    let archive = Archive::open((log, Arc::clone(platform.clock())), platform.lake().clone(), &connection, &topic).await?;
    let archive = Arc::new(archive);
    tracing::info!(topic, connection, "archiving");
    let mut tasks = Tasks::new(world.shutdown.child_token());
    let (kept, stop) = (Arc::clone(&archive), tasks.shutdown().clone());
    tasks.keep(Role::Archive, move || {
        let (archive, stop) = (Arc::clone(&kept), stop.clone());
        async move { archive.run(Duration::from_secs(interval), stop).await }
    });
    let (table, stop) = (archive.table().clone(), tasks.shutdown().clone());
    tasks.keep(Role::Vacuum, move || vacuum(table.clone(), stop.clone()));
    let health = Arc::clone(tasks.health());
    let monitored = Monitored::listen(monitor, platform, {
        let health = Arc::clone(&health);
        move || health.reason(Now::Pauses)
    })
    .await?;
    stay(world, tasks, monitored).await
}

async fn vacuum(table: RawTable, stop: CancellationToken) -> Result<()> {
    while stop.run_until_cancelled(tokio::time::sleep(VACUUM)).await.is_some() {
        if let Err(error) = vacuum::raw(&table).await {
            tracing::warn!(%error, "files of the raw table that nothing refers to could not be deleted; trying again");
        }
    }
    Ok(())
}
