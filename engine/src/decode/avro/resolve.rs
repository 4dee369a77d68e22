//! Schema resolution: the steps by which what a writer wrote is read as a reader expects it.
//!
//! It is the specification's, with the reader's schema narrowed to the declared fields: what is not declared is read over, whatever it
//! is. Three things are decided here where implementations differ:
//! - of a reader's union, a branch of the very same type is taken before one that the value would have to be promoted to;
//! - logical types that say different things of the same number (seconds in other parts, another scale) do not match;
//! - what does not match is found when a value of it comes, so that the records without one are read.

use tress_configs::column::{ColumnType, Scalar};

use super::default;
use super::reader::{Leaf, Reader, Wanted};
use super::schema::{Field, Kind, Logical, Schema, Type, TypeId};
use super::step::{Shape, Step, Target, Unit, Wire};

/// The steps for records of this writer.
pub fn resolve(writer: &Schema, reader: &Reader) -> Step {
    let resolution = Resolution { writer, reader: &reader.schema };
    resolution.value(writer.root, reader.schema.root, &reader.wanted)
}

struct Resolution<'a> {
    writer: &'a Schema,
    reader: &'a Schema,
}

impl Resolution<'_> {
    fn value(&self, w: TypeId, r: TypeId, wanted: &Wanted) -> Step {
        let mut steps: Vec<Step> = wanted.leaves.iter().map(|leaf| self.leaf(w, r, leaf)).collect();
        if !wanted.below.is_empty() {
            steps.push(self.below(w, r, wanted));
        }
        match steps.len() {
            0 => Step::Skip(w),
            1 => steps.pop().unwrap_or(Step::Skip(w)),
            _ => Step::Each(steps),
        }
    }

    /// Steps that depend on the branches of unions on either side.
    fn branches(&self, w: TypeId, r: TypeId, step: &dyn Fn(TypeId, TypeId) -> Step) -> Option<Step> {
        if let Kind::Union(branches) = self.writer.kind(w) {
            return Some(Step::Union(branches.iter().map(|branch| step(*branch, r)).collect()));
        }
        let Kind::Union(branches) = self.reader.kind(r) else { return None };
        let same = branches.iter().find(|branch| self.is_the_same(w, **branch));
        let found = same.or_else(|| branches.iter().find(|branch| self.matches(w, **branch)));
        Some(found.map_or(Step::Mismatch, |branch| step(w, *branch)))
    }

    fn leaf(&self, w: TypeId, r: TypeId, leaf: &Leaf) -> Step {
        if let Some(step) = self.branches(w, r, &|w, r| self.leaf(w, r, leaf)) {
            return step;
        }
        match (self.writer.kind(w), self.reader.kind(r)) {
            (Kind::Array(items), Kind::Array(read)) if !leaf.column.is_scalar() => {
                let element = Leaf { target: Target::Element, column: ColumnType::scalar(leaf.column.scalar) };
                Step::List { target: leaf.target, items: *items, item: Box::new(self.leaf(*items, *read, &element)) }
            }
            _ => match convert(self.writer.at(w), self.reader.at(r), leaf.column.scalar) {
                Some((wire, shape)) => Step::Leaf { target: leaf.target, wire, shape },
                None if self.matches(w, r) => Step::Misfit(w, vec![leaf.target]),
                None => Step::Mismatch,
            },
        }
    }

    fn below(&self, w: TypeId, r: TypeId, wanted: &Wanted) -> Step {
        if let Some(step) = self.branches(w, r, &|w, r| self.below(w, r, wanted)) {
            return step;
        }
        match (self.writer.kind(w), self.reader.kind(r)) {
            (Kind::Record { name, fields }, Kind::Record { name: read, fields: expected }) if read.knows(name) => {
                self.record(fields, expected, wanted)
            }
            // Fields of what is not there are null.
            (Kind::Null, Kind::Null) => Step::Skip(w),
            _ if self.matches(w, r) => Step::Misfit(w, wanted.below.values().flat_map(Wanted::targets).collect()),
            _ => Step::Mismatch,
        }
    }

    fn record(&self, written: &[Field], expected: &[Field], wanted: &Wanted) -> Step {
        let mut steps: Vec<Vec<Step>> = vec![Vec::new(); written.len()];
        let mut defaults = Vec::new();
        for (key, below) in &wanted.below {
            // A declared field that the reader's schema does not have was refused when that was checked.
            let Some(field) = expected.iter().find(|f| f.name == *key) else { continue };
            let place = written.iter().position(|f| f.name == field.name);
            let place = place.or_else(|| field.aliases.iter().find_map(|alias| written.iter().position(|f| f.name == *alias)));
            match place.and_then(|at| Some((written.get(at)?, steps.get_mut(at)?))) {
                Some((writer, steps)) => steps.push(self.value(writer.of, field.of, below)),
                None => match field.default.as_ref().and_then(|value| default::encode(self.reader, field.of, value)) {
                    Some(bytes) => {
                        let own = Resolution { writer: self.reader, reader: self.reader };
                        defaults.push(Step::Default { bytes, step: Box::new(own.value(field.of, field.of, below)) });
                    }
                    None => return Step::Mismatch,
                },
            }
        }
        let fields = written.iter().zip(steps).map(|(field, mut steps)| match steps.len() {
            0 => Step::Skip(field.of),
            1 => steps.pop().unwrap_or(Step::Skip(field.of)),
            _ => Step::Each(steps),
        });
        Step::Record(fields.chain(defaults).collect())
    }

    fn is_the_same(&self, w: TypeId, r: TypeId) -> bool {
        let (writer, reader) = (self.writer.at(w), self.reader.at(r));
        let kind = std::mem::discriminant(&writer.kind) == std::mem::discriminant(&reader.kind);
        let name = writer.kind.name().map(|n| &n.full) == reader.kind.name().map(|n| &n.full);
        kind && name && self.matches(w, r)
    }

    /// Whether the types match by themselves; what they hold is looked at when it comes.
    fn matches(&self, w: TypeId, r: TypeId) -> bool {
        let (writer, reader) = (self.writer.at(w), self.reader.at(r));
        match (&writer.kind, &reader.kind) {
            (Kind::Array(_), Kind::Array(_)) | (Kind::Map(_), Kind::Map(_)) | (Kind::Union(_), _) | (_, Kind::Union(_)) => true,
            (Kind::Record { name, .. }, Kind::Record { name: read, .. }) => read.knows(name),
            _ => convert(writer, reader, Scalar::Binary).is_some(),
        }
    }
}

