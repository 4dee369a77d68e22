//! A topic filled once with generated events, and topics made and emptied for those who write.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;

use futures::future::try_join_all;
use serde_json::{Value, json};
use tress_engine::log::kafka::Connection;
use tress_engine::log::{KafkaLog, Log, NewRecord};

use crate::changelog;
use crate::events::{self, Noise, Sizes};

/// Events that are written together.
const BATCH: usize = 8192;

#[derive(clap::Args)]
pub struct Fill {
    #[arg(long)]
    bootstrap: String,
    /// Holds `events.parquet`.
    #[arg(long)]
    data: PathBuf,
    #[arg(long)]
    topic: String,
    #[arg(long, default_value_t = 4)]
    partitions: i32,
    #[arg(long)]
    rows: usize,
    /// Gives each event a text of so many bytes: `1000..64000`.
    #[arg(long)]
    sizes: Option<Sizes>,
}

#[derive(clap::Args)]
pub struct Topic {
    #[arg(long)]
    bootstrap: String,
    #[arg(long)]
    topic: String,
    /// None: it is only deleted.
    #[arg(long)]
    partitions: Option<i32>,
}

#[derive(clap::Args)]
pub struct Lines {
    #[arg(long)]
    bootstrap: String,
    #[arg(long)]
    topic: String,
    #[arg(long)]
    to: PathBuf,
}

impl Fill {
    pub async fn run(self) -> anyhow::Result<Value> {
        let log = KafkaLog::open(Connection::plain(&self.bootstrap))?;
        log.create(&self.topic, self.partitions).await?;
        let mut noise = self.sizes.map(Noise::new);
        let (mut rows, mut bytes) = (0, 0);
        for batch in events::batches(&self.data, self.rows, if self.sizes.is_some() { 256 } else { BATCH })? {
            let batch = match (&mut noise, self.sizes) {
                (Some(noise), Some(sizes)) => noise.lengthen(&batch?, sizes)?,
                _ => batch?,
            };
            let lines = events::Lines::of(batch)?;
            let mut records: Vec<Vec<NewRecord>> = vec![Vec::new(); usize::try_from(self.partitions)?];
            for (row, json) in lines.json.iter().enumerate() {
                let user = lines.user(row);
                let key = user.map(|user| user.to_string().into());
                rows += 1;
                bytes += json.len();
                let record = NewRecord { key, payload: json.clone().into(), ..NewRecord::default() };
                records[usize::try_from(events::partition_of(user, self.partitions))?].push(record);
            }
            let full = (0..).zip(records).filter(|(_, records)| !records.is_empty());
            try_join_all(full.map(|(partition, records)| log.append(&self.topic, partition, records))).await?;
        }
        Ok(json!({"rows": rows, "bytes": bytes}))
    }
}

impl Topic {
    /// A topic with nothing in it.
    pub async fn run(self) -> anyhow::Result<Value> {
        let log = KafkaLog::open(Connection::plain(&self.bootstrap))?;
        log.delete(&self.topic).await?;
        if let Some(partitions) = self.partitions {
            log.create(&self.topic, partitions).await?;
        }
        Ok(json!({"topic": self.topic}))
    }
}

impl Lines {
    pub async fn run(self) -> anyhow::Result<Value> {
        let log = KafkaLog::open(Connection::plain(&self.bootstrap))?;
        let (mut out, mut rows) = (BufWriter::new(File::create(&self.to)?), 0);
        changelog::each(&log, &self.topic, |record| {
            rows += 1;
            out.write_all(&record.payload)?;
            Ok(out.write_all(b"\n")?)
        })
        .await?;
        out.flush()?;
        Ok(json!({"rows": rows}))
    }
}
