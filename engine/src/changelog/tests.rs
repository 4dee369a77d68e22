use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, ListBuilder, StringBuilder};
use arrow::datatypes::{DataType, Field, Int64Type, Schema};
use arrow::record_batch::RecordBatch;
use proptest::prelude::*;

use super::*;
use crate::ErrorKind;
use crate::entity::{Entity, shard_of};
use crate::rows::col;

/// Rows with an entity, its hash, and a list column: enough to be sharded and to nest.
pub fn rows(entities: &[&str]) -> RecordBatch {
    let mut lists = ListBuilder::new(StringBuilder::new());
    for (i, entity) in entities.iter().enumerate() {
        (0..i % 3).for_each(|_| lists.values().append_value(entity));
        lists.append(i % 4 != 3);
    }
    let lists = lists.finish();
    let schema = Schema::new(vec![
        Field::new("entity", DataType::Utf8, false),
        Field::new("entity_hash", DataType::Int64, false),
        Field::new("tags", lists.data_type().clone(), true),
    ]);
    let hashes = entities.iter().map(|e| Entity::String((*e).to_owned()).hash());
    let columns: Vec<ArrayRef> =
        vec![Arc::new(arrow::array::StringArray::from(entities.to_vec())), Arc::new(Int64Array::from_iter_values(hashes)), Arc::new(lists)];
    RecordBatch::try_new(Arc::new(schema), columns).unwrap()
}

fn codec() -> Codec {
    Codec::of_schema(rows(&[]).schema())
}

fn read(record: &NewRecord) -> Record {
    let NewRecord { key, payload, headers, timestamp } = record.clone();
    Record { offset: 7, timestamp: timestamp.unwrap_or(0), key, payload, headers }
}

fn decoded(codec: &Codec, records: &[NewRecord]) -> Vec<RecordBatch> {
    let change = |r: &NewRecord| match codec.decode(&read(r)).unwrap() {
        Change::Rows(rows) => rows,
        other => panic!("not rows: {other:?}"),
    };
    records.iter().map(change).collect()
}

#[test]
fn rows_come_back_as_they_were_also_from_a_slice_and_when_there_are_none() {
    let all = rows(&["a", "b", "c", "d", "e", "f"]);
    for part in [all.clone(), all.slice(2, 3), all.slice(6, 0)] {
        assert_eq!(decoded(&codec(), &codec().encode(&part).unwrap()), [part]);
    }
}

#[test]
fn heartbeats_and_bases_come_back_as_they_were() {
    let position = Published { partition: 3, offset: 9, timestamp: Some(-1), at_end_as_of: None };
    let heartbeat = Heartbeat::new(vec![position]);
    assert_eq!(codec().decode(&read(&heartbeat.record())).unwrap(), Change::Heartbeat(heartbeat));
    assert_eq!(codec().decode(&read(&Base::new(12).record())).unwrap(), Change::Base(Base::new(12)));
}

