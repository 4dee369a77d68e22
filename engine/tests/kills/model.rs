//! What every sequence must be, from the events alone.

use std::collections::{BTreeMap, BTreeSet};

use crate::scenario::{Event, batch, name, title};

/// Rows of one sequence, newest first, as text: `seconds item rating liked title`.
pub type Rows = Vec<String>;

/// An event's identity: user and item, which also decide its time.
pub type Identity = (u64, u64);

/// The newest version of each event of these batches.
fn newest(batches: impl Iterator<Item = u64>) -> BTreeMap<Identity, Event> {
    let mut newest: BTreeMap<Identity, Event> = BTreeMap::new();
    for event in batches.flat_map(batch) {
        let known = newest.entry((event.user, event.item)).or_insert(event);
        if event.version > known.version {
            *known = event;
        }
    }
    newest
}

/// The sequence of a user in a feature, after these batches.
pub fn sequence(feature: &str, user: u64, batches: impl Iterator<Item = u64>, recent: usize) -> Rows {
    let (least, length) = match feature {
        "recent" => (1.0, recent),
        "liked" => (4.0, 4),
        _ => (1.0, 200),
    };
    let newest = newest(batches);
    let mut events: Vec<Event> = newest.into_values().filter(|e| e.user == user && !e.deletes() && e.rating() >= least).collect();
    events.sort_by_key(|e| std::cmp::Reverse(e.at()));
    events.truncate(length);
    events.into_iter().map(row).collect()
}

/// Which events a batch speaks of, as the beginnings of their rows: what it may change.
pub fn touched(number: u64) -> BTreeSet<(String, String)> {
    batch(number).into_iter().map(|e| (name(e.user), key(e))).collect()
}

/// The identity of the event of a row, within its user.
pub fn key_of(row: &str) -> String {
    row.split(' ').take(2).collect::<Vec<_>>().join(" ")
}

fn key(event: Event) -> String {
    format!("{} {}", event.at(), event.item)
}

fn row(event: Event) -> String {
    let liked = event.rating() >= 4.0;
    format!("{} {:?} {liked} {}", key(event), event.rating(), title(event.item).unwrap_or_else(|| "-".to_owned()))
}
