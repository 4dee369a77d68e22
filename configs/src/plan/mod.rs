//! The plan: what compile makes of a definition and what every runtime executes. Everything is resolved, nothing is optional
//! for lack of a default, and nothing in it is a secret or an address.

mod column;
mod feature;
mod signal;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

pub use column::*;
pub use feature::*;
pub use signal::*;

use crate::column::ColumnType;
use crate::name::QualifiedName;

/// The format of the plan's JSON.
pub const PLAN_VERSION: u32 = 1;
/// Raised when an engine or library change alters answers.
pub const SEMANTICS: u32 = 1;
/// The most bytes of a plan's canonical JSON.
pub const MAX_PLAN_BYTES: usize = 256 * 1024;
/// Shards of every signal, and partitions of its changelog. A power of two.
pub const SHARDS: u32 = 16;

/// A compiled definition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum Plan {
    Signal(SignalPlan),
    Feature(FeaturePlan),
}

/// A typed SQL expression, printed in its canonical form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Expression {
    pub sql: String,
    #[serde(rename = "type")]
    pub column_type: ColumnType,
    pub nullable: bool,
}

impl Plan {
    #[must_use]
    pub const fn name(&self) -> &QualifiedName {
        match self {
            Self::Signal(plan) => &plan.name,
            Self::Feature(plan) => &plan.name,
        }
    }

    #[must_use]
    pub const fn as_signal(&self) -> Option<&SignalPlan> {
        match self {
            Self::Signal(plan) => Some(plan),
            Self::Feature(_) => None,
        }
    }

    #[must_use]
    pub const fn as_feature(&self) -> Option<&FeaturePlan> {
        match self {
            Self::Feature(plan) => Some(plan),
            Self::Signal(_) => None,
        }
    }

    /// The canonical JSON: object keys sorted, no whitespace.
    ///
    /// # Panics
    /// Never: every plan is representable in JSON.
    #[must_use]
    pub fn canonical_json(&self) -> String {
        canonical(&serde_json::to_value(self).expect("a plan holds only strings, whole numbers, lists and maps"))
    }

    /// The digest of the plan's bytes: what an engine runs. 32 hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> String {
        format!("{:032x}", xxh3_128(self.canonical_json().as_bytes()))
    }

    /// Reads a plan from its JSON.
    ///
    /// # Errors
    /// A sentence that says what is wrong, when the text is too large, is no plan, or is of a format this program does not know.
    pub fn from_json(text: &str) -> Result<Self, String> {
        if text.len() > MAX_PLAN_BYTES {
            return Err(format!("the plan has {} bytes; at most {MAX_PLAN_BYTES} are allowed", text.len()));
        }
        let plan: Self = serde_json::from_str(text).map_err(|e| format!("not a plan: {e}"))?;
        let (version, semantics) = match &plan {
            Self::Signal(p) => (p.version, p.semantics),
            Self::Feature(p) => (p.version, p.semantics),
        };
        if version == 0 || version > PLAN_VERSION {
            return Err(format!("plan format {version} is not known here; this program reads up to {PLAN_VERSION}: use a newer one"));
        }
        if semantics == 0 || semantics > SEMANTICS {
            return Err(format!("plan semantics {semantics} is not known here; this program runs up to {SEMANTICS}: use a newer one"));
        }
        Ok(plan)
    }
}

/// Canonical JSON of a value: object keys sorted by bytes, no whitespace.
#[must_use]
pub fn canonical(value: &serde_json::Value) -> String {
    use serde_json::Value;
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<_, _> = map.iter().collect();
            let members: Vec<_> = sorted.into_iter().map(|(k, v)| format!("{}:{}", Value::from(k.as_str()), canonical(v))).collect();
            format!("{{{}}}", members.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        scalar => scalar.to_string(),
    }
}

/// The id of a field: the low 31 bits of xxh3-64 of its name.
#[must_use]
pub fn field_id(name: &str) -> i32 {
    (xxh3_64(name.as_bytes()) & 0x7fff_ffff) as i32
}
