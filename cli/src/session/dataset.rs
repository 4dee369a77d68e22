//! A point-in-time dataset of a feature that is live.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tress_engine::dataset::{Dataset, Edge, Labels, Moment, Target, TimeUnit};
use tress_engine::error::Context;
use tress_engine::lake::Lake;
use tress_engine::node::{Node, Progress};
use tress_engine::read::Feature;
use tress_engine::{Error, ErrorKind, Result};

use super::operation::feature_named;

/// What to make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Request {
    /// `name` or `namespace/name`
    pub feature: String,
    /// Absolute: Parquet or CSV.
    pub labels: PathBuf,
    pub entity_column: String,
    pub time_column: String,
    pub time_unit: Option<Unit>,
    /// Absolute: a folder.
    pub out: PathBuf,
    #[serde(default)]
    pub inclusive: bool,
    /// µs
    #[serde(default)]
    pub read_delay: i64,
}

/// The unit of label times that are whole numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "camelCase")]
pub enum Unit {
    Seconds,
    Millis,
    Micros,
}

/// Writes it; each label is a task.
pub async fn write(node: &Node, request: &Request, progress: &(dyn Fn(Progress) + Sync)) -> Result<Value> {
    let name = feature_named(node, &request.feature).await?;
    let served = node.feature(&name).await?;
    let table = read_table(&request.labels)?;
    let unit = request.time_unit.map(|unit| match unit {
        Unit::Seconds => TimeUnit::Seconds,
        Unit::Millis => TimeUnit::Millis,
        Unit::Micros => TimeUnit::Micros,
    });
    let plan = served.feature.plan();
    let labels = Labels::new(&table, (&request.entity_column, plan.entity), (&request.time_column, unit))?;
    let mut histories = Vec::new();
    for store in served.stores() {
        let history = store.history().clone();
        let snapshot = history.snapshot().await?;
        if snapshot.as_ref().is_none_or(|s| s.backfill == 0) {
            return Err(Error::new(
                ErrorKind::Invalid,
                format!("dataset: signal {} has no history yet; run `tress backfill {0}` first", store.plan().name),
            ));
        }
        histories.push((history, snapshot));
    }
    let signals = served.stores().iter().map(|store| Arc::clone(store.plan())).collect();
    let moment = Moment { edge: if request.inclusive { Edge::Inclusive } else { Edge::Strict }, read_delay: request.read_delay };
    let dataset = Dataset { feature: Arc::new(Feature::new(Arc::clone(plan), signals)?), digest: served.digest.clone(), histories, moment };
    std::fs::create_dir_all(&request.out).context(|| format!("make folder {}", request.out.display()))?;
    let target = Target { store: Arc::clone(Lake::local(&request.out)?.store()), folder: object_store::path::Path::default() };
    let total = labels.len();
    let manifest =
        dataset.write(&labels, &target, &|done| progress(Progress { tasks_done: done, tasks: total, rows: done as u64 })).await?;
    Ok(json!({ "out": request.out, "labels": manifest.labels, "manifest": manifest }))
}

/// A table of labels as one batch.
///
/// # Errors
/// `Invalid` when the file is neither Parquet nor CSV, `NotFound` when there is none.
pub fn read_table(path: &Path) -> Result<RecordBatch> {
    let shown = path.display();
    let csv = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("csv"));
    let mut file = File::open(path).context(|| format!("read {shown}"))?;
    let batches: Vec<RecordBatch> = if csv {
        let format = arrow::csv::reader::Format::default().with_header(true);
        let (schema, _) = format.infer_schema(&mut file, Some(10_000)).map_err(|e| not_a_table(path, &e))?;
        std::io::Seek::rewind(&mut file).context(|| format!("read {shown}"))?;
        let reader = arrow::csv::ReaderBuilder::new(Arc::new(schema)).with_format(format).build(file).map_err(|e| not_a_table(path, &e))?;
        reader.collect::<std::result::Result<_, _>>().map_err(|e| not_a_table(path, &e))?
    } else {
        let reader = ParquetRecordBatchReaderBuilder::try_new(file)
            .and_then(ParquetRecordBatchReaderBuilder::build)
            .map_err(|e| not_a_table(path, &e))?;
        reader.collect::<std::result::Result<_, _>>().map_err(|e| not_a_table(path, &e))?
    };
    let schema = batches.first().map(RecordBatch::schema).ok_or_else(|| Error::invalid(format!("read {shown}: it holds no labels")))?;
    Ok(concat_batches(&schema, &batches)?)
}

fn not_a_table(path: &Path, e: &dyn std::fmt::Display) -> Error {
    Error::invalid(format!("read {}: {e}; give a whole Parquet file, or a CSV file with a header", path.display()))
}