#[test]
fn many_bytes_become_many_records_none_of_them_too_large_and_a_row_alone_is_refused() {
    let text = "x".repeat(100_000);
    let entities: Vec<_> = (0..20).map(|_| text.as_str()).collect();
    let batch = rows(&entities);
    let records = codec().encode(&batch).unwrap();
    assert!(records.len() > 1 && records.iter().all(|r| r.payload.len() <= MAX_RECORD_BYTES));
    assert_eq!(arrow::compute::concat_batches(batch.schema_ref(), &decoded(&codec(), &records)).unwrap(), batch);
    let error = codec().encode(&rows(&["x".repeat(600_000).as_str()])).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

#[test]
fn rows_of_another_schema_are_refused_when_written_and_when_read() {
    let other = rows(&["a"]).project(&[0, 1]).unwrap();
    assert_eq!(codec().encode(&other).unwrap_err().kind(), ErrorKind::Internal);
    let record = Codec::of_schema(other.schema()).encode(&other).unwrap().remove(0);
    let error = codec().decode(&read(&record)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Corrupt);
    assert!(error.to_string().contains("offset 7: its rows are of another schema"), "{error}");
}

#[test]
fn the_digest_of_a_schema_tells_apart_names_types_nulls_and_metadata() {
    let field = |name: &str, nullable| Field::new(name, DataType::Int64, nullable);
    let schemas = [
        Schema::new(vec![field("a", true)]),
        Schema::new(vec![field("b", true)]),
        Schema::new(vec![field("a", false)]),
        Schema::new(vec![Field::new("a", DataType::Int32, true)]),
        Schema::new(vec![field("a", true).with_metadata([("k".to_owned(), "v".to_owned())].into())]),
        Schema::new(vec![Field::new("a", DataType::List(Arc::new(field("item", true))), true)]),
        Schema::new(vec![Field::new("a", DataType::List(Arc::new(field("item", false))), true)]),
    ];
    let digests: std::collections::BTreeSet<_> = schemas.iter().map(schema_digest).collect();
    assert_eq!(digests.len(), schemas.len());
}

#[test]
fn gathered_rows_are_written_to_their_shard_once_in_order_and_when_it_is_full() {
    let mut gather = Gather::new(codec(), 4);
    let mut written = vec![Vec::new(); 4];
    let mut expected = vec![Vec::new(); 4];
    let mut early = 0;
    for batch in 0..30 {
        let names: Vec<_> = (0..100).map(|i| format!("{batch}/{i}")).collect();
        for name in &names {
            expected[shard_of(Entity::String(name.clone()).hash(), 4) as usize].push(name.clone());
        }
        let full = gather.add(rows(&names.iter().map(String::as_str).collect::<Vec<_>>())).unwrap();
        early += full.len();
        take(&mut written, full);
    }
    assert!(early > 0, "full shards do not wait for the flush");
    take(&mut written, gather.flush().unwrap());
    assert!(gather.is_empty() && gather.flush().unwrap().is_empty());
    assert_eq!(written, expected);
}

fn take(written: &mut [Vec<String>], gathered: Vec<Gathered>) {
    for Gathered { partition, records } in gathered {
        for batch in decoded(&codec(), &records) {
            assert!(batch.num_rows() <= FLUSH_ROWS);
            let hashes = batch.column(col::ENTITY_HASH).as_primitive::<Int64Type>();
            assert!(hashes.values().iter().all(|h| shard_of(*h, 4) as i32 == partition));
            written[partition as usize].extend(batch.column(0).as_string::<i32>().iter().map(|e| e.unwrap().to_owned()));
        }
    }
}

#[test]
fn no_shorter_piece_and_no_changed_byte_of_a_record_makes_reading_panic() {
    let record = read(&codec().encode(&rows(&["a", "bb", "ccc", "dddd", "eeeee"])).unwrap().remove(0));
    let bytes = record.payload.to_vec();
    for length in 0..bytes.len() {
        let cut = Record { payload: Bytes::copy_from_slice(&bytes[..length]), ..record.clone() };
        if let Err(e) = codec().decode(&cut) {
            assert_eq!(e.kind(), ErrorKind::Corrupt);
        }
    }
    for place in 0..bytes.len() {
        for change in [0x01, 0x10, 0x80, 0xff] {
            let mut changed = bytes.clone();
            changed[place] ^= change;
            if let Err(e) = codec().decode(&Record { payload: changed.into(), ..record.clone() }) {
                assert_eq!(e.kind(), ErrorKind::Corrupt);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_bytes_make_reading_panic(changes in prop::collection::vec((0..2_000usize, any::<u8>()), 1..20), kind in 0..3usize) {
        let records = [codec().encode(&rows(&["a", "bb", "ccc", "dddd"])).unwrap().remove(0), Base::new(1).record(), Heartbeat::new(vec![]).record()];
        let mut record = read(&records[kind]);
        let mut bytes = record.payload.to_vec();
        for (place, value) in changes {
            let length = bytes.len();
            bytes[place % length] = value;
        }
        record.payload = bytes.into();
        if let Err(e) = codec().decode(&record) {
            prop_assert_eq!(e.kind(), ErrorKind::Corrupt);
        }
    }
}
