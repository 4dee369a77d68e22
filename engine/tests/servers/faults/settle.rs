//! When nothing disturbs any more, everything has to be exactly what the events say: sequences, history, dead letters.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use futures::TryStreamExt;
use tress_engine::dead_letters::{self, Selection};
use tress_engine::history::{History, Scan};
use tress_engine::prepare;
use tress_engine::serve::Client;

use super::cluster::{Cluster, Serving};
use super::events::name;
use super::findings::Findings;
use super::ledger::{Ledger, Truth};
use super::model::{Feature, Model, Row};
use super::readers::{hash, is_ready, sequences};
use super::world::World;

/// How long everything may take to come right again.
const PATIENCE: Duration = Duration::from_secs(240);
const LOOK: Duration = Duration::from_millis(150);
const CALL: Duration = Duration::from_secs(20);

/// All that is compared.
#[derive(Debug)]
pub struct Settle {
    pub world: Arc<World>,
    pub cluster: Arc<Cluster>,
    pub ledger: Arc<Ledger>,
    pub findings: Arc<Findings>,
}

impl Settle {
    /// Waits until all is as it has to be; what is not in time is a finding.
    pub async fn settle(&self) {
        let began = Instant::now();
        self.ledger.hold().await;
        let truth = match self.until(|| async { self.ledger.truth().await }).await {
            Ok(truth) => truth,
            Err(why) => return self.findings.add(why),
        };
        let read = self.everyone(&truth).await;
        let caught_up = began.elapsed();
        // What is still on its way to history has to arrive there, and base has to follow it.
        let stored = match read {
            Ok(()) => self.until(|| self.stored(&truth)).await.err(),
            Err(why) => Some(why),
        };
        let wrong = match stored {
            None => self.everyone(&truth).await.err(),
            wrong => wrong,
        };
        let wrong = match wrong {
            None => self.letters(&truth).await.err(),
            wrong => wrong,
        };
        if let Some(why) = wrong {
            self.findings.add(format!("{why} (after {:.0} s without a fault)", began.elapsed().as_secs_f64()));
        }
        for process in self.cluster.all() {
            process.look_for_panics();
        }
        let (acknowledged, indeterminate) = self.ledger.counts();
        self.findings.say(format!(
            "settled in {:.1} s, readers in {:.1} s; {} versions of events, {acknowledged} records acknowledged, {indeterminate} of unknown fate",
            began.elapsed().as_secs_f64(),
            caught_up.as_secs_f64(),
            truth.model.len(),
        ));
        self.findings.calm();
    }

    /// Every process that serves.
    async fn everyone(&self, truth: &Truth) -> Result<(), String> {
        let all = self.cluster.serving.iter().map(|serving| self.until(move || self.exact(serving, &truth.model)));
        futures::future::join_all(all).await.into_iter().collect()
    }

    async fn until<T, F: Future<Output = Result<T, String>>>(&self, mut step: impl FnMut() -> F) -> Result<T, String> {
        let began = Instant::now();
        loop {
            match step().await {
                Ok(done) => return Ok(done),
                Err(why) if began.elapsed() > PATIENCE => return Err(why),
                Err(_) => tokio::time::sleep(LOOK).await,
            }
        }
    }

    /// Every sequence of one process is that of the model.
    async fn exact(&self, serving: &Serving, model: &Model) -> Result<(), String> {
        let of = &serving.process.name;
        if !is_ready(serving).await {
            return Err(format!("{of} is not ready: {:?}", serving.process.last()));
        }
        let client = Client::connect(&format!("http://{}", serving.grpc), CALL).await.map_err(|e| format!("{of}: {e}"))?;
        exact(&client, &self.cluster.prepared.defined.namespace, model).await.map_err(|why| format!("{of}: {why}"))
    }

    /// History has every version of every event, and its current rows are those of the model.
    async fn stored(&self, truth: &Truth) -> Result<(), String> {
        let prepared = &self.cluster.prepared;
        let history = History::new(self.world.platform.lake().clone(), &prepared.uid, Arc::clone(&prepared.defined.plan));
        let failed = |e: tress_engine::Error| format!("read history: {e}");
        let snapshot = history.snapshot().await.map_err(failed)?.ok_or("there is no history")?;
        let mut current: BTreeMap<(String, i64, i64), Stored> = BTreeMap::new();
        let mut versions = BTreeSet::new();
        let mut batches = Box::pin(history.scan(snapshot.files.clone(), Scan { hashes: i64::MIN..=i64::MAX, columns: None }));
        while let Some(batch) = batches.try_next().await.map_err(failed)? {
            for (key, row) in stored(&batch) {
                versions.insert((key.clone(), row.version, row.raw_hash));
                let known = current.entry(key).or_insert_with(|| row.clone());
                if (row.version, row.raw_hash) > (known.version, known.raw_hash) {
                    *known = row;
                }
            }
        }
        if versions.len() != truth.model.len() {
            return Err(format!("history has {} versions of events, {} were appended", versions.len(), truth.model.len()));
        }
        for user in truth.model.users() {
            let of = name(user);
            let range = (of.clone(), i64::MIN, i64::MIN)..=(of, i64::MAX, i64::MAX);
            let mut rows: Vec<Row> = current.range(range).filter_map(|(_, stored)| stored.row.clone()).collect();
            rows.sort_by_cached_key(|row| row.place(user));
            let expected = truth.model.sequence(user, Feature::All);
            same(user, &rows, &expected).map_err(|why| format!("history's current rows: {why}"))?;
        }
        Ok(())
    }

