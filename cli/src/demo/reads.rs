//! Every sequence of every user, by each way there is to read it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use arrow::array::RecordBatch;
use futures::TryStreamExt;
use tress_configs::name::QualifiedName;
use tress_engine::entity::Entity;
use tress_engine::history::Scan;
use tress_engine::node::Node;
use tress_engine::read::{Outcome, Part, Query, Source, assemble};
use tress_engine::run::{NO_FLOOR, Run};
use tress_engine::serve::{Client, Encoder, Wanted, proto};
use tress_engine::store::ServedFeature;

/// Rows of one sequence, and their bytes as they travel: equal rows are equal bytes.
#[derive(Debug, Clone)]
pub struct Sequence {
    pub rows: RecordBatch,
    pub bytes: proto::Columns,
}

/// By feature and user.
pub type Sequences = BTreeMap<(QualifiedName, i64), Sequence>;

/// Entities of one request over gRPC.
const BATCH: usize = 200;

impl Sequence {
    /// # Errors
    /// For a type that has no place in replies.
    pub fn new(rows: RecordBatch) -> anyhow::Result<Self> {
        let mut encoder = Encoder::new(rows.schema_ref())?;
        encoder.push(&rows)?;
        let bytes = encoder.finish("");
        Ok(Self { rows, bytes })
    }
}

/// As the node reads it now: from tail, base and history.
pub async fn of_node(node: &Node, users: impl Iterator<Item = i64> + Clone, as_of: i64) -> anyhow::Result<Sequences> {
    let mut all = Sequences::new();
    for (served, _) in node.features().await {
        for user in users.clone() {
            let answer = served.read(&Query::new(Entity::Int64(user), as_of)).await?;
            all.insert((served.feature.plan().name.clone(), user), Sequence::new(answer.sequence.rows)?);
        }
    }
    Ok(all)
}

/// From the rows of history alone: no stream, no tail, no base.
pub async fn of_history(node: &Node, users: impl Iterator<Item = i64> + Clone, as_of: i64) -> anyhow::Result<Sequences> {
    let mut all = Sequences::new();
    for (served, _) in node.features().await {
        let runs = history_runs(&served).await?;
        for user in users.clone() {
            let entity = Entity::Int64(user);
            let hash = entity.hash();
            let sources: Vec<Source<'_>> = runs
                .iter()
                .map(|run| Source {
                    parts: run.find(&entity, hash).map(|entry| Part::of_run(run, entry)).into_iter().collect(),
                    floor: NO_FLOOR,
                })
                .collect();
            let Outcome::Complete(sequence) = assemble(&served.feature, &sources, &Query::new(entity.clone(), as_of))? else {
                bail!("all of history was given, and a read wants more");
            };
            all.insert((served.feature.plan().name.clone(), user), Sequence::new(sequence.rows)?);
        }
    }
    Ok(all)
}

async fn history_runs(served: &ServedFeature) -> anyhow::Result<Vec<Run>> {
    let mut runs = Vec::new();
    for store in served.stores() {
        let history = store.history();
        let snapshot = history.snapshot().await?.with_context(|| format!("{} has no history", store.plan().name))?;
        let rows: Vec<RecordBatch> =
            history.scan(snapshot.files.clone(), Scan { hashes: i64::MIN..=i64::MAX, columns: None }).try_collect().await?;
        let rows = arrow::compute::concat_batches(history.schema(), &rows)?;
        runs.push(Run::from_rows(rows)?);
    }
    Ok(runs)
}

/// Over gRPC.
pub async fn of_grpc(node: &Node, users: impl Iterator<Item = i64> + Clone, as_of: i64) -> anyhow::Result<Sequences> {
    let listening = node.listening().context("the node does not listen")?;
    let client = Client::connect(&format!("http://{}", listening.grpc), Duration::from_secs(60)).await?;
    let wanted = Wanted { as_of: Some(as_of), consumer: "tress demo".into(), ..Wanted::default() };
    let mut all = Sequences::new();
    let users: Vec<i64> = users.collect();
    for (served, _) in node.features().await {
        let name = served.feature.plan().name.clone();
        for chunk in users.chunks(BATCH) {
            let entities: Vec<Entity> = chunk.iter().map(|user| Entity::Int64(*user)).collect();
            let reply = client.batch(&name.to_string(), &entities, &wanted).await?;
            for (user, rows) in chunk.iter().zip(reply.rows) {
                all.insert((name.clone(), *user), Sequence::new(rows)?);
            }
        }
    }
    Ok(all)
}

/// The features of a node.
pub async fn features(node: &Node) -> Vec<Arc<ServedFeature>> {
    node.features().await.into_iter().map(|(served, _)| served).collect()
}
