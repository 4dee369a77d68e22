//! What a plan wants of its reader's schema: the declared fields, by their paths. Checked before anything is read with it.

use std::collections::BTreeMap;
use std::sync::Arc;

use tress_configs::column::{ColumnType, Scalar};
use tress_configs::nearest::nearest;
use tress_configs::plan::FieldPlan;

use super::schema::{Kind, Logical, Schema, TypeId};
use super::step::Target;

/// The part of a reader's schema that is read.
#[derive(Debug, Clone)]
pub struct Reader {
    pub(super) schema: Arc<Schema>,
    pub(super) wanted: Wanted,
}

/// A declared field, or an element of one.
#[derive(Debug, Clone, PartialEq)]
pub struct Leaf {
    pub target: Target,
    pub column: ColumnType,
}

/// What is wanted of a value: itself, and what lies below it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wanted {
    pub leaves: Vec<Leaf>,
    pub below: BTreeMap<String, Self>,
}

impl Reader {
    /// # Errors
    /// All that is wrong, by the names of the declared fields: those that the schema does not have, and those whose types cannot hold
    /// what it has.
    pub fn new(schema: Arc<Schema>, fields: &[FieldPlan]) -> Result<Self, Vec<String>> {
        if !matches!(schema.kind(schema.root), Kind::Record { .. }) {
            return Err(vec![format!("it is {}, and not a record", schema.describe(schema.root))]);
        }
        let mut wanted = Wanted::default();
        let mut wrong = Vec::new();
        for (index, field) in fields.iter().enumerate() {
            if let Err(why) = check(&schema, field) {
                wrong.push(format!("field {}: {why}", field.name));
            }
            let place = field.path.iter().fold(&mut wanted, |place, key| place.below.entry(key.clone()).or_default());
            place.leaves.push(Leaf { target: Target::Field(index), column: field.column_type.clone() });
        }
        if wrong.is_empty() { Ok(Self { schema, wanted }) } else { Err(wrong) }
    }
}

impl Wanted {
    /// All targets at this value and below it.
    pub fn targets(&self) -> Vec<Target> {
        let below = self.below.values().flat_map(Self::targets);
        self.leaves.iter().map(|leaf| leaf.target).chain(below).collect()
    }
}

fn check(schema: &Schema, field: &FieldPlan) -> Result<(), String> {
    let mut found = vec![schema.root];
    for (depth, key) in field.path.iter().enumerate() {
        let records: Vec<_> = found.iter().filter_map(|id| fields_of(schema, *id)).collect();
        let at = || field.path.get(..depth).unwrap_or_default().join(".");
        if records.is_empty() {
            let is: Vec<String> = found.iter().map(|id| schema.describe(*id)).collect();
            return Err(format!("{} is {}, which has no fields", at(), is.join(" or ")));
        }
        found = records.iter().flat_map(|fields| fields.iter().filter(|f| f.name == *key)).flat_map(|f| branches(schema, f.of)).collect();
        if found.is_empty() {
            let names = records.iter().flat_map(|fields| fields.iter().map(|f| f.name.as_str()));
            let help = match nearest(key, names) {
                Some(near) => format!("did you mean {near}? give the field this path"),
                None => "remove the field, or name a version of the subject that has it".to_owned(),
            };
            let inside = if depth == 0 { String::new() } else { format!(" in {}", at()) };
            return Err(format!("there is no field {key}{inside}; {help}"));
        }
    }
    if found.iter().any(|id| may_be(schema, *id, &field.column_type)) {
        return Ok(());
    }
    let is: Vec<String> = found.iter().map(|id| schema.describe(*id)).collect();
    Err(format!("it is {}, which is never a {}", is.join(" or "), field.column_type))
}

/// The type itself, or each type of a union.
fn branches(schema: &Schema, id: TypeId) -> Vec<TypeId> {
    match schema.kind(id) {
        Kind::Union(branches) => branches.clone(),
        _ => vec![id],
    }
}

fn fields_of(schema: &Schema, id: TypeId) -> Option<&Vec<super::schema::Field>> {
    match schema.kind(id) {
        Kind::Record { fields, .. } => Some(fields),
        _ => None,
    }
}

/// Whether some value of the type is of the declared one; [`super::super::cell`] has the rules.
fn may_be(schema: &Schema, id: TypeId, column: &ColumnType) -> bool {
    if let Kind::Array(items) = schema.kind(id) {
        let element = ColumnType::scalar(column.scalar);
        return !column.is_scalar() && branches(schema, *items).iter().any(|item| is_a(schema, *item, &element));
    }
    is_a(schema, id, column)
}

fn is_a(schema: &Schema, id: TypeId, column: &ColumnType) -> bool {
    let found = schema.at(id);
    let (scalar, logical) = (column.scalar, found.logical);
    if !column.is_scalar() {
        // A vector may come packed.
        return match (&found.kind, column.packed_bytes()) {
            (Kind::Bytes, Some(_)) => logical.is_none(),
            (Kind::Fixed { size, .. }, Some(width)) => logical.is_none() && *size as u64 == u64::from(width),
            _ => false,
        };
    }
    let number = matches!(scalar, Scalar::Int8 | Scalar::Int32 | Scalar::Int64 | Scalar::Float16 | Scalar::Float32 | Scalar::Float64);
    match &found.kind {
        Kind::Boolean => scalar == Scalar::Bool,
        Kind::Int | Kind::Long => number || (scalar == Scalar::Timestamp && logical.is_some_and(Logical::is_instant)),
        Kind::Float | Kind::Double => number,
        Kind::String => matches!(scalar, Scalar::String | Scalar::Binary | Scalar::Timestamp),
        Kind::Enum { .. } => scalar == Scalar::String,
        Kind::Bytes | Kind::Fixed { .. } => match logical {
            Some(Logical::Decimal { .. }) => number || matches!(scalar, Scalar::String | Scalar::Binary),
            Some(Logical::Uuid) => matches!(scalar, Scalar::String | Scalar::Binary),
            _ => scalar == Scalar::Binary,
        },
        Kind::Null | Kind::Array(_) | Kind::Map(_) | Kind::Record { .. } | Kind::Union(_) => false,
    }
}

impl Logical {
    const fn is_instant(self) -> bool {
        matches!(self, Self::Date | Self::TimestampMillis | Self::TimestampMicros | Self::TimestampNanos)
    }
}
