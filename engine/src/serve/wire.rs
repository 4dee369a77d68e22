//! Between the protocol's messages and our own words, both ways. Nothing is decided here.

use arrow::datatypes::Schema;
use tonic::Status;

use super::describe::{self, Description};
use super::encode::{self, Encoder};
use super::profile::{Completeness, CoverageProfile, Degradation, EntityProfile, Profile};
use super::proto;
use super::reader::{Outcome, Outcomes};
use super::refusal::{Code, Refusal};
use super::request::{Ask, Choice, Wanted};
use crate::entity::Entity;
use crate::error::{Error, Result};
use crate::read::Order;
use crate::store::SignalState;

/// Names the field of the request that a status is about.
pub const FIELD_KEY: &str = "tress-field";

/// How the rows of a reply are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Columns,
    ArrowIpc,
}

pub fn ask(entity: Option<proto::Entity>) -> std::result::Result<Ask, Refusal> {
    match entity.and_then(|e| e.key) {
        Some(proto::entity::Key::Text(text)) => Ok(Ask::Typed(Entity::String(text))),
        Some(proto::entity::Key::Number(number)) => Ok(Ask::Typed(Entity::Int64(number))),
        None => Err(Refusal::invalid("entity", "missing", "set entity.text or entity.number")),
    }
}

pub fn wanted(read: Option<proto::Read>) -> std::result::Result<(Wanted, Encoding), Refusal> {
    let read = read.unwrap_or_default();
    let order = match proto::Order::try_from(read.order) {
        Ok(proto::Order::Unspecified | proto::Order::NewestFirst) => Order::NewestFirst,
        Ok(proto::Order::OldestFirst) => Order::OldestFirst,
        Err(_) => return Err(unknown("order", read.order)),
    };
    let encoding = match proto::Encoding::try_from(read.encoding) {
        Ok(proto::Encoding::Unspecified | proto::Encoding::Columns) => Encoding::Columns,
        Ok(proto::Encoding::ArrowIpc) => Encoding::ArrowIpc,
        Err(_) => return Err(unknown("encoding", read.encoding)),
    };
    let as_of = read.as_of.unwrap_or_default();
    let wanted = Wanted {
        columns: read.columns,
        limit: read.limit,
        order,
        since: read.since,
        until: read.until,
        signals: read.signals,
        as_of: as_of.event_time,
        known_by: as_of.available_at,
        choice: choice(read.revision)?,
        consumer: read.consumer,
    };
    Ok((wanted, encoding))
}

pub fn choice(revision: Option<proto::Revision>) -> std::result::Result<Choice, Refusal> {
    use proto::revision::{Choice as Given, Named};
    match revision.and_then(|r| r.choice) {
        None => Ok(Choice::Routed),
        Some(Given::Digest(digest)) => Ok(Choice::Digest(digest)),
        Some(Given::Named(number)) => match Named::try_from(number) {
            Ok(Named::Unspecified | Named::Live) => Ok(Choice::Routed),
            Ok(Named::Trial) => Ok(Choice::Trial),
            Err(_) => Err(unknown("revision", number)),
        },
    }
}

fn unknown(field: &str, number: i32) -> Refusal {
    Refusal::invalid(field, format!("{number} is none of its values"), "use a newer server, or a value it knows")
}

/// # Errors
/// As [`Encoder::push`].
pub fn sequence(outcome: &Outcome, encoding: Encoding) -> Result<proto::Sequence> {
    use proto::sequence::Payload;
    let rows = std::slice::from_ref(&outcome.rows);
    let payload = match encoding {
        Encoding::Columns => Payload::Columns(columns(&outcome.schema, rows, &outcome.profile.schema_digest)?),
        Encoding::ArrowIpc => Payload::ArrowIpc(encode::encode_ipc(&outcome.schema, rows)?),
    };
    Ok(proto::Sequence { profile: Some(profile(&outcome.profile)), payload: Some(payload) })
}

/// # Errors
/// As [`Encoder::push`].
pub fn batch(outcomes: &Outcomes, encoding: Encoding) -> Result<proto::SequenceBatch> {
    use proto::sequence_batch::Payload;
    let payload = match encoding {
        Encoding::Columns => Payload::Columns(columns(&outcomes.schema, &outcomes.rows, &outcomes.profile.schema_digest)?),
        Encoding::ArrowIpc => Payload::ArrowIpc(encode::encode_ipc(&outcomes.schema, &outcomes.rows)?),
    };
    let mut offsets = vec![0u32];
    let mut end = 0u32;
    for rows in &outcomes.rows {
        let length = u32::try_from(rows.num_rows()).ok();
        end = length.and_then(|l| end.checked_add(l)).ok_or_else(|| Error::internal("encode batch: more than 2^32 rows"))?;
        offsets.push(end);
    }
    Ok(proto::SequenceBatch {
        profile: Some(profile(&outcomes.profile)),
        entities: outcomes.entities.iter().map(entity_profile).collect(),
        offsets,
        payload: Some(payload),
    })
}

