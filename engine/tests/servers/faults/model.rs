//! What every sequence must be, from the events alone. Shares no code with the engine.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::definitions::{ALL, KEPT, LIKED, LIKES, title};
use super::events::Event;

/// A row as it is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Seconds.
    pub at: i64,
    pub item: i64,
    /// Halves of a star.
    pub rating: i64,
    pub liked: bool,
    pub version: i64,
    pub title: Option<String>,
}

/// The features.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Feature {
    All,
    Liked,
}

/// Events by user and by what they are versions of.
#[derive(Debug, Clone, Default)]
pub struct Model {
    users: BTreeMap<u32, BTreeMap<(i64, i64), Vec<Event>>>,
}

impl Feature {
    pub const EVERY: [Self; 2] = [Self::All, Self::Liked];

    pub const fn name(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Liked => "liked",
        }
    }

    pub const fn length(self) -> usize {
        match self {
            Self::All => ALL,
            Self::Liked => LIKED,
        }
    }

    pub const fn least(self) -> i64 {
        match self {
            Self::All => KEPT,
            Self::Liked => LIKES,
        }
    }
}

impl Row {
    pub fn of(event: &Event) -> Self {
        let Event { item, at, version, rating, .. } = *event;
        Self { at, item, rating, liked: rating >= LIKES, version, title: title(item) }
    }

    pub const fn key(&self) -> (i64, i64) {
        (self.at, self.item)
    }

    /// The order of rows of a user: newest first, and among those of one time by the hash of the identity.
    pub fn place(&self, user: u32) -> (Reverse<i64>, i64) {
        (Reverse(self.at), Event::event_id(user, self.key()))
    }
}

impl Model {
    pub fn add(&mut self, event: Event) {
        let versions = self.users.entry(event.user).or_default().entry(event.key()).or_default();
        if !versions.contains(&event) {
            versions.push(event);
        }
    }

    pub fn users(&self) -> impl Iterator<Item = u32> {
        self.users.keys().copied()
    }

    /// All versions of an event.
    pub fn versions(&self, user: u32, key: (i64, i64)) -> &[Event] {
        self.users.get(&user).and_then(|of| of.get(&key)).map_or(&[], Vec::as_slice)
    }

    /// What wins: the greatest version, and among equal ones the greatest hash of its content.
    fn winner(versions: &[Event]) -> &Event {
        versions.iter().max_by_key(|e| (e.version, e.raw_hash())).unwrap()
    }

    /// The sequence of a user, newest first.
    pub fn sequence(&self, user: u32, feature: Feature) -> Vec<Row> {
        let Some(events) = self.users.get(&user) else { return Vec::new() };
        let winners = events.values().map(|versions| Self::winner(versions));
        let mut rows: Vec<Row> = winners.filter(|e| e.yields_a_row() && e.rating >= feature.least()).map(Row::of).collect();
        rows.sort_by_cached_key(|row| row.place(user));
        rows.truncate(feature.length());
        rows
    }

    /// How many versions of events there are.
    pub fn len(&self) -> usize {
        self.users.values().flat_map(BTreeMap::values).map(Vec::len).sum()
    }
}
