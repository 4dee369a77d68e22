//! The rows that the engine wrote to its changelog, as Parquet: another program can check them.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;
use tress_engine::changelog::{Change, Codec};
use tress_engine::log::{Batch, Log, Position};
use tress_engine::{Error, layout};

use crate::deployment::Deployment;

/// Bytes that are read at once.
const READ: usize = 4 << 20;
const WAIT: Duration = Duration::from_secs(10);

/// Writes these columns of all rows (none named: all columns), as often as they are there; returns how many.
pub async fn write(deployment: &Deployment, log: &dyn Log, columns: &[String], to: &Path) -> anyhow::Result<usize> {
    let codec = Codec::new(deployment.signal()?.as_ref());
    let wanted: Vec<usize> = match columns {
        [] => (0..codec.schema().fields().len()).collect(),
        named => named.iter().map(|name| codec.schema().index_of(name)).collect::<Result<_, _>>()?,
    };
    let properties = WriterProperties::builder().set_compression(Compression::SNAPPY).build();
    let file = File::create(to).with_context(|| format!("write {}", to.display()))?;
    let mut writer = ArrowWriter::try_new(file, codec.schema().project(&wanted)?.into(), Some(properties))?;
    let mut rows = 0;
    each(log, &layout::changelog(&deployment.uid), |record| {
        if let Change::Rows(batch) = codec.decode(record)? {
            writer.write(&batch.project(&wanted)?).map_err(|e| Error::internal(e.to_string()))?;
            rows += batch.num_rows();
        }
        Ok(())
    })
    .await?;
    writer.close()?;
    Ok(rows)
}

/// Every record of a topic, partition by partition.
pub async fn each(
    log: &dyn Log,
    topic: &str,
    mut take: impl FnMut(&tress_engine::log::Record) -> tress_engine::Result<()>,
) -> anyhow::Result<()> {
    for (partition, ends) in (0..).zip(log.ends(topic).await?) {
        let mut at = Position { partition, offset: ends.start };
        while at.offset < ends.end {
            let Batch { records, next } = log.read(topic, at, READ, WAIT).await?;
            ensure!(next > at.offset, "{topic}/{partition}: nothing came at {}", at.offset);
            at.offset = next;
            records.iter().try_for_each(&mut take)?;
        }
    }
    Ok(())
}
