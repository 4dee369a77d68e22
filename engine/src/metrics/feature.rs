//! Of features: how reads fare, by revision, so that a canary can be judged against the live one.

use std::time::Duration;

use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, NativeHistogramConfig, exponential_buckets};
use prometheus_client::registry::Registry;
use tress_configs::name::QualifiedName;

use super::Name;
use super::signal::{freshness, seconds};

/// Counts for one revision of a feature. Cheap to clone.
#[derive(Debug, Clone)]
pub struct FeatureMetrics {
    families: Families,
    labels: RevisionLabels,
    ok: Counter,
    empty: Counter,
    deep: Counter,
    read_seconds: Histogram,
    freshness: Histogram,
}

/// What was counted of a revision's reads so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Totals {
    /// All that were asked.
    pub requests: u64,
    /// Of those, the ones that the server failed; a caller's mistake is none of them.
    pub errors: u64,
    pub empty: u64,
    /// Answered from history.
    pub deep: u64,
}

/// A read that was answered.
#[derive(Debug, Clone, Copy)]
pub struct Answered {
    pub events: u64,
    pub took: Duration,
    /// now − applied_through, microseconds; `None` when nothing was applied yet.
    pub freshness: Option<i64>,
    pub deep: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RevisionLabels {
    feature: String,
    revision: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReadLabels {
    feature: String,
    revision: String,
    result: Result,
}

/// What became of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Result {
    Ok,
    InvalidArgument,
    NotFound,
    Unavailable,
    ResourceExhausted,
    DeadlineExceeded,
    Internal,
}

const RESULTS: [Result; 7] = [
    Result::Ok,
    Result::InvalidArgument,
    Result::NotFound,
    Result::Unavailable,
    Result::ResourceExhausted,
    Result::DeadlineExceeded,
    Result::Internal,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct CallLabels {
    pub protocol: Protocol,
    pub call: Call,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Protocol {
    Grpc,
    Http,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
pub enum Call {
    Get,
    Batch,
    Describe,
}

#[derive(Debug, Clone)]
pub(super) struct Families {
    reads: Family<ReadLabels, Counter>,
    read_seconds: Family<RevisionLabels, Histogram>,
    freshness: Family<RevisionLabels, Histogram>,
    empty: Family<RevisionLabels, Counter>,
    deep: Family<RevisionLabels, Counter>,
    shed: Family<RevisionLabels, Counter>,
    calls: Family<CallLabels, Histogram>,
}

/// Classic buckets from 10 µs to 20 s, and native ones of 10 % where the scraper understands them.
fn latency() -> Histogram {
    Histogram::new_classic_and_native(exponential_buckets(1e-5, 2.0, 22), NativeHistogramConfig::with_bucket_factor(1.1))
}

impl FeatureMetrics {
    pub(super) fn new(families: &Families, feature: &QualifiedName, revision: &str) -> Self {
        let labels = RevisionLabels { feature: feature.to_string(), revision: revision.to_owned() };
        Self {
            ok: families.reads.get_or_create_owned(&labels.with(Result::Ok)),
            empty: families.empty.get_or_create_owned(&labels),
            deep: families.deep.get_or_create_owned(&labels),
            read_seconds: families.read_seconds.get_or_create_owned(&labels),
            freshness: families.freshness.get_or_create_owned(&labels),
            families: families.clone(),
            labels,
        }
    }

    pub fn answered(&self, answered: Answered) {
        self.ok.inc();
        self.read_seconds.observe(answered.took.as_secs_f64());
        if answered.events == 0 {
            self.empty.inc();
        }
        if answered.deep {
            self.deep.inc();
        }
        if let Some(micros) = answered.freshness {
            self.freshness.observe(seconds(micros));
        }
    }

    /// A read was not answered.
    pub fn refused(&self, result: Result) {
        self.families.reads.get_or_create(&self.labels.with(result)).inc();
        if result == Result::ResourceExhausted {
            self.families.shed.get_or_create(&self.labels).inc();
        }
    }
}

impl Families {
    /// What was counted of a revision; makes no series.
    pub(super) fn totals(&self, feature: &QualifiedName, revision: &str) -> Totals {
        let labels = RevisionLabels { feature: feature.to_string(), revision: revision.to_owned() };
        let mut totals = Totals {
            empty: self.empty.get(&labels).map_or(0, |count| count.get()),
            deep: self.deep.get(&labels).map_or(0, |count| count.get()),
            ..Totals::default()
        };
        for result in RESULTS {
            let count = self.reads.get(&labels.with(result)).map_or(0, |count| count.get());
            totals.requests += count;
            match result {
                Result::Ok | Result::InvalidArgument | Result::NotFound => {}
                Result::Unavailable | Result::ResourceExhausted | Result::DeadlineExceeded | Result::Internal => totals.errors += count,
            }
        }
        totals
    }
}

impl RevisionLabels {
    fn with(&self, result: Result) -> ReadLabels {
        ReadLabels { feature: self.feature.clone(), revision: self.revision.clone(), result }
    }
}

impl Families {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let families = Self {
            reads: Family::default(),
            read_seconds: Family::new_with_constructor(latency),
            freshness: Family::new_with_constructor(freshness),
            empty: Family::default(),
            deep: Family::default(),
            shed: Family::default(),
            calls: Family::new_with_constructor(latency),
        };
        Name::Reads.register(registry, families.reads.clone());
        Name::ReadSeconds.register(registry, families.read_seconds.clone());
        Name::ReadFreshness.register(registry, families.freshness.clone());
        Name::EmptyReads.register(registry, families.empty.clone());
        Name::DeepReads.register(registry, families.deep.clone());
        Name::Shed.register(registry, families.shed.clone());
        Name::CallSeconds.register(registry, families.calls.clone());
        families
    }

    pub(super) fn call(&self, protocol: Protocol, call: Call) -> Histogram {
        self.calls.get_or_create_owned(&CallLabels { protocol, call })
    }

    pub(super) fn forget(&self, feature: &QualifiedName, revision: &str) {
        let labels = RevisionLabels { feature: feature.to_string(), revision: revision.to_owned() };
        for result in RESULTS {
            self.reads.remove(&labels.with(result));
        }
        for family in [&self.empty, &self.deep, &self.shed] {
            family.remove(&labels);
        }
        self.read_seconds.remove(&labels);
        self.freshness.remove(&labels);
    }
}
