//! A reader of what is streamed: follows the changelog as a serving process does, and reads the probes' entities again and again.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{anyhow, ensure};
use arrow::array::AsArray;
use arrow::datatypes::TimestampMicrosecondType;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tress_configs::{FeaturePlan, Plan};
use tress_engine::clock::{Clock, SystemClock};
use tress_engine::entity::Entity;
use tress_engine::read::Query;
use tress_engine::roles::{Followed, Tasks, Trim};
use tress_engine::store::ServedFeature;

use crate::deployment::Deployment;
use crate::meter::{Meter, peak_resident, percentiles};
use crate::produce::{PROBED, WARM, probed};

/// Between two looks at all probed entities: what is measured is at most this much too late.
const LOOK: Duration = Duration::from_millis(1);
/// How long nothing may come.
const PATIENCE: i64 = 120_000_000;

#[derive(clap::Args)]
pub struct Follow {
    #[command(flatten)]
    pub deployment: Deployment,
    /// Probes that are sent.
    #[arg(long)]
    pub expect: usize,
}

impl Follow {
    /// Prints `{"ready": true}` when it follows; then what it saw: `{"wall", "cpu", "peak_rss", "probes", "span", "us"}`. `span`: seconds
    /// from the producer's start until the last probe could be read; `us`: from the moment a probe was due until a read returned it.
    pub async fn run(self) -> anyhow::Result<Value> {
        let Self { deployment, expect } = self;
        let platform = deployment.platform()?;
        let (signal, feature) = (deployment.signal()?, deployment.feature()?);
        let mut tasks = Tasks::new(CancellationToken::new());
        let scratch = deployment.folder.join("scratch");
        let followed = Followed::start(&platform, (&deployment.uid, &signal), (&scratch, Trim::Retention), &mut tasks).await?;
        let digest = Plan::Feature(FeaturePlan::clone(&feature)).digest();
        let served = ServedFeature::new(feature, digest, vec![Arc::clone(&followed.store)])?;
        let time = served.feature.schema().index_of("event_time")?;
        println!("{}", json!({"ready": true}));
        std::io::stdout().flush()?;

        let meter = Meter::start()?;
        let (mut seen, mut micros) = (vec![i64::MIN; usize::try_from(PROBED)?], Vec::with_capacity(expect));
        let (mut first, mut moved) = (i64::MAX, SystemClock.now_micros());
        while micros.len() < expect {
            for (number, newest) in (0..).zip(&mut seen) {
                let as_of = SystemClock.now_micros();
                let query = Query { columns: Some(vec![time]), limit: Some(100), ..Query::new(Entity::Int64(probed(number)), as_of) };
                let rows = served.read_resident(&query)?.ok_or_else(|| anyhow!("memory does not answer, though there is no base"))?.rows;
                let now = SystemClock.now_micros();
                let stamps = rows.column(0).as_primitive::<TimestampMicrosecondType>();
                // Newest first.
                for stamp in stamps.values().iter().take_while(|stamp| **stamp > *newest) {
                    micros.push(u64::try_from(now - stamp)? * 1000);
                    first = first.min(*stamp);
                    moved = now;
                }
                *newest = stamps.values().first().copied().unwrap_or(*newest);
            }
            ensure!(SystemClock.now_micros() - moved < PATIENCE, "{} of {expect} probes came, then nothing", micros.len());
            tokio::time::sleep(LOOK).await;
        }
        let mut result = meter.stop()?;
        let span = (SystemClock.now_micros() - first) as f64 / 1e6 + WARM.as_secs_f64();
        result["probes"] = micros.len().into();
        result["span"] = span.into();
        result["us"] = percentiles(&mut micros);
        result["peak_rss"] = peak_resident()?.into();
        tasks.shutdown().cancel();
        tasks.join().await?;
        Ok(result)
    }
}