fn columns(schema: &Schema, rows: &[arrow::array::RecordBatch], digest: &str) -> Result<proto::Columns> {
    let mut encoder = Encoder::new(schema)?;
    for batch in rows {
        encoder.push(batch)?;
    }
    Ok(encoder.finish(digest))
}

pub fn profile(profile: &Profile) -> proto::Profile {
    proto::Profile {
        revision: profile.revision.clone(),
        epoch: profile.epoch,
        schema_digest: profile.schema_digest.clone(),
        as_of: Some(proto::AsOf { event_time: Some(profile.as_of), available_at: profile.known_by }),
        signals: profile
            .signals
            .iter()
            .map(|(name, state)| proto::SignalProfile {
                signal: name.clone(),
                applied_through: state.applied_through,
                history_through: state.history_through,
                complete_through: state.complete_through,
            })
            .collect(),
        applied_through: profile.least.applied_through,
        history_through: profile.least.history_through,
        newest: profile.newest,
        oldest: profile.oldest,
        available: profile.available,
        completeness: match profile.completeness {
            Completeness::Unknown => proto::Completeness::Unknown,
            Completeness::Open => proto::Completeness::Open,
            Completeness::Complete => proto::Completeness::Complete,
        }
        .into(),
        complete_through: profile.least.complete_through,
        coverage: profile
            .coverage
            .iter()
            .map(|c| proto::Coverage { signal: c.signal.clone(), enrichment: c.enrichment.clone(), found: c.found, events: c.events })
            .collect(),
        truncated: profile.truncated,
        degraded: profile.degraded.iter().map(|d| degradation(*d).into()).collect(),
        deprecated: profile.deprecated.clone().map(|sunset| proto::Deprecation { sunset }),
        deep: profile.deep,
    }
}

const fn degradation(degradation: Degradation) -> proto::Degradation {
    match degradation {
        Degradation::Stale => proto::Degradation::Stale,
        Degradation::NotStarted => proto::Degradation::NotStarted,
        Degradation::TrialUnavailable => proto::Degradation::TrialUnavailable,
    }
}

fn entity_profile(profile: &EntityProfile) -> proto::EntityProfile {
    proto::EntityProfile {
        revision: profile.revision.clone(),
        newest: profile.newest,
        oldest: profile.oldest,
        available: profile.available,
        truncated: profile.truncated,
        deep: profile.deep,
    }
}

/// The way back, for clients. What a newer server says and this program does not know is left out.
///
/// # Errors
/// `Corrupt` when the message lacks what every server says.
pub fn read_profile(message: proto::Profile) -> Result<Profile> {
    let as_of = message.as_of.unwrap_or_default();
    let completeness = match message.completeness() {
        proto::Completeness::Unknown => Completeness::Unknown,
        proto::Completeness::Open => Completeness::Open,
        proto::Completeness::Complete => Completeness::Complete,
    };
    let degraded = message
        .degraded()
        .filter_map(|d| match d {
            proto::Degradation::Unspecified => None,
            proto::Degradation::Stale => Some(Degradation::Stale),
            proto::Degradation::NotStarted => Some(Degradation::NotStarted),
            proto::Degradation::TrialUnavailable => Some(Degradation::TrialUnavailable),
        })
        .collect();
    Ok(Profile {
        as_of: as_of.event_time.ok_or_else(|| Error::corrupt("read profile: as_of is missing; the server is of another version"))?,
        known_by: as_of.available_at,
        signals: message
            .signals
            .into_iter()
            .map(|s| {
                let state = SignalState {
                    applied_through: s.applied_through,
                    history_through: s.history_through,
                    complete_through: s.complete_through,
                };
                (s.signal, state)
            })
            .collect(),
        least: SignalState {
            applied_through: message.applied_through,
            history_through: message.history_through,
            complete_through: message.complete_through,
        },
        revision: message.revision,
        epoch: message.epoch,
        schema_digest: message.schema_digest,
        newest: message.newest,
        oldest: message.oldest,
        available: message.available,
        completeness,
        coverage: message
            .coverage
            .into_iter()
            .map(|c| CoverageProfile { signal: c.signal, enrichment: c.enrichment, found: c.found, events: c.events })
            .collect(),
        truncated: message.truncated,
        degraded,
        deprecated: message.deprecated.map(|d| d.sunset),
        deep: message.deep,
    })
}

pub fn read_entity_profile(message: proto::EntityProfile) -> EntityProfile {
    EntityProfile {
        revision: message.revision,
        newest: message.newest,
        oldest: message.oldest,
        available: message.available,
        truncated: message.truncated,
        deep: message.deep,
    }
}

