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
    let raw = Decoder::new(plan)?.decode_records(3, &records(payloads))?;
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
    assert!(refusal(plan).contains("expression of where: the plan states bool, this program finds Utf8"));
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

mod enrichment {
    use arrow::array::{Array, ArrayRef, Int32Array, RecordBatch, StringArray, TimestampMicrosecondArray};
    use async_trait::async_trait;
    use tress_configs::definition::OnMissing;

    use super::super::fixture::enriched;
    use super::*;
    use crate::lookup::Found;

    /// Knows the movies with an even id, from second 1001 on.
    #[derive(Debug)]
    struct Even;

    #[async_trait]
    impl Lookup for Even {
        async fn lookup(&self, keys: &RecordBatch, as_of: &TimestampMicrosecondArray) -> Result<Found> {
            let keys = keys.column(0).as_primitive::<Int64Type>();
            let found: Vec<bool> =
                keys.iter().zip(as_of.values()).map(|(k, t)| k.is_some_and(|k| k % 2 == 0) && *t >= 1_001_000_000).collect();
            let titles: StringArray = keys.iter().zip(&found).map(|(k, f)| f.then(|| format!("movie {}", k.unwrap()))).collect();
            let none = |i: usize| {
                arrow::array::new_null_array(&enriched(OnMissing::Null).enrichments[0].columns[i].column_type.arrow(), keys.len())
            };
            Ok(Found { columns: vec![std::sync::Arc::new(titles) as ArrayRef, none(1), none(2)], found: found.into() })
        }

        fn identity(&self) -> String {
            "even".into()
        }
    }

    async fn titles(on_missing: OnMissing) -> (Vec<Option<String>>, Vec<i32>, RecordBatch) {
        let plan = enriched(on_missing);
        let payloads = [rating(2, 4.0), rating(2, 4.0), rating(3, 4.0), rating(4, 0.1)];
        let raw = Decoder::new(&plan).unwrap().decode_records(0, &records(&payloads)).unwrap();
        let done = Pipeline::new(Arc::new(plan), vec![Arc::new(Even)]).unwrap().process(&raw, 0).await.unwrap();
        let title = done.rows.column_by_name("title").unwrap().as_string::<i32>().iter().map(|t| t.map(str::to_owned)).collect();
        let found: &Int32Array = done.rows.column(col::FOUND).as_primitive::<Int32Type>();
        (title, found.values().to_vec(), done.rows)
    }

    #[tokio::test]
    async fn a_row_is_enriched_as_of_when_it_was_available_and_its_bit_says_so() {
        let (title, found, _) = titles(OnMissing::Null).await;
        assert_eq!(title, [None, Some("movie 2".into()), None, None]);
        assert_eq!(found, [0, 1, 0, 0]);
        let dropped = titles(OnMissing::Drop).await;
        assert_eq!((dropped.0, dropped.1), (title, found), "what is dropped is refused at read, not here");
    }

    #[tokio::test]
    async fn what_is_missing_gets_its_default_but_what_is_found_and_null_stays_null() {
        let (title, found, rows) = titles(OnMissing::Default).await;
        assert_eq!(title, [Some("none".into()), Some("movie 2".into()), Some("none".into()), None], "a tombstone has no default");
        assert_eq!(found, [0, 1, 0, 0]);
        let genres = rows.column_by_name("genres").unwrap().as_list::<i32>();
        assert_eq!(genres.value(0).as_string::<i32>().iter().flatten().collect::<Vec<_>>(), ["?"]);
        assert!(genres.is_null(1), "found, without genres");
        let embedding = rows.column_by_name("embedding").unwrap().as_fixed_size_binary();
        assert_eq!(embedding.value(0), half::f16::from_f32(0.5).to_le_bytes().repeat(3));
    }
}

mod alone {
    use arrow::compute::concat_batches;
    use proptest::prelude::*;

    use super::*;
    use crate::log::Record;

    /// Members of a record: good ones mostly, and of every kind of bad one.
    fn member(name: &'static str, good: impl Strategy<Value = String> + 'static) -> BoxedStrategy<String> {
        let bad = prop::sample::select(vec![
            "null",
            "\"x\"",
            "1.5",
            "{}",
            "[1]",
            "true",
            "1e400",
            "-0",
            "\"1970-01-01T00:00:00Z\"",
            "99999999999999",
        ]);
        let value = prop_oneof![12 => good, 1 => bad.prop_map(str::to_owned)];
        prop_oneof![20 => value.prop_map(move |v| format!("\"{name}\":{v}")), 1 => Just("\"other\":{\"a\":[1,{}]}".to_owned())].boxed()
    }

