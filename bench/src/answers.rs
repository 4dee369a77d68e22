//! What every user's sequence is, as a flat Parquet file: another program can check it.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use arrow::array::{ArrayRef, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use tress_engine::entity::Entity;
use tress_engine::read::Query;

use crate::data::numbers;
use crate::world::{NOW, World};

/// Sequences of all users of `users.parquet`; returns the rows.
pub async fn write(world: &World, feature: &str, data: &Path, to: &Path) -> anyhow::Result<u64> {
    let served = world.serve(feature).await?;
    let mut fields = vec![Field::new("user_id", DataType::Int64, false)];
    fields.extend(served.feature.schema().fields().iter().map(|f| f.as_ref().clone()));
    let schema = Arc::new(Schema::new(fields));
    let file = File::create(to).with_context(|| format!("write {}", to.display()))?;
    let mut writer = ArrowWriter::try_new(file, Arc::clone(&schema), None)?;
    let mut rows = 0;
    for user in numbers(&data.join("users.parquet"), "user_id")? {
        let read = served.read_resident(&Query::new(Entity::Int64(user), NOW))?;
        let sequence = read.ok_or_else(|| anyhow!("base does not answer for a user; it should cover {feature}"))?;
        let count = sequence.rows.num_rows();
        let mut columns: Vec<ArrayRef> = vec![Arc::new(Int64Array::from_value(user, count))];
        columns.extend(sequence.rows.columns().iter().cloned());
        writer.write(&RecordBatch::try_new(Arc::clone(&schema), columns)?)?;
        rows += count as u64;
    }
    writer.close()?;
    Ok(rows)
}
