//! What a feature gives: its schema, what it promises, its revisions.

use arrow::datatypes::{Field, SchemaRef};
use tress_configs::column::TYPE_KEY;
use tress_configs::definition::{Contract, FeatureDefinition};
use tress_configs::duration::Duration;
use tress_configs::name::QualifiedName;
use tress_configs::plan::{Origin, ViewPlan};
use tress_configs::route::Words;

use super::registry::{Registry, Revision, State};
use super::route::Route;

/// What people say of a feature; it decides nothing about its rows, so it is not in the plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct About {
    pub description: String,
    pub owners: Vec<String>,
    /// now − applied_through, that replies beyond it are called stale.
    pub freshness_p99: Option<Duration>,
    pub complete_within: Option<Duration>,
}

/// One revision of a feature, and its siblings.
#[derive(Debug, Clone)]
pub struct Description {
    pub feature: QualifiedName,
    pub revision: String,
    pub schema: SchemaRef,
    pub schema_digest: String,
    pub columns: Vec<ColumnDescription>,
    /// `string` or `int64`.
    pub entity_type: String,
    pub length: u32,
    pub window_ms: Option<i64>,
    /// `namespace/name`
    pub signals: Vec<String>,
    pub about: About,
    pub revisions: Vec<RevisionDescription>,
    pub epoch: u64,
    pub trial_weight_bp: u32,
    /// The day it goes (empty when none is set); `None` = it stays.
    pub deprecated: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnDescription {
    pub name: String,
    /// As users write it.
    pub column_type: String,
    pub nullable: bool,
    pub meaning: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevisionDescription {
    pub digest: String,
    pub role: Role,
    pub state: StateName,
    /// Why it failed.
    pub reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Live,
    Trial,
    /// Kept ready, not routed.
    Loaded,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StateName {
    Loading,
    Ready,
    Failed,
}

impl About {
    /// The same, with what a route says: it is newer than what was said when a revision was loaded.
    #[must_use]
    pub fn under(mut self, route: Option<&Route>) -> Self {
        if let Some(Contract { freshness, complete_within }) = route.and_then(|route| route.contract.as_ref()) {
            (self.freshness_p99, self.complete_within) = (freshness.as_ref().map(|f| f.p99), *complete_within);
        }
        if let Some(Words { description, owners }) = route.and_then(|route| route.about.clone()) {
            (self.description, self.owners) = (description, owners);
        }
        self
    }

    /// What the definition says.
    #[must_use]
    pub fn of(definition: &FeatureDefinition) -> Self {
        let contract = definition.contract.as_ref();
        Self {
            description: definition.description.clone().unwrap_or_default(),
            owners: definition.owners.clone().unwrap_or_default(),
            freshness_p99: contract.and_then(|c| c.freshness.as_ref()).map(|f| f.p99),
            complete_within: contract.and_then(|c| c.complete_within),
        }
    }
}

impl Role {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Trial => "trial",
            Self::Loaded => "loaded",
        }
    }
}

impl StateName {
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loading => "loading",
            Self::Ready => "ready",
            Self::Failed => "failed",
        }
    }
}

/// Describes a revision and names its siblings.
pub fn describe(registry: &Registry, feature: &QualifiedName, route: Option<&Route>, revision: &Revision) -> Description {
    let plan = revision.plan();
    Description {
        feature: feature.clone(),
        revision: revision.digest.clone(),
        schema: revision.schema.clone(),
        schema_digest: revision.schema_digest.clone(),
        columns: revision.schema.fields().iter().map(|f| column(revision, f)).collect(),
        entity_type: plan.entity.to_string(),
        length: plan.length,
        window_ms: plan.window_ms,
        signals: revision.signal_names.clone(),
        about: revision.about.clone().under(route),
        revisions: revisions(registry, feature, route),
        epoch: route.map_or(0, |r| r.epoch),
        trial_weight_bp: route.map_or(0, |r| r.weight_bp),
        deprecated: plan.sunset.clone(),
    }
}

/// Every revision of a feature: live, trial, then the others by digest.
pub fn revisions(registry: &Registry, feature: &QualifiedName, route: Option<&Route>) -> Vec<RevisionDescription> {
    let loaded = registry.revisions(feature);
    let live = route.and_then(|r| r.live.as_ref()).map(|p| p.digest.as_str());
    let trial = route.and_then(|r| r.trial.as_ref()).map(|p| p.digest.as_str()).filter(|d| Some(*d) != live);
    let named = live.into_iter().map(|d| (d, Role::Live)).chain(trial.map(|d| (d, Role::Trial)));
    let others = loaded.keys().map(String::as_str).filter(|d| Some(*d) != live && Some(*d) != trial).map(|d| (d, Role::Loaded));
    named
        .chain(others)
        .map(|(digest, role)| {
            let (state, reason) = match loaded.get(digest) {
                Some(State::Ready(_)) => (StateName::Ready, String::new()),
                Some(State::Failed { reason }) => (StateName::Failed, reason.clone()),
                Some(State::Loading) | None => (StateName::Loading, String::new()),
            };
            RevisionDescription { digest: digest.to_owned(), role, state, reason }
        })
        .collect()
}

fn column(revision: &Revision, field: &Field) -> ColumnDescription {
    let written = field.metadata().get(TYPE_KEY).cloned();
    ColumnDescription {
        name: field.name().clone(),
        column_type: written.unwrap_or_else(|| super::schema::type_name(field.data_type())),
        nullable: field.is_nullable(),
        meaning: meaning(revision, field.name()),
    }
}

/// A sentence: for a column of the feature where it comes from, for the engine's own what it says.
fn meaning(revision: &Revision, name: &str) -> String {
    let plan = revision.plan();
    let own = match (name, &plan.view) {
        ("event_time", _) => Some("when it happened"),
        ("signal", _) => Some("which signal the event is of, namespace/name"),
        ("start", ViewPlan::Sessions { .. }) => Some("event_time of the session's first event"),
        ("end", ViewPlan::Sessions { .. }) => Some("event_time of the session's last event"),
        ("count", ViewPlan::Sessions { .. }) => Some("events of the session"),
        ("open_start", _) => Some("whether the session may have begun before the events that were read"),
        ("count", ViewPlan::Objects { .. }) => Some("events of the object"),
        ("first", ViewPlan::Objects { .. }) => Some("event_time of the object's first event"),
        ("last", ViewPlan::Objects { .. }) => Some("event_time of the object's last event"),
        _ => None,
    };
    if let Some(own) = own {
        return own.to_owned();
    }
    let mut sources = Vec::new();
    for (read, signal) in plan.signals.iter().zip(revision.signals()) {
        for column in read.columns.iter().filter(|c| c.output == name) {
            let origin = signal.columns.iter().find(|c| c.name == column.source).map(|c| c.origin);
            let origin = match origin {
                Some(Origin::Raw) => "raw field".to_owned(),
                Some(Origin::Enrichment(index)) => {
                    let enrichment = usize::try_from(index).ok().and_then(|i| signal.enrichments.get(i));
                    format!("enrichment {}", enrichment.map_or("", |e| e.name.as_str()))
                }
                Some(Origin::Executor | Origin::Signals) | None => "derived".to_owned(),
            };
            sources.push(format!("{} of {} ({origin})", column.source, read.name));
        }
    }
    sources.join(", ")
}