    fn payload() -> BoxedStrategy<String> {
        let members = (
            member("kind", prop::sample::select(vec!["\"rating\"", "\"rating\"", "\"watch\""]).prop_map(str::to_owned)),
            member("user_id", prop::sample::select(vec!["\"u1\"", "\"u2\"", "\"\\u00e9\""]).prop_map(str::to_owned)),
            // 0 fails in an expression.
            member("item_id", (0..8i64).prop_map(|v| v.to_string())),
            member("rating", prop::sample::select(vec!["0.25", "4.5", "5"]).prop_map(str::to_owned)),
            member("ts", prop::sample::select(vec!["100", "200", "300", "1000", "100000"]).prop_map(str::to_owned)),
            member("updated_at", (0..3i64).prop_map(|v| v.to_string())),
            member("op", prop::sample::select(vec!["null", "\"d\"", "\"i\""]).prop_map(str::to_owned)),
            member("tags", prop::sample::select(vec!["[]", "[\"a\",null]", "null"]).prop_map(str::to_owned)),
            member("taste", prop::sample::select(vec!["[1,2]", "[0.1,-0.0]", "[1]"]).prop_map(str::to_owned)),
        );
        let object = members.prop_map(|(a, b, c, d, e, f, g, h, i)| format!("{{{}}}", [a, b, c, d, e, f, g, h, i].join(",")));
        prop_oneof![
            20 => object.clone(),
            1 => (object, 0..60usize).prop_map(|(text, at)| text.chars().take(at).collect::<String>()),
        ]
        .boxed()
    }

    fn order() -> BoxedStrategy<String> {
        let items = prop::collection::vec(prop_oneof![Just("1"), Just("null"), Just("7")], 0..4).prop_map(|v| format!("[{}]", v.join(",")));
        let prices = prop::collection::vec(prop_oneof![Just("1.5"), Just("2")], 0..4).prop_map(|v| format!("[{}]", v.join(",")));
        (items, prices, prop::sample::select(vec!["\"a\"", "\"b\"", "null", "3"]))
            .prop_map(|(items, prices, id)| format!(r#"{{"user_id":"u","ts":1,"order_id":{id},"item_ids":{items},"prices":{prices}}}"#))
            .boxed()
    }

    fn process(plan: &SignalPlan, records: &[Record]) -> Processed {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let raw = Decoder::new(plan).unwrap().decode_records(0, records).unwrap();
        runtime.block_on(Pipeline::new(Arc::new(plan.clone()), Vec::new()).unwrap().process(&raw, 4)).unwrap()
    }

    fn check(plan: &SignalPlan, payloads: &[String], cuts: &[usize]) -> std::result::Result<(), TestCaseError> {
        let records = records(payloads);
        let whole = process(plan, &records);
        let mut ends: Vec<usize> = cuts.iter().map(|cut| (*cut).min(records.len())).chain([0, records.len()]).collect();
        ends.sort_unstable();
        let parts: Vec<Processed> = ends.windows(2).map(|ends| process(plan, &records[ends[0]..ends[1]])).collect();
        let rows = concat_batches(&whole.rows.schema(), parts.iter().map(|p| &p.rows)).unwrap();
        prop_assert_eq!(&rows, &whole.rows);
        prop_assert_eq!(parts.iter().flat_map(|p| p.dead.clone()).collect::<Vec<_>>(), whole.dead.clone());
        prop_assert_eq!(parts.iter().map(|p| p.not_ours).sum::<usize>(), whole.not_ours);
        prop_assert_eq!(parts.iter().map(|p| p.yielded_nothing).sum::<usize>(), whole.yielded_nothing);
        // Every raw event is accounted for exactly once.
        let yielding: std::collections::BTreeSet<_> = {
            let rows = Rows::new(rows).unwrap();
            (0..rows.len()).filter(|row| !rows.deleted().value(*row)).map(|row| rows.offset().value(row)).collect()
        };
        prop_assert_eq!(yielding.len() + whole.dead.len() + whole.not_ours + whole.yielded_nothing, records.len());
        Ok(())
    }

    proptest! {
        #[test]
        fn what_happens_to_a_rating_does_not_depend_on_its_neighbours(
            payloads in prop::collection::vec(payload(), 0..30),
            cuts in prop::collection::vec(0..30usize, 0..4),
            versioned in any::<bool>(),
            filtered in any::<bool>(),
        ) {
            let mut plan = ratings();
            if !versioned {
                plan.event.version = None;
                plan.event.delete = None;
            }
            if !filtered {
                plan.source.filter = None;
                let ExecutorPlan::Declarative { filter, .. } = &mut plan.executor else { unreachable!() };
                *filter = Some(expression("item_id <> 2 AND 10 / (item_id - 1) < 100", Scalar::Bool));
            }
            check(&plan, &payloads, &cuts)?;
        }

        #[test]
        fn what_happens_to_an_order_does_not_depend_on_its_neighbours(
            payloads in prop::collection::vec(order(), 0..20),
            cuts in prop::collection::vec(0..20usize, 0..4),
        ) {
            check(&orders(), &payloads, &cuts)?;
        }
    }

    /// The properties above mean little if their rows all end in one place.
    #[test]
    fn the_generated_ratings_reach_every_outcome() {
        use proptest::strategy::ValueTree;
        let mut runner = proptest::test_runner::TestRunner::deterministic();
        let payloads: Vec<String> = (0..2000).map(|_| payload().new_tree(&mut runner).unwrap().current()).collect();
        let done = process(&ratings(), &records(&payloads));
        let reasons: std::collections::BTreeSet<_> = done.dead.iter().map(|d| d.invalid.reason).collect();
        use Reason::{Expression, FutureTime, MissingField, NoEntity, NoIdentity, NoTime, NoVersion, Unreadable, WrongType};
        let wanted = [Unreadable, WrongType, MissingField, NoEntity, NoTime, NoIdentity, NoVersion, FutureTime, Expression];
        assert_eq!(reasons, wanted.into_iter().collect());
        assert!(done.not_ours > 100 && done.yielded_nothing > 100 && done.rows.num_rows() - done.yielded_nothing > 100);
    }
}
