//! Constants are tried at compile: a literal that cannot be cast, or a division of constants by zero, would fail for every event.

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::datatypes::Schema;
use datafusion_common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion_common::{DFSchema, DataFusionError, ScalarValue};
use datafusion_expr::execution_props::ExecutionProps;
use datafusion_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion_expr::{BinaryExpr, Expr, Operator, lit};
use datafusion_physical_expr::create_physical_expr;
use datafusion_sql::sqlparser::ast;

use super::functions::FUNCTIONS;
use super::physical::simplify;
use super::typing::message;
use super::{Mistake, place};
use crate::issue::IssueCode;

/// Evaluates every part of `expr` (coerced) that names no column. `ast`: where to look for the places.
pub(super) fn check(expr: &Expr, ast: &ast::Expr) -> Result<(), Vec<Mistake>> {
    let mut mistakes = Vec::new();
    let walked = expr.apply(|part| {
        if let Some(pattern) = pattern(part)
            && let Err(error) = evaluate(&pattern)
        {
            mistakes.push(mistake(part, &error, ast));
        }
        if part.any_column_refs() {
            return Ok(TreeNodeRecursion::Continue);
        }
        if !matches!(part, Expr::Literal(..))
            && let Err(error) = evaluate(part)
        {
            mistakes.push(mistake(part, &error, ast));
        }
        Ok(TreeNodeRecursion::Jump)
    });
    if let Err(error) = walked {
        mistakes.push(Mistake::new(None, IssueCode::ExpressionType, message(&error), ""));
    }
    if mistakes.is_empty() { Ok(()) } else { Err(mistakes) }
}

fn mistake(part: &Expr, error: &DataFusionError, ast: &ast::Expr) -> Mistake {
    let at = first_literal(part).and_then(|text| place::literal(ast, &text)).or_else(|| place::start(ast));
    let text = format!("this constant cannot be evaluated: {}", message(error));
    Mistake::new(at, IssueCode::ExpressionConstant, text, "it would fail for every event: correct the literal")
}

/// A regular expression is looked at only when there is something to match: matches it against nothing.
fn pattern(part: &Expr) -> Option<Expr> {
    let pattern = match part {
        Expr::ScalarFunction(call) if call.func.name().starts_with("regexp_") => call.args.get(1)?,
        Expr::BinaryExpr(BinaryExpr { op, right, .. }) => {
            let is_match = matches!(op, Operator::RegexMatch | Operator::RegexIMatch | Operator::RegexNotMatch | Operator::RegexNotIMatch);
            is_match.then_some(&**right)?
        }
        Expr::SimilarTo(like) => &*like.pattern,
        _ => return None,
    };
    let literal = matches!(pattern, Expr::Literal(ScalarValue::Utf8(Some(_)), _));
    let like = FUNCTIONS.get("regexp_like").filter(|_| literal)?;
    Some(like.call(vec![lit("x"), pattern.clone()]))
}

fn first_literal(part: &Expr) -> Option<String> {
    let mut found = None;
    // Only reads, and never fails.
    part.apply(|e| {
        if let Expr::Literal(value, _) = e {
            found = Some(value.try_as_str().flatten().map_or_else(|| value.to_string(), str::to_owned));
            return Ok(TreeNodeRecursion::Stop);
        }
        Ok(TreeNodeRecursion::Continue)
    })
    .ok()?;
    found
}

fn evaluate(expr: &Expr) -> Result<(), DataFusionError> {
    let empty = DFSchema::empty();
    let simplified = simplify(expr.clone(), std::sync::Arc::new(empty.clone()))?;
    let physical = create_physical_expr(&simplified, &empty, &ExecutionProps::new(), &PhysicalPlanningContext::default())?;
    let one_row = RecordBatchOptions::new().with_row_count(Some(1));
    let batch = RecordBatch::try_new_with_options(std::sync::Arc::new(Schema::empty()), Vec::new(), &one_row)?;
    physical.evaluate(&batch)?.into_array(1)?;
    Ok(())
}
