use std::fmt::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{ArrayRef, BooleanArray, Float64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use prometheus_client::encoding::prometheus_protobuf::prometheus_data_model::{MetricFamily, MetricType};
use prost::Message;

use super::*;
use crate::history::fixture;
use crate::raw::Reason;
use crate::rows::{Rows, col};

fn name() -> QualifiedName {
    QualifiedName::new("movies", "rating")
}

fn text(metrics: &Metrics) -> String {
    String::from_utf8(metrics.encode(Exposition::Text).expect("text")).expect("UTF-8")
}

/// Rows with two columns of their own; those that are deleted have no values.
fn rows(prices: Vec<Option<f64>>, cities: Vec<Option<&str>>, deleted: Vec<bool>) -> Rows {
    let events: Vec<fixture::Event> = (0..).zip(&prices).map(|(n, _)| fixture::event("somebody", n, n)).collect();
    let system = fixture::rows(&events);
    let mut columns = system.columns()[..col::SIGNAL].to_vec();
    columns[col::DELETED] = Arc::new(BooleanArray::from(deleted));
    columns.push(Arc::new(Float64Array::from(prices)) as ArrayRef);
    columns.push(Arc::new(StringArray::from(cities)) as ArrayRef);
    let mut fields = system.schema().fields()[..col::SIGNAL].to_vec();
    fields.push(Arc::new(Field::new("price", DataType::Float64, true)));
    fields.push(Arc::new(Field::new("city", DataType::Utf8, true)));
    Rows::new(RecordBatch::try_new(Arc::new(Schema::new(fields)), columns).expect("a batch")).expect("rows")
}

#[test]
fn what_is_counted_is_in_the_text_under_its_fixed_name() {
    let metrics = Metrics::new();
    let signal = metrics.signal(&name());
    signal.rows_in.inc_by(5);
    signal.clone().rows_in.inc();
    signal.dead_letter(Reason::NoEntity);
    signal.lag(3, 17);
    signal.coverage("movie", 8, 10);
    signal.event_delays([3_600_000_000].into_iter());
    signal.generation_age(Duration::from_secs(90));
    signal.digest("abc");
    let feature = metrics.feature(&QualifiedName::new("movies", "recent"), "d1");
    feature.answered(Answered { events: 0, took: Duration::from_micros(40), freshness: Some(2_000_000), deep: true });
    feature.refused(ReadResult::ResourceExhausted);
    let text = text(&metrics);
    for line in [
        "tress_signal_rows_in_total{signal=\"movies/rating\"} 6",
        "tress_signal_dead_letters_total{signal=\"movies/rating\",reason=\"NoEntity\"} 1",
        "tress_signal_lag_records{signal=\"movies/rating\",partition=\"3\"} 17",
        "tress_signal_enrichment_found_total{signal=\"movies/rating\",enrichment=\"movie\"} 8",
        "tress_signal_late_events_total{signal=\"movies/rating\",age=\"1h\"} 1",
        "tress_signal_base_generation_age_seconds{signal=\"movies/rating\"} 90.0",
        "tress_signal_info{signal=\"movies/rating\",digest=\"abc\"} 1",
        "tress_feature_reads_total{feature=\"movies/recent\",revision=\"d1\",result=\"Ok\"} 1",
        "tress_feature_reads_total{feature=\"movies/recent\",revision=\"d1\",result=\"ResourceExhausted\"} 1",
        "tress_feature_shed_reads_total{feature=\"movies/recent\",revision=\"d1\"} 1",
        "tress_feature_empty_reads_total{feature=\"movies/recent\",revision=\"d1\"} 1",
        "tress_feature_deep_reads_total{feature=\"movies/recent\",revision=\"d1\"} 1",
        "tress_feature_read_freshness_seconds_sum{feature=\"movies/recent\",revision=\"d1\"} 2.0",
    ] {
        assert!(text.contains(line), "{line} is missing in\n{text}");
    }
    assert!(text.ends_with("# EOF\n"));
}

#[test]
fn what_is_unloaded_leaves_no_series() {
    let metrics = Metrics::new();
    let signal = metrics.signal(&name());
    signal.dead_letter(Reason::TooLarge);
    signal.event_delays([1].into_iter());
    signal.lag(0, 1);
    signal.coverage("movie", 1, 1);
    signal.digest("abc");
    signal.applied(10);
    let feature = QualifiedName::new("movies", "recent");
    metrics.feature(&feature, "d1").refused(ReadResult::Internal);
    metrics.forget_signal(&name());
    metrics.forget_feature(&feature, "d1");
    let rows = rows(vec![Some(1.0)], vec![Some("Oslo")], vec![false]);
    let columns = metrics.columns(&name(), &rows.batch().schema());
    columns.observe(&rows);
    columns.tell(0);
    metrics.forget_signal(&name());
    let text = text(&metrics);
    assert!(!text.contains("movies/"), "{text}");
}

#[test]
fn nulls_are_counted_in_every_row_that_could_have_a_value_and_sketches_tell_no_value() {
    let metrics = Metrics::new();
    let deleted: Vec<bool> = (0..1_000).map(|n| n % 10 == 0).collect();
    let prices = deleted.iter().zip(0..).map(|(deleted, n)| (!deleted && n % 4 != 0).then_some(100.0)).collect();
    let cities = deleted.iter().map(|deleted| (!deleted).then_some("Reykjavik")).collect();
    let rows = rows(prices, cities, deleted);
    let columns = metrics.columns(&name(), &rows.batch().schema());
    columns.observe(&rows);
    columns.tell(1_000_000);
    let text = text(&metrics);
    for (line, wanted) in [
        ("tress_signal_column_values_total{signal=\"movies/rating\",column=\"price\"}", 900.0..=900.0),
        // Of 900, the multiples of 4 that are none of 10.
        ("tress_signal_column_nulls_total{signal=\"movies/rating\",column=\"price\"}", 200.0..=200.0),
        ("tress_signal_column_nulls_total{signal=\"movies/rating\",column=\"city\"}", 0.0..=0.0),
        ("tress_signal_column_quantile{signal=\"movies/rating\",column=\"price\",quantile=\"0.95\"}", 94.0..=106.0),
        ("tress_signal_column_distinct{signal=\"movies/rating\",column=\"city\"}", 0.9..=1.1),
        ("tress_signal_column_top_share{signal=\"movies/rating\",column=\"city\"}", 1.0..=1.0),
    ] {
        let found = text.lines().find_map(|l| l.strip_prefix(line)).unwrap_or_else(|| panic!("{line} is missing in\n{text}"));
        assert!(wanted.contains(&found.trim().parse::<f64>().expect("a number")), "{line}{found}");
    }
    assert!(!text.contains("Reykjavik") && !text.contains("column=\"city\",quantile"), "{text}");
}

#[test]
fn sketches_are_of_the_last_ten_to_twenty_minutes() {
    const MINUTE: i64 = 60_000_000;
    let metrics = Metrics::new();
    let of = |price| rows(vec![Some(price); 10], vec![None; 10], vec![false; 10]);
    let columns = metrics.columns(&name(), &of(1.0).batch().schema());
    let low = || {
        let text = text(&metrics);
        let line = text
            .lines()
            .find_map(|l| l.strip_prefix("tress_signal_column_quantile{signal=\"movies/rating\",column=\"price\",quantile=\"0.05\"} "));
        line.map(|value| value.parse::<f64>().expect("a number") < 10.0)
    };
    columns.observe(&of(1.0));
    columns.tell(0);
    columns.tell(10 * MINUTE);
    columns.observe(&of(1_000.0));
    columns.tell(11 * MINUTE);
    assert_eq!(low(), Some(true), "the first prices are ten minutes old");
    columns.tell(20 * MINUTE);
    columns.tell(21 * MINUTE);
    assert_eq!(low(), Some(false), "the first prices are older than twenty minutes");
    columns.tell(31 * MINUTE);
    columns.tell(42 * MINUTE);
    assert_eq!(low(), None, "nothing came for twenty minutes");
}

/// Everything that can be counted, once.
fn touched() -> Metrics {
    let metrics = Metrics::new();
    let signal = metrics.signal(&name());
    signal.dead_letter(Reason::TooLarge);
    signal.event_delays([1].into_iter());
    signal.lag(0, 1);
    signal.coverage("movie", 1, 1);
    signal.digest("abc");
    signal.applied(10);
    let rows = rows(vec![Some(1.0)], vec![Some("Oslo")], vec![false]);
    let columns = metrics.columns(&name(), &rows.batch().schema());
    columns.observe(&rows);
    columns.tell(0);
    let feature = metrics.feature(&QualifiedName::new("movies", "recent"), "d1");
    feature.answered(Answered { events: 0, took: Duration::from_micros(40), freshness: Some(2_000_000), deep: true });
    feature.refused(ReadResult::ResourceExhausted);
    metrics.call(Protocol::Grpc, Call::Get).observe(0.001);
    metrics
}

#[test]
fn every_name_is_registered_with_the_kind_and_the_labels_that_the_reference_says() {
    let text = text(&touched());
    let mut told = 0;
    for name in Name::ALL {
        let About { name: bare, kind, labels, .. } = name.about();
        let kind = format!("{kind:?}").to_lowercase();
        assert!(text.contains(&format!("# TYPE {PREFIX}_{bare} {kind}\n")), "{bare} is no {kind} in\n{text}");
        let series = format!("{PREFIX}_{bare}");
        let line =
            text.lines().find(|line| line.starts_with(&series) && line[series.len()..].starts_with(['{', '_']) && !line.contains(",le="));
        let line = line.unwrap_or_else(|| panic!("{bare} has no series in\n{text}"));
        let inside = line.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or("", |(inside, _)| inside);
        let found: Vec<&str> = inside.split("\",").filter_map(|pair| pair.split_once('=')).map(|(label, _)| label).collect();
        assert_eq!(found, labels, "{line}");
        told += 1;
    }
    assert_eq!(text.matches("# TYPE ").count(), told, "a metric that is not in the enum");
}

#[test]
fn a_scraper_that_takes_messages_gets_native_histograms() {
    let prometheus = "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,text/plain;q=0.5";
    assert_eq!(Exposition::accepted(prometheus), Exposition::Protobuf);
    for other in ["", "*/*", "text/plain", "application/vnd.google.protobuf", "application/openmetrics-text;version=1.0.0"] {
        assert_eq!(Exposition::accepted(other), Exposition::Text, "{other}");
    }
    let bytes = touched().encode(Exposition::Protobuf).expect("messages");
    let mut rest = bytes.as_slice();
    let mut native = Vec::new();
    while !rest.is_empty() {
        let family = MetricFamily::decode_length_delimited(&mut rest).expect("a message");
        if family.r#type() == MetricType::Histogram
            && family.metric.iter().all(|m| m.histogram.as_ref().is_some_and(|h| !h.positive_span.is_empty()))
        {
            native.push(family.name);
        }
    }
    native.sort();
    assert_eq!(
        native,
        [
            "tress_call_seconds",
            "tress_feature_read_freshness_seconds",
            "tress_feature_read_seconds",
            "tress_signal_apply_freshness_seconds"
        ]
    );
}

/// `docs/reference/metrics.md`, from the names.
fn reference() -> String {
    let mut text = String::from(
        "# Reference of metrics
Written from the code by `TRESS_BLESS=1 cargo test -p tress-engine`; a test fails when it is stale. Served at `/metrics`: as OpenMetrics text,
or as Prometheus' protobuf messages to a scraper that accepts them, which then gets the histograms as native ones, too. Labels have values
from definitions and from fixed sets; no label and no series holds an entity or a value of an event.

| metric | kind | labels | what it is |
|---|---|---|---|
",
    );
    for name in Name::ALL {
        let About { kind, labels, help, .. } = name.about();
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        let _ = writeln!(text, "| `{}` | {} | {} | {help}. |", name.shown(), format!("{kind:?}").to_lowercase(), labels.join(", "));
    }
    text.push_str(
        "
## Columns
Measured on the rows that the stream writes, before duplicates are dropped; a backfill does not add to them. A tombstone has no values and is left out.

- **Null rate** of a column: `rate(tress_signal_column_nulls_total[1h]) / rate(tress_signal_column_values_total[1h])`. Every row is counted, on
  every process; the ratio of sums is the rate of all. An enrichment that was not found is a null of its columns; its own rate is
  `signal_enrichment_found / signal_enrichment_lookups`.
- **Sketches** tell whether values drift: compare a gauge with itself a day or a week ago. They are of the last 10 to 20 minutes of one
  process, and see at most 256 rows of a batch of up to 4,096, evenly spread; nulls are left out. A gauge without a value goes away.
  - `quantile` 0.05, 0.5 and 0.95 of numbers, and of the lengths of lists: the value at that rank, within a sixteenth of it; what is nearer to 0
    than 2^-32 is 0, what is beyond 2^64 is 2^64. NaN is left out.
  - `distinct`, of numbers and strings: HyperLogLog over hashes with 1,024 registers; within 7 % in 19 of 20 cases.
  - `top_share`, of numbers, strings and booleans: Misra-Gries over hashes with 32 counters: never more than the true share among the rows seen,
    and at most 3 % of them less.
- Columns of vectors, binaries and timestamps have a null rate only.
",
    );
    text
}

#[test]
fn the_reference_is_what_the_code_says() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/metrics.md");
    let wanted = reference();
    if std::env::var_os("TRESS_BLESS").is_some() {
        std::fs::write(&path, &wanted).expect("written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == wanted, "{} is stale: run TRESS_BLESS=1 cargo test -p tress-engine, and look at the difference", path.display());
}
