//! Raw events, one after another, from a seed: new ones, copies, newer and older versions, deletions, what is late, what is nobody's, and
//! what cannot be used.

use bytes::Bytes;
use xxhash_rust::xxh3::xxh3_64;

use super::chance::Chance;

/// 2024-01-04, in seconds: what is late is up to three days before.
const START: i64 = 1_704_326_400;
const DAY: i64 = 86_400;
pub const ITEMS: i64 = 120;
/// How many events are remembered, to be spoken of again.
const REMEMBERED: usize = 600;

/// One version of one event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Event {
    pub user: u32,
    pub item: i64,
    /// Seconds.
    pub at: i64,
    pub version: i64,
    /// Halves of a star.
    pub rating: i64,
    pub deletes: bool,
}

/// One record of the topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Raw {
    Event(Event),
    /// Of another kind: neither read nor put aside.
    Nobodys(u64),
    /// It cannot be used, in the way that the number says: put aside, and nothing stops.
    Poison(u64),
}

/// Makes records.
#[derive(Debug)]
pub struct Events {
    chance: Chance,
    made: u64,
    /// Whose events are made now.
    users: std::ops::Range<u32>,
    now: i64,
    known: Vec<Event>,
}

impl Events {
    pub const fn new(chance: Chance) -> Self {
        Self { chance, made: 0, users: 0..1, now: START, known: Vec::new() }
    }

    /// New events are of these users from now on; older ones are still spoken of.
    pub fn of_users(&mut self, users: std::ops::Range<u32>) {
        self.users = users;
    }

    pub fn make(&mut self) -> Raw {
        self.made += 1;
        self.now += i64::try_from(self.chance.below(4)).unwrap();
        match self.chance.below(100) {
            0..5 => return Raw::Poison(self.made),
            5..8 => return Raw::Nobodys(self.made),
            _ => {}
        }
        if self.known.is_empty() || self.chance.below(100) < 65 {
            return Raw::Event(self.new_event());
        }
        let earlier = *self.chance.pick(&self.known);
        let (rating, deletes) = self.says();
        let now = i64::try_from(self.made).unwrap();
        let event = match self.chance.below(10) {
            0..3 => earlier,
            // The same version says something else: who wins is in its content.
            3 => Event { rating, ..earlier },
            4..6 => Event { version: earlier.version - 1 - i64::try_from(self.chance.below(50)).unwrap(), rating, deletes, ..earlier },
            _ => Event { version: now, rating, deletes, ..earlier },
        };
        self.remember(event);
        Raw::Event(event)
    }

    fn new_event(&mut self) -> Event {
        let (rating, deletes) = self.says();
        let late = if self.chance.below(6) == 0 { i64::try_from(self.chance.below(3 * DAY.unsigned_abs())).unwrap() } else { 0 };
        // Many of a user share a second.
        let at = (self.now - late) / 10 * 10;
        let user = self.users.start + u32::try_from(self.chance.below(u64::from(self.users.end - self.users.start))).unwrap();
        let item = i64::try_from(self.chance.below(ITEMS.unsigned_abs())).unwrap();
        let event = Event { user, item, at, version: i64::try_from(self.made).unwrap(), rating, deletes };
        self.remember(event);
        event
    }

    const fn says(&mut self) -> (i64, bool) {
        (self.chance.below(11).cast_signed(), self.chance.one_in(8))
    }

    fn remember(&mut self, event: Event) {
        if self.known.len() < REMEMBERED {
            self.known.push(event);
        } else {
            let place = usize::try_from(self.chance.below(REMEMBERED as u64)).unwrap();
            self.known[place] = event;
        }
    }
}

pub fn name(user: u32) -> String {
    format!("u{user}")
}

impl Event {
    pub fn op(&self) -> &'static str {
        if self.deletes { "d" } else { "u" }
    }

    /// A row, or nothing: a tombstone.
    pub const fn yields_a_row(&self) -> bool {
        !self.deletes && self.rating >= super::definitions::KEPT
    }

    /// Which event it is a version of, within its user.
    pub const fn key(&self) -> (i64, i64) {
        (self.at, self.item)
    }

    /// What decides between equal versions: the hash of all declared fields, in their order, as the design freezes it.
    pub fn raw_hash(&self) -> i32 {
        let mut bytes = Vec::new();
        let text = |bytes: &mut Vec<u8>, text: &str| {
            bytes.push(6);
            bytes.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
            bytes.extend(text.as_bytes());
        };
        let number = |bytes: &mut Vec<u8>, number: i64| {
            bytes.push(3);
            bytes.extend(number.to_le_bytes());
        };
        text(&mut bytes, "rating");
        text(&mut bytes, &name(self.user));
        number(&mut bytes, self.item);
        bytes.push(5);
        bytes.extend(stars(self.rating).to_le_bytes());
        number(&mut bytes, self.at);
        number(&mut bytes, self.version);
        text(&mut bytes, self.op());
        (xxh3_64(&bytes) as u32 ^ (1 << 31)).cast_signed()
    }

    /// What decides between events of one time.
    pub fn event_id(user: u32, (at, item): (i64, i64)) -> i64 {
        let mut bytes = vec![6];
        let user = name(user);
        bytes.extend(u32::try_from(user.len()).unwrap().to_le_bytes());
        bytes.extend(user.as_bytes());
        bytes.push(8);
        bytes.extend((at * 1_000_000).to_le_bytes());
        bytes.push(3);
        bytes.extend(item.to_le_bytes());
        (xxh3_64(&bytes) ^ (1 << 63)).cast_signed()
    }
}

pub fn stars(halves: i64) -> f64 {
    f64::from(i32::try_from(halves).unwrap()) / 2.0
}

impl Raw {
    pub fn payload(&self) -> Bytes {
        let text = match self {
            Self::Event(e) => {
                let (user, rating, op) = (name(e.user), stars(e.rating), e.op());
                format!(
                    r#"{{"kind":"rating","user_id":"{user}","item_id":{},"rating":{rating:?},"ts":{},"updated_at":{},"op":"{op}"}}"#,
                    e.item, e.at, e.version
                )
            }
            Self::Nobodys(n) => format!(r#"{{"kind":"view","user_id":"u1","page":{n}}}"#),
            Self::Poison(n) => {
                let with = |user: &str, item: &str, rating: &str, ts: &str| {
                    format!(
                        r#"{{"kind":"rating","user_id":{user},"item_id":{item},"rating":{rating},"ts":{ts},"updated_at":{n},"op":"u"}}"#
                    )
                };
                match n % 7 {
                    0 => format!(r#"{{"kind":"rating","user_id":"u1","n":{n}"#),
                    1 => with("null", "1", "4.0", "1704326400"),
                    2 => with("\"u1\"", "1", "\"good\"", "1704326400"),
                    3 => with("\"u1\"", "7.5", "4.0", "1704326400"),
                    // Decades ahead.
                    4 => with("\"u1\"", "1", "4.0", "4102444800"),
                    5 => with("\"u1\"", "1", "4.0", "null"),
                    _ => format!("[{n}, \"of no type that is known\"]"),
                }
            }
        };
        text.into()
    }
}
