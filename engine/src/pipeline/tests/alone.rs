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
    let raw = runtime.block_on(Decoder::new(plan).unwrap().decode_records(0, records)).unwrap();
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
