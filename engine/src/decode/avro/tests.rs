mod bad;
mod evolution;
mod logical;
mod model;
mod oracle;

use std::collections::BTreeMap;

use arrow::array::{Array, RecordBatch};
use futures::executor::block_on;
use serde_json::{Value, json};
use tress_configs::SignalPlan;
use tress_configs::column::{ColumnType, Scalar};
use tress_configs::plan::FieldPlan;

use self::model::V;
use crate::decode::Decoder;
use crate::log::Record;
use crate::pipeline::fixture::{field, ratings};
use crate::raw::{Invalid, RawBatch, Reason};
use crate::registry::tests::kept;
use crate::registry::{Language, SchemaText};

/// A declared field.
fn declared(name: &str, path: &str, column: ColumnType) -> FieldPlan {
    FieldPlan { path: path.split('.').map(str::to_owned).collect(), ..field(name, column) }
}

fn scalar(scalar: Scalar) -> ColumnType {
    ColumnType::scalar(scalar)
}

fn plan(fields: Vec<FieldPlan>) -> SignalPlan {
    let mut plan = ratings();
    plan.event.fields = fields;
    plan
}

fn text(id: u32, schema: &Value) -> SchemaText {
    SchemaText { id, language: Language::Avro, schema: schema.to_string(), references: Vec::new() }
}

/// A record that `id` was written with.
fn framed(id: u32, value: &V) -> Vec<u8> {
    let mut bytes = vec![0];
    bytes.extend(id.to_be_bytes());
    value.encode(&mut bytes);
    bytes
}

fn records(payloads: &[Vec<u8>]) -> Vec<Record> {
    let record = |(offset, payload): (usize, &Vec<u8>)| Record {
        offset: offset as i64,
        timestamp: 1000,
        key: None,
        payload: payload.clone().into(),
        headers: Vec::new(),
    };
    payloads.iter().enumerate().map(record).collect()
}

/// A reader, the writers that it may meet by id, and what it reads.
struct Case {
    plan: SignalPlan,
    decoder: Decoder,
}

impl Case {
    fn new(fields: Vec<FieldPlan>, reader: &Value, writers: &BTreeMap<u32, Value>) -> Self {
        let plan = plan(fields);
        let schemas = block_on(kept(writers.iter().map(|(id, schema)| text(*id, schema)).collect()));
        let decoder = Decoder::avro(&plan, &text(1_000, reader), schemas).unwrap();
        Self { plan, decoder }
    }

    fn decode(&self, payloads: &[Vec<u8>]) -> RawBatch {
        block_on(self.decoder.decode_records(0, &records(payloads))).unwrap()
    }

    /// What is made of the same values as JSON.
    fn as_json(&self, payloads: &[Value]) -> RawBatch {
        let payloads: Vec<Vec<u8>> = payloads.iter().map(|p| p.to_string().into_bytes()).collect();
        block_on(Decoder::new(&self.plan).unwrap().decode_records(0, &records(&payloads))).unwrap()
    }
}

fn reasons(raw: &RawBatch) -> Vec<Option<(Reason, &str)>> {
    raw.broken.iter().map(|b: &Option<Invalid>| b.as_ref().map(|b| (b.reason, b.field.as_str()))).collect()
}

fn nulls(batch: &RecordBatch, row: usize) -> bool {
    batch.columns().iter().all(|column| column.is_null(row))
}
