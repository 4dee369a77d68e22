//! What is measured: fixed names, bounded labels, never an entity or a value.
//!
//! [`Metrics`] is cheap to clone; so are the handles it gives. Take a handle once, then count.

mod column;
mod feature;
mod name;
mod signal;
mod sketch;

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use parking_lot::Mutex;
use prometheus_client::encoding::prometheus_protobuf::encode_to_vec;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use tress_configs::name::QualifiedName;

pub use column::ColumnMetrics;
pub use feature::{Answered, Call, CallLabels, FeatureMetrics, Protocol, Result as ReadResult, Totals};
pub use name::{About, Kind, Name, PREFIX};
pub use signal::SignalMetrics;

use crate::error::{Error, Result};

/// How metrics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exposition {
    /// OpenMetrics: histograms have classic buckets only, the format knows no others.
    Text,
    /// Prometheus' own messages, each with its length before it: histograms are native ones, too.
    Protobuf,
}

impl Exposition {
    /// What a scraper asks for with its `Accept`: messages if it takes them at all, because only they hold native histograms.
    #[must_use]
    pub fn accepted(accept: &str) -> Self {
        let takes = |kind: &str| {
            let parameters: Vec<String> = kind.split(';').map(|part| part.trim().to_ascii_lowercase()).collect();
            ["application/vnd.google.protobuf", "proto=io.prometheus.client.metricfamily", "encoding=delimited"]
                .iter()
                .all(|wanted| parameters.iter().any(|parameter| parameter == wanted))
        };
        if accept.split(',').any(takes) { Self::Protobuf } else { Self::Text }
    }

    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Text => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Protobuf => "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited",
        }
    }
}

/// All that a process measures.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Mutex<Registry>,
    signals: signal::Families,
    columns: column::Families,
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
        let mut registry = Registry::with_prefix(PREFIX);
        let signals = signal::Families::new(&mut registry);
        let columns = column::Families::new(&mut registry);
        let features = feature::Families::new(&mut registry);
        Self(Arc::new(Inner { registry: Mutex::new(registry), signals, columns, features }))
    }

    /// The handle of a signal.
    #[must_use]
    pub fn signal(&self, signal: &QualifiedName) -> SignalMetrics {
        SignalMetrics::new(&self.0.signals, signal)
    }

    /// The handle of a signal's columns; `schema`: of its rows.
    #[must_use]
    pub fn columns(&self, signal: &QualifiedName, schema: &SchemaRef) -> ColumnMetrics {
        ColumnMetrics::new(&self.0.columns, signal, schema)
    }

    /// The handle of a feature's revision.
    #[must_use]
    pub fn feature(&self, feature: &QualifiedName, revision: &str) -> FeatureMetrics {
        FeatureMetrics::new(&self.0.features, feature, revision)
    }

    /// What was counted of a feature's revision so far.
    #[must_use]
    pub fn totals(&self, feature: &QualifiedName, revision: &str) -> Totals {
        self.0.features.totals(feature, revision)
    }

    /// Forgets a revision that is unloaded: its series would stand for ever otherwise.
    pub fn forget_feature(&self, feature: &QualifiedName, revision: &str) {
        self.0.features.forget(feature, revision);
    }

    /// Forgets a signal that is unloaded.
    pub fn forget_signal(&self, signal: &QualifiedName) {
        self.0.signals.forget(signal);
        self.0.columns.forget(signal);
    }

    /// How long calls take, seconds, from the first byte of the request to the last of the encoded reply.
    #[must_use]
    pub fn call(&self, protocol: Protocol, call: Call) -> Histogram {
        self.0.features.call(protocol, call)
    }

    /// Everything, as a scraper wants it.
    ///
    /// # Errors
    /// `Internal` when a metric cannot be written.
    pub fn encode(&self, exposition: Exposition) -> Result<Vec<u8>> {
        let registry = self.0.registry.lock();
        match exposition {
            Exposition::Text => {
                let mut text = String::new();
                encode(&mut text, &registry).map_err(|e| Error::internal("encode metrics").with_source(e))?;
                Ok(text.into_bytes())
            }
            Exposition::Protobuf => encode_to_vec(&registry).map_err(|e| Error::internal("encode metrics").with_source(e)),
        }
    }
}

#[cfg(test)]
mod tests;
