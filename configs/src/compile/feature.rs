//! One feature: a read over signals, which exist and are shared with it.

use std::collections::{BTreeMap, BTreeSet};

use super::report::{OneOf, Report, is_key};
use super::{Pinned, Pins, columns, feature_source_hash, lifecycle, reads, runtime};
use crate::column::Scalar;
use crate::definition::{FeatureDefinition, FeatureObject, FeatureSpec, SignalObject, SignalUse, Update, View};
use crate::duration::Duration;
use crate::issue::{Issue, IssueCode};
use crate::name::QualifiedName;
use crate::nearest::suggest;
use crate::path;
use crate::plan::{ColumnPlan, FeaturePlan, PLAN_VERSION, SEMANTICS, ViewPlan};

/// A signal that is defined.
pub(super) struct KnownSignal<'a> {
    pub definition: &'a SignalObject,
    /// `None` = it does not compile.
    pub current: Option<Pinned>,
}

/// All signals that are defined.
pub(super) struct KnownSignals<'a> {
    signals: BTreeMap<QualifiedName, KnownSignal<'a>>,
    /// Those of which nothing but the name could be read.
    unreadable: &'a BTreeSet<QualifiedName>,
}

impl<'a> KnownSignals<'a> {
    pub const fn new(unreadable: &'a BTreeSet<QualifiedName>) -> Self {
        Self { signals: BTreeMap::new(), unreadable }
    }

    pub fn insert(&mut self, name: QualifiedName, signal: KnownSignal<'a>) {
        self.signals.insert(name, signal);
    }
}

/// The plan and the source hash.
pub(super) fn compile(object: &FeatureObject, known: &KnownSignals<'_>, pins: &Pins) -> Result<(FeaturePlan, String), Vec<Issue>> {
    let mut report = Report::default();
    let FeatureObject { api_version: _, metadata, spec: FeatureSpec { definition, runtime, rollout, paused: _ } } = object;
    report.metadata(metadata);
    let FeatureDefinition { description: _, owners: _, lifecycle, sunset, signals, length, window, deduplicate, view, contract: _ } =
        definition;
    let name = metadata.qualified();
    let sunset = lifecycle::sunset(*lifecycle, sunset.as_deref(), &mut report);

    let mut seen = BTreeSet::new();
    let mut reads = Vec::new();
    let mut hashes = Vec::new();
    for (index, used) in signals.iter().enumerate() {
        let at = path::item("definition.signals", index);
        let signal = QualifiedName::new(used.namespace.as_deref().unwrap_or(&name.namespace), &used.name);
        if !seen.insert(signal.clone()) {
            report.error(
                path::member(&at, "name"),
                IssueCode::Duplicate,
                format!("the signal {signal} is used already"),
                "use each signal once",
            );
            continue;
        }
        if used.length.is_some_and(|l| l > *length) {
            let message = format!("a share of {} is more than the whole length of {length}", used.length.unwrap_or_default());
            report.error(path::member(&at, "length"), IssueCode::OutOfRange, message, "lower it, or raise the feature's length");
        }
        let resolved = resolve((&name, &signal), used, &at, known, pins, &mut report);
        hashes.push(resolved.map(|pinned| pinned.source_hash.as_str()).unwrap_or_default().to_owned());
        if let Some(pinned) = resolved
            && let Some(read) = reads::read(used, &pinned.plan, &at, &mut report)
        {
            reads.push(read);
        }
    }
    let entity = one_entity(&reads, signals.len(), &mut report);
    let columns = union(&reads, &mut report);
    columns::count_and_ids(&columns, "definition.signals", &mut report);
    let deduplicate = deduplicate.as_ref().map(|d| d.by.as_slice()).unwrap_or_default();
    // Columns of signals that are missing would be reported as missing too.
    let complete = reads.len() == signals.len();
    keys(deduplicate, "definition.deduplicate.by", &columns, complete, &mut report);
    let view = view_of(view.as_ref(), &columns, complete, &mut report);
    if window.is_some_and(|w| w.millis() == 0) {
        report.error("definition.window", IssueCode::OutOfRange, "nothing lies in a window of no length", "write how long, or omit it");
    }
    runtime::feature(runtime.as_ref(), rollout.as_ref(), &columns, &mut report);

    reads.sort_by(|a, b| a.plan.name.cmp(&b.plan.name));
    let hash = feature_source_hash(definition, &hashes);
    let plan = entity.zip(view).map(|(entity, view)| FeaturePlan {
        version: PLAN_VERSION,
        semantics: SEMANTICS,
        name,
        entity,
        signals: reads.into_iter().map(|r| r.plan).collect(),
        length: u32::try_from(*length).unwrap_or(1),
        window_ms: window.map(Duration::millis),
        deduplicate: deduplicate.to_vec(),
        view,
        columns,
        sunset,
    });
    report.finish(plan.map(|plan| (plan, hash)))
}

