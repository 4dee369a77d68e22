//! What expressions of a signal may see. The engine builds its physical expressions over these schemas.

use std::sync::Arc;

use arrow::datatypes::{Schema, SchemaRef};

use crate::plan::{ExecutorPlan, SignalPlan};

impl SignalPlan {
    /// What derivation `index` sees: the raw fields as declared (validated rows hold no null where none is allowed), then the
    /// derivations before it. Conditions (`where`, `delete`, `filter`) may be built over this or over [`Self::raw_schema`];
    /// the source's `where` runs before validation and so needs the latter.
    #[must_use]
    pub fn derive_scope(&self, index: usize) -> SchemaRef {
        let raw = self.event.fields.iter().map(|f| f.column_type.field(&f.name, f.nullable));
        let derived = match &self.executor {
            ExecutorPlan::Declarative { derive, .. } => derive.as_slice(),
            ExecutorPlan::Builtin { .. } => &[],
        };
        let earlier = derived.iter().take(index).map(|d| d.expr.column_type.field(&d.name, d.expr.nullable));
        Arc::new(Schema::new(raw.chain(earlier).collect::<Vec<_>>()))
    }
}
