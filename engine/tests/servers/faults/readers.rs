//! Readers of every process that serves, all the time: what each answer must be, whatever has happened.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int64Type, TimestampMicrosecondType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tress_engine::entity::Entity;
use tress_engine::serve::{Client, Wanted};

use super::cluster::Serving;
use super::events::{Event, name};
use super::findings::Findings;
use super::ledger::Ledger;
use super::model::{Feature, Model, Row};

/// Between two looks at everybody.
const PAUSE: Duration = Duration::from_millis(120);
/// The longest that a read may take.
const PATIENCE: Duration = Duration::from_secs(20);
/// How soon an end of the process is known, after a read that failed.
const KNOWN: Duration = Duration::from_millis(400);
/// Entities of one request.
const BATCH: usize = 100;
/// Who is looked at all the time: the newest so many; all others when everything is still.
const WATCHED: usize = 40;

/// What was seen of an event last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    version: i64,
    raw_hash: i32,
}

/// What was seen of each event at one process: that only goes forward, also across its restarts.
type Seen = BTreeMap<(u32, (i64, i64)), Mark>;

/// Reads one process until `stop`.
pub async fn read(serving: Serving, namespace: String, ledger: Arc<Ledger>, findings: Arc<Findings>, stop: CancellationToken) {
    let mut seen = Seen::new();
    let mut client: Option<((u32, u64), Client)> = None;
    while stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await.is_some() {
        let Some(steady) = serving.process.steady() else { continue };
        if client.as_ref().is_none_or(|(of, _)| of.0 != steady.0) {
            // Not ready yet is no reason to complain; to have been ready, and to refuse, is.
            if !is_ready(&serving).await {
                continue;
            }
            let Ok(connected) = Client::connect(&format!("http://{}", serving.grpc), PATIENCE).await else { continue };
            client = Some((steady, connected));
        }
        let Some((_, connected)) = &client else { continue };
        let users: Vec<u32> = ledger.tried(|tried| tried.users().collect());
        let users = &users[users.len().saturating_sub(WATCHED)..];
        for feature in Feature::EVERY {
            let began = Instant::now();
            match sequences(connected, &namespace, feature, users).await {
                Ok(all) => {
                    findings.slowest.fetch_max(u64::try_from(began.elapsed().as_millis()).unwrap(), Ordering::Relaxed);
                    let rows: usize = all.iter().map(Vec::len).sum();
                    findings.reads.fetch_add(all.len() as u64, Ordering::Relaxed);
                    findings.rows.fetch_add(rows as u64, Ordering::Relaxed);
                    for (user, rows) in users.iter().zip(&all) {
                        let checked = ledger.tried(|tried| check(tried, (*user, feature), rows, &mut seen));
                        if let Err(wrong) = checked {
                            findings.add(format!("{} answers {} of entity {}: {wrong}", serving.process.name, feature.name(), hash(*user)));
                        }
                    }
                }
                Err(error) => {
                    tokio::time::sleep(KNOWN).await;
                    // Nothing happened to it, and it was ready: it had to answer.
                    if serving.process.steady() == Some(steady) {
                        let took = began.elapsed();
                        findings.add(format!("{} was ready and refused {} after {took:?}: {error}", serving.process.name, feature.name()));
                    }
                }
            }
        }
    }
}

/// Findings name entities by hash, as everything does.
pub fn hash(user: u32) -> String {
    format!("{:016x}", Entity::String(name(user)).hash())
}

/// What the process says of itself.
pub async fn is_ready(serving: &Serving) -> bool {
    let ask = async {
        let mut connection = TcpStream::connect(serving.http).await?;
        connection.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
        let mut answer = String::new();
        connection.read_to_string(&mut answer).await?;
        std::io::Result::Ok(answer.starts_with("HTTP/1.1 200"))
    };
    matches!(tokio::time::timeout(Duration::from_secs(2), ask).await, Ok(Ok(true)))
}

