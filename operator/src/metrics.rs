//! What the operator counts. Names are fixed, labels bounded: controllers, kinds, verbs, outcomes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Metric, Registry};

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Of {
    controller: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Ended {
    controller: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Call {
    kind: String,
    verb: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Read {
    kind: String,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    outcome: &'static str,
}

/// How a reconcile ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// Somebody else was first.
    Conflict,
    Failed,
}

impl Outcome {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Conflict => "conflict",
            Self::Failed => "failed",
        }
    }
}

/// Cheap to clone; clones count together.
#[derive(Clone)]
pub struct Metrics(Arc<Counted>);

struct Counted {
    registry: Registry,
    reconciles: Family<Ended, Counter>,
    seconds: Family<Of, Histogram>,
    waiting: Family<Of, Gauge>,
    calls: Family<Call, Counter>,
    reads: Family<Read, Counter>,
    restarts: Family<Kind, Counter>,
    failures: Family<Kind, Counter>,
    unreadable: Family<Kind, Counter>,
    leads: Gauge,
    configuration: Gauge,
    events: Counter,
    events_lost: Counter,
    asked: Family<Asked, Counter>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// Seconds of a reconcile, from a look at caches to a few calls.
const SECONDS: [f64; 8] = [0.001, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];

impl Metrics {
    #[must_use]
    pub fn new() -> Self {
        let mut all = Registry::with_prefix("tress_operator");
        let seconds: Family<Of, Histogram> = Family::new_with_constructor(|| Histogram::new(SECONDS));
        let counted = Counted {
            reconciles: counted(&mut all, "reconciles", "Looks at one object, by how they ended", Family::default()),
            seconds: counted(&mut all, "reconcile_seconds", "How long such a look took", seconds),
            waiting: counted(&mut all, "queue_depth", "Objects that are due to be looked at", Family::default()),
            calls: counted(&mut all, "writes", "Calls that change objects, by kind, verb and how they ended", Family::default()),
            reads: counted(&mut all, "reads", "Objects that were asked for beside the watches", Family::default()),
            restarts: counted(&mut all, "watch_restarts", "Watches that had to list everything anew", Family::default()),
            failures: counted(&mut all, "watch_failures", "Watches that broke", Family::default()),
            unreadable: counted(&mut all, "unreadable_objects", "Sights of objects of no version known here", Family::default()),
            leads: counted(&mut all, "leader", "Whether this process leads: 1 or 0", Gauge::default()),
            configuration: counted(&mut all, "configuration_good", "Whether the configuration can be used as it stands", Gauge::default()),
            events: counted(&mut all, "events", "Events that were written for people", Counter::default()),
            events_lost: counted(&mut all, "events_lost", "Events that could not be written", Counter::default()),
            asked: counted(&mut all, "pods_asked", "Calls to serving pods, by how they ended", Family::default()),
            registry: all,
        };
        Self(Arc::new(counted))
    }

    /// Everything, in OpenMetrics' text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = String::new();
        match encode(&mut text, &self.0.registry) {
            Ok(()) => text,
            // A String takes all that is written to it.
            Err(fmt::Error) => String::new(),
        }
    }

    pub(crate) fn reconciled(&self, controller: &'static str, outcome: Outcome, took: Duration) {
        self.0.reconciles.get_or_create(&Ended { controller, outcome: outcome.as_str() }).inc();
        self.0.seconds.get_or_create(&Of { controller }).observe(took.as_secs_f64());
    }

    pub(crate) fn waiting(&self, controller: &'static str, keys: usize) {
        self.0.waiting.get_or_create(&Of { controller }).set(i64::try_from(keys).unwrap_or(i64::MAX));
    }

    pub(crate) fn read(&self, kind: &str, outcome: &'static str) {
        self.0.reads.get_or_create(&Read { kind: kind.to_owned(), outcome }).inc();
    }

    pub(crate) fn called(&self, kind: &str, verb: &'static str, outcome: &'static str) {
        self.0.calls.get_or_create(&Call { kind: kind.to_owned(), verb, outcome }).inc();
    }

    /// How often calls that change objects were made and answered with success.
    #[must_use]
    pub fn writes(&self, kind: &str, verb: &'static str) -> u64 {
        self.0.calls.get_or_create(&Call { kind: kind.to_owned(), verb, outcome: "done" }).get()
    }

    pub(crate) fn watch_restarted(&self, kind: &str) {
        self.0.restarts.get_or_create(&Kind { kind: kind.to_owned() }).inc();
    }

    pub(crate) fn watch_failed(&self, kind: &str) {
        self.0.failures.get_or_create(&Kind { kind: kind.to_owned() }).inc();
    }

    pub(crate) fn unreadable(&self, kind: &str) {
        self.0.unreadable.get_or_create(&Kind { kind: kind.to_owned() }).inc();
    }

    pub(crate) fn leads(&self, leads: Leads) {
        self.0.leads.set(i64::from(leads == Leads::Yes));
    }

    pub(crate) fn configuration(&self, is: Configuration) {
        self.0.configuration.set(i64::from(is == Configuration::Good));
    }

    pub(crate) fn event(&self, outcome: Outcome) {
        if outcome == Outcome::Done { &self.0.events } else { &self.0.events_lost }.inc();
    }

    pub(crate) fn asked(&self, outcome: Outcome) {
        self.0.asked.get_or_create(&Asked { outcome: outcome.as_str() }).inc();
    }
}

/// The metric, now one of the registry's.
fn counted<M: Metric + Clone>(registry: &mut Registry, name: &str, help: &str, metric: M) -> M {
    registry.register(name, help, metric.clone());
    metric
}

/// Whether this process leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leads {
    Yes,
    No,
}

/// Whether the platform's configuration can be used as it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Configuration {
    Good,
    Bad,
}

#[cfg(test)]
mod tests;