/// How a value of a writer's scalar type becomes one of a reader's, as a column of `scalar` needs it; `None` where it cannot.
fn convert(writer: &Type, reader: &Type, scalar: Scalar) -> Option<(Wire, Shape)> {
    if let (Some(w), Some(r)) = (writer.logical, reader.logical)
        && w != r
    {
        return None;
    }
    let wire = match &writer.kind {
        Kind::Null => Wire::Null,
        Kind::Boolean => Wire::Boolean,
        Kind::Int => Wire::Int,
        Kind::Long => Wire::Long,
        Kind::Float => Wire::Float,
        Kind::Double => Wire::Double,
        Kind::Bytes | Kind::String => Wire::Bytes,
        Kind::Fixed { size, .. } => Wire::Fixed(*size),
        Kind::Enum { symbols, .. } => match &reader.kind {
            Kind::Enum { symbols: known, default, .. } => {
                let called = |symbol: &String| if known.contains(symbol) { Some(symbol.clone()) } else { default.clone() };
                Wire::Enum(symbols.iter().map(called).collect())
            }
            _ => return None,
        },
        Kind::Array(_) | Kind::Map(_) | Kind::Record { .. } | Kind::Union(_) => return None,
    };
    let shape = match (&writer.kind, &reader.kind) {
        (Kind::Null, Kind::Null) | (Kind::Boolean, Kind::Boolean) => Shape::Plain,
        (Kind::Int, Kind::Int) | (Kind::Int | Kind::Long, Kind::Long) => whole(reader.logical, scalar),
        (Kind::Int | Kind::Long | Kind::Float, Kind::Float) => Shape::Single,
        (Kind::Int | Kind::Long | Kind::Float | Kind::Double, Kind::Double) => Shape::Double,
        (Kind::Bytes | Kind::String, Kind::Bytes) => bytes(reader.logical, scalar),
        (Kind::Bytes | Kind::String, Kind::String) => Shape::Text,
        (Kind::Fixed { name, size }, Kind::Fixed { name: read, size: expected }) if size == expected && read.knows(name) => {
            bytes(reader.logical, scalar)
        }
        (Kind::Enum { name, .. }, Kind::Enum { name: read, .. }) if read.knows(name) => Shape::Plain,
        _ => return None,
    };
    Some((wire, shape))
}

const fn whole(logical: Option<Logical>, scalar: Scalar) -> Shape {
    let (Scalar::Timestamp, Some(logical)) = (scalar, logical) else { return Shape::Plain };
    match logical {
        Logical::Date => Shape::Time(Unit::Days),
        Logical::TimestampMillis => Shape::Time(Unit::Millis),
        Logical::TimestampMicros => Shape::Time(Unit::Micros),
        Logical::TimestampNanos => Shape::Time(Unit::Nanos),
        Logical::Decimal { .. } | Logical::Uuid | Logical::Clock(_) => Shape::Plain,
    }
}

const fn bytes(logical: Option<Logical>, scalar: Scalar) -> Shape {
    match (logical, scalar) {
        (_, Scalar::Binary) => Shape::Plain,
        (Some(Logical::Decimal { scale }), Scalar::String) => Shape::DecimalText { scale },
        (Some(Logical::Decimal { scale }), _) => Shape::Decimal { scale },
        (Some(Logical::Uuid), Scalar::String) => Shape::UuidText,
        _ => Shape::Plain,
    }
}
