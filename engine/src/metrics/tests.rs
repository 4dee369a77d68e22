use std::time::Duration;

use super::*;
use crate::raw::Reason;

fn name() -> QualifiedName {
    QualifiedName::new("movies", "rating")
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
    signal.event_delay(3_600_000_000);
    signal.generation_age(Duration::from_secs(90));
    signal.digest("abc");
    let feature = metrics.feature(&QualifiedName::new("movies", "recent"), "d1");
    feature.answered(Answered { events: 0, took: Duration::from_micros(40), freshness: Some(2_000_000), deep: true });
    feature.refused(ReadResult::ResourceExhausted);
    let text = metrics.encode().expect("text");
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
    signal.event_delay(1);
    signal.lag(0, 1);
    signal.coverage("movie", 1, 1);
    signal.digest("abc");
    signal.applied(10);
    let feature = QualifiedName::new("movies", "recent");
    metrics.feature(&feature, "d1").refused(ReadResult::Internal);
    metrics.forget_signal(&name());
    metrics.forget_feature(&feature, "d1");
    let text = metrics.encode().expect("text");
    assert!(!text.contains("movies/"), "{text}");
}
