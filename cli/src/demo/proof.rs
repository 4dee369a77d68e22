//! stream = backfill = dataset = serve, over every user and every feature, byte for byte.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Context;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value};
use tress_configs::column::{ColumnType, Scalar};
use tress_configs::name::QualifiedName;
use tress_engine::node::Node;
use tress_engine::serve::rows_to_json;

use super::data::Data;
use super::reads::{self, Sequences};
use crate::session::dataset::{Request, Unit};
use crate::session::http;
use crate::session::operation::{Operation, perform};
use crate::tables::{self, Column};

/// How many sequences are the same, of how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Agreement {
    pub same: usize,
    pub of: usize,
    /// Rows in all sequences of the reference.
    pub rows: usize,
}

impl Agreement {
    pub const fn holds(self) -> bool {
        self.same == self.of && self.of > 0 && self.rows > 0
    }
}

impl std::fmt::Display for Agreement {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.same, self.of)
    }
}

/// Compares bytes.
pub fn compare(reference: &Sequences, other: &Sequences) -> Agreement {
    let same = reference.iter().filter(|(key, sequence)| other.get(key).is_some_and(|o| o.bytes == sequence.bytes)).count();
    agreement(reference, same)
}

fn agreement(reference: &Sequences, same: usize) -> Agreement {
    Agreement { same, of: reference.len(), rows: reference.values().map(|s| s.rows.num_rows()).sum() }
}

/// Compares with what HTTP answers, as JSON.
///
/// # Errors
/// When the server refuses a request.
pub async fn compare_http(node: &Node, reference: &Sequences, as_of: i64) -> anyhow::Result<Agreement> {
    let base = format!("http://{}", node.listening().context("the node does not listen")?.http);
    let mut expected = Vec::with_capacity(reference.len());
    for ((feature, user), sequence) in reference {
        let url = format!("{base}/v1/sequences/{}/{}/{user}?as_of={as_of}", feature.namespace, feature.name);
        expected.push((url, rows_to_json(&sequence.rows)?));
    }
    let same = tokio::task::spawn_blocking(move || {
        let same = |(url, rows): &(String, Vec<Value>)| anyhow::Ok(http::get(url)?["rows"].as_array() == Some(rows));
        expected.iter().map(same).collect::<anyhow::Result<Vec<bool>>>()
    });
    let same = same.await??.into_iter().filter(|same| *same).count();
    Ok(agreement(reference, same))
}

/// Compares with the dataset of one label a user at the time of the reads: oldest first, vectors unpacked.
///
/// # Errors
/// When the dataset cannot be made or read.
pub async fn compare_dataset(node: &Node, data: &Data, reference: &Sequences) -> anyhow::Result<Agreement> {
    let labels = data.work.join("labels.parquet");
    let columns = ["user", "at"].map(|name| Column { name: name.into(), column_type: ColumnType::scalar(Scalar::Int64) });
    let rows: Vec<Map<String, Value>> =
        data.users.iter().map(|user| Map::from_iter([("user".into(), (*user).into()), ("at".into(), data.as_of.into())])).collect();
    tables::write(&labels, &columns, &rows)?;
    let mut same = 0;
    for served in reads::features(node).await {
        let feature = served.feature.plan().name.clone();
        let out = data.work.join(format!("dataset-{}", feature.name));
        let request = Request {
            feature: feature.to_string(),
            labels: labels.clone(),
            entity_column: "user".into(),
            time_column: "at".into(),
            time_unit: Some(Unit::Micros),
            out: out.clone(),
            inclusive: true,
            read_delay: 0,
        };
        perform(node, &Operation::Dataset(request), &|_| {}).await?;
        let found = read_dataset(&out)?;
        let expected = reference.iter().filter(|((name, _), _)| *name == feature);
        for ((_, user), sequence) in expected {
            let mut rows = rows_to_json(&sequence.rows)?;
            rows.reverse();
            same += usize::from(found.get(user) == Some(&rows));
        }
    }
    Ok(agreement(reference, same))
}

/// By user: the rows that the lists of a label make.
fn read_dataset(folder: &Path) -> anyhow::Result<BTreeMap<i64, Vec<Value>>> {
    let mut all = BTreeMap::new();
    for entry in std::fs::read_dir(folder).with_context(|| format!("read folder {}", folder.display()))? {
        let path = entry?.path();
        if path.extension().is_none_or(|e| e != "parquet") {
            continue;
        }
        let reader = ParquetRecordBatchReaderBuilder::try_new(std::fs::File::open(&path)?)?.build()?;
        for batch in reader {
            let batch = batch?;
            let users = batch.column_by_name("user").context("the dataset has no column user")?.as_primitive::<Int64Type>().clone();
            for row in 0..batch.num_rows() {
                all.insert(users.value(row), sequence_of(&batch, row)?);
            }
        }
    }
    Ok(all)
}

fn sequence_of(batch: &RecordBatch, row: usize) -> anyhow::Result<Vec<Value>> {
    let lists =
        batch.schema_ref().fields().iter().zip(batch.columns()).filter_map(|(field, column)| Some((field, column.as_list_opt::<i32>()?)));
    let columns = lists.map(|(field, list)| {
        let values = list.value(row);
        (arrow::datatypes::Field::new(field.name(), values.data_type().clone(), true), values)
    });
    let (fields, arrays): (Vec<_>, Vec<_>) = columns.unzip();
    let rows = RecordBatch::try_new(std::sync::Arc::new(arrow::datatypes::Schema::new(fields)), arrays)?;
    Ok(rows_to_json(&rows)?)
}

/// How many sequences there are of each feature.
pub fn per_feature(sequences: &Sequences) -> BTreeMap<QualifiedName, usize> {
    let mut counts = BTreeMap::new();
    for (feature, _) in sequences.keys() {
        *counts.entry(feature.clone()).or_default() += 1;
    }
    counts
}
