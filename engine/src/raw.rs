//! Raw events on their way into the pipeline, and what becomes of the ones that cannot be used.

use arrow::array::{Int32Array, Int64Array, RecordBatch};
use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tress_configs::SignalPlan;

/// Decoded raw events: one row a record, in the order they were read.
#[derive(Debug, Clone)]
pub struct RawBatch {
    /// The plan's raw schema: every declared field, nullable.
    pub fields: RecordBatch,
    /// Source partition; null from an external log.
    pub partition: Int32Array,
    /// Source offset; null from an external log.
    pub offset: Int64Array,
    /// Microseconds; null where the source has no such thing.
    pub record_timestamp: Int64Array,
    /// Per row: what could not be decoded, if anything. A field that does not fit is judged after the source's `where`, so that what
    /// is not ours is not invalid; a payload that cannot be read at all might be anybody's, so it is invalid for every signal of the
    /// topic.
    pub broken: Vec<Option<Invalid>>,
    /// Per row: the payload as it was, for the dead letter; no rows where the source has none.
    pub payload: Vec<Bytes>,
}

impl RawBatch {
    /// No raw events, of the plan's schema.
    #[must_use]
    pub fn empty(plan: &SignalPlan) -> Self {
        Self {
            fields: RecordBatch::new_empty(plan.raw_schema()),
            partition: Int32Array::new_null(0),
            offset: Int64Array::new_null(0),
            record_timestamp: Int64Array::new_null(0),
            broken: Vec::new(),
            payload: Vec::new(),
        }
    }
}

/// Why a raw event cannot be used. Names fields, never their values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Invalid {
    pub reason: Reason,
    /// The declared field, or the expression or derived column that failed, or empty where it is the whole event.
    pub field: String,
}

/// The reasons, as metrics and dead letters name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Reason {
    /// The payload is not of the format.
    Unreadable,
    /// A field's value is not of its declared type.
    WrongType,
    /// A field that is not nullable is missing or null.
    MissingField,
    /// The entity is null or missing.
    NoEntity,
    /// The event's time is null, unparseable or out of range.
    NoTime,
    /// available_at cannot be determined.
    NoAvailableAt,
    /// A field of the identity is null.
    NoIdentity,
    /// The version is null.
    NoVersion,
    /// The event's time is later than its available_at by more than the skew that is allowed.
    FutureTime,
    /// The row is larger than a changelog record may be.
    TooLarge,
    /// An expression failed on this row.
    Expression,
    /// The registry has no schema of the id that the payload names.
    UnknownSchema,
    /// The schema that the payload was written with cannot be read as the one that the definition names.
    IncompatibleSchema,
}

impl Reason {
    /// Whether nothing is known of the event: it might be anybody's.
    #[must_use]
    pub const fn is_of_the_payload(self) -> bool {
        matches!(self, Self::Unreadable | Self::TooLarge | Self::UnknownSchema | Self::IncompatibleSchema)
    }
}

/// A raw event that was put aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    pub invalid: Invalid,
    pub partition: Option<i32>,
    pub offset: Option<i64>,
    /// Microseconds.
    pub record_timestamp: Option<i64>,
    pub payload: Bytes,
}