/// The revision of the signal that this feature reads.
fn resolve<'a>(
    (feature, signal): (&QualifiedName, &QualifiedName),
    used: &SignalUse,
    at: &str,
    known: &'a KnownSignals<'_>,
    pins: &'a Pins,
    report: &mut Report,
) -> Option<&'a Pinned> {
    let at_name = path::member(at, "name");
    let invalid = |report: &mut Report| {
        let message = format!("the signal {signal} does not compile");
        report.error(
            path::member(at, "name"),
            IssueCode::DependencyInvalid,
            message,
            "correct the signal; its issues are reported with it",
        );
    };
    let Some(found) = known.signals.get(signal) else {
        if known.unreadable.contains(signal) {
            invalid(report);
            return None;
        }
        let known = &known.signals;
        let names: Vec<String> =
            known.keys().map(|k| if k.namespace == signal.namespace { k.name.clone() } else { k.to_string() }).collect();
        let same_name: Vec<_> = known.keys().filter(|k| k.name == signal.name).map(|k| k.namespace.as_str()).collect();
        let help = match same_name.as_slice() {
            [] => suggest(&signal.name, "signals", names.iter().map(String::as_str)),
            elsewhere => format!("there is one in namespace {}: add namespace", elsewhere.join(", ")),
        };
        report.error(at_name, IssueCode::UnknownSignal, format!("there is no signal {signal}"), help);
        return None;
    };
    let definition = &found.definition.spec.definition;
    let shared = definition.shared_with.iter().flatten().any(|n| *n == feature.namespace);
    if feature.namespace != signal.namespace && !shared {
        let message = format!("the signal {signal} is not shared with namespace {}", feature.namespace);
        report.error(at_name, IssueCode::NotShared, message, format!("its owners can add {} to its sharedWith", feature.namespace));
        return None;
    }
    let wanted = u32::try_from(used.schema_version.unwrap_or(1)).unwrap_or(1);
    let pinned = pins.get(feature, signal, wanted);
    if used.update == Some(Update::Hold)
        && let Some(pinned) = pinned
    {
        return Some(pinned);
    }
    let current = u32::try_from(definition.schema_version.unwrap_or(1)).unwrap_or(1);
    if wanted != current {
        // An older schema version lives on as long as somebody reads it.
        if let Some(pinned) = pinned {
            return Some(pinned);
        }
        let message = format!("the signal {signal} has schema version {current}, and {wanted} is read");
        report.error(path::member(at, "schemaVersion"), IssueCode::UnknownReference, message, format!("write schemaVersion: {current}"));
        return None;
    }
    if found.current.is_none() {
        invalid(report);
    }
    found.current.as_ref()
}

fn one_entity(reads: &[reads::Read], signals: usize, report: &mut Report) -> Option<Scalar> {
    let first = reads.first()?;
    for read in reads.iter().filter(|r| r.entity != first.entity) {
        let message =
            format!("{} has an entity of type {}, and {} one of type {}", first.plan.name, first.entity, read.plan.name, read.entity);
        report.error(
            path::member(&read.at, "name"),
            IssueCode::TypeConflict,
            message,
            "a sequence has one entity: use signals whose entities have one type",
        );
    }
    (reads.len() == signals).then_some(first.entity)
}

/// The columns of all signals by name, in the order they first appear in the definition.
fn union(reads: &[reads::Read], report: &mut Report) -> Vec<ColumnPlan> {
    let mut columns: Vec<(ColumnPlan, QualifiedName)> = Vec::new();
    for read in reads {
        for (index, column) in read.columns.iter().enumerate() {
            match columns.iter_mut().find(|(c, _)| c.name == column.name) {
                None => columns.push((column.clone(), read.plan.name.clone())),
                Some((known, _)) if known.column_type == column.column_type => known.nullable |= column.nullable,
                Some((known, owner)) => {
                    let message =
                        format!("\"{}\" is {} in {owner} and {} in {}", column.name, known.column_type, column.column_type, read.plan.name);
                    let help = format!("rename one of them: rename: {{{}: …}}", read.plan.columns.get(index).map_or("", |c| &c.source));
                    report.error(read.place(index), IssueCode::TypeConflict, message, help);
                }
            }
        }
    }
    for (column, _) in &mut columns {
        // A signal without the column gives null.
        column.nullable |= reads.iter().any(|r| r.columns.iter().all(|c| c.name != column.name));
    }
    columns.into_iter().map(|(column, _)| column).collect()
}

/// Output columns that events are told apart by.
fn keys(names: &[String], at: &str, columns: &[ColumnPlan], complete: bool, report: &mut Report) {
    let mut seen = BTreeSet::new();
    for (index, name) in names.iter().enumerate() {
        let at = path::item(at, index);
        match columns.iter().find(|c| c.name == *name) {
            None if !complete => {}
            None => {
                let help = suggest(name, "columns", columns.iter().map(|c| c.name.as_str()));
                report.error(at, IssueCode::UnknownReference, format!("the feature has no column \"{name}\""), help);
            }
            Some(_) if !seen.insert(name) => report.error(at, IssueCode::Duplicate, format!("\"{name}\" is given twice"), "remove one"),
            Some(column) if !is_key(&column.column_type) => {
                let message = format!("\"{name}\" has type {}", column.column_type);
                report.error(at, IssueCode::TypeNotAllowed, message, "use columns that compare exactly: no floats, lists or vectors");
            }
            Some(_) => {}
        }
    }
}

fn view_of(view: Option<&View>, columns: &[ColumnPlan], complete: bool, report: &mut Report) -> Option<ViewPlan> {
    let at = "definition.view";
    let Some(View { sessions, objects }) = view else { return Some(ViewPlan::Events) };
    let given = [("sessions", sessions.is_some()), ("objects", objects.is_some())];
    let OneOf::One = report.one_of(at, &given, "write sessions: {gap} or objects: {by}, or omit view for events") else { return None };
    if let Some(objects) = objects {
        keys(&objects.by, "definition.view.objects.by", columns, complete, report);
        return Some(ViewPlan::Objects { by: objects.by.clone() });
    }
    let gap_ms = sessions.map(|s| s.gap.millis())?;
    if gap_ms == 0 {
        report.error("definition.view.sessions.gap", IssueCode::OutOfRange, "every event would be a session", "write a gap such as 30m");
    }
    Some(ViewPlan::Sessions { gap_ms })
}
