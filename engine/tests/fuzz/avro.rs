//! Avro: records of several writers, and the schemas themselves.

use std::sync::Arc;

use tress_configs::SignalPlan;
use tress_engine::decode::Decoder;
use tress_engine::lake::Lake;
use tress_engine::layout;
use tress_engine::log::Record;
use tress_engine::registry::{Language, SchemaText, Schemas};

use crate::mutate::mutate;
use crate::rows::everything;
use crate::run::Target;

/// A schema with a field for each kind of step: what is declared is read, the rest is read over.
const READER: &str = r#"{"type":"record","name":"R","fields":[
    {"name":"user","type":["null",{"type":"record","name":"U","fields":[{"name":"id","type":"long"},{"name":"next","type":["null","U"]}]}]},
    {"name":"s","type":{"type":"enum","name":"E","symbols":["A","B","C"],"default":"A"}},
    {"name":"tags","type":{"type":"array","items":["null","string"]}},
    {"name":"blob","type":{"type":"bytes","logicalType":"decimal","precision":20,"scale":2}},
    {"name":"d","type":"double","default":0.5},
    {"name":"vector","type":{"type":"array","items":"float"}}]}"#;
const WRITER: &str = r#"{"type":"record","name":"R","fields":[
    {"name":"m","type":{"type":"map","values":{"type":"array","items":"null"}}},
    {"name":"user","type":["null",{"type":"record","name":"U","fields":[{"name":"next","type":["null","U"]},{"name":"id","type":"int"}]}]},
    {"name":"vector","type":{"type":"array","items":"int"}},
    {"name":"s","type":{"type":"enum","name":"E","symbols":["B","D"]}},
    {"name":"f","type":{"type":"fixed","name":"F","size":3}},
    {"name":"tags","type":{"type":"array","items":["null","string","bytes"]}},
    {"name":"blob","type":"bytes"}]}"#;

fn text(id: u32, schema: &str) -> SchemaText {
    SchemaText { id, language: Language::Avro, schema: schema.to_owned(), references: Vec::new() }
}

fn plan() -> SignalPlan {
    let mut plan = SignalPlan::clone(&everything());
    plan.event.fields.retain(|f| ["user.id", "s", "tags", "blob", "d", "vector"].contains(&f.path.join(".").as_str()));
    assert_eq!(plan.event.fields.len(), 6, "the golden plan has these fields");
    plan
}

/// Two that are whole, of the reader's schema and of another writer's.
fn payloads() -> Vec<Vec<u8>> {
    let reader = [&[0, 0, 0, 0, 1, 2, 14, 2, 16, 0, 4, 4, 2, 2, b'x', 0, 0, 4, 4, 210][..], &[0; 8], &[16], &[0; 32], &[0]].concat();
    let start = [0, 0, 0, 0, 2, 2, 2, b'k', 2, 0, 0, 2, 0, 14];
    let writer = [&start[..], &[16], &[2; 8], &[0], &[0], &[1, 2, 3], &[2, 2, 2, b'y', 0], &[4, 4, 210]].concat();
    vec![reader, writer]
}

struct Reading {
    decoder: Decoder,
    runtime: tokio::runtime::Runtime,
    /// Of the lake that has the schemas.
    _folder: tempfile::TempDir,
}

impl Reading {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        for (id, schema) in [(1, READER), (2, WRITER)] {
            let copy = serde_json::json!({"version": 1, "id": id, "language": "Avro", "schema": schema, "references": []});
            let path = folder.path().join(layout::schema("fuzz", id).as_ref());
            std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
            std::fs::write(path, copy.to_string()).expect("written");
        }
        let schemas = Arc::new(Schemas::kept("fuzz", Lake::local(folder.path()).expect("a lake")));
        let decoder = Decoder::avro(&plan(), &text(1, READER), schemas).expect("a decoder");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        Self { decoder, runtime, _folder: folder }
    }

    /// Whether each of the records was read.
    fn run(&self, payloads: &[&[u8]]) -> Vec<bool> {
        let record = |payload: &&[u8]| Record { offset: 3, timestamp: 5, key: None, payload: payload.to_vec().into(), headers: Vec::new() };
        let records: Vec<Record> = payloads.iter().map(record).collect();
        let raw = self.runtime.block_on(self.decoder.decode_records(0, &records)).expect("never for what a record holds");
        assert_eq!(raw.fields.num_rows(), payloads.len());
        raw.broken.iter().map(Option::is_none).collect()
    }
}

pub fn records() -> Target {
    let (seeds, reading) = (payloads(), Reading::new());
    assert_eq!(reading.run(&[&seeds[0], &seeds[1]]), [true, true], "the seeds are valid");
    Box::new(move |random, keep| {
        let mut payload = mutate(random, &seeds);
        keep(&payload);
        // Schemas that are not there would be asked for; and the frame is soon tried.
        if let Some(frame) = payload.first_chunk_mut::<5>() {
            *frame = [0, 0, 0, 0, 1 + frame[4] % 2];
        }
        let read = reading.run(&[&seeds[0], &payload, &seeds[1]]);
        assert!(read[0] && read[2], "what is whole is read");
    })
}

pub fn schemas() -> Target {
    let seeds = [READER.as_bytes().to_vec(), WRITER.as_bytes().to_vec()];
    let (plan, whole) = (plan(), payloads());
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let folder = tempfile::tempdir().expect("a folder");
    let lake = Lake::local(folder.path()).expect("a lake");
    let path = folder.path().join(layout::schema("fuzz", 1).as_ref());
    std::fs::create_dir_all(path.parent().expect("a folder")).expect("made");
    Box::new(move |random, keep| {
        // Stays as long as the target does.
        let _: &tempfile::TempDir = &folder;
        let schema = mutate(random, &seeds);
        keep(&schema);
        let Ok(schema) = String::from_utf8(schema) else { return };
        // As the reader's, and as a writer's: refused, or records of another schema are read with it.
        drop(Decoder::avro(&plan, &text(1, &schema), Arc::new(Schemas::kept("fuzz", lake.clone()))));
        let copy = serde_json::json!({"version": 1, "id": 1, "language": "Avro", "schema": schema, "references": []});
        std::fs::write(&path, copy.to_string()).expect("written");
        let decoder = Decoder::avro(&plan, &text(9, READER), Arc::new(Schemas::kept("fuzz", lake.clone()))).expect("a decoder");
        let mut payload = whole[random.below(2)].clone();
        payload[4] = 1;
        let record = Record { offset: 3, timestamp: 5, key: None, payload: payload.into(), headers: Vec::new() };
        drop(runtime.block_on(decoder.decode_records(0, &[record])).expect("never for what a schema says"));
    })
}
