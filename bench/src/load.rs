//! Requests to a server: of this engine over gRPC, or to Redis. Closed loop (as many as it takes) or open loop (at a rate).

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tonic::transport::{Channel, Endpoint};
use tress_engine::entity::Entity;
use tress_engine::read::Query;
use tress_engine::serve::proto::sequence_service_client::SequenceServiceClient;
use tress_engine::serve::{Client, Wanted, proto};

use crate::data::{numbers, shuffle};
use crate::meter::{percentiles, process_seconds};
use crate::world::{NOW, World};
use crate::{Places, encode};

/// How much too late the runtime's timer may wake.
const TIMER: Duration = Duration::from_millis(2);
const COLUMNS: [&str; 3] = ["event_time", "item_id", "dwell"];

#[derive(clap::Args)]
pub struct FillRedis {
    #[command(flatten)]
    places: Places,
    #[arg(long)]
    redis: String,
}

impl FillRedis {
    pub async fn run(self) -> anyhow::Result<Value> {
        let world = World::open(&self.places)?;
        let served = world.serve("last100").await?;
        let mut redis = BufReader::new(TcpStream::connect(&self.redis).await?);
        let (mut users, mut rows) = (0, 0);
        for user in numbers(&self.places.data.join("users.parquet"), "user_id")? {
            let read = served.read_resident(&Query::new(Entity::Int64(user), NOW))?;
            let batch = read.ok_or_else(|| anyhow!("base does not answer for a user"))?.rows;
            let columns = encode::columns(&batch, &COLUMNS)?;
            let values = (0..batch.num_rows())
                .map(|row| {
                    let mut value = Vec::new();
                    encode::value(&columns, row, &mut value).map(|()| value)
                })
                .collect::<anyhow::Result<Vec<_>>>()?;
            if values.is_empty() {
                continue;
            }
            let key = key(user);
            let mut parts: Vec<&[u8]> = vec![b"RPUSH", &key];
            parts.extend(values.iter().map(Vec::as_slice));
            let mut out = Vec::new();
            encode::command(&parts, &mut out);
            redis.write_all(&out).await?;
            reply(&mut redis, |_| ()).await?;
            users += 1;
            rows += values.len();
        }
        Ok(json!({"users": users, "rows": rows}))
    }
}

fn key(user: i64) -> Vec<u8> {
    [b"s:".as_slice(), &user.to_le_bytes()].concat()
}

/// Reads one reply, showing each of its values; returns how many it had.
async fn reply(redis: &mut BufReader<TcpStream>, mut see: impl FnMut(&[u8])) -> anyhow::Result<usize> {
    let mut line = Vec::new();
    redis.read_until(b'\n', &mut line).await?;
    let number = |line: &[u8]| std::str::from_utf8(&line[1..line.len() - 2]).ok().and_then(|n| n.parse::<usize>().ok());
    match line.first() {
        Some(b'*') => {
            let values = number(&line).context("redis: a broken reply")?;
            let mut buffer = Vec::new();
            for _ in 0..values {
                line.clear();
                redis.read_until(b'\n', &mut line).await?;
                buffer.resize(number(&line).context("redis: a broken reply")? + 2, 0);
                redis.read_exact(&mut buffer).await?;
                see(buffer.strip_suffix(b"\r\n").unwrap_or_default());
            }
            Ok(values)
        }
        Some(b':' | b'+') => Ok(1),
        _ => Err(anyhow!("redis: {}", String::from_utf8_lossy(&line))),
    }
}

/// Compares what both answer, value by value, for some users.
#[derive(clap::Args)]
pub struct Check {
    #[arg(long)]
    data: PathBuf,
    #[arg(long)]
    grpc: String,
    #[arg(long)]
    redis: String,
    #[arg(long, default_value_t = 1000)]
    users: usize,
}

impl Check {
    pub async fn run(self) -> anyhow::Result<Value> {
        let client = Client::connect(&self.grpc, Duration::from_secs(5)).await?;
        let mut redis = BufReader::new(TcpStream::connect(&self.redis).await?);
        let wanted = Wanted { columns: COLUMNS.map(str::to_owned).to_vec(), limit: Some(100), ..Wanted::default() };
        let mut users = numbers(&self.data.join("users.parquet"), "user_id")?;
        shuffle(&mut users);
        let mut equal = 0;
        for user in users.into_iter().take(self.users) {
            let ours = client.get("bench/last100", &Entity::Int64(user), &wanted).await?.rows;
            let columns = encode::columns(&ours, &COLUMNS)?;
            let mut values = vec![Vec::new(); ours.num_rows()];
            values.iter_mut().enumerate().try_for_each(|(row, value)| encode::value(&columns, row, value))?;
            let mut out = Vec::new();
            encode::command(&[b"LRANGE", &key(user), b"0", b"99"], &mut out);
            redis.write_all(&out).await?;
            let mut theirs = Vec::new();
            reply(&mut redis, |value| theirs.push(value.to_vec())).await?;
            anyhow::ensure!(values == theirs, "a user's answers differ: {} rows and {}", values.len(), theirs.len());
            equal += values.len();
        }
        Ok(json!({"equal_rows": equal}))
    }
}

#[derive(clap::Args, Clone)]
pub struct Load {
    /// The generated data: users are drawn from it.
    #[arg(long)]
    data: PathBuf,
    /// `http://…` of the engine's server, or `redis://…`.
    #[arg(long)]
    target: String,
    /// Whose CPU time is told.
    #[arg(long)]
    pid: u32,
    /// Entities of one request.
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// Requests under way.
    #[arg(long, default_value_t = 32)]
    concurrency: usize,
    #[arg(long, default_value_t = 4)]
    connections: usize,
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Requests a second, whatever the server does; none = closed loop.
    #[arg(long)]
    rate: Option<f64>,
}

