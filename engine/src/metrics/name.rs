//! The names of all metrics, in one place: dashboards and alerts depend on them.

use prometheus_client::registry::{Metric, Registry};

/// A metric. `tress_` stands before every name; counters end in `_total`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Name {
    RowsIn,
    RowsOut,
    RowsFiltered,
    RowsNotOurs,
    DeadLetters,
    Duplicates,
    LateEvents,
    Lag,
    ApplyFreshness,
    EnrichmentLookups,
    EnrichmentFound,
    GenerationAge,
    TailBytes,
    TailRows,
    SignalInfo,
    Reads,
    ReadSeconds,
    ReadFreshness,
    EmptyReads,
    DeepReads,
    Shed,
    CallSeconds,
}

impl Name {
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::RowsIn => "signal_rows_in",
            Self::RowsOut => "signal_rows_out",
            Self::RowsFiltered => "signal_rows_filtered",
            Self::RowsNotOurs => "signal_rows_not_ours",
            Self::DeadLetters => "signal_dead_letters",
            Self::Duplicates => "signal_duplicates",
            Self::LateEvents => "signal_late_events",
            Self::Lag => "signal_lag_records",
            Self::ApplyFreshness => "signal_apply_freshness_seconds",
            Self::EnrichmentLookups => "signal_enrichment_lookups",
            Self::EnrichmentFound => "signal_enrichment_found",
            Self::GenerationAge => "signal_base_generation_age_seconds",
            Self::TailBytes => "signal_tail_bytes",
            Self::TailRows => "signal_tail_rows",
            Self::SignalInfo => "signal_info",
            Self::Reads => "feature_reads",
            Self::ReadSeconds => "feature_read_seconds",
            Self::ReadFreshness => "feature_read_freshness_seconds",
            Self::EmptyReads => "feature_empty_reads",
            Self::DeepReads => "feature_deep_reads",
            Self::Shed => "feature_shed_reads",
            Self::CallSeconds => "call_seconds",
        }
    }

    #[must_use]
    pub const fn help(self) -> &'static str {
        match self {
            Self::RowsIn => "Raw events read",
            Self::RowsOut => "Enriched events written, tombstones included",
            Self::RowsFiltered => "Valid raw events that yielded nothing",
            Self::RowsNotOurs => "Raw events that the source's where did not let in",
            Self::DeadLetters => "Raw events put aside, by reason",
            Self::Duplicates => "Rows that repeat one already applied",
            Self::LateEvents => "Events by how long after event_time they became available",
            Self::Lag => "Records between the position applied and the end of the partition",
            Self::ApplyFreshness => "Now minus available_at of rows as they are applied",
            Self::EnrichmentLookups => "Events that an enrichment was looked up for",
            Self::EnrichmentFound => "Events whose enrichment was found",
            Self::GenerationAge => "Age of the newest generation of base",
            Self::TailBytes => "Memory that the tail holds",
            Self::TailRows => "Rows that the tail holds",
            Self::SignalInfo => "The plan that runs, by digest",
            Self::Reads => "Reads of sequences, by result",
            Self::ReadSeconds => "Time to read, without encoding",
            Self::ReadFreshness => "Now minus applied_through, at each read",
            Self::EmptyReads => "Reads that found no event",
            Self::DeepReads => "Reads that asked history",
            Self::Shed => "Reads refused because too much was under way",
            Self::CallSeconds => "Time to answer a call, encoding included",
        }
    }

    pub(super) fn register(self, registry: &mut Registry, metric: impl Metric) {
        registry.register(self.text(), self.help(), metric);
    }
}
