//! What is asked, in no protocol's words, and its way to a query: everything is checked, and what is wrong is named.

use arrow::datatypes::SchemaRef;
use tress_configs::column::Scalar;
use tress_configs::name::QualifiedName;

use super::admission;
use super::nearest;
use super::refusal::{Code, Refusal};
use super::registry::Revision;
use super::route::parse_name;
use crate::entity::Entity;
use crate::read::{MAX_LIMIT, Order, Query};

/// The most entities of one request.
pub const MAX_ENTITIES: usize = 1_000;
/// The longest name of a consumer, of an entity.
const MAX_CONSUMER: usize = 100;
const MAX_ENTITY: usize = 4_096;

/// What is read of each entity.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Empty = all.
    pub columns: Vec<String>,
    pub limit: Option<u32>,
    pub order: Order,
    /// Microseconds, UTC, as are the other times.
    pub since: Option<i64>,
    pub until: Option<i64>,
    /// Empty = all.
    pub signals: Vec<String>,
    /// `None` = now.
    pub as_of: Option<i64>,
    pub known_by: Option<i64>,
    pub choice: Choice,
    /// Who asks.
    pub consumer: String,
}

/// Which revision answers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Choice {
    /// The route decides by entity.
    #[default]
    Routed,
    /// The trial, for every entity.
    Trial,
    Digest(String),
}

/// An entity as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Typed by the caller.
    Typed(Entity),
    /// Text of a path or a command line: becomes whatever the feature's entities are.
    Text(String),
}

/// A request that fits a revision: what only the entity is missing of.
#[derive(Debug, Clone)]
pub struct Bound {
    query: Query,
    /// The columns of the reply, plain.
    pub schema: SchemaRef,
    /// Bytes that one sequence may need.
    pub sequence_bytes: usize,
}

impl Bound {
    #[must_use]
    pub fn of(&self, entity: Entity) -> Query {
        Query { entity, ..self.query.clone() }
    }

    #[must_use]
    pub const fn query(&self) -> &Query {
        &self.query
    }
}

/// `namespace/name`.
pub fn feature_name(text: &str) -> Result<QualifiedName, Refusal> {
    parse_name(text)
        .map_err(|_| Refusal::invalid("feature", format!("{} is no name of a feature", nearest::quoted(text)), "write namespace/name"))
}

/// The entity as this feature's entities are.
pub fn entity(ask: &Ask, scalar: Scalar) -> Result<Entity, Refusal> {
    let entity = match (ask, scalar) {
        (Ask::Text(text), _) => Entity::parse(text, scalar)
            .map_err(|_| Refusal::invalid("entity", "this feature's entities are int64", "give a whole number"))?,
        (Ask::Typed(entity @ Entity::Int64(_)), Scalar::Int64) => entity.clone(),
        (Ask::Typed(entity @ Entity::String(_)), Scalar::String) => entity.clone(),
        (Ask::Typed(_), scalar) => {
            let field = if scalar == Scalar::Int64 { "number" } else { "text" };
            return Err(Refusal::invalid("entity", format!("this feature's entities are {scalar}"), format!("set entity.{field}")));
        }
    };
    match &entity {
        Entity::String(text) if text.len() > MAX_ENTITY => {
            Err(Refusal::invalid("entity", format!("longer than {MAX_ENTITY} bytes"), "no entity is"))
        }
        _ => Ok(entity),
    }
}

impl Wanted {
    /// Checks what needs no feature.
    ///
    /// # Errors
    /// `InvalidArgument`, naming the field.
    pub fn check(&self) -> Result<(), Refusal> {
        match self.limit {
            Some(0) => return Err(Refusal::invalid("limit", "0 rows are asked for", "leave it out for the feature's length")),
            Some(limit) if limit as usize > MAX_LIMIT => {
                return Err(Refusal::invalid("limit", format!("{limit} is more than {MAX_LIMIT}"), "read further back with until"));
            }
            _ => {}
        }
        if let (Some(since), Some(until)) = (self.since, self.until)
            && since >= until
        {
            return Err(Refusal::invalid("since", "not before until, so nothing can lie between them", "since is the earlier one"));
        }
        if self.consumer.chars().count() > MAX_CONSUMER {
            return Err(Refusal::invalid("consumer", format!("longer than {MAX_CONSUMER} letters"), "name the caller shortly"));
        }
        Ok(())
    }

