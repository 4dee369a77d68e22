//! `serve`: one pod of a serving pool.

use super::arguments::Serve;
use super::{Ended, World};
use crate::error::Result;
use crate::pool::{self, Pace, Pool, control};
use crate::serve::Settings;

pub async fn run(world: &World, Serve { routes, state, memory, grpc, http, tls, control, control_tls }: Serve) -> Result<Ended> {
    let serve = Settings { grpc, http, tls, ..Settings::default() };
    let control = control.zip(control_tls).map(|(address, tls)| control::Settings { address, tls, renewal: serve.renewal });
    let settings = pool::Settings { state, routes, memory, serve, control, pace: Pace::default() };
    Pool::bind(world.platform.clone(), settings).await?.run(world.shutdown.clone()).await?;
    Ok(Ended::as_asked())
}
