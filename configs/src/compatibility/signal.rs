//! What changes between two plans of a signal.

use super::{Class, Difference, Found, reordered, schema, widens};
use crate::definition::OnMissing;
use crate::plan::{BatchPlan, EnrichmentPlan, EventPlan, ExecutorPlan, Expression, ExternalLog, FieldPlan, SignalPlan, SourcePlan};

pub(super) fn differences(live: &SignalPlan, new: &SignalPlan) -> Vec<Difference> {
    // Destructured in full: a new field of the plan has to be placed here.
    let SignalPlan {
        version: _,
        semantics,
        name,
        schema_version,
        entity,
        event,
        source,
        on_invalid,
        max_future_skew_ms,
        bucket,
        lateness_ms,
        retention_ms,
        executor,
        enrichments,
        columns,
        shards,
    } = new;
    let EventPlan { time, available_at, id, version, delete, fields: _ } = event;
    let mut found = Found::default();
    found.put(live.name != *name, Class::Breaking, "name", "it is another signal");
    found.put(
        live.schema_version != *schema_version,
        Class::Breaking,
        "schemaVersion",
        "the schema version is another: both run side by side",
    );
    found.put(live.entity != *entity, Class::Breaking, "entity", "the entity is another field or type");
    found.put(live.event.time != *time, Class::Breaking, "event.time", "the event's time is another field or unit");
    found.put(live.event.id != *id, Class::Breaking, "event.id", "the identity of events changes");
    found.put(live.bucket != *bucket, Class::Breaking, "bucket", "history is partitioned in another way");
    found.put(live.shards != *shards, Class::Breaking, "shards", "the changelog is partitioned in another way");
    found.put(live.event.available_at != *available_at, Class::Behavioural, "event.availableAt", "events become known by another rule");
    found.put(live.event.version != *version, Class::Behavioural, "event.version", "another field says which state is newer");
    found.put(live.event.delete != *delete, Class::Behavioural, "event.delete", "other raw events delete");
    found.put(live.max_future_skew_ms != *max_future_skew_ms, Class::Behavioural, "maxFutureSkewMs", "other events count as invalid");
    found.put(live.retention_ms != *retention_ms, Class::Behavioural, "retentionMs", "events are kept for another time");
    found.put(live.semantics != *semantics, Class::Behavioural, "semantics", "the engine's answers changed");
    found.put(live.on_invalid != *on_invalid, Class::Compatible, "onInvalid", "invalid events are put elsewhere");
    found.put(live.lateness_ms != *lateness_ms, Class::Compatible, "latenessMs", "buckets count as complete at another time");
    fields(live, new, &mut found);
    let class = source_class(&live.source, source, live);
    found.put(live.source != *source, class, "source", "raw events come from another place or are chosen in another way");
    let class = if executor_adds(&live.executor, executor) { Class::Compatible } else { Class::Behavioural };
    found.put(live.executor != *executor, class, "executor", "rows are made in another way");
    let class = if enrichments_add(&live.enrichments, enrichments) { Class::Compatible } else { Class::Behavioural };
    found.put(live.enrichments != *enrichments, class, "enrichments", "rows are enriched in another way");
    for before in &live.columns {
        let elsewhere = columns.iter().any(|c| c.name == before.name && c.origin != before.origin);
        found.put(elsewhere, Class::Behavioural, &format!("columns.{}", before.name), "the column comes from another place");
    }
    found.put(reordered(&live.columns, columns), Class::Behavioural, "columns", "columns come in another order");
    found.0.extend(schema(&live.columns, columns));
    found.0
}

/// Raw fields: more of them that may be missing, or wider ones outside the identity, change nothing that is read today.
fn fields(live: &SignalPlan, new: &SignalPlan, found: &mut Found) {
    let key = |name: &str| live.entity.field == name || live.event.time.field == name || live.event.id.iter().any(|id| id == name);
    for before in &live.event.fields {
        let path = format!("event.fields.{}", before.name);
        let Some(after) = new.field(&before.name) else {
            found.put(true, Class::Behavioural, &path, "the field is no longer read");
            continue;
        };
        let FieldPlan { name: _, column_type, nullable, path: location } = after;
        let class = match widens(&before.column_type, column_type) {
            _ if key(&before.name) => Class::Breaking,
            true => Class::Compatible,
            false => Class::Behavioural,
        };
        found.put(before.column_type != *column_type, class, &format!("{path}.type"), "the field has another type");
        found.put(before.path != *location, Class::Behavioural, &format!("{path}.path"), "the field is read from another place");
        found.put(before.nullable != *nullable, Class::Behavioural, &format!("{path}.nullable"), "other events count as invalid");
    }
    for after in new.event.fields.iter().filter(|f| live.field(&f.name).is_none()) {
        let class = if after.nullable { Class::Compatible } else { Class::Behavioural };
        found.put(true, class, &format!("event.fields.{}", after.name), "a field is added");
    }
}

fn source_class(live: &SourcePlan, new: &SourcePlan, plan: &SignalPlan) -> Class {
    let SourcePlan { filter, stream, batch } = new;
    let renames_more = match (&live.batch, batch) {
        (BatchPlan::External(before), BatchPlan::External(after)) => {
            // Where a field that is new is found says nothing of those that were there.
            let known = |log: &ExternalLog| {
                log.rename.iter().filter(|(field, _)| plan.field(field).is_some()).map(|(a, b)| (a.clone(), b.clone())).collect()
            };
            ExternalLog { rename: known(before), ..before.clone() } == ExternalLog { rename: known(after), ..after.clone() }
        }
        (before, after) => before == after,
    };
    if live.filter == *filter && live.stream == *stream && renames_more { Class::Compatible } else { Class::Behavioural }
}

fn executor_adds(live: &ExecutorPlan, new: &ExecutorPlan) -> bool {
    match (live, new) {
        (ExecutorPlan::Declarative { filter, derive }, ExecutorPlan::Declarative { filter: new_filter, derive: new_derive }) => {
            let kept = |expr: &Expression, after: &Expression| {
                expr.sql == after.sql && (expr.column_type == after.column_type || widens(&expr.column_type, &after.column_type))
            };
            filter == new_filter && derive.iter().all(|d| new_derive.iter().any(|n| n.name == d.name && kept(&d.expr, &n.expr)))
        }
        _ => live == new,
    }
}

/// The first ones must be the same, because their places are bits of every row.
fn enrichments_add(live: &[EnrichmentPlan], new: &[EnrichmentPlan]) -> bool {
    let kept = live.iter().zip(new).all(|(before, after)| {
        let EnrichmentPlan { name, lookup, on_missing, columns } = after;
        let columns_kept = before.columns.iter().all(|c| columns.contains(c));
        before.name == *name && before.lookup == *lookup && before.on_missing == *on_missing && columns_kept
    });
    kept && new.len() >= live.len() && new.iter().skip(live.len()).all(|e| e.on_missing != OnMissing::Drop)
}
