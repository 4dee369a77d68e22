mod alone;
mod enrichment;
mod written;

use std::sync::Arc;

use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::{Float32Type, Int32Type, Int64Type};
use tress_configs::SignalPlan;
use tress_configs::column::Scalar;
use tress_configs::definition::OnInvalid;
use tress_configs::plan::ExecutorPlan;

use super::fixture::{expression, orders, ratings, records};
use super::*;
use crate::decode::Decoder;
use crate::rows::{Rows, col};

async fn run<T: AsRef<str>>(plan: &SignalPlan, payloads: &[T]) -> Result<Processed> {
    let raw = Decoder::new(plan)?.decode_records(3, &records(payloads)).await?;
    Pipeline::new(Arc::new(plan.clone()), Vec::new())?.process(&raw, 0).await
}

fn rating(item: i64, rating: f64) -> String {
    format!(
        r#"{{"kind":"rating","user_id":"u1","item_id":{item},"rating":{rating},"ts":100,"updated_at":7,"context":{{"surface":"home"}}}}"#
    )
}

fn int64s(batch: &RecordBatch, column: &str) -> Vec<Option<i64>> {
    batch.column_by_name(column).unwrap().as_primitive::<Int64Type>().iter().collect()
}

#[tokio::test]
async fn a_rating_becomes_a_row_with_its_identity_and_its_columns() {
    let done = run(&ratings(), &[rating(7, 4.5)]).await.unwrap();
    assert_eq!((done.dead.len(), done.not_ours, done.yielded_nothing), (0, 0, 0));
    let rows = Rows::new(done.rows).unwrap();
    assert_eq!(rows.len(), 1);
    assert_eq!(rows.entity().as_string::<i32>().value(0), "u1");
    assert_eq!(rows.entity_hash(), [crate::entity::hash_bytes(b"u1")]);
    assert_eq!((rows.event_time(), rows.available_at()), (&[100_000_000][..], &[1_000_000_000][..]));
    assert_eq!((rows.version(), rows.ordinal(), rows.found(), rows.backfill()), (&[7][..], &[0][..], &[0][..], &[0][..]));
    assert_eq!((rows.partition().value(0), rows.offset().value(0), rows.deleted().value(0)), (3, 0, false));
    let batch = rows.batch();
    assert_eq!(int64s(batch, "item_id"), [Some(7)]);
    assert_eq!(int64s(batch, "share"), [Some(14)]);
    assert_eq!(batch.column_by_name("rating").unwrap().as_primitive::<Float32Type>().value(0), 4.5);
    assert!(batch.column_by_name("liked").unwrap().as_boolean().value(0));
    assert_eq!(batch.column_by_name("surface").unwrap().as_string::<i32>().value(0), "home");
}

#[tokio::test]
async fn what_is_filtered_or_deleted_leaves_a_tombstone_where_states_have_versions() {
    let deleted = r#"{"kind":"rating","user_id":"u1","item_id":9,"rating":5,"ts":100,"updated_at":8,"op":"d"}"#.to_owned();
    let payloads = [rating(7, 4.5), rating(8, 0.25), deleted];
    let done = run(&ratings(), &payloads).await.unwrap();
    assert_eq!(done.yielded_nothing, 2);
    let rows = Rows::new(done.rows).unwrap();
    assert_eq!(rows.deleted().iter().flatten().collect::<Vec<_>>(), [false, true, true]);
    assert_eq!(int64s(rows.batch(), "item_id"), [Some(7), None, None], "a tombstone has no columns");
    assert_eq!(rows.version(), [7, 7, 8]);

    let mut plan = ratings();
    plan.event.version = None;
    plan.event.delete = None;
    let done = run(&plan, &payloads[..2]).await.unwrap();
    assert_eq!((done.rows.num_rows(), done.yielded_nothing), (1, 1), "without versions nothing needs to be kept");
}

#[tokio::test]
async fn what_is_not_ours_is_not_invalid() {
    let other = r#"{"kind":"watch","user_id":null,"rating":"no number"}"#.to_owned();
    let done = run(&ratings(), &[other, rating(7, 4.0)]).await.unwrap();
    assert_eq!((done.rows.num_rows(), done.dead.len(), done.not_ours), (1, 0, 1));
}

