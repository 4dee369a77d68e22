//! One signal. All defaults of signals are here.

use super::report::Report;
use super::{columns, enrichment, event, executor, fields, lifecycle, runtime, source};
use crate::definition::{Bucket, OnInvalid, SignalDefinition, SignalObject, SignalSpec};
use crate::duration::Duration;
use crate::expression::Column;
use crate::issue::{Issue, IssueCode};
use crate::path;
use crate::plan::{EventPlan, PLAN_VERSION, SEMANTICS, SHARDS, SignalPlan, SourcePlan};

const LATENESS_MS: i64 = 3 * 24 * 3600 * 1000;
const MAX_FUTURE_SKEW_MS: i64 = 10 * 60 * 1000;

pub(super) fn compile(object: &SignalObject) -> Result<SignalPlan, Vec<Issue>> {
    let mut report = Report::default();
    let SignalObject { api_version: _, metadata, spec: SignalSpec { definition, runtime, deletion_policy: _, paused: _ } } = object;
    report.metadata(metadata);
    let SignalDefinition {
        description: _,
        owners: _,
        lifecycle,
        sunset,
        schema_version,
        shared_with,
        entity,
        event: raw,
        source,
        on_invalid,
        max_future_skew,
        bucket,
        lateness,
        retention,
        executor: written_executor,
        enrichments,
        columns: _,
    } = definition;
    let report = &mut report;

    lifecycle::sunset(*lifecycle, sunset.as_deref(), report);
    for (index, namespace) in shared_with.iter().flatten().enumerate() {
        report.object_name(&path::item("definition.sharedWith", index), namespace, 63);
    }
    let fields = fields::fields(&raw.fields, "definition.event.fields", report);
    let entity_plan = event::entity(entity, &fields, report);
    let time = event::time((&raw.time.field, raw.time.unit), &fields, ("definition.event.time", "field"), report);
    if raw.time.field == entity.field {
        report.error("definition.event.time.field", IssueCode::Conflict, "the time is the same field as the entity", "name two fields");
    }
    let available_at = event::available_at(&raw.available_at, &fields, report);
    let id = event::identity(raw, entity, &fields, report);
    let version = event::version(raw, &fields, report);
    let condition = |at: &str, sql: &Option<String>, report: &mut Report| {
        sql.as_ref().and_then(|sql| executor::condition(at, sql, &fields, report)).map(|typed| typed.expression)
    };
    let delete = condition("definition.event.delete", &raw.delete, report);
    let filter = condition("definition.source.where", &source.filter, report);
    let stream = source::stream(&source.stream, report);
    let batch = source::batch(source, &raw.available_at, &fields, report);
    if retention.is_some_and(|r| r.millis() == 0) {
        report.error("definition.retention", IssueCode::OutOfRange, "nothing would be kept", "write how long, or omit it to keep all");
    }

    let executed = executor::executor(written_executor.as_ref(), &fields, report);
    let (executor_plan, executor_columns) = executed.map_or((None, Vec::new()), |e| (Some(e.plan), e.columns));
    let sight: Vec<Column> = fields
        .iter()
        .map(|f| Column { name: f.name.clone(), column_type: f.column_type.clone(), nullable: f.nullable })
        .chain(executor_columns.iter().cloned())
        .collect();
    let enrichments = enrichment::enrichments(enrichments.as_deref().unwrap_or_default(), &sight, report);
    let columns = columns::columns(definition, &fields, &executor_columns, &enrichments, report);
    runtime::signal(runtime.as_ref(), report);

    let plan = (|| {
        Some(SignalPlan {
            version: PLAN_VERSION,
            semantics: SEMANTICS,
            name: metadata.qualified(),
            schema_version: u32::try_from(schema_version.unwrap_or(1)).unwrap_or(1),
            entity: entity_plan?,
            event: EventPlan { time: time?, available_at: available_at?, id, version, delete, fields: fields.clone() },
            source: SourcePlan { filter, stream: stream?, batch: batch? },
            on_invalid: on_invalid.unwrap_or(OnInvalid::DeadLetter),
            max_future_skew_ms: max_future_skew.map_or(MAX_FUTURE_SKEW_MS, Duration::millis),
            bucket: bucket.unwrap_or(Bucket::Day),
            lateness_ms: lateness.map_or(LATENESS_MS, Duration::millis),
            retention_ms: retention.map(Duration::millis),
            executor: executor_plan?,
            enrichments,
            columns,
            shards: SHARDS,
        })
    })();
    std::mem::take(report).finish(plan)
}
