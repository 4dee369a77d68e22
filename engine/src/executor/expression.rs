//! Expressions of a plan, ready to be evaluated.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch};
use arrow::datatypes::SchemaRef;
use datafusion_physical_expr::PhysicalExpr;
use tress_configs::plan;

use super::ExecuteError;
use crate::error::{Error, Result};

/// One expression over batches of one schema.
#[derive(Debug, Clone)]
pub(crate) struct Expression {
    /// What it is called in a dead letter: the derived column, or `where`, `delete`, `filter`.
    name: String,
    physical: Arc<dyn PhysicalExpr>,
}

impl Expression {
    /// # Errors
    /// `Invalid` when the expression cannot be run over such batches, or gives another type than the plan states.
    pub(crate) fn new(name: &str, expression: &plan::Expression, schema: &SchemaRef) -> Result<Self> {
        let physical = tress_configs::expression::physical(expression, schema)
            .map_err(|message| Error::invalid(format!("expression of {name}: {message}; compile the definition again")))?;
        Ok(Self { name: name.to_owned(), physical })
    }

    /// One value a row.
    ///
    /// # Errors
    /// When it fails on some row of the batch.
    pub(crate) fn evaluate(&self, batch: &RecordBatch) -> Result<ArrayRef, ExecuteError> {
        self.physical
            .evaluate(batch)
            .and_then(|value| value.into_array(batch.num_rows()))
            .map_err(|e| ExecuteError { field: self.name.clone(), message: e.to_string() })
    }

    /// The rows for which it is true: neither false nor null.
    ///
    /// # Errors
    /// As `evaluate`.
    pub(crate) fn is_true(&self, batch: &RecordBatch) -> Result<BooleanArray, ExecuteError> {
        let values = self.evaluate(batch)?;
        let values = values
            .as_boolean_opt()
            .ok_or_else(|| ExecuteError { field: self.name.clone(), message: "it is not true or false".to_owned() })?;
        Ok(match values.nulls() {
            Some(valid) => BooleanArray::new(values.values() & valid.inner(), None),
            None => values.clone(),
        })
    }
}
