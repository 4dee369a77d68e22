//! What the process that is killed is given: definitions, a table, and events, the same each time, from one seed.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use parquet::arrow::ArrowWriter;
use tress_configs::source::{Foreign, parse};
use tress_configs::{Pins, compile};
use tress_engine::node::Desired;

pub const TOPIC: &str = "ratings";
pub const USERS: usize = 5;
/// 2024-01-01, in seconds.
const START: i64 = 1_704_067_200;
/// Later than every event, in µs.
pub const NOW: i64 = (START + 10 * 86_400) * 1_000_000;
const ITEMS: u64 = 60;
const EVENTS_PER_BATCH: u64 = 30;
const SEED: u64 = 20_240_101;
/// The table of titles, as a file in the folder of tables.
const TITLES: &str = "items.parquet";

const DEFINITIONS: &str = r#"
apiVersion: tress.dev/v1alpha1
kind: SignalDefinition
metadata: {name: rating, namespace: movies}
spec:
  definition:
    entity: {field: user_id}
    event:
      time: {field: ts, unit: Seconds}
      availableAt: {field: {name: received_at, unit: Seconds}}
      id: [item_id]
      version: {field: updated_at}
      delete: "op = 'd'"
      fields:
        - {name: user_id, type: string}
        - {name: item_id, type: int64}
        - {name: rating, type: float64}
        - {name: ts, type: int64}
        - {name: received_at, type: int64}
        - {name: updated_at, type: int64}
        - {name: op, type: string, nullable: true}
    source:
      stream: {connection: main, topic: ratings, format: {json: {}}}
      archive: true
    executor:
      declarative:
        filter: "rating >= 1.0"
        derive:
          - {name: liked, expr: "rating >= 4.0"}
    enrichments:
      - name: item
        lookup:
          table: {connection: lake, table: items.parquet, key: {item_id: item_id}}
        onMissing: Null
        columns:
          - {name: title, type: string}
---
apiVersion: tress.dev/v1alpha1
kind: SequenceFeature
metadata: {name: recent, namespace: movies}
spec:
  definition:
    signals:
      - {name: rating, columns: [item_id, rating, liked, title]}
    length: LENGTH
---
apiVersion: tress.dev/v1alpha1
kind: SequenceFeature
metadata: {name: liked, namespace: movies}
spec:
  definition:
    signals:
      - {name: rating, columns: [item_id, rating, liked, title], where: "rating >= 4.0"}
    length: 4
---
apiVersion: tress.dev/v1alpha1
kind: SequenceFeature
metadata: {name: all, namespace: movies}
spec:
  definition:
    signals:
      - {name: rating, columns: [item_id, rating, liked, title]}
    length: 200
"#;

pub fn desired(length: u32) -> Desired {
    let parsed = parse("kills.yaml", &DEFINITIONS.replace("LENGTH", &length.to_string()), Foreign::Report);
    assert!(parsed.issues.is_empty(), "{:?}", parsed.issues);
    let objects: Vec<_> = parsed.objects.into_iter().map(|o| o.item).collect();
    let outcome = compile(&objects, &Pins::default());
    for compiled in outcome.values() {
        assert!(compiled.is_ok(), "{compiled:?}");
    }
    Desired::of(&outcome)
}

/// One delivery of one version of an event. What it says follows from these alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    pub user: u64,
    pub item: u64,
    pub version: u64,
}

/// A batch: new events in any order of time, copies, corrections, deletions, and versions that come too late.
pub fn batch(number: u64) -> Vec<Event> {
    (0..EVENTS_PER_BATCH).map(|place| event(number, place)).collect()
}

fn event(number: u64, place: u64) -> Event {
    let random = |what: u64| mix(&[SEED, number, place, what]);
    if number > 0 && random(0) % 3 == 0 {
        // An event of an earlier batch: the same again, newer, or older than what has been.
        let earlier = event(random(1) % number, random(2) % EVENTS_PER_BATCH);
        let version = match random(3) % 4 {
            0 => earlier.version,
            1 => earlier.version - 1,
            _ => 1000 * (number + 1) + place,
        };
        return Event { version: version.max(1), ..earlier };
    }
    Event { user: random(4) % USERS as u64, item: random(5) % ITEMS, version: 1000 * (number + 1) + place }
}

impl Event {
    /// Seconds; no two events of a user share one.
    pub fn at(self) -> i64 {
        let day = mix(&[self.item]) % 4;
        START + i64::try_from(day * 86_400 + self.item * 100 + self.user).expect("a few days")
    }

    pub fn rating(self) -> f64 {
        f64::from(u32::try_from(self.says(1) % 11).expect("small")) / 2.0
    }

    pub fn deletes(self) -> bool {
        self.says(2).is_multiple_of(6)
    }

    pub fn payload(self) -> Vec<u8> {
        let (at, op) = (self.at(), if self.deletes() { "d" } else { "u" });
        let received = at + i64::try_from(self.version).expect("small");
        format!(
            r#"{{"user_id":"{}","item_id":{},"rating":{:?},"ts":{at},"received_at":{received},"updated_at":{},"op":"{op}"}}"#,
            name(self.user),
            self.item,
            self.rating(),
            self.version,
        )
        .into_bytes()
    }

    fn says(self, what: u64) -> u64 {
        mix(&[self.user, self.item, self.version, what])
    }
}

pub fn name(user: u64) -> String {
    format!("u{user}")
}

/// What the table of titles says of an item; it does not know all of them.
pub fn title(item: u64) -> Option<String> {
    (!item.is_multiple_of(3)).then(|| format!("title-{item}"))
}

/// Makes the table of titles in the folder of tables.
pub fn write_titles(tables: &Path) {
    std::fs::create_dir_all(tables).expect("a folder");
    let known: Vec<u64> = (0..ITEMS).filter(|item| title(*item).is_some()).collect();
    let ids = Int64Array::from_iter_values(known.iter().map(|item| i64::try_from(*item).expect("small")));
    let titles = StringArray::from_iter_values(known.iter().filter_map(|item| title(*item)));
    let columns: Vec<(&str, ArrayRef)> = vec![("item_id", Arc::new(ids)), ("title", Arc::new(titles))];
    let batch = RecordBatch::try_from_iter(columns).expect("a batch");
    let file = std::fs::File::create(tables.join(TITLES)).expect("a file");
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).expect("a writer");
    writer.write(&batch).expect("written");
    writer.close().expect("closed");
}

/// A number that looks random and is not.
fn mix(parts: &[u64]) -> u64 {
    parts.iter().fold(0x9e37_79b9_7f4a_7c15, |state, part| {
        let mut z = (state ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    })
}
