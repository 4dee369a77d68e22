//! Of signals: what comes in, what becomes of it, how far it is.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use parking_lot::Mutex;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, NativeHistogramConfig, exponential_buckets};
use prometheus_client::registry::Registry;
use tress_configs::name::QualifiedName;

use super::Name;
use crate::raw::Reason;

/// Counts for one signal. Cheap to clone.
#[derive(Debug, Clone)]
pub struct SignalMetrics {
    pub rows_in: Counter,
    pub rows_out: Counter,
    pub rows_filtered: Counter,
    pub rows_not_ours: Counter,
    pub duplicates: Counter,
    pub tail_bytes: Gauge,
    pub tail_rows: Gauge,
    generation_age: Gauge<f64, AtomicU64>,
    apply_freshness: Histogram,
    families: Families,
    labels: SignalLabels,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SignalLabels {
    signal: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DeadLabels {
    signal: String,
    reason: ReasonLabel,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct LateLabels {
    signal: String,
    age: LateAge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct PartitionLabels {
    signal: String,
    partition: i32,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct EnrichmentLabels {
    signal: String,
    enrichment: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DigestLabels {
    signal: String,
    digest: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct ReasonLabel(Reason);

/// available_at − event_time, in steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LateAge {
    Minute,
    Hour,
    Day,
    Week,
    Month,
    Older,
}

#[derive(Debug, Clone)]
pub(super) struct Families {
    rows_in: Family<SignalLabels, Counter>,
    rows_out: Family<SignalLabels, Counter>,
    rows_filtered: Family<SignalLabels, Counter>,
    rows_not_ours: Family<SignalLabels, Counter>,
    duplicates: Family<SignalLabels, Counter>,
    dead: Family<DeadLabels, Counter>,
    late: Family<LateLabels, Counter>,
    lag: Family<PartitionLabels, Gauge>,
    apply_freshness: Family<SignalLabels, Histogram>,
    lookups: Family<EnrichmentLabels, Counter>,
    found: Family<EnrichmentLabels, Counter>,
    generation_age: Family<SignalLabels, Gauge<f64, AtomicU64>>,
    tail_bytes: Family<SignalLabels, Gauge>,
    tail_rows: Family<SignalLabels, Gauge>,
    info: Family<DigestLabels, Gauge>,
    /// What series exist of a signal under labels that are not known beforehand, so that they can be forgotten.
    known: Arc<Mutex<Known>>,
}

#[derive(Debug, Default)]
struct Known {
    partitions: HashSet<PartitionLabels>,
    enrichments: HashSet<EnrichmentLabels>,
    digests: HashSet<DigestLabels>,
}

/// Classic buckets from 1 ms to over three days, and native ones of 10 %.
pub(super) fn freshness() -> Histogram {
    Histogram::new_classic_and_native(exponential_buckets(0.001, 2.0, 29), NativeHistogramConfig::with_bucket_factor(1.1))
}

const REASONS: [Reason; 13] = [
    Reason::Unreadable,
    Reason::WrongType,
    Reason::MissingField,
    Reason::NoEntity,
    Reason::NoTime,
    Reason::NoAvailableAt,
    Reason::NoIdentity,
    Reason::NoVersion,
    Reason::FutureTime,
    Reason::TooLarge,
    Reason::Expression,
    Reason::UnknownSchema,
    Reason::IncompatibleSchema,
];

const AGES: [LateAge; 6] = [LateAge::Minute, LateAge::Hour, LateAge::Day, LateAge::Week, LateAge::Month, LateAge::Older];

impl SignalMetrics {
    pub(super) fn new(families: &Families, signal: &QualifiedName) -> Self {
        let labels = SignalLabels { signal: signal.to_string() };
        Self {
            rows_in: families.rows_in.get_or_create_owned(&labels),
            rows_out: families.rows_out.get_or_create_owned(&labels),
            rows_filtered: families.rows_filtered.get_or_create_owned(&labels),
            rows_not_ours: families.rows_not_ours.get_or_create_owned(&labels),
            duplicates: families.duplicates.get_or_create_owned(&labels),
            tail_bytes: families.tail_bytes.get_or_create_owned(&labels),
            tail_rows: families.tail_rows.get_or_create_owned(&labels),
            generation_age: families.generation_age.get_or_create_owned(&labels),
            apply_freshness: families.apply_freshness.get_or_create_owned(&labels),
            families: families.clone(),
            labels,
        }
    }

    /// A raw event was put aside.
    pub fn dead_letter(&self, reason: Reason) {
        let labels = DeadLabels { signal: self.labels.signal.clone(), reason: ReasonLabel(reason) };
        self.families.dead.get_or_create(&labels).inc();
    }

    /// Events became available so many microseconds after they happened. Counted by age first: a series is looked up once, not for
    /// each event.
    pub fn event_delays(&self, micros: impl Iterator<Item = i64>) {
        let mut ages: Vec<(LateAge, u64)> = Vec::new();
        for age in micros.map(LateAge::of) {
            match ages.iter_mut().find(|(seen, _)| *seen == age) {
                Some((_, events)) => *events += 1,
                None => ages.push((age, 1)),
            }
        }
        for (age, events) in ages {
            let labels = LateLabels { signal: self.labels.signal.clone(), age };
            self.families.late.get_or_create(&labels).inc_by(events);
        }
    }

    /// Records between the position applied and the end of a source partition.
    pub fn lag(&self, partition: i32, records: i64) {
        let labels = PartitionLabels { signal: self.labels.signal.clone(), partition };
        self.families.lag.get_or_create(&labels).set(records);
        self.families.known.lock().partitions.insert(labels);
    }

    /// A partition is read by someone else now.
    pub fn forget_partition(&self, partition: i32) {
        let labels = PartitionLabels { signal: self.labels.signal.clone(), partition };
        self.families.lag.remove(&labels);
        self.families.known.lock().partitions.remove(&labels);
    }

    /// Rows were applied so many microseconds after they became available.
    pub fn applied(&self, micros: i64) {
        self.apply_freshness.observe(seconds(micros));
    }

    /// Of `events` looked up, `found` had their enrichment.
    pub fn coverage(&self, enrichment: &str, found: u64, events: u64) {
        let labels = EnrichmentLabels { signal: self.labels.signal.clone(), enrichment: enrichment.to_owned() };
        self.families.lookups.get_or_create(&labels).inc_by(events);
        self.families.found.get_or_create(&labels).inc_by(found);
        self.families.known.lock().enrichments.insert(labels);
    }

    /// How long ago the newest generation of base was made.
    pub fn generation_age(&self, age: Duration) {
        self.generation_age.set(age.as_secs_f64());
    }

    /// The plan that runs.
    pub fn digest(&self, digest: &str) {
        let labels = DigestLabels { signal: self.labels.signal.clone(), digest: digest.to_owned() };
        self.families.info.get_or_create(&labels).set(1);
        self.families.known.lock().digests.insert(labels);
    }

    /// The plan does not run any more.
    pub fn forget_digest(&self, digest: &str) {
        let labels = DigestLabels { signal: self.labels.signal.clone(), digest: digest.to_owned() };
        self.families.info.remove(&labels);
        self.families.known.lock().digests.remove(&labels);
    }
}

impl Families {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let families = Self {
            rows_in: Family::default(),
            rows_out: Family::default(),
            rows_filtered: Family::default(),
            rows_not_ours: Family::default(),
            duplicates: Family::default(),
            dead: Family::default(),
            late: Family::default(),
            lag: Family::default(),
            apply_freshness: Family::new_with_constructor(freshness),
            lookups: Family::default(),
            found: Family::default(),
            generation_age: Family::default(),
            tail_bytes: Family::default(),
            tail_rows: Family::default(),
            info: Family::default(),
            known: Arc::default(),
        };
        Name::RowsIn.register(registry, families.rows_in.clone());
        Name::RowsOut.register(registry, families.rows_out.clone());
        Name::RowsFiltered.register(registry, families.rows_filtered.clone());
        Name::RowsNotOurs.register(registry, families.rows_not_ours.clone());
        Name::Duplicates.register(registry, families.duplicates.clone());
        Name::DeadLetters.register(registry, families.dead.clone());
        Name::LateEvents.register(registry, families.late.clone());
        Name::Lag.register(registry, families.lag.clone());
        Name::ApplyFreshness.register(registry, families.apply_freshness.clone());
        Name::EnrichmentLookups.register(registry, families.lookups.clone());
        Name::EnrichmentFound.register(registry, families.found.clone());
        Name::GenerationAge.register(registry, families.generation_age.clone());
        Name::TailBytes.register(registry, families.tail_bytes.clone());
        Name::TailRows.register(registry, families.tail_rows.clone());
        Name::SignalInfo.register(registry, families.info.clone());
        families
    }

    pub(super) fn forget(&self, signal: &QualifiedName) {
        let labels = SignalLabels { signal: signal.to_string() };
        for family in [&self.rows_in, &self.rows_out, &self.rows_filtered, &self.rows_not_ours, &self.duplicates] {
            family.remove(&labels);
        }
        for family in [&self.tail_bytes, &self.tail_rows] {
            family.remove(&labels);
        }
        self.apply_freshness.remove(&labels);
        self.generation_age.remove(&labels);
        for reason in REASONS {
            self.dead.remove(&DeadLabels { signal: labels.signal.clone(), reason: ReasonLabel(reason) });
        }
        for age in AGES {
            self.late.remove(&LateLabels { signal: labels.signal.clone(), age });
        }
        let mut known = self.known.lock();
        known.partitions.retain(|l| l.signal != labels.signal || !self.lag.remove(l));
        known.enrichments.retain(|l| l.signal != labels.signal || !(self.lookups.remove(l) && self.found.remove(l)));
        known.digests.retain(|l| l.signal != labels.signal || !self.info.remove(l));
    }
}

impl LateAge {
    const fn of(micros: i64) -> Self {
        const MINUTE: i64 = 60_000_000;
        const HOUR: i64 = 60 * MINUTE;
        const DAY: i64 = 24 * HOUR;
        match micros {
            _ if micros <= MINUTE => Self::Minute,
            _ if micros <= HOUR => Self::Hour,
            _ if micros <= DAY => Self::Day,
            _ if micros <= 7 * DAY => Self::Week,
            _ if micros <= 30 * DAY => Self::Month,
            _ => Self::Older,
        }
    }

    const fn text(self) -> &'static str {
        match self {
            Self::Minute => "1m",
            Self::Hour => "1h",
            Self::Day => "1d",
            Self::Week => "7d",
            Self::Month => "30d",
            Self::Older => "older",
        }
    }
}

impl EncodeLabelValue for LateAge {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> std::fmt::Result {
        self.text().encode(encoder)
    }
}

impl EncodeLabelValue for ReasonLabel {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> std::fmt::Result {
        format!("{:?}", self.0).encode(encoder)
    }
}

/// A clock that goes back makes no negative ages.
pub(super) fn seconds(micros: i64) -> f64 {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0)).as_secs_f64()
}