    /// Fits the request to a revision. `now`: microseconds.
    ///
    /// # Errors
    /// `InvalidArgument`, naming what is not there and what is nearest to it.
    pub fn bind(&self, revision: &Revision, now: i64) -> Result<Bound, Refusal> {
        self.check()?;
        let columns = self.columns.iter().map(|name| column(revision, name)).collect::<Result<Vec<_>, _>>()?;
        if let Some(twice) = duplicate(&columns) {
            let name = nearest::quoted(&self.columns[twice]);
            return Err(Refusal::invalid("columns", format!("{name} is asked for twice"), "name it once"));
        }
        let mut signals = self.signals.iter().map(|name| signal(revision, name)).collect::<Result<Vec<_>, _>>()?;
        signals.sort_unstable();
        signals.dedup();
        let columns = (!columns.is_empty()).then_some(columns);
        let chosen = columns.as_deref();
        let schema = match chosen {
            None => revision.schema.clone(),
            Some(indexes) => {
                let projected = revision.schema.project(indexes);
                std::sync::Arc::new(projected.map_err(|e| Refusal::new(Code::Internal, "columns", e.to_string(), ""))?)
            }
        };
        let row_bytes: usize = match chosen {
            None => revision.value_bytes.iter().sum(),
            Some(indexes) => indexes.iter().filter_map(|i| revision.value_bytes.get(*i)).sum(),
        };
        let rows = self.limit.unwrap_or(revision.plan().length).min(u32::try_from(MAX_LIMIT).unwrap_or(u32::MAX));
        Ok(Bound {
            query: Query {
                // Stands for every entity; see [`Bound::of`].
                entity: Entity::Int64(0),
                as_of: self.as_of.unwrap_or(now),
                known_by: self.known_by,
                since: self.since,
                until: self.until,
                signals: (!signals.is_empty()).then_some(signals),
                columns,
                limit: self.limit,
                order: self.order,
            },
            schema,
            sequence_bytes: admission::sequence_bytes(row_bytes, rows as usize),
        })
    }
}

fn column(revision: &Revision, name: &str) -> Result<usize, Refusal> {
    revision.schema.index_of(name).map_err(|_| {
        let known = revision.schema.fields().iter().map(|f| f.name().as_str());
        Refusal::invalid("columns", format!("there is no column {}", nearest::quoted(name)), nearest::help(name, known))
    })
}

/// By `namespace/name`, or by name where only one signal has it.
fn signal(revision: &Revision, name: &str) -> Result<usize, Refusal> {
    let names = &revision.signal_names;
    let short = |full: &str| full.split_once('/').is_some_and(|(_, short)| short == name);
    let found: Vec<usize> = (0..names.len()).filter(|i| names[*i] == name || short(&names[*i])).collect();
    match found[..] {
        [one] => Ok(one),
        [] => Err(Refusal::invalid(
            "signals",
            format!("this feature reads no signal {}", nearest::quoted(name)),
            nearest::help(name, names.iter().map(String::as_str)),
        )),
        _ => {
            let all: Vec<&str> = found.iter().map(|i| names[*i].as_str()).collect();
            Err(Refusal::invalid(
                "signals",
                format!("{} is the name of several signals", nearest::quoted(name)),
                format!("write {}", all.join(" or ")),
            ))
        }
    }
}

/// Position of the first column that was named before.
fn duplicate(columns: &[usize]) -> Option<usize> {
    (1..columns.len()).find(|i| columns[..*i].contains(&columns[*i]))
}