struct Shared {
    load: Load,
    users: Vec<i64>,
    next: AtomicUsize,
    began: Instant,
}

impl Shared {
    /// The next request's number and when it is due; `None` when the time is over.
    async fn due(&self) -> Option<(usize, Instant)> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let at = match self.load.rate {
            Some(rate) => self.began + Duration::from_secs_f64(number as f64 / rate),
            None => Instant::now(),
        };
        if at.duration_since(self.began).as_secs_f64() > self.load.seconds {
            return None;
        }
        if self.load.rate.is_some() {
            // The runtime's timer is right to a millisecond only; the rest is waited for awake.
            tokio::time::sleep_until((at - TIMER).into()).await;
            while Instant::now() < at {
                tokio::task::yield_now().await;
            }
        }
        Some((number, at))
    }

    fn users(&self, number: usize) -> impl Iterator<Item = i64> + '_ {
        (0..self.load.batch).map(move |i| self.users[(number * self.load.batch + i) % self.users.len()])
    }
}

/// What one connection saw: latencies in ns, rows.
type Seen = (Vec<u64>, usize);

impl Load {
    pub async fn run(self) -> anyhow::Result<Value> {
        let mut users = numbers(&self.data.join("users.parquet"), "user_id")?;
        shuffle(&mut users);
        let cpu = process_seconds(self.pid)?;
        let shared = Arc::new(Shared { load: self.clone(), users, next: AtomicUsize::new(0), began: Instant::now() });
        let mut tasks = Vec::new();
        let redis = self.target.strip_prefix("redis://").map(str::to_owned);
        let mut channels = Vec::new();
        if redis.is_none() {
            for _ in 0..self.connections {
                channels.push(Endpoint::from_shared(self.target.clone())?.tcp_nodelay(true).connect().await?);
            }
        }
        for task in 0..self.concurrency {
            let shared = Arc::clone(&shared);
            tasks.push(match &redis {
                Some(address) => tokio::spawn(over_redis(shared, address.clone())),
                None => tokio::spawn(over_grpc(shared, channels[task % channels.len()].clone())),
            });
        }
        let (mut nanos, mut rows) = (Vec::new(), 0);
        for task in tasks {
            let (seen, found) = task.await??;
            nanos.extend(seen);
            rows += found;
        }
        let wall = shared.began.elapsed().as_secs_f64();
        let cpu = process_seconds(self.pid)? - cpu;
        let requests = nanos.len();
        Ok(json!({
            "wall": wall, "cpu": cpu, "requests": requests, "sequences": requests * self.batch, "rows": rows,
            "requests_per_second": requests as f64 / wall,
            "requests_per_cpu_second": requests as f64 / cpu,
            "sequences_per_cpu_second": (requests * self.batch) as f64 / cpu,
            "rows_per_sequence": rows as f64 / (requests * self.batch).max(1) as f64,
            "us": percentiles(&mut nanos),
        }))
    }
}

async fn over_redis(shared: Arc<Shared>, address: String) -> anyhow::Result<Seen> {
    let stream = TcpStream::connect(&address).await?;
    stream.set_nodelay(true)?;
    let mut redis = BufReader::with_capacity(1 << 16, stream);
    let mut seen: Seen = (Vec::new(), 0);
    let mut out = Vec::new();
    while let Some((number, at)) = shared.due().await {
        out.clear();
        for user in shared.users(number) {
            encode::command(&[b"LRANGE", &key(user), b"0", b"99"], &mut out);
        }
        redis.write_all(&out).await?;
        for _ in 0..shared.load.batch {
            seen.1 += reply(&mut redis, |_| ()).await?;
        }
        seen.0.push(u64::try_from(at.elapsed().as_nanos())?);
    }
    Ok(seen)
}

async fn over_grpc(shared: Arc<Shared>, channel: Channel) -> anyhow::Result<Seen> {
    let mut client = SequenceServiceClient::new(channel).max_decoding_message_size(usize::MAX);
    let feature = "bench/last100".to_owned();
    let read = proto::Read { columns: COLUMNS.map(str::to_owned).to_vec(), limit: Some(100), ..proto::Read::default() };
    let entity = |user| proto::Entity { key: Some(proto::entity::Key::Number(user)) };
    let mut seen: Seen = (Vec::new(), 0);
    while let Some((number, at)) = shared.due().await {
        let mut entities: Vec<proto::Entity> = shared.users(number).map(entity).collect();
        seen.1 += if shared.load.batch == 1 {
            let request = proto::GetSequenceRequest { feature: feature.clone(), entity: entities.pop(), read: Some(read.clone()) };
            match client.get_sequence(request).await?.into_inner().payload {
                Some(proto::sequence::Payload::Columns(columns)) => usize::try_from(columns.row_count)?,
                _ => return Err(anyhow!("the reply has no columns")),
            }
        } else {
            let request = proto::BatchGetSequencesRequest { feature: feature.clone(), entities, read: Some(read.clone()) };
            match client.batch_get_sequences(request).await?.into_inner().payload {
                Some(proto::sequence_batch::Payload::Columns(columns)) => usize::try_from(columns.row_count)?,
                _ => return Err(anyhow!("the reply has no columns")),
            }
        };
        seen.0.push(u64::try_from(at.elapsed().as_nanos())?);
    }
    Ok(seen)
}
