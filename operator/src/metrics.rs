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
use prometheus_client::registry::Registry;

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
        let mut registry = Registry::with_prefix("tress_operator");
        let seconds: Family<Of, Histogram> = Family::new_with_constructor(|| Histogram::new(SECONDS));
        let (reconciles, waiting, calls, restarts, failures, unreadable, asked) =
            (Family::default(), Family::default(), Family::default(), Family::default(), Family::default(), Family::default(), Family::default());
        let (leads, configuration, events, events_lost) = (Gauge::default(), Gauge::default(), Counter::default(), Counter::default());
        registry.register("reconciles", "Looks at one object, by how they ended", Family::clone(&reconciles));
        registry.register("reconcile_seconds", "How long such a look took", Family::clone(&seconds));
        registry.register("queue_depth", "Objects that are due to be looked at", Family::clone(&waiting));
        registry.register("writes", "Calls that change objects, by kind, verb and how they ended", Family::clone(&calls));
        registry.register("watch_restarts", "Watches that had to list everything anew", Family::clone(&restarts));
        registry.register("watch_failures", "Watches that broke", Family::clone(&failures));
        registry.register("unreadable_objects", "Times that an object was seen that is of no version known here", Family::clone(&unreadable));
        registry.register("leader", "1 = this process leads", leads.clone());
        registry.register("configuration_good", "1 = the platform's configuration is in force as it stands", configuration.clone());
        registry.register("events", "Events that were written for people", events.clone());
        registry.register("events_lost", "Events that could not be written", events_lost.clone());
        registry.register("pods_asked", "Calls to serving pods, by how they ended", Family::clone(&asked));
        let counted =
            Counted { registry, reconciles, seconds, waiting, calls, restarts, failures, unreadable, leads, configuration, events, events_lost, asked };
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
