//! Which fields matter: whose event it is, when it happened, and what makes it one event.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::infer::{Field, Scalar, Shape};
use crate::exit::usage;

/// What a person said; what is absent is guessed.
#[derive(Debug, Clone, Default)]
pub struct Wishes {
    pub entity: Option<String>,
    pub time: Option<String>,
    pub id: Vec<String>,
}

/// The fields that matter, by their names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Roles {
    pub entity: String,
    pub time: String,
    pub unit: Unit,
    pub id: Vec<String>,
    /// How many records of the sample are copies by (entity, time, id).
    pub repeated: usize,
    /// What was guessed rather than said.
    pub guessed: Vec<Role>,
    /// The same for people, with the option that changes it.
    pub notes: Vec<String>,
}

/// What a field is to an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    Entity,
    Time,
    Id,
}

/// How a time is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Seconds,
    Millis,
    Micros,
    Nanos,
    Rfc3339,
}

const ENTITIES: &[&str] = &[
    "user_id",
    "userid",
    "user",
    "uid",
    "customer_id",
    "customer",
    "account_id",
    "member_id",
    "visitor_id",
    "profile_id",
    "device_id",
    "client_id",
    "author_id",
    "session_id",
];
const TIMES: &[&str] =
    &["event_time", "ts", "timestamp", "time", "occurred_at", "created_at", "event_timestamp", "datetime", "date", "at", "updated_at"];
const IDS: &[&str] = &[
    "event_id",
    "id",
    "uuid",
    "message_id",
    "item_id",
    "product_id",
    "movie_id",
    "video_id",
    "track_id",
    "content_id",
    "object_id",
    "sku",
];
/// What events are often about, where it is not called an id.
const THINGS: &[&str] =
    &["item", "product", "track", "movie", "song", "video", "article", "book", "episode", "listing", "content", "object", "page", "url"];

impl Unit {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Seconds => "Seconds",
            Self::Millis => "Millis",
            Self::Micros => "Micros",
            Self::Nanos => "Nanos",
            Self::Rfc3339 => "Rfc3339",
        }
    }

    /// Microseconds since 1970 of a value in this unit.
    pub fn micros(self, value: &Value) -> Option<i64> {
        if self == Self::Rfc3339 {
            return chrono::DateTime::parse_from_rfc3339(value.as_str()?).ok().map(|t| t.timestamp_micros());
        }
        let number = value.as_i64()?;
        match self {
            Self::Seconds => number.checked_mul(1_000_000),
            Self::Millis => number.checked_mul(1000),
            Self::Nanos => Some(number.div_euclid(1000)),
            Self::Micros | Self::Rfc3339 => Some(number),
        }
    }
}

/// Decides the roles; what is wished for must fit.
///
/// # Errors
/// A sentence with the option to give, when a wish cannot be met or nothing fits.
pub fn roles(fields: &[Field], records: &[Map<String, Value>], wishes: &Wishes) -> anyhow::Result<Roles> {
    let (mut guessed, mut notes) = (Vec::new(), Vec::new());
    let entity = match &wishes.entity {
        Some(wish) => wished(fields, wish, "--entity", can_be_entity)?,
        None => {
            let found = guess_entity(fields, records).ok_or_else(|| nothing("whose events these are", "--entity", fields))?;
            guessed.push(Role::Entity);
            notes.push(format!("the events are those of \"{}\"; change it with --entity FIELD", found.name));
            found
        }
    };
    let (time, unit) = match &wishes.time {
        Some(wish) => {
            let field = wished(fields, wish, "--time", |f| unit_of(f, records).is_some())?;
            (field, unit_of(field, records).unwrap_or(Unit::Rfc3339))
        }
        None => {
            let candidates = by_name(fields, TIMES).chain(fields.iter()).filter(|f| f.name != entity.name);
            let (field, unit) = candidates
                .filter_map(|f| unit_of(f, records).filter(|u| plausible(f, *u, records)).map(|u| (f, u)))
                .next()
                .ok_or_else(|| nothing("when an event happened", "--time", fields))?;
            guessed.push(Role::Time);
            notes.push(format!("an event happened at \"{}\", in {}; change it with --time FIELD", field.name, unit.name()));
            (field, unit)
        }
    };
    let id = if wishes.id.is_empty() {
        let id = guess_id(fields, records, &[entity, time]);
        guessed.push(Role::Id);
        let shown = if id.is_empty() { "nothing more".to_owned() } else { format!("\"{}\"", id.join("\", \"")) };
        notes.push(format!("with both of them, {shown} tells events apart; change it with --id FIELD"));
        id
    } else {
        wishes.id.iter().map(|wish| wished(fields, wish, "--id", can_be_id).map(|f| f.name.clone())).collect::<anyhow::Result<_>>()?
    };
    let key: Vec<&Field> = fields.iter().filter(|f| f.name == entity.name || f.name == time.name || id.contains(&f.name)).collect();
    let repeated = records.len() - distinct(&key, records);
    Ok(Roles { entity: entity.name.clone(), time: time.name.clone(), unit, id, repeated, guessed, notes })
}

