//! What a tail costs: the rows of the raw log, through the pipeline and the changelog's records, into a store without a base.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Int32Array, Int64Array};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tress_engine::backfill::Tables;
use tress_engine::changelog::{Change, Codec, Gather, Gathered};
use tress_engine::decode::ColumnsDecoder;
use tress_engine::log::Record;
use tress_engine::pipeline::Pipeline;
use tress_engine::rows::col;
use tress_engine::store::{self, SignalStore};
use tress_engine::tail::{self as engine, Settings};

use crate::Places;
use crate::meter::{Meter, peak_resident, pss};
use crate::world::World;
use crate::{data, encode};

/// Rows of a source batch.
const BATCH: usize = 4096;
/// Source batches between calls of what a process does every few seconds.
const MAINTAIN: usize = 16;

#[derive(clap::Args)]
pub struct Tail {
    #[command(flatten)]
    places: Places,
    /// Keeps a snapshot in the lake, for `restart`.
    #[arg(long)]
    snapshot: bool,
    /// Puts the same events into this Redis instead, a list per user: `127.0.0.1:6379`.
    #[arg(long)]
    redis: Option<String>,
}

#[derive(clap::Args)]
pub struct Restart {
    #[command(flatten)]
    places: Places,
}

fn store(world: &World) -> anyhow::Result<SignalStore> {
    Ok(SignalStore::new(world.history("event")?, &Settings { memory: usize::MAX, spill_to: None }))
}

impl Tail {
    pub async fn run(self) -> anyhow::Result<Value> {
        let world = World::open(&self.places)?;
        let plan = Arc::clone(world.signal("event")?);
        let tables = Tables { plan: Arc::clone(&plan), lakes: world.lakes() };
        let pipeline = Pipeline::new(Arc::clone(&plan), tables.load(&tables.versions().await?).await?)?;
        let decoder = ColumnsDecoder::new(&plan, &BTreeMap::new(), None);
        let codec = Codec::new(&plan);
        let mut gather = Gather::new(codec.clone(), plan.shards);
        let store = store(&world)?;
        let mut redis = match &self.redis {
            Some(address) => Some(TcpStream::connect(address).await?),
            None => None,
        };
        let before = pss()?;
        let meter = Meter::start()?;
        let (mut offset, mut rows) = (0i64, 0usize);
        for (number, batch) in data::batches(&self.places.data.join("deliveries.parquet"), BATCH)?.enumerate() {
            let mut raw = decoder.decode(&batch?)?;
            let count = raw.fields.num_rows();
            let end = offset + i64::try_from(count)?;
            raw.partition = Int32Array::from_value(0, count);
            raw.offset = Int64Array::from_iter_values(offset..end);
            offset = end;
            let processed = pipeline.process(&raw, 0).await?;
            rows += processed.rows.num_rows();
            if let Some(redis) = &mut redis {
                push(redis, &processed.rows).await?;
                continue;
            }
            apply(&store, &codec, gather.add(processed.rows)?)?;
            if number % MAINTAIN == MAINTAIN - 1 {
                store.shards().iter().try_for_each(engine::Shard::maintain)?;
            }
        }
        apply(&store, &codec, gather.flush()?)?;
        store.shards().iter().try_for_each(engine::Shard::maintain)?;
        let mut result = meter.stop()?;
        result["delivered"] = rows.into();
        if redis.is_none() {
            drop((pipeline, gather));
            let (kept, bytes) = store.tail_size();
            result["tail_rows"] = kept.into();
            result["tail_bytes"] = bytes.into();
            result["pss_difference"] = pss()?.saturating_sub(before).into();
            result["peak_rss"] = peak_resident()?.into();
        }
        if self.snapshot {
            store::take(&store).await?;
        }
        Ok(result)
    }
}

/// As a follower does it.
fn apply(store: &SignalStore, codec: &Codec, gathered: Vec<Gathered>) -> anyhow::Result<()> {
    for Gathered { partition, records } in gathered {
        let shard = &store.shards()[usize::try_from(partition)?];
        for record in records {
            let offset = shard.position();
            let record = Record { offset, timestamp: 0, key: None, payload: record.payload, headers: record.headers };
            if let Change::Rows(rows) = codec.decode(&record)? {
                shard.append(rows, offset + 1)?;
            }
        }
    }
    Ok(())
}

/// One pipeline of RPUSH. What a list needs to be read as the tail is: identity and both times beside the columns.
async fn push(redis: &mut TcpStream, rows: &arrow::array::RecordBatch) -> anyhow::Result<()> {
    let columns = encode::columns(rows, &["event_time", "event_id", "available_at", "item_id", "kind", "dwell", "category", "price"])?;
    let (mut out, mut value, mut key) = (Vec::new(), Vec::new(), Vec::new());
    for row in 0..rows.num_rows() {
        value.clear();
        key.clear();
        encode::value(&columns, row, &mut value)?;
        key.extend_from_slice(b"e:");
        encode::value(&[rows.column(col::ENTITY)], row, &mut key)?;
        encode::command(&[b"RPUSH", &key, &value], &mut out);
    }
    redis.write_all(&out).await?;
    // Every reply is one line.
    let (mut lines, mut buffer) = (0, vec![0; 1 << 16]);
    while lines < rows.num_rows() {
        let read = redis.read(&mut buffer).await?;
        anyhow::ensure!(read > 0, "redis closed the connection");
        anyhow::ensure!(buffer[0] != b'-', "redis refused: {}", String::from_utf8_lossy(&buffer[..read]));
        lines += buffer[..read].iter().filter(|b| **b == b'\n').count();
    }
    Ok(())
}

impl Restart {
    pub async fn run(self) -> anyhow::Result<Value> {
        let world = World::open(&self.places)?;
        let meter = Meter::start()?;
        let store = store(&world)?;
        store::restore(&store).await?;
        let mut result = meter.stop()?;
        let (rows, bytes) = store.tail_size();
        result["tail_rows"] = rows.into();
        result["tail_bytes"] = bytes.into();
        result["peak_rss"] = peak_resident()?.into();
        Ok(result)
    }
}
