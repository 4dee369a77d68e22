//! Small tables as Parquet files: for tests of definitions, and for the demo.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use serde_json::{Map, Value};
use tress_configs::column::ColumnType;

/// A column of a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub column_type: ColumnType,
}

/// Writes rows as one Parquet file; a vector is a list of numbers.
///
/// # Errors
/// When a row does not fit the columns, or the file cannot be written.
pub fn write(path: &Path, columns: &[Column], rows: &[Map<String, Value>]) -> anyhow::Result<()> {
    let schema = Arc::new(Schema::new(columns.iter().map(|c| Field::new(&c.name, arrow_type(&c.column_type), true)).collect::<Vec<_>>()));
    let mut decoder = arrow_json::ReaderBuilder::new(Arc::clone(&schema)).with_batch_size(rows.len().max(1)).build_decoder()?;
    decoder.serialize(rows).with_context(|| format!("make table {}", path.display()))?;
    let batch = decoder.flush().with_context(|| format!("make table {}", path.display()))?;
    let batch = batch.unwrap_or_else(|| RecordBatch::new_empty(Arc::clone(&schema)));
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(|| format!("make folder {}", folder.display()))?;
    }
    let file = File::create(path).with_context(|| format!("write {}", path.display()))?;
    let mut writer = ArrowWriter::try_new(file, schema, None)?;
    writer.write(&batch)?;
    writer.close().with_context(|| format!("write {}", path.display()))?;
    Ok(())
}

fn arrow_type(column: &ColumnType) -> DataType {
    let item = || Arc::new(Field::new("item", column.scalar.arrow(), true));
    if column.is_scalar() { column.scalar.arrow() } else { DataType::List(item()) }
}
