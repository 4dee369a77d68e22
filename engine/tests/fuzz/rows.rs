//! Raw records, changelog records and runs.

use std::sync::Arc;

use arrow::array::RecordBatch;
use bytes::Bytes;
use serde_json::Value;
use tress_configs::{Plan, SignalPlan};
use tress_engine::changelog::{Change, Codec};
use tress_engine::decode::Decoder;
use tress_engine::entity::Entity;
use tress_engine::log::Record;
use tress_engine::pipeline::Pipeline;
use tress_engine::rows::Rows;
use tress_engine::run::{self, Run};
use tress_engine::tail::{Settings, Shard};

use crate::definitions::files;
use crate::mutate::mutate;
use crate::run::Target;

/// A signal with a field of every type, without its enrichments.
pub fn everything() -> Arc<SignalPlan> {
    let goldens = files("configs/golden", "json");
    let plans = goldens.iter().map(|bytes| serde_json::from_slice::<Value>(bytes).expect("JSON")["plan"].clone());
    let mut plan = plans.into_iter().find(|plan| plan["name"]["name"] == "everything").expect("the golden plan of every type");
    plan["enrichments"] = Value::Array(Vec::new());
    plan["onInvalid"] = "DeadLetter".into();
    plan["columns"].as_array_mut().expect("columns").retain(|column| column["origin"].is_string());
    match Plan::from_json(&plan.to_string()) {
        Ok(Plan::Signal(plan)) => Arc::new(plan),
        other => panic!("{other:?}"),
    }
}

fn payloads() -> Vec<Vec<u8>> {
    let record = |who: i64, at: &str| {
        format!(
            r#"{{"user":{{"id":{who},"x":[1,{{"y":null}}]}},"at":"{at}","seen":1704067200000000000,"changed":"2024-01-01T00:00:01.5Z","b":true,"i":7,
            "h":1.5,"f":-2.25,"d":1e-300,"s":"h\u00e9\n\ud83d\ude00","blob":"aGVsbG8=","tags":["a",null,"b"],"vector":[1,2,3,4,5,6,7,8],
            "small":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16],"other":[[[[]]]]}}"#
        )
        .into_bytes()
    };
    vec![record(1, "2024-01-01T00:00:00Z"), record(-9, "2023-12-31T23:59:59.999999+01:00"), b"{}".to_vec(), b"[{}]".to_vec()]
}

fn record(payload: Vec<u8>, headers: Vec<(String, Bytes)>) -> Record {
    Record { offset: 3, timestamp: 1_704_067_200_000, key: None, payload: payload.into(), headers }
}

struct Transform {
    decoder: Decoder,
    pipeline: Pipeline,
    runtime: tokio::runtime::Runtime,
}

impl Transform {
    fn new() -> Self {
        let plan = everything();
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        Self { decoder: Decoder::new(&plan).expect("a decoder"), pipeline: Pipeline::new(plan, Vec::new()).expect("a pipeline"), runtime }
    }

    /// Rows and how many raw events were put aside or gave none.
    fn run(&self, records: &[Record]) -> (RecordBatch, usize) {
        let raw = self.runtime.block_on(self.decoder.decode_records(0, records)).expect("never for what a record holds");
        let processed = self.runtime.block_on(self.pipeline.process(&raw, 0)).expect("never for what a record holds");
        (processed.rows, processed.dead.len() + processed.not_ours + processed.yielded_nothing)
    }
}

pub fn records() -> Target {
    let (seeds, transform) = (payloads(), Transform::new());
    let (rows, _) = transform.run(&[record(seeds[0].clone(), Vec::new()), record(seeds[1].clone(), Vec::new())]);
    assert_eq!(rows.num_rows(), 2, "the seeds are valid");
    Box::new(move |random, keep| {
        let payload = mutate(random, &seeds);
        keep(&payload);
        // Beside one that is whole: it is not harmed.
        let (rows, rest) = transform.run(&[record(seeds[0].clone(), Vec::new()), record(payload, Vec::new())]);
        assert!(rows.num_rows() + rest >= 2, "each raw event is a row, or is counted");
        assert!(rows.num_rows() >= 1, "what is whole is a row");
    })
}

/// Rows with values of every type.
pub fn some_rows() -> RecordBatch {
    let seeds = payloads();
    let records: Vec<Record> = (0..6).map(|i| record(seeds[i % 2].clone(), Vec::new())).collect();
    Transform::new().run(&records).0
}

pub fn changelog() -> Target {
    let rows = some_rows();
    let codec = Codec::new(&everything());
    let encoded = codec.encode(&rows).expect("encoded");
    let headers: Vec<Vec<(String, Bytes)>> = vec![
        encoded[0].headers.clone(),
        vec![("kind".into(), Bytes::from_static(b"heartbeat"))],
        vec![("kind".into(), Bytes::from_static(b"base"))],
    ];
    let seeds = [
        encoded[0].payload.to_vec(),
        br#"{"version":1,"positions":[{"partition":0,"offset":5,"timestamp":7,"atEndAsOf":null}]}"#.to_vec(),
        br#"{"version":1,"manifest":7}"#.to_vec(),
    ];
    Box::new(move |random, keep| {
        let which = random.below(4).min(2);
        let payload = mutate(random, &seeds[if which == 2 { 0..1 } else { which..which + 1 }]);
        keep(&payload);
        let headers = if which == 2 { headers[0].clone() } else { headers[random.below(3)].clone() };
        if let Ok(Change::Rows(rows)) = codec.decode(&record(payload, headers)) {
            used(rows);
        }
    })
}

/// Does with rows what a tail does.
fn used(batch: RecordBatch) {
    let Ok(rows) = Rows::new(batch.clone()) else { return };
    let entities: Vec<Entity> = (0..rows.len()).map(|row| Entity::at(rows.entity(), row)).collect();
    let shard = Shard::new(Settings { memory: usize::MAX, spill_to: None });
    if shard.append(batch, 1).is_err() {
        return;
    }
    drop(shard.maintain());
    for entity in entities {
        drop(shard.read_set().hold(&entity, entity.hash()));
    }
}

pub fn runs() -> Target {
    let whole = Run::from_rows(run::sort(some_rows()).expect("sorted")).expect("a run");
    let seeds = vec![run::encode(&whole).expect("encoded").to_vec()];
    Box::new(move |random, keep| {
        let file = mutate(random, &seeds);
        keep(&file);
        // Whatever differs is refused by its checksum, so that nothing behind it reads what was not written.
        let same = file == seeds[0];
        assert_eq!(run::read(file.into()).is_ok(), same);
    })
}
