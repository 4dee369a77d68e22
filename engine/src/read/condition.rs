//! A feature's `where` over stored rows, compiled once; the same for reads and for what base keeps for them.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Schema, SchemaRef};
use datafusion_physical_expr::PhysicalExpr;
use tress_configs::SignalPlan;
use tress_configs::plan::Expression;

use crate::error::{Error, Result};

/// A compiled condition.
#[derive(Debug)]
pub struct Condition {
    expr: Arc<dyn PhysicalExpr>,
    /// The signal's columns that it looks at.
    columns: Vec<usize>,
    schema: SchemaRef,
}

impl Condition {
    /// `names`: the signal's columns that the expression looks at.
    ///
    /// # Errors
    /// `Invalid` when the signal has no such column or the expression does not reach the type that the plan states.
    pub fn new(expression: &Expression, names: &[String], signal: &SignalPlan) -> Result<Self> {
        let column = |name: &String| {
            let found = signal.columns.iter().position(|c| c.name == *name);
            found.ok_or_else(|| Error::invalid(format!("where of signal {}: there is no column {name}", signal.name)))
        };
        let columns = names.iter().map(column).collect::<Result<Vec<_>>>()?;
        // Tombstones have no values, also where readers never see a null.
        let schema = Arc::new(Schema::new(columns.iter().map(|c| signal.columns[*c].stored_field()).collect::<Vec<_>>()));
        let expr = tress_configs::expression::physical(expression, &schema)
            .map_err(|e| Error::invalid(format!("where of signal {}: {e}", signal.name)))?;
        Ok(Self { expr, columns, schema })
    }

    /// The signal's columns that it looks at, by their index in the signal's plan.
    #[must_use]
    pub fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// Per row whether it is true; `columns` are those of [`Condition::columns`]. A row on which it fails (a division by zero) is
    /// a row for which it is not true, whatever rows it is evaluated with.
    ///
    /// # Errors
    /// `Internal` when the columns do not fit.
    pub fn holds(&self, columns: Vec<ArrayRef>, rows: usize) -> Result<BooleanArray> {
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let batch = RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)?;
        if let Some(all) = self.evaluate(&batch) {
            return Ok(all);
        }
        let one = |row: usize| self.evaluate(&batch.slice(row, 1)).is_some_and(|value| value.value(0));
        Ok((0..rows).map(|row| Some(one(row))).collect())
    }

    /// `None` when it fails on a row. Null counts as not true.
    fn evaluate(&self, batch: &RecordBatch) -> Option<BooleanArray> {
        let values = self.expr.evaluate(batch).ok()?.into_array(batch.num_rows()).ok()?;
        let values = values.as_boolean_opt()?;
        Some(match values.nulls() {
            None => values.clone(),
            Some(nulls) => BooleanArray::new(values.values() & nulls.inner(), None),
        })
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::Int64Array;
    use tress_configs::column::{ColumnType, Scalar};

    use super::*;

    #[test]
    fn a_row_on_which_it_fails_is_not_true_and_harms_no_other() {
        let expression = Expression { sql: "10 / a > 1".to_owned(), column_type: ColumnType::scalar(Scalar::Bool), nullable: true };
        let schema: SchemaRef = Arc::new(Schema::new(vec![ColumnType::scalar(Scalar::Int64).field("a", true)]));
        let expr = tress_configs::expression::physical(&expression, &schema).unwrap();
        let condition = Condition { expr, columns: vec![0], schema };
        let column: ArrayRef = Arc::new(Int64Array::from(vec![Some(2), Some(0), None, Some(20), Some(1)]));
        let held = condition.holds(vec![column], 5).unwrap();
        assert_eq!(held, BooleanArray::from(vec![true, false, false, false, true]));
    }
}