fn can_be_entity(field: &Field) -> bool {
    matches!(field.shape, Shape::One(Scalar::String | Scalar::Int64))
}

fn can_be_id(field: &Field) -> bool {
    matches!(field.shape, Shape::One(Scalar::String | Scalar::Int64 | Scalar::Bool))
}

fn wished<'a>(fields: &'a [Field], wish: &str, option: &str, fits: impl Fn(&Field) -> bool) -> anyhow::Result<&'a Field> {
    let named = fields.iter().find(|f| f.name == wish || f.path.join(".") == wish);
    let field = named.ok_or_else(|| usage(format!("{option}: the sample has no field \"{wish}\"; it has {}", names(fields))))?;
    if fits(field) { Ok(field) } else { Err(usage(format!("{option}: field \"{wish}\" is of a type that cannot be used for this"))) }
}

fn nothing(what: &str, option: &str, fields: &[Field]) -> anyhow::Error {
    usage(format!("I cannot tell {what}: say it with {option} FIELD; the sample has {}", names(fields)))
}

fn names(fields: &[Field]) -> String {
    fields.iter().map(|f| f.name.as_str()).collect::<Vec<_>>().join(", ")
}

/// Fields by the names that are usual for a role, the most usual first.
fn by_name<'a>(fields: &'a [Field], usual: &'static [&'static str]) -> impl Iterator<Item = &'a Field> {
    let folded = |name: &str| name.replace(['_', '-'], "").to_ascii_lowercase();
    usual.iter().filter_map(move |name| fields.iter().find(|f| folded(&f.name) == folded(name)))
}

fn guess_entity<'a>(fields: &'a [Field], records: &[Map<String, Value>]) -> Option<&'a Field> {
    let looks_like_id = |f: &&Field| f.name.to_ascii_lowercase().ends_with("id");
    // Without a usual name: the first id that comes more than once.
    let repeats = |f: &&Field| distinct(&[*f], records) < records.len();
    by_name(fields, ENTITIES)
        .find(|f| can_be_entity(f))
        .or_else(|| fields.iter().filter(|f| can_be_entity(f)).filter(looks_like_id).find(repeats))
}

/// The unit in which all values of a field are times, by their size.
fn unit_of(field: &Field, records: &[Map<String, Value>]) -> Option<Unit> {
    let mut values = records.iter().map(|r| field.of(r)).filter(|v| !v.is_null()).peekable();
    values.peek()?;
    match field.shape {
        Shape::One(Scalar::String) => values.all(|v| Unit::Rfc3339.micros(v).is_some()).then_some(Unit::Rfc3339),
        Shape::One(Scalar::Int64) => {
            let greatest = values.filter_map(Value::as_i64).map(i64::unsigned_abs).max()?;
            // A second of today has ten digits, a millisecond thirteen, and so on.
            Some(match greatest {
                0..100_000_000_000 => Unit::Seconds,
                100_000_000_000..100_000_000_000_000 => Unit::Millis,
                100_000_000_000_000..100_000_000_000_000_000 => Unit::Micros,
                _ => Unit::Nanos,
            })
        }
        _ => None,
    }
}

/// A field that nobody named as the time: its values must be times of 1990 to 2100, or its name a usual one.
fn plausible(field: &Field, unit: Unit, records: &[Map<String, Value>]) -> bool {
    const FROM: i64 = 631_152_000_000_000;
    const TO: i64 = 4_102_444_800_000_000;
    let usual = by_name(std::slice::from_ref(field), TIMES).next().is_some();
    usual || records.iter().map(|r| field.of(r)).filter(|v| !v.is_null()).all(|v| unit.micros(v).is_some_and(|t| (FROM..TO).contains(&t)))
}

/// The fewest fields that, with entity and time, tell all records apart: usual names first, then other ids, then what the events are
/// about.
fn guess_id(fields: &[Field], records: &[Map<String, Value>], known: &[&Field]) -> Vec<String> {
    let free = |f: &&Field| can_be_id(f) && !f.nullable && !known.iter().any(|k| k.name == f.name);
    let mut candidates: Vec<&Field> = by_name(fields, IDS).filter(free).collect();
    for field in fields.iter().filter(free).filter(|f| f.name.to_ascii_lowercase().ends_with("id")) {
        if !candidates.contains(&field) {
            candidates.push(field);
        }
    }
    let unique = |id: &[&Field]| distinct(&[known, id].concat(), records) == records.len();
    if !unique(&candidates) || candidates.is_empty() {
        for thing in by_name(fields, THINGS).filter(free) {
            if !candidates.contains(&thing) {
                candidates.push(thing);
            }
        }
    }
    let Some(first) = candidates.first() else { return Vec::new() };
    let single = candidates.iter().find(|f| unique(&[**f])).unwrap_or(first);
    if unique(&[*single]) || !unique(&candidates) {
        return vec![single.name.clone()];
    }
    candidates.iter().map(|f| f.name.clone()).collect()
}

fn distinct(key: &[&Field], records: &[Map<String, Value>]) -> usize {
    records.iter().map(|r| key.iter().map(|f| f.of(r).to_string()).collect::<Vec<_>>()).collect::<HashSet<_>>().len()
}
