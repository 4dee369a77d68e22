//! What a feature needs of one signal.

use serde::{Deserialize, Serialize};
use tress_configs::name::QualifiedName;
use tress_configs::plan::Expression;
use tress_configs::{FeaturePlan, Plan};

/// What one feature needs of one signal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Demand {
    /// Digest of the feature's plan.
    pub feature: String,
    /// Which rows it reads; `None` = all.
    #[serde(rename = "where")]
    pub filter: Option<Expression>,
    /// The signal's columns that `where` looks at, in the order that it was compiled over.
    pub filter_columns: Vec<String>,
    /// Bits of `found` that a row must have.
    pub required_found: i32,
    /// How many events it reads in all: N.
    pub length: u32,
    /// How many of them may be of this signal, before deduplication; `None` = N.
    pub share: Option<u32>,
    /// The signal's columns that make events the same; empty = each is on its own.
    pub deduplicate: Vec<String>,
    pub window_ms: Option<i64>,
}

/// The demands of all features that read a signal, as of one moment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Demands {
    /// Rises with every change of the list: a job with an older list than the newest manifest's uses that one.
    pub epoch: u64,
    pub list: Vec<Demand>,
}

impl Demand {
    /// What `feature` needs of `signal`; `None` when it does not read it.
    #[must_use]
    pub fn of(feature: &FeaturePlan, signal: &QualifiedName) -> Option<Self> {
        let read = feature.signals.iter().find(|read| read.name == *signal)?;
        // A signal without one of the columns has no key: none of its events is another's double.
        let deduplicate = feature
            .deduplicate
            .iter()
            .map(|output| read.columns.iter().find(|c| c.output == *output).map(|c| c.source.clone()))
            .collect::<Option<Vec<_>>>()
            .unwrap_or_default();
        Some(Self {
            feature: Plan::Feature(feature.clone()).digest(),
            filter: read.filter.clone(),
            filter_columns: read.filter_columns.clone(),
            required_found: read.required_found,
            length: feature.length,
            share: read.length,
            deduplicate,
            window_ms: feature.window_ms,
        })
    }

    /// Demands in the one order of a list, each once.
    #[must_use]
    pub fn list(demands: impl IntoIterator<Item = Self>) -> Vec<Self> {
        let mut list: Vec<Self> = demands.into_iter().collect();
        list.sort_by(|a, b| a.feature.cmp(&b.feature));
        list.dedup();
        list
    }

    /// Whether base that satisfies this satisfies `other`, too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let Self { feature: _, filter, filter_columns, required_found, length, share, deduplicate, window_ms } = self;
        let reaches = |a: Option<i64>, b: Option<i64>| a.is_none_or(|a| b.is_some_and(|b| a >= b));
        *filter == other.filter
            && *filter_columns == other.filter_columns
            && *required_found == other.required_found
            && *deduplicate == other.deduplicate
            && *length >= other.length
            && reaches(share.map(i64::from), other.share.map(i64::from))
            && reaches(*window_ms, other.window_ms)
    }
}

impl Demands {
    /// Whether base that satisfies these satisfies all of `others`.
    #[must_use]
    pub fn cover(&self, others: &Self) -> bool {
        others.list.iter().all(|other| self.list.iter().any(|d| d.covers(other)))
    }
}