    /// Each record that cannot be used was put aside, and nothing else.
    async fn letters(&self, truth: &Truth) -> Result<(), String> {
        let log = self.world.platform.own_log();
        let topics = prepare::topics(&self.world.platform, &self.cluster.prepared.uid).await.map_err(|e| format!("find topics: {e}"))?;
        let letters = dead_letters::list(log.as_ref(), &topics.dead_letters, &Selection::first(usize::MAX)).await;
        let letters = letters.map_err(|e| format!("list dead letters: {e}"))?;
        let places = letters.iter().filter_map(|kept| kept.letter.partition.zip(kept.letter.offset));
        let aside: BTreeSet<(i32, i64)> = places.collect();
        let missing: Vec<_> = truth.poison.difference(&aside).take(5).collect();
        let sound: Vec<_> = aside.difference(&truth.poison).take(5).collect();
        if missing.is_empty() && sound.is_empty() {
            return Ok(());
        }
        Err(format!("dead letters: of records that cannot be used {missing:?} are missing; {sound:?} were sound"))
    }
}

/// Every sequence that a client reads is that of the model.
pub async fn exact(client: &Client, namespace: &str, model: &Model) -> Result<(), String> {
    let users: Vec<u32> = model.users().collect();
    for feature in Feature::EVERY {
        let all = sequences(client, namespace, feature, &users).await?;
        for (user, rows) in users.iter().zip(all) {
            same(*user, &rows, &model.sequence(*user, feature)).map_err(|why| format!("{}: {why}", feature.name()))?;
        }
    }
    Ok(())
}

/// The first difference, if there is one.
fn same(user: u32, found: &[Row], expected: &[Row]) -> Result<(), String> {
    if found == expected {
        return Ok(());
    }
    let at = found.iter().zip(expected).position(|(f, e)| f != e).unwrap_or(found.len().min(expected.len()));
    Err(format!(
        "entity {}: {} rows for {}; at {at} there is {:?} and must be {:?}",
        hash(user),
        found.len(),
        expected.len(),
        found.get(at),
        expected.get(at)
    ))
}

#[derive(Debug, Clone)]
struct Stored {
    version: i64,
    raw_hash: i32,
    /// `None` = a tombstone.
    row: Option<Row>,
}

fn stored(batch: &arrow::array::RecordBatch) -> Vec<((String, i64, i64), Stored)> {
    let column = |name: &str| batch.column_by_name(name).unwrap_or_else(|| panic!("column {name} of {:?}", batch.schema()));
    let entities = arrow::compute::cast(column("entity"), &arrow::datatypes::DataType::Utf8).unwrap();
    let titles = arrow::compute::cast(column("title"), &arrow::datatypes::DataType::Utf8).unwrap();
    let (entities, titles) = (entities.as_string::<i32>(), titles.as_string::<i32>());
    let times = column("event_time").as_primitive::<TimestampMicrosecondType>();
    let ids = column("event_id").as_primitive::<Int64Type>();
    let (versions, hashes) = (column("version").as_primitive::<Int64Type>(), column("raw_hash").as_primitive::<Int32Type>());
    let deleted = column("deleted").as_boolean();
    let (items, said) = (column("item_id").as_primitive::<Int64Type>(), column("updated_at").as_primitive::<Int64Type>());
    let (ratings, liked) = (column("rating").as_primitive::<Float64Type>(), column("liked").as_boolean());
    let row = |r: usize| Row {
        at: times.value(r) / 1_000_000,
        item: items.value(r),
        rating: (ratings.value(r) * 2.0).round() as i64,
        liked: liked.value(r),
        version: said.value(r),
        title: titles.is_valid(r).then(|| titles.value(r).to_owned()),
    };
    (0..batch.num_rows())
        .map(|r| {
            let key = (entities.value(r).to_owned(), times.value(r), ids.value(r));
            let row = (!deleted.value(r)).then(|| row(r));
            (key, Stored { version: versions.value(r), raw_hash: hashes.value(r), row })
        })
        .collect()
}
