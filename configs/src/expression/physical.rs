//! From a plan's expression to what the engine executes.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion_common::{DFSchemaRef, DataFusionError};
use datafusion_expr::execution_props::ExecutionProps;
use datafusion_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion_expr::simplify::SimplifyContext;
use datafusion_expr::{Expr, ExprSchemable};
use datafusion_optimizer::simplify_expressions::ExprSimplifier;
use datafusion_physical_expr::{PhysicalExpr, create_physical_expr};

use super::provider::PROVIDER;
use super::stack::with_room;
use super::syntax::parse;
use super::typing::{df_schema, message, planned, type_name};
use crate::plan::Expression;

/// The physical expression of `expression` over batches of `schema`.
///
/// `schema` has the columns in the order of the batches. Its nullability is believed: a column that it calls not nullable must
/// hold no null where the expression is evaluated (see [`crate::SignalPlan::derive_scope`]).
///
/// # Errors
/// When the text does not parse, names an unknown column, or does not reach the type and nullability that the plan states.
pub fn physical(expression: &Expression, schema: &SchemaRef) -> Result<Arc<dyn PhysicalExpr>, String> {
    let refused = |reason: String| format!("expression {}: {reason}", expression.sql);
    with_room(|| build(expression, schema)).and_then(|built| built).map_err(refused)
}

/// As [`physical`], on a stack that is known to be large enough.
pub(super) fn build(expression: &Expression, schema: &SchemaRef) -> Result<Arc<dyn PhysicalExpr>, String> {
    let ast = parse(&expression.sql).map_err(|m| m.message)?;
    let scope = df_schema(Arc::clone(schema))?;
    let (_, coerced) = planned(&ast, &scope)?;
    // Asked of the same form as at compile: physical expressions know less about nulls.
    if !expression.nullable && coerced.nullable(&scope).map_err(|e| message(&e))? {
        return Err("the plan states that it is never null, but over these columns it may be".to_owned());
    }
    let simplified = simplify(coerced, Arc::clone(&scope)).map_err(|e| message(&e))?;
    let planning = PhysicalPlanningContext::default();
    let physical = create_physical_expr(&simplified, &scope, &ExecutionProps::new(), &planning).map_err(|e| message(&e))?;
    let found = physical.data_type(schema).map_err(|e| message(&e))?;
    if found != expression.column_type.arrow() {
        return Err(format!("the plan states {}, but its type here is {}", expression.column_type, type_name(&found)));
    }
    Ok(physical)
}

/// Folds constants and rewrites functions that exist only as other expressions (coalesce is a CASE). Answers do not change.
pub(super) fn simplify(expr: Expr, schema: DFSchemaRef) -> Result<Expr, DataFusionError> {
    let context = SimplifyContext::builder().with_schema(schema).with_config_options(Arc::clone(PROVIDER.shared_options())).build();
    ExprSimplifier::new(context).simplify(expr)
}
