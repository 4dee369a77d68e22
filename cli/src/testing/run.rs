//! One test: a node of its own, events in, a read, a backfill, the same read.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, anyhow};
use serde_json::Value;
use tress_configs::definition::TimeUnit;
use tress_configs::name::QualifiedName;
use tress_configs::plan::SignalRead;
use tress_configs::test_file::{DefinitionTest, TestOrder};
use tress_configs::{FeaturePlan, SignalPlan};
use tress_engine::clock::FixedClock;
use tress_engine::entity::Entity;
use tress_engine::log::NewRecord;
use tress_engine::node::{Change, Desired, Fold, Node, Settings};
use tress_engine::read::{Order, Query};
use tress_engine::serve::rows_to_json;

use super::compare::differences;
use crate::definitions::{Workspace, choose};
use crate::init::guess::Unit;
use crate::time;

/// What came of a test.
#[derive(Debug)]
pub enum Verdict {
    Passed,
    Failed {
        /// A sentence each.
        differences: Vec<String>,
        /// What was read instead.
        found: Vec<Value>,
    },
}

/// Runs a test in `folder`, which is its own; `tables` is where enrichments look things up.
///
/// # Errors
/// When the test names what is not there, or the engine cannot run it.
pub async fn run(workspace: &Workspace, test: &DefinitionTest, folder: &Path, tables: &Path) -> anyhow::Result<Verdict> {
    let desired = workspace.desired();
    let features: Vec<QualifiedName> = desired.features.iter().map(|f| f.plan.name.clone()).collect();
    let name = choose("feature", &test.read.feature, &features)?;
    let feature =
        desired.features.iter().find(|f| f.plan.name == name).map(|f| Arc::clone(&f.plan)).context("the feature that was chosen")?;
    let query = query(test, &feature)?;
    let records = records(test, &desired, query.as_of)?;
    let newest = records.iter().filter_map(|(_, r)| r.timestamp).max().unwrap_or(query.as_of / 1000);

    let clock = Arc::new(FixedClock::new(newest.saturating_mul(1000)));
    let settings = Settings { state: folder.to_owned(), tables: tables.to_owned(), clock, listen: None };
    let node = Node::open(settings).await?;
    let verdict = judge(&node, desired, (test, &name, query), records).await;
    node.shutdown().await?;
    verdict
}

async fn judge(
    node: &Node,
    desired: Desired,
    (test, name, mut query): (&DefinitionTest, &QualifiedName, Query),
    records: Vec<(String, NewRecord)>,
) -> anyhow::Result<Verdict> {
    for change in node.apply(desired).await? {
        if let Change::Failed { feature, reason } = change
            && feature == *name
        {
            return Err(anyhow!("{feature} cannot run: {reason}"));
        }
    }
    for (topic, record) in records {
        node.append(&topic, vec![record]).await?;
    }
    node.settle().await?;
    let served = node.feature(name).await?;
    if let Some(columns) = &test.read.columns {
        let schema = served.feature.schema();
        query.columns = Some(
            columns
                .iter()
                .map(|c| schema.index_of(c).map_err(|_| anyhow!("read.columns: there is no column {c}")))
                .collect::<Result<_, _>>()?,
        );
    }
    let streamed = node.read(name, &query).await?.sequence.rows;
    let found = rows_to_json(&streamed)?;
    let wrong = differences(&test.expect, &found);
    if !wrong.is_empty() {
        return Ok(Verdict::Failed { differences: wrong, found });
    }
    for signal in &served.feature.plan().signals {
        node.backfill(&signal.name, Fold::New, &|_| {}).await?;
    }
    let folded = node.read(name, &query).await?.sequence.rows;
    if folded != streamed {
        let found = rows_to_json(&folded)?;
        return Ok(Verdict::Failed { differences: vec!["after a backfill the rows are others than from the stream".into()], found });
    }
    Ok(Verdict::Passed)
}

fn query(test: &DefinitionTest, feature: &FeaturePlan) -> anyhow::Result<Query> {
    let read = &test.read;
    let text = read.entity.as_str().map_or_else(|| read.entity.to_string(), str::to_owned);
    let at = |field: &str, text: &str| time::parse(text).map_err(|e| anyhow!("read.{field}: {e}"));
    let mut query = Query::new(Entity::parse(&text, feature.entity)?, at("asOf", &read.as_of)?);
    query.limit = read.limit.and_then(|n| u32::try_from(n).ok());
    query.since = read.since.as_deref().map(|t| at("since", t)).transpose()?;
    query.until = read.until.as_deref().map(|t| at("until", t)).transpose()?;
    query.order = match read.order {
        Some(TestOrder::OldestFirst) => Order::OldestFirst,
        Some(TestOrder::NewestFirst) | None => Order::NewestFirst,
    };
    if let Some(wanted) = &read.signals {
        let names: Vec<QualifiedName> = feature.signals.iter().map(|s: &SignalRead| s.name.clone()).collect();
        let index = |name: &String| {
            let chosen = choose("signal", name, &names)?;
            names.iter().position(|n| *n == chosen).context("the signal that was chosen")
        };
        query.signals = Some(wanted.iter().map(index).collect::<anyhow::Result<_>>()?);
    }
    Ok(query)
}

/// The given events by topic, each arriving after the one before it, and all of them after the read's time and their own.
fn records(test: &DefinitionTest, desired: &Desired, as_of: i64) -> anyhow::Result<Vec<(String, NewRecord)>> {
    let names: Vec<QualifiedName> = desired.signals.iter().map(|s| s.plan.name.clone()).collect();
    let mut events = Vec::new();
    let mut latest = as_of;
    for (signal, given) in &test.given {
        let name = choose("signal", signal, &names)?;
        let plan = desired.signals.iter().find(|s| s.plan.name == name).map(|s| &s.plan).context("the signal that was chosen")?;
        for event in given {
            let event = Value::Object(event.clone());
            latest = latest.max(event_time(plan, &event).unwrap_or(i64::MIN));
            events.push((plan.source.stream.topic.clone(), event.to_string()));
        }
    }
    let first = latest / 1000 + 1000;
    Ok((first..)
        .zip(events)
        .map(|(timestamp, (topic, text))| (topic, NewRecord { payload: text.into(), timestamp: Some(timestamp), ..NewRecord::default() }))
        .collect())
}

/// Microseconds; `None` where the event has no time that can be read.
fn event_time(plan: &SignalPlan, event: &Value) -> Option<i64> {
    let field = plan.field(&plan.event.time.field)?;
    let value = field.path.iter().try_fold(event, |value, key| value.get(key))?;
    let unit = match plan.event.time.unit {
        TimeUnit::Seconds => Unit::Seconds,
        TimeUnit::Millis => Unit::Millis,
        TimeUnit::Micros => Unit::Micros,
        TimeUnit::Nanos => Unit::Nanos,
        TimeUnit::Rfc3339 | TimeUnit::Timestamp => Unit::Rfc3339,
    };
    unit.micros(value)
}
