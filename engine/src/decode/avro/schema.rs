//! An Avro schema, read: an arena of types in which named ones are referred to by place, so that a type may hold itself.

use serde_json::Value;

/// The most types of a schema, those of its references included.
pub const MAX_TYPES: usize = 10_000;

/// A place in a schema.
pub type TypeId = usize;

/// A schema with everything that it refers to.
#[derive(Debug, Clone, PartialEq)]
pub struct Schema {
    pub(super) types: Vec<Type>,
    pub(super) root: TypeId,
    /// Of each type: whether its values take no bytes at all.
    pub(super) empty: Vec<bool>,
}

/// A type, and what its values mean beyond it.
#[derive(Debug, Clone, PartialEq)]
pub struct Type {
    pub kind: Kind,
    /// `None` where the schema says nothing, or something that is not known here: then the type alone counts.
    pub logical: Option<Logical>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    Fixed { name: Name, size: usize },
    Enum { name: Name, symbols: Vec<String>, default: Option<String> },
    Array(TypeId),
    Map(TypeId),
    Record { name: Name, fields: Vec<Field> },
    Union(Vec<TypeId>),
}

/// A full name, and the other full names under which readers know what writers called otherwise.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    pub full: String,
    pub aliases: Vec<String>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Field {
    pub name: String,
    pub aliases: Vec<String>,
    pub of: TypeId,
    /// What stands for it in records of writers that do not have it.
    pub default: Option<Value>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logical {
    Date,
    TimestampMillis,
    TimestampMicros,
    TimestampNanos,
    Decimal {
        scale: u32,
    },
    Uuid,
    /// A time that is no instant: of a day, or without its zone. Its number is all that can be read.
    Clock(&'static str),
}

impl Schema {
    /// The type at a place; one that is not there is null.
    pub fn at(&self, id: TypeId) -> &Type {
        const NOTHING: Type = Type { kind: Kind::Null, logical: None };
        self.types.get(id).unwrap_or(&NOTHING)
    }

    pub fn kind(&self, id: TypeId) -> &Kind {
        &self.at(id).kind
    }

    /// Whether values of a type take no bytes: null, and what is made of nothing else. Such values can be as many as a number says.
    pub fn is_empty(&self, id: TypeId) -> bool {
        self.empty.get(id).copied().unwrap_or(true)
    }

    /// How many types it has: what it takes in memory.
    pub const fn size(&self) -> usize {
        self.types.len()
    }

    /// A type as messages name it.
    pub fn describe(&self, id: TypeId) -> String {
        let found = self.at(id);
        let plain = match &found.kind {
            Kind::Null => "null".to_owned(),
            Kind::Boolean => "boolean".to_owned(),
            Kind::Int => "int".to_owned(),
            Kind::Long => "long".to_owned(),
            Kind::Float => "float".to_owned(),
            Kind::Double => "double".to_owned(),
            Kind::Bytes => "bytes".to_owned(),
            Kind::String => "string".to_owned(),
            Kind::Fixed { name, size } => format!("fixed {} of {size} bytes", name.full),
            Kind::Enum { name, .. } => format!("enum {}", name.full),
            Kind::Array(items) => match self.kind(*items) {
                Kind::Array(_) | Kind::Map(_) => "array of lists or maps".to_owned(),
                _ => format!("array of {}", self.describe(*items)),
            },
            Kind::Map(_) => "map".to_owned(),
            Kind::Record { name, .. } => format!("record {}", name.full),
            Kind::Union(branches) => {
                // Unions hold no unions, but lists in them may.
                let names = branches.iter().map(|b| match self.kind(*b) {
                    Kind::Array(_) => "array".to_owned(),
                    _ => self.describe(*b),
                });
                return names.collect::<Vec<_>>().join(" or ");
            }
        };
        match found.logical {
            None => plain,
            Some(logical) => format!("{plain} ({})", logical.name()),
        }
    }
}

impl Kind {
    /// The name of a named type.
    pub const fn name(&self) -> Option<&Name> {
        match self {
            Self::Fixed { name, .. } | Self::Enum { name, .. } | Self::Record { name, .. } => Some(name),
            _ => None,
        }
    }
}

impl Name {
    /// Whether a writer's name is this reader's: namespaces may differ, or an alias says so.
    pub fn knows(&self, writer: &Self) -> bool {
        let last = |full: &str| full.rsplit('.').next().unwrap_or_default().to_owned();
        last(&self.full) == last(&writer.full)
            || self.aliases.iter().any(|alias| *alias == writer.full || last(alias) == last(&writer.full))
    }
}

impl Logical {
    const fn name(self) -> &'static str {
        match self {
            Self::Date => "date",
            Self::TimestampMillis => "timestamp-millis",
            Self::TimestampMicros => "timestamp-micros",
            Self::TimestampNanos => "timestamp-nanos",
            Self::Decimal { .. } => "decimal",
            Self::Uuid => "uuid",
            Self::Clock(name) => name,
        }
    }
}
