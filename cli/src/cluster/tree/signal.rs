//! A SignalDefinition and its revisions: the data, and what makes it.

use k8s_openapi::api::apps::v1::Deployment;
use serde_json::Value;
use tress_crds::definition::{Class, SignalStatus};
use tress_crds::revision::{ArchivedTopic, Demands, SignalRevisionStatus, Use};
use tress_crds::{Backfill, SignalDefinition, SignalRevision};

use super::feature::counted;
use super::{Detail, Item, State, View, advice, backfill, condition, workload};

pub fn item(view: &View<'_>, signal: &SignalDefinition) -> Item {
    let metadata = &signal.metadata;
    let (namespace, name) = (metadata.namespace.as_deref().unwrap_or_default(), metadata.name.as_deref().unwrap_or_default());
    let none = SignalStatus::default();
    let status = signal.status.as_ref().unwrap_or(&none);
    let mut item = Item::new("SignalDefinition", "signal", (namespace, name));
    condition::judge(&mut item, metadata, status.observed_generation, &status.conditions);
    if signal.spec.0.paused == Some(true) {
        item.facts.put("paused", true, "paused");
    }
    if let Some(used) = &status.used_by {
        let shown = if used.count == 0 {
            String::new()
        } else {
            format!("read by {}", counted(usize::try_from(used.count).unwrap_or(0), "feature"))
        };
        item.facts.put("usedBy", used.names.clone(), shown);
    }
    if let Some(change) = status.change.as_ref().filter(|change| change.class != Class::None) {
        item.facts.put("change", format!("{:?}", change.class), format!("{:?} change", change.class));
    }
    if !status.warnings.is_empty() {
        item.facts.put("warnings", status.warnings.clone(), counted(status.warnings.len(), "warning"));
    }
    item.next = advice::definition(view, &item, &format!("signal/{name}"));
    let of_this = |r: &&std::sync::Arc<SignalRevision>| r.metadata.namespace.as_deref() == Some(namespace) && r.spec.signal == name;
    let mut revisions: Vec<(&SignalRevision, bool)> = view
        .seen
        .signal_revisions
        .iter()
        .filter(of_this)
        .map(|r| (&**r, status.revision.is_some() && r.metadata.name == status.revision))
        .collect();
    // The present one first, then by name: they have no other order.
    revisions.sort_by(|(a, now_a), (b, now_b)| (!now_a, &a.metadata.name).cmp(&(!now_b, &b.metadata.name)));
    let mut kept = 0;
    for (revision, is_present) in revisions {
        let used = revision.status.as_ref().and_then(|s| s.needed);
        if is_present || used == Some(Use::Running) || view.detail == Detail::Whole {
            let name = revision.metadata.name.as_deref().unwrap_or_default();
            item.children.push(self::revision(view, (namespace, name), if is_present { "revision" } else { "other" }));
        } else {
            kept += 1;
        }
    }
    if kept > 0 {
        item.facts.put("others", kept, format!("{} not shown", counted(kept, "other revision")));
    }
    item
}

/// A revision with its stream, archive, jobs and backfills. One of a namespace that was not looked at is only named.
pub fn revision(view: &View<'_>, (namespace, name): (&str, &str), role: &'static str) -> Item {
    let mut item = Item::new("SignalRevision", role, (namespace, name));
    let is = |r: &&std::sync::Arc<SignalRevision>| {
        r.metadata.namespace.as_deref() == Some(namespace) && r.metadata.name.as_deref() == Some(name)
    };
    let Some(revision) = view.seen.signal_revisions.iter().find(is) else {
        item.message = Some(format!("its object is not to be seen here: {}", view.commands.tress("status", namespace)));
        return item;
    };
    let none = SignalRevisionStatus::default();
    let status = revision.status.as_ref().unwrap_or(&none);
    condition::judge(&mut item, &revision.metadata, status.observed_generation, &status.conditions);
    tell(&mut item, revision, status, view.now);
    let owned = (namespace, name);
    item.children = workload::prepare(view, owned);
    item.children.extend(workload::deployments(view, owned, "stream"));
    item.children.extend(archive(view, namespace, revision.spec.archive.as_ref()));
    item.children.extend(backfills(view, owned));
    item.children.extend(workload::base(view, owned));
    item
}

fn tell(item: &mut Item, revision: &SignalRevision, status: &SignalRevisionStatus, now: i64) {
    let version = revision.spec.schema_version;
    item.facts.put("schemaVersion", version, format!("v{version}"));
    if let Some(needed) = status.needed {
        item.facts.put(
            "use",
            format!("{needed:?}"),
            if needed == Use::Running { String::new() } else { format!("{needed:?}").to_lowercase() },
        );
        if needed != Use::Running && item.state == State::Going {
            item.state = State::Idle;
        }
    }
    if let Some(partitions) = status.prepared.as_ref().and_then(|p| p.partitions) {
        item.facts.put("partitions", partitions, counted(usize::try_from(partitions).unwrap_or(0), "partition"));
    }
    if status.dropping.is_some() {
        item.facts.put("dropping", true, "what belongs to it is being dropped");
    }
    match &status.history {
        Some(history) => {
            item.facts.put("backfill", history.backfill, "");
            item.facts.put("historyVersion", history.version, "");
            item.facts.ago("sealed", (Some(history.sealed.0.as_microsecond()), now), |ago| format!("history sealed {ago} ago"));
        }
        None => item.facts.put("sealed", Value::Null, "no history yet"),
    }
    if let Some(Demands { number, covered, .. }) = &status.demands {
        let behind = covered.is_none_or(|covered| covered < *number);
        item.facts.put("baseCovers", *covered, if behind { "base does not cover every feature yet" } else { "" });
        item.facts.put("demands", *number, "");
    }
}

/// The archive of the topic that the revision reads: one for all signals of the topic.
fn archive(view: &View<'_>, namespace: &str, archived: Option<&ArchivedTopic>) -> Vec<Item> {
    let Some(ArchivedTopic { connection, topic }) = archived else { return Vec::new() };
    let archives = |d: &&std::sync::Arc<Deployment>| {
        let containers = d.spec.iter().flat_map(|s| s.template.spec.iter()).flat_map(|s| &s.containers);
        let arguments: Vec<&str> = containers.flat_map(|c| c.args.iter().flatten()).map(String::as_str).collect();
        let given = |option: &str, value: &str| arguments.windows(2).any(|w| w == [option, value]);
        let is_one = arguments.contains(&"archive") && given("--connection", connection) && given("--topic", topic);
        d.metadata.namespace.as_deref() == Some(namespace) && is_one
    };
    view.seen.deployments.iter().filter(archives).map(|d| workload::deployment(view, d, "archive")).collect()
}

/// Those that go on, and the last that has ended.
fn backfills(view: &View<'_>, (namespace, revision): (&str, &str)) -> Vec<Item> {
    let of_this = |b: &&std::sync::Arc<Backfill>| b.metadata.namespace.as_deref() == Some(namespace) && b.spec.revision == revision;
    let mut all: Vec<&Backfill> = view.seen.backfills.iter().filter(of_this).map(|b| &**b).collect();
    all.sort_by_key(|b| (b.metadata.creation_timestamp.clone(), b.metadata.name.clone()));
    let has_ended = |b: &Backfill| matches!(backfill::state(b.status.as_ref().and_then(|s| s.phase)), State::Ready | State::Failed);
    let last = all.iter().rev().find(|b| has_ended(b)).and_then(|b| b.metadata.name.clone());
    all.into_iter().filter(|b| !has_ended(b) || b.metadata.name == last).map(|b| backfill::item(view, b)).collect()
}
