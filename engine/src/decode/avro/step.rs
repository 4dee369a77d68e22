//! What to do with the bytes of one writer's records, so that a reader's fields come out: made once per writer's schema.

use super::schema::TypeId;

/// Where a value goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The declared field of this index.
    Field(usize),
    /// The list that is being read.
    Element,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Step {
    /// A value that nobody asked for.
    Skip(TypeId),
    /// Whoever meets a value here cannot read the record: the reader's schema has no place for it.
    Mismatch,
    /// A value that can be of none of the declared types of these targets.
    Misfit(TypeId, Vec<Target>),
    Leaf {
        target: Target,
        wire: Wire,
        shape: Shape,
    },
    List {
        target: Target,
        /// What the writer's elements are.
        items: TypeId,
        item: Box<Self>,
    },
    /// The writer's fields, in its order.
    Record(Vec<Self>),
    /// One step a branch of the writer's union.
    Union(Vec<Self>),
    /// Several look at the same value.
    Each(Vec<Self>),
    /// A field that the writer does not have: its default, written as the reader's schema would write it.
    Default {
        bytes: Vec<u8>,
        step: Box<Self>,
    },
}

/// How a value lies in the bytes.
#[derive(Debug, Clone, PartialEq)]
pub enum Wire {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    /// With their length before them.
    Bytes,
    Fixed(usize),
    /// Of each of the writer's symbols, what the reader calls it; `None` = it does not know it.
    Enum(Vec<Option<String>>),
}

/// What is made of it: what the reader's type and the declared type agree on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// As it is.
    Plain,
    /// A number as a reader of 32-bit floats sees it.
    Single,
    /// A number as a reader of 64-bit floats sees it.
    Double,
    Text,
    /// A number of days or of parts of a second since 1970.
    Time(Unit),
    /// A whole number that counts parts of 10^scale.
    Decimal {
        scale: u32,
    },
    /// The same, written out.
    DecimalText {
        scale: u32,
    },
    /// 16 bytes, written as UUIDs are.
    UuidText,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Days,
    Millis,
    Micros,
    Nanos,
}
