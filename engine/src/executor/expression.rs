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
        let physical = physical(expression, schema)
            .map_err(|message| Error::invalid(format!("expression of {name}: {message}; compile the definition again")))?;
        let found = physical.data_type(schema)?;
        if found != expression.column_type.arrow() {
            return Err(Error::invalid(format!(
                "expression of {name}: the plan states {}, this program finds {found}; use the program that compiled it, or compile it again",
                expression.column_type
            )));
        }
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

fn physical(expression: &plan::Expression, schema: &SchemaRef) -> Result<Arc<dyn PhysicalExpr>, String> {
    interim::physical(expression, schema).map_err(|e| e.to_string())
}

/// Until the crate of definitions has its own.
mod interim {
    use std::sync::Arc;

    use arrow::datatypes::{DataType, SchemaRef};
    use datafusion_common::config::ConfigOptions;
    use datafusion_common::tree_node::TreeNode;
    use datafusion_common::{DFSchema, Result, TableReference, not_impl_err};
    use datafusion_expr::execution_props::ExecutionProps;
    use datafusion_expr::planner::{ContextProvider, ExprPlanner};
    use datafusion_expr::{AggregateUDF, HigherOrderUDF, ScalarUDF, TableSource, WindowUDF};
    use datafusion_optimizer::analyzer::type_coercion::TypeCoercionRewriter;
    use datafusion_physical_expr::PhysicalExpr;
    use datafusion_sql::planner::{ParserOptions, PlannerContext, SqlToRel};
    use datafusion_sql::sqlparser::{dialect::GenericDialect, parser::Parser};
    use tress_configs::plan;

    #[derive(Default)]
    struct Functions {
        options: ConfigOptions,
        planners: Vec<Arc<dyn ExprPlanner>>,
    }

    impl ContextProvider for Functions {
        fn get_table_source(&self, name: TableReference) -> Result<Arc<dyn TableSource>> {
            not_impl_err!("no table {name} here")
        }
        fn get_expr_planners(&self) -> &[Arc<dyn ExprPlanner>] {
            &self.planners
        }
        fn get_function_meta(&self, name: &str) -> Option<Arc<ScalarUDF>> {
            datafusion_functions::all_default_functions().into_iter().find(|f| f.name() == name || f.aliases().iter().any(|a| a == name))
        }
        fn get_higher_order_meta(&self, _: &str) -> Option<Arc<HigherOrderUDF>> {
            None
        }
        fn get_aggregate_meta(&self, _: &str) -> Option<Arc<AggregateUDF>> {
            None
        }
        fn get_window_meta(&self, _: &str) -> Option<Arc<WindowUDF>> {
            None
        }
        fn get_variable_type(&self, _: &[String]) -> Option<DataType> {
            None
        }
        fn options(&self) -> &ConfigOptions {
            &self.options
        }
        fn udf_names(&self) -> Vec<String> {
            Vec::new()
        }
        fn higher_order_function_names(&self) -> Vec<String> {
            Vec::new()
        }
        fn udaf_names(&self) -> Vec<String> {
            Vec::new()
        }
        fn udwf_names(&self) -> Vec<String> {
            Vec::new()
        }
    }

    pub(super) fn physical(expression: &plan::Expression, schema: &SchemaRef) -> Result<Arc<dyn PhysicalExpr>> {
        let df_schema = DFSchema::try_from(schema.as_ref().clone())?;
        let sql = Parser::new(&GenericDialect {}).try_with_sql(&expression.sql).and_then(|mut parser| parser.parse_expr());
        let sql = sql.map_err(|e| datafusion_common::DataFusionError::Plan(e.to_string()))?;
        let functions = Functions::default();
        let options = ParserOptions { enable_ident_normalization: false, ..ParserOptions::default() };
        let logical = SqlToRel::new_with_options(&functions, options).sql_to_expr(sql, &df_schema, &mut PlannerContext::new())?;
        let coerced = logical.rewrite(&mut TypeCoercionRewriter::new(&df_schema))?.data;
        datafusion_physical_expr::create_physical_expr(&coerced, &df_schema, &ExecutionProps::new(), &Default::default())
    }
}