/// Sequences of these users, in their order.
pub async fn sequences(client: &Client, namespace: &str, feature: Feature, users: &[u32]) -> Result<Vec<Vec<Row>>, String> {
    let mut all = Vec::with_capacity(users.len());
    for users in users.chunks(BATCH) {
        let entities: Vec<Entity> = users.iter().map(|user| Entity::String(name(*user))).collect();
        let reply = client.batch(&format!("{namespace}/{}", feature.name()), &entities, &Wanted::default()).await;
        all.extend(reply.map_err(|e| format!("{:?}: {e}", e.kind()))?.rows.iter().map(rows));
    }
    Ok(all)
}

/// The rows of a reply.
pub fn rows(batch: &RecordBatch) -> Vec<Row> {
    let column = |name: &str| batch.column_by_name(name).unwrap_or_else(|| panic!("column {name} of {:?}", batch.schema()));
    let times = column("event_time").as_primitive::<TimestampMicrosecondType>();
    let (items, versions) = (column("item_id").as_primitive::<Int64Type>(), column("updated_at").as_primitive::<Int64Type>());
    let (ratings, liked) = (column("rating").as_primitive::<Float64Type>(), column("liked").as_boolean());
    let titles = arrow::compute::cast(column("title"), &arrow::datatypes::DataType::Utf8).unwrap();
    let titles = titles.as_string::<i32>();
    let row = |r| Row {
        at: times.value(r) / 1_000_000,
        item: items.value(r),
        rating: (ratings.value(r) * 2.0).round() as i64,
        liked: liked.value(r),
        version: versions.value(r),
        title: titles.is_valid(r).then(|| titles.value(r).to_owned()),
    };
    (0..batch.num_rows()).map(row).collect()
}

/// Checks one answer against everything that was tried, and against what was seen before.
fn check(tried: &Model, (user, feature): (u32, Feature), rows: &[Row], seen: &mut Seen) -> Result<(), String> {
    if rows.len() > feature.length() {
        return Err(format!("{} rows, at most {} are asked for", rows.len(), feature.length()));
    }
    if let Some(wrong) = rows.windows(2).find(|two| two[0].place(user) >= two[1].place(user)) {
        let what = if wrong[0].key() == wrong[1].key() { "twice" } else { "in the wrong order" };
        return Err(format!("{what}: {wrong:?}"));
    }
    let mut visible = BTreeMap::new();
    for row in rows {
        let produced = |e: &&Event| Row::of(e) == *row && e.yields_a_row() && e.rating >= feature.least();
        let Some(event) = tried.versions(user, row.key()).iter().find(produced) else {
            return Err(format!("{row:?} was never produced; versions are {:?}", tried.versions(user, row.key())));
        };
        visible.insert(row.key(), Mark { version: event.version, raw_hash: event.raw_hash() });
    }
    // `liked` shows too little to say what became of a row.
    if feature != Feature::All {
        return Ok(());
    }
    for ((_, key), mark) in seen.range_mut((user, (i64::MIN, i64::MIN))..(user + 1, (i64::MIN, i64::MIN))) {
        match visible.get(key) {
            Some(now) if (now.version, now.raw_hash) < (mark.version, mark.raw_hash) => {
                return Err(format!("{key:?} went back from {mark:?} to {now:?}"));
            }
            Some(_) => {}
            None => {
                // What hides it: the least that can, so that nothing older may come back.
                let hides = tried.versions(user, *key).iter().filter(|e| !e.yields_a_row());
                let hides = hides.map(|e| Mark { version: e.version, raw_hash: e.raw_hash() });
                let is = |m: &Mark| (m.version, m.raw_hash) >= (mark.version, mark.raw_hash);
                match hides.filter(is).min_by_key(|m| (m.version, m.raw_hash)) {
                    Some(hidden) => *mark = hidden,
                    None => return Err(format!("{key:?} of {mark:?} vanished; versions are {:?}", tried.versions(user, *key))),
                }
            }
        }
    }
    for (key, mark) in visible {
        seen.insert((user, key), mark);
    }
    Ok(())
}
