//! What is measured: fixed names, bounded labels, never an entity or a value.
//!
//! [`Metrics`] is cheap to clone; so are the handles it gives. Take a handle once, then count.

mod feature;
mod name;
mod signal;

use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tress_configs::name::QualifiedName;

pub use feature::{Answered, Call, CallLabels, FeatureMetrics, Protocol, Result as ReadResult};
pub use name::Name;
pub use signal::SignalMetrics;

use crate::error::{Error, Result};

/// The content type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All that a process measures.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Mutex<Registry>,
    signals: signal::Families,
    features: feature::Families,
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    #[must_use]
    pub fn new() -> Self {
        let mut registry = Registry::with_prefix("tress");
        let signals = signal::Families::new(&mut registry);
        let features = feature::Families::new(&mut registry);
        Self(Arc::new(Inner { registry: Mutex::new(registry), signals, features }))
    }

    /// The handle of a signal.
    #[must_use]
    pub fn signal(&self, signal: &QualifiedName) -> SignalMetrics {
        SignalMetrics::new(&self.0.signals, signal)
    }

    /// The handle of a feature's revision.
    #[must_use]
    pub fn feature(&self, feature: &QualifiedName, revision: &str) -> FeatureMetrics {
        FeatureMetrics::new(&self.0.features, feature, revision)
    }

    /// Forgets a revision that is unloaded: its series would stand for ever otherwise.
    pub fn forget_feature(&self, feature: &QualifiedName, revision: &str) {
        self.0.features.forget(feature, revision);
    }

    /// Forgets a signal that is unloaded.
    pub fn forget_signal(&self, signal: &QualifiedName) {
        self.0.signals.forget(signal);
    }

    /// How long calls take, seconds, from the first byte of the request to the last of the encoded reply.
    #[must_use]
    pub fn call(&self, protocol: Protocol, call: Call) -> Histogram {
        self.0.features.call(protocol, call)
    }

    /// Everything, in the OpenMetrics text format.
    ///
    /// # Errors
    /// `Internal` when a metric cannot be written.
    pub fn encode(&self) -> Result<String> {
        let mut text = String::new();
        encode(&mut text, &self.0.registry.lock()).map_err(|e| Error::internal(format!("encode metrics: {e}")))?;
        Ok(text)
    }
}

#[cfg(test)]
mod tests;
