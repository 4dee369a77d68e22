//! What was appended to the raw topic: what was tried, what was acknowledged, and what is there.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tress_engine::ErrorKind;
use tress_engine::log::{Log, NewRecord, Position};

use super::chance::Chance;
use super::events::{Events, Raw};
use super::findings::Findings;
use super::model::Model;

/// Appends that may be under way at once: one that waits for the broker does not keep the others.
const AT_ONCE: usize = 3;
/// Between appends of one of them.
const PAUSE: Duration = Duration::from_millis(60);

/// The history of the raw topic.
#[derive(Debug)]
pub struct Ledger {
    pub topic: String,
    log: Arc<dyn Log>,
    findings: Arc<Findings>,
    events: Mutex<(Events, Chance)>,
    book: Mutex<Book>,
    /// Whether records are appended now; and how many appends are under way.
    going: watch::Sender<bool>,
    under_way: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Book {
    /// Everything that was tried.
    tried: Model,
    by_payload: HashMap<Bytes, Raw>,
    /// What was acknowledged, by place.
    acknowledged: BTreeMap<(i32, i64), Bytes>,
    indeterminate: u64,
    /// What is there, as far as it was read back.
    truth: Model,
    next: BTreeMap<i32, i64>,
    poison: BTreeSet<(i32, i64)>,
}

/// What is in the topic.
#[derive(Debug, Clone)]
pub struct Truth {
    pub model: Model,
    /// Partition and offset of what cannot be used.
    pub poison: BTreeSet<(i32, i64)>,
}

impl Ledger {
    pub fn new(topic: &str, log: Arc<dyn Log>, findings: Arc<Findings>, mut chance: Chance) -> Self {
        let events = Events::new(chance.fork());
        Self {
            topic: topic.to_owned(),
            log,
            findings,
            events: Mutex::new((events, chance)),
            book: Mutex::default(),
            going: watch::Sender::new(false),
            under_way: watch::Sender::new(0),
        }
    }

    pub fn of_users(&self, users: std::ops::Range<u32>) {
        self.events.lock().0.of_users(users);
    }

    /// Appends until `stop`, whenever it is to go.
    pub async fn produce(self: Arc<Self>, stop: CancellationToken) {
        let mut appending = JoinSet::new();
        for _ in 0..AT_ONCE {
            let (ledger, stop) = (Arc::clone(&self), stop.clone());
            appending.spawn(async move {
                let mut going = ledger.going.subscribe();
                loop {
                    let go = async { drop(going.wait_for(|going| *going).await) };
                    if stop.run_until_cancelled(go).await.is_none() {
                        return;
                    }
                    ledger.under_way.send_modify(|n| *n += 1);
                    if *ledger.going.borrow() {
                        ledger.append().await;
                    }
                    ledger.under_way.send_modify(|n| *n -= 1);
                    tokio::time::sleep(PAUSE).await;
                }
            });
        }
        while appending.join_next().await.is_some() {}
    }

    pub fn go(&self) {
        self.going.send_replace(true);
    }

    /// Appends nothing more, and waits for what is under way.
    pub async fn hold(&self) {
        self.going.send_replace(false);
        self.under_way.subscribe().wait_for(|n| *n == 0).await.unwrap();
    }

    /// A few records, to any partition. They count as tried before anybody can see them.
    pub async fn append(&self) {
        let (raws, place) = {
            let (events, chance) = &mut *self.events.lock();
            let raws: Vec<Raw> = (0..=chance.below(5)).map(|_| events.make()).collect();
            (raws, chance.number())
        };
        let Ok(ends) = self.log.ends(&self.topic).await else { return };
        let partition = i32::try_from(place % ends.len() as u64).unwrap();
        let payloads: Vec<Bytes> = raws.iter().map(Raw::payload).collect();
        {
            let mut book = self.book.lock();
            for (raw, payload) in raws.iter().zip(&payloads) {
                if let Raw::Event(event) = raw {
                    book.tried.add(*event);
                }
                book.by_payload.insert(payload.clone(), *raw);
            }
        }
        let records = payloads.iter().map(|payload| NewRecord { payload: payload.clone(), ..NewRecord::default() }).collect();
        match self.log.append(&self.topic, partition, records).await {
            Ok(first) => {
                let mut book = self.book.lock();
                for (offset, payload) in (first..).zip(payloads) {
                    if book.acknowledged.insert((partition, offset), payload).is_some() {
                        self.findings.add(format!("two appends were told offset {offset} of partition {partition}"));
                    }
                }
            }
            // A producer learns late of a partition that was just added, and says so.
            Err(e) if matches!(e.kind(), ErrorKind::Unavailable | ErrorKind::NotFound) => {
                self.book.lock().indeterminate += payloads.len() as u64;
            }
            Err(e) => self.findings.add(format!("an append failed: {e}")),
        }
    }

    /// Looks at everything that was tried.
    pub fn tried<T>(&self, look: impl FnOnce(&Model) -> T) -> T {
        look(&self.book.lock().tried)
    }

    /// (acknowledged, indeterminate)
    pub fn counts(&self) -> (usize, u64) {
        let book = self.book.lock();
        (book.acknowledged.len(), book.indeterminate)
    }

    /// Reads back what is in the topic; what was acknowledged has to be where it was said to be. To be called while nothing is appended.
    pub async fn truth(&self) -> Result<Truth, String> {
        let failed = |e: tress_engine::Error| format!("read the raw topic back: {e}");
        for (partition, ends) in (0..).zip(self.log.ends(&self.topic).await.map_err(failed)?) {
            let mut next = self.book.lock().next.get(&partition).copied().unwrap_or(0);
            while next < ends.end {
                let from = Position { partition, offset: next };
                let read = self.log.read(&self.topic, from, 1 << 20, Duration::from_secs(10)).await.map_err(failed)?;
                let records = read.records;
                let mut book = self.book.lock();
                for record in records {
                    if record.offset != next {
                        self.findings.add(format!("raw partition {partition}: after {next} comes {}", record.offset));
                    }
                    next = record.offset + 1;
                    match book.by_payload.get(&record.payload) {
                        Some(Raw::Event(event)) => {
                            let event = *event;
                            book.truth.add(event);
                        }
                        Some(Raw::Poison(_)) => drop(book.poison.insert((partition, record.offset))),
                        Some(Raw::Nobodys(_)) => {}
                        None => self.findings.add(format!("raw partition {partition}, {}: nobody appended this", record.offset)),
                    }
                    if book.acknowledged.get(&(partition, record.offset)).is_some_and(|said| *said != record.payload) {
                        self.findings.add(format!("raw partition {partition}, {}: something else was acknowledged", record.offset));
                    }
                }
                book.next.insert(partition, next);
            }
            let lost = self.book.lock().acknowledged.range((partition, ends.end)..(partition + 1, 0)).count();
            if lost > 0 {
                self.findings.add(format!("{lost} acknowledged records are beyond the end of raw partition {partition}"));
            }
        }
        let book = self.book.lock();
        Ok(Truth { model: book.truth.clone(), poison: book.poison.clone() })
    }
}
