//! The last 100 × 3 columns of one entity, in process, from a base that is resident.

use std::time::Instant;

use anyhow::{Context, anyhow};
use serde_json::{Value, json};
use tress_engine::entity::Entity;
use tress_engine::read::Query;

use crate::Places;
use crate::data::{numbers, shuffle};
use crate::meter::{Meter, percentiles};
use crate::world::{NOW, World};

#[derive(clap::Args)]
pub struct Reads {
    #[command(flatten)]
    places: Places,
    #[arg(long)]
    feature: String,
    #[arg(long, default_value_t = 200_000)]
    reads: usize,
    /// Only users with at least so many rows in their answer.
    #[arg(long, default_value_t = 100)]
    at_least: usize,
}

impl Reads {
    pub async fn run(self) -> anyhow::Result<Value> {
        let world = World::open(&self.places)?;
        let served = world.serve(&self.feature).await?;
        let schema = served.feature.schema();
        let columns = ["event_time", "item_id", "dwell"].map(|name| schema.index_of(name));
        let columns: Vec<usize> = columns.into_iter().collect::<Result<_, _>>()?;
        let mut queries = Vec::new();
        for user in numbers(&self.places.data.join("users.parquet"), "user_id")? {
            let query = Query { columns: Some(columns.clone()), limit: Some(100), ..Query::new(Entity::Int64(user), NOW) };
            let found = served.read_resident(&query)?.ok_or_else(|| anyhow!("base does not answer for a user"))?;
            if found.events >= self.at_least {
                queries.push(query);
            }
        }
        shuffle(&mut queries);
        if queries.is_empty() {
            return Err(anyhow!("no user has {} rows; lower --at-least", self.at_least));
        }
        let mut nanos = Vec::with_capacity(self.reads);
        let mut rows = 0;
        let meter = Meter::start()?;
        for query in queries.iter().cycle().take(self.reads) {
            let at = Instant::now();
            let sequence = served.read_resident(query)?.context("base does not answer for a user")?;
            rows += sequence.rows.num_rows();
            drop(sequence);
            nanos.push(u64::try_from(at.elapsed().as_nanos())?);
        }
        let mut result = meter.stop()?;
        result["users"] = queries.len().into();
        result["reads"] = self.reads.into();
        result["rows_per_read"] = (rows as f64 / self.reads as f64).into();
        result["us"] = percentiles(&mut nanos);
        result["clock_us"] = clock_cost();
        Ok(result)
    }
}

/// What taking the time costs, which every read above includes once.
fn clock_cost() -> Value {
    let mut nanos: Vec<u64> = (0..100_000).map(|_| u64::try_from(Instant::now().elapsed().as_nanos()).unwrap_or(0)).collect();
    json!(percentiles(&mut nanos)["p50"])
}
