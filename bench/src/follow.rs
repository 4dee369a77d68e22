//! A client of the serving process that reads the probes' entities again and again, and tells how old each probe was when it was seen first.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::ensure;
use arrow::array::AsArray;
use arrow::datatypes::TimestampMicrosecondType;
use serde_json::Value;
use tress_engine::clock::{Clock, SystemClock};
use tress_engine::entity::Entity;
use tress_engine::serve::{Client, Wanted};

use crate::meter::{Meter, percentiles};
use crate::produce::{PROBED, WARM, probed};

/// Between two reads of all probed entities: what is measured is at most this much too late.
const LOOK: Duration = Duration::from_millis(2);
/// Of each entity: as many are sent in a quarter of a minute.
const NEWEST: u32 = 24;
/// How long nothing may come, µs.
const PATIENCE: i64 = 120_000_000;

#[derive(clap::Args)]
pub struct Follow {
    /// Of the serving process.
    #[arg(long)]
    grpc: SocketAddr,
    /// Probes that are sent.
    #[arg(long)]
    expect: usize,
}

/// One read of all probed entities.
pub struct Probes {
    client: Client,
    entities: Vec<Entity>,
    wanted: Wanted,
}

impl Probes {
    pub async fn open(grpc: SocketAddr) -> anyhow::Result<Self> {
        let client = Client::connect(&format!("http://{grpc}"), Duration::from_secs(30)).await?;
        let wanted = Wanted { columns: vec!["event_time".to_owned()], limit: Some(NEWEST), ..Wanted::default() };
        Ok(Self { client, entities: (0..PROBED).map(|n| Entity::Int64(probed(n))).collect(), wanted })
    }

    /// The moments of each entity's events, newest first, µs.
    pub async fn read(&self) -> anyhow::Result<Vec<Vec<i64>>> {
        let reply = self.client.batch("bench/recent", &self.entities, &self.wanted).await?;
        Ok(reply.rows.iter().map(|rows| rows.column(0).as_primitive::<TimestampMicrosecondType>().values().to_vec()).collect())
    }
}

impl Follow {
    /// `{"wall", "cpu", "probes", "span", "us"}`. `span`: seconds from the producer's start until the last probe could be read; `us`: from
    /// the moment a probe was due until a read returned it.
    pub async fn run(self) -> anyhow::Result<Value> {
        let Self { grpc, expect } = self;
        let probes = Probes::open(grpc).await?;
        let meter = Meter::start()?;
        // By entity, the moments of its probes: they may come in any order.
        let (mut seen, mut nanos) = (vec![HashSet::new(); usize::try_from(PROBED)?], Vec::with_capacity(expect));
        let (mut first, mut moved) = (i64::MAX, SystemClock.now_micros());
        while nanos.len() < expect {
            let read = probes.read().await?;
            let now = SystemClock.now_micros();
            for (stamps, seen) in read.into_iter().zip(&mut seen) {
                for stamp in stamps.into_iter().filter(|stamp| seen.insert(*stamp)) {
                    nanos.push(u64::try_from(now - stamp)? * 1000);
                    (first, moved) = (first.min(stamp), now);
                }
            }
            ensure!(now - moved < PATIENCE, "{} of {expect} probes came, then nothing", nanos.len());
            tokio::time::sleep(LOOK).await;
        }
        let mut result = meter.stop()?;
        let span = (SystemClock.now_micros() - first) as f64 / 1e6 + WARM.as_secs_f64();
        result["probes"] = nanos.len().into();
        result["span"] = span.into();
        result["us"] = percentiles(&mut nanos);
        Ok(result)
    }
}