/// # Errors
/// `Internal` when the schema cannot be written.
pub fn description(description: Description) -> Result<proto::FeatureDescription> {
    let about = description.about;
    Ok(proto::FeatureDescription {
        feature: description.feature.to_string(),
        revision: description.revision,
        schema_digest: description.schema_digest,
        arrow_schema: encode::encode_schema(&description.schema)?,
        columns: description
            .columns
            .into_iter()
            .map(|c| proto::ColumnDescription { name: c.name, r#type: c.column_type, nullable: c.nullable, meaning: c.meaning })
            .collect(),
        entity_type: description.entity_type,
        length: description.length,
        window_ms: description.window_ms,
        signals: description.signals,
        contract: Some(proto::Contract {
            freshness_p99_ms: about.freshness_p99.map(|d| d.millis()),
            complete_within_ms: about.complete_within.map(|d| d.millis()),
        }),
        revisions: description.revisions.into_iter().map(revision).collect(),
        epoch: description.epoch,
        trial_weight_bp: description.trial_weight_bp,
        deprecated: description.deprecated.map(|sunset| proto::Deprecation { sunset }),
        description: about.description,
        owners: about.owners,
    })
}

pub fn revision(revision: describe::RevisionDescription) -> proto::RevisionDescription {
    use proto::revision_description::{Role, State};
    proto::RevisionDescription {
        digest: revision.digest,
        role: match revision.role {
            describe::Role::Live => Role::Live,
            describe::Role::Trial => Role::Trial,
            describe::Role::Loaded => Role::Loaded,
        }
        .into(),
        state: match revision.state {
            describe::StateName::Loading => State::Loading,
            describe::StateName::Ready => State::Ready,
            describe::StateName::Failed => State::Failed,
        }
        .into(),
        reason: revision.reason,
    }
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let code = match refusal.code {
            Code::InvalidArgument => tonic::Code::InvalidArgument,
            Code::NotFound => tonic::Code::NotFound,
            Code::Unavailable => tonic::Code::Unavailable,
            Code::ResourceExhausted => tonic::Code::ResourceExhausted,
            Code::DeadlineExceeded => tonic::Code::DeadlineExceeded,
            Code::Internal => tonic::Code::Internal,
        };
        let mut status = Self::new(code, refusal.to_string());
        if let Ok(field) = refusal.field.parse()
            && !refusal.field.is_empty()
        {
            status.metadata_mut().insert(FIELD_KEY, field);
        }
        status
    }
}

/// What a server refused, as a client's error: the kind says what to do.
pub fn read_status(status: &Status) -> Error {
    use crate::error::ErrorKind;
    let kind = match status.code() {
        tonic::Code::InvalidArgument | tonic::Code::OutOfRange => ErrorKind::Invalid,
        tonic::Code::NotFound | tonic::Code::Unimplemented => ErrorKind::NotFound,
        tonic::Code::ResourceExhausted => ErrorKind::Full,
        tonic::Code::Internal | tonic::Code::DataLoss => ErrorKind::Internal,
        _ => ErrorKind::Unavailable,
    };
    let message = if status.message().is_empty() { status.code().description().to_owned() } else { status.message().to_owned() };
    // Servers are programs of others, too.
    Error::new(kind, message.chars().map(|c| if c.is_control() { ' ' } else { c }).collect::<String>())
}

/// What a client asks, as a message.
pub fn write_read(wanted: &Wanted) -> proto::Read {
    use proto::revision::{Choice as Given, Named};
    let named = |named: Named| Some(proto::Revision { choice: Some(Given::Named(named.into())) });
    proto::Read {
        columns: wanted.columns.clone(),
        limit: wanted.limit,
        order: match wanted.order {
            Order::NewestFirst => proto::Order::NewestFirst,
            Order::OldestFirst => proto::Order::OldestFirst,
        }
        .into(),
        since: wanted.since,
        until: wanted.until,
        signals: wanted.signals.clone(),
        as_of: Some(proto::AsOf { event_time: wanted.as_of, available_at: wanted.known_by }),
        revision: match &wanted.choice {
            Choice::Routed => None,
            Choice::Trial => named(Named::Trial),
            Choice::Digest(digest) => Some(proto::Revision { choice: Some(Given::Digest(digest.clone())) }),
        },
        consumer: wanted.consumer.clone(),
        encoding: proto::Encoding::Columns.into(),
    }
}

pub fn write_entity(entity: &Entity) -> proto::Entity {
    let key = match entity {
        Entity::String(text) => proto::entity::Key::Text(text.clone()),
        Entity::Int64(number) => proto::entity::Key::Number(*number),
    };
    proto::Entity { key: Some(key) }
}