#[tokio::test]
async fn every_reason_puts_only_its_own_row_aside() {
    let with = |members: &str| format!(r#"{{"kind":"rating","user_id":"u1","item_id":1,"rating":4,"ts":100,"updated_at":1,{members}}}"#);
    let cases = [
        ("not json".to_owned(), Reason::Unreadable, ""),
        ("[1]".to_owned(), Reason::Unreadable, ""),
        (with(r#""rating":"4""#), Reason::WrongType, "rating"),
        (with(r#""user_id":null"#), Reason::NoEntity, "user_id"),
        (with(r#""ts":null"#), Reason::NoTime, "ts"),
        (with(r#""ts":9223372036854775807"#), Reason::NoTime, "ts"),
        (with(r#""item_id":null"#), Reason::NoIdentity, "item_id"),
        (with(r#""rating":null"#), Reason::MissingField, "rating"),
        (with(r#""updated_at":null"#), Reason::NoVersion, "updated_at"),
        (with(r#""ts":1000000"#), Reason::FutureTime, "ts"),
        (with(r#""item_id":0"#), Reason::Expression, "share"),
        (format!(r#"{{"kind":"{}"}}"#, "x".repeat(crate::decode::MAX_PAYLOAD_BYTES)), Reason::TooLarge, ""),
        (with(&format!(r#""tags":["{}"]"#, "x".repeat(MAX_ROW_BYTES))), Reason::TooLarge, ""),
    ];
    let mut payloads: Vec<String> = cases.iter().map(|(payload, ..)| payload.clone()).collect();
    payloads.insert(4, rating(7, 4.0));
    payloads.push(rating(8, 4.0));
    let done = run(&ratings(), &payloads).await.unwrap();
    let found: Vec<_> = done.dead.iter().map(|d| (d.invalid.reason, d.invalid.field.as_str())).collect();
    let wanted: Vec<_> = cases.iter().map(|(_, reason, field)| (*reason, *field)).collect();
    assert_eq!(found, wanted);
    assert_eq!(int64s(&done.rows, "item_id"), [Some(7), Some(8)]);
    let letter = &done.dead[4];
    assert_eq!((letter.partition, letter.offset, letter.record_timestamp), (Some(3), Some(5), Some(1_005_000_000)));
    assert_eq!(letter.payload.as_ref(), payloads[5].as_bytes());
}

#[tokio::test]
async fn a_definition_that_says_fail_stops_at_the_position_of_the_first_invalid_event() {
    let mut plan = ratings();
    plan.on_invalid = OnInvalid::Fail;
    let error = run(&plan, &[rating(7, 4.0), rating(0, 4.0), "{".to_owned()]).await.unwrap_err().to_string();
    assert_eq!(
        error,
        "signal movies/rating: the raw event at partition 3, offset 1 is invalid: Expression in share; repair the source, or let onInvalid be DeadLetter"
    );
}

#[tokio::test]
async fn a_list_explodes_into_records_with_ordinals() {
    let payloads = [
        r#"{"user_id":"u1","ts":1,"order_id":"a","item_ids":[5,6,null],"prices":[1,2.5,3]}"#,
        r#"{"user_id":"u1","ts":1,"order_id":"b","item_ids":[],"prices":[]}"#,
        r#"{"user_id":"u1","ts":1,"order_id":"c","item_ids":[1,2],"prices":[1]}"#,
        r#"{"user_id":"u1","ts":1,"order_id":"d","item_ids":[9],"prices":[9]}"#,
        r#"{"user_id":"u1","ts":1,"order_id":"e"}"#,
    ];
    let done = run(&orders(), &payloads).await.unwrap();
    assert_eq!(int64s(&done.rows, "item_id"), [Some(5), Some(6), None, Some(9)]);
    assert_eq!(done.rows.column(col::ORDINAL).as_primitive::<Int32Type>().values().to_vec(), [0, 1, 2, 0]);
    assert_eq!(done.rows.column_by_name("place").unwrap().as_primitive::<Int32Type>().values().to_vec(), [0, 1, 2, 0]);
    assert_eq!(done.rows.column_by_name("order_id").unwrap().as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["a", "a", "a", "d"]);
    assert_eq!(done.dead.iter().map(|d| d.offset).collect::<Vec<_>>(), [Some(2)]);
    assert_eq!(done.dead[0].invalid, Invalid { reason: Reason::Expression, field: "prices".into() });
    assert_eq!(done.yielded_nothing, 2);
}

#[test]
fn a_plan_that_cannot_run_is_refused_with_the_reason() {
    let refusal = |plan: SignalPlan| Pipeline::new(Arc::new(plan), Vec::new()).unwrap_err().to_string();
    let mut plan = ratings();
    plan.source.filter = Some(expression("kind", Scalar::Bool));
    assert!(refusal(plan).contains("the plan states bool, but its type here is"));
    let mut plan = ratings();
    plan.event.time.field = "rating".into();
    assert_eq!(refusal(plan), "field rating: it is Float32, which cannot be a time in a unit; compile the definition again");
    let mut plan = orders();
    let ExecutorPlan::Builtin { name, .. } = &mut plan.executor else { unreachable!() };
    *name = "explod".into();
    assert!(refusal(plan).contains("there is no executor explod; there are: explode"));
    let mut plan = orders();
    let ExecutorPlan::Builtin { options, .. } = &mut plan.executor else { unreachable!() };
    options.insert("depth".into(), "2".into());
    assert!(refusal(plan).contains("executor.builtin.options of explode: there is no option depth; there are: list, as, position"));
    let mut plan = orders();
    let ExecutorPlan::Builtin { columns, .. } = &mut plan.executor else { unreachable!() };
    columns.pop();
    assert!(refusal(plan).contains("executor explode gives (item_id: Int64, price: Float32, place: Int32)"));
}
