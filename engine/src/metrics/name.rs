//! The names of all metrics, in one place: dashboards and alerts depend on them.

use prometheus_client::registry::{Metric, Registry};

/// What stands before every name.
pub const PREFIX: &str = "tress";

/// How a metric is to be read. Counters end in `_total` where they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// All that is fixed about a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct About {
    /// Without [`PREFIX`] and suffix.
    pub name: &'static str,
    pub kind: Kind,
    /// Of every series.
    pub labels: &'static [&'static str],
    pub help: &'static str,
}

macro_rules! names {
    ($($name:ident = $kind:ident $text:literal $labels:expr, $help:literal;)*) => {
        /// A metric.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Name { $($name),* }

        impl Name {
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            #[must_use]
            pub const fn about(self) -> About {
                match self {
                    $(Self::$name => About { name: $text, kind: Kind::$kind, labels: &$labels, help: $help }),*
                }
            }
        }
    };
}

names! {
    RowsIn = Counter "signal_rows_in" ["signal"], "Raw events read";
    RowsOut = Counter "signal_rows_out" ["signal"], "Enriched events written, tombstones included";
    RowsFiltered = Counter "signal_rows_filtered" ["signal"], "Valid raw events that yielded nothing";
    RowsNotOurs = Counter "signal_rows_not_ours" ["signal"], "Raw events that the source's where did not let in";
    DeadLetters = Counter "signal_dead_letters" ["signal", "reason"], "Raw events put aside, by reason";
    Duplicates = Counter "signal_duplicates" ["signal"], "Rows that repeat one already applied";
    LateEvents = Counter "signal_late_events" ["signal", "age"], "Events by how long after event_time they became available";
    Lag = Gauge "signal_lag_records" ["signal", "partition"], "Records between the position applied and the end of the partition";
    ApplyFreshness = Histogram "signal_apply_freshness_seconds" ["signal"], "Now minus available_at of rows as they are applied";
    EnrichmentLookups = Counter "signal_enrichment_lookups" ["signal", "enrichment"], "Events that an enrichment was looked up for";
    EnrichmentFound = Counter "signal_enrichment_found" ["signal", "enrichment"], "Events whose enrichment was found";
    ColumnValues = Counter "signal_column_values" ["signal", "column"], "Rows that could have a value in a column: all but tombstones";
    ColumnNulls = Counter "signal_column_nulls" ["signal", "column"], "Of those, rows without one; the null rate is the ratio of the two";
    ColumnQuantile = Gauge "signal_column_quantile" ["signal", "column", "quantile"], "Quantiles of numbers, and of lengths of lists, over the last 10 to 20 minutes";
    ColumnDistinct = Gauge "signal_column_distinct" ["signal", "column"], "About how many distinct values a column had in the last 10 to 20 minutes";
    ColumnTopShare = Gauge "signal_column_top_share" ["signal", "column"], "Share of the most frequent value in the last 10 to 20 minutes";
    GenerationAge = Gauge "signal_base_generation_age_seconds" ["signal"], "Age of the newest generation of base";
    TailBytes = Gauge "signal_tail_bytes" ["signal"], "Memory that the tail holds";
    TailRows = Gauge "signal_tail_rows" ["signal"], "Rows that the tail holds";
    SignalInfo = Gauge "signal_info" ["signal", "digest"], "The plan that runs, by digest";
    Reads = Counter "feature_reads" ["feature", "revision", "result"], "Reads of sequences, by result";
    ReadSeconds = Histogram "feature_read_seconds" ["feature", "revision"], "Time to read, without encoding";
    ReadFreshness = Histogram "feature_read_freshness_seconds" ["feature", "revision"], "Now minus applied_through, at each read";
    EmptyReads = Counter "feature_empty_reads" ["feature", "revision"], "Reads that found no event";
    DeepReads = Counter "feature_deep_reads" ["feature", "revision"], "Reads that asked history";
    Shed = Counter "feature_shed_reads" ["feature", "revision"], "Reads refused because too much was under way";
    CallSeconds = Histogram "call_seconds" ["protocol", "call"], "Time to answer a call, encoding included";
}

impl Name {
    /// As it is shown, without the parts of a histogram.
    #[must_use]
    pub fn shown(self) -> String {
        let About { name, kind, .. } = self.about();
        let suffix = if kind == Kind::Counter { "_total" } else { "" };
        format!("{PREFIX}_{name}{suffix}")
    }

    pub(super) fn register(self, registry: &mut Registry, metric: impl Metric) {
        registry.register(self.about().name, self.about().help, metric);
    }
}
