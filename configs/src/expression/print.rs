//! How expressions are printed: one form for one meaning, which parses to itself.

use std::ops::ControlFlow;
use std::sync::Arc;

use arrow::datatypes::TimeUnit;
use datafusion_common::DataFusionError;
use datafusion_expr::Expr;
use datafusion_sql::sqlparser::ast::{self, BinaryOperator, UnaryOperator, Value};
use datafusion_sql::sqlparser::keywords::ALL_KEYWORDS;
use datafusion_sql::unparser::Unparser;
use datafusion_sql::unparser::dialect::{Dialect, IntervalStyle};

/// The canonical text of a planned expression.
pub(super) fn print(expr: &Expr) -> Result<String, DataFusionError> {
    let mut printed = Unparser::new(&Canonical).expr_to_sql(expr)?;
    let _: ControlFlow<()> = ast::visit_expressions_mut(&mut printed, |part| {
        if let ast::Expr::Value(ast::ValueWithSpan { value: Value::SingleQuotedString(text), .. }) = part {
            // The printer takes a quote after a backslash, or two of them, for escaped already: so all are.
            *text = text.replace('\'', "''");
        }
        for operand in operands(part) {
            *operand = ast::Expr::Nested(Box::new(operand.clone()));
        }
        ControlFlow::Continue(())
    });
    Ok(printed.to_string())
}

/// The operands of `expr` that would read differently without parentheses.
fn operands(expr: &mut ast::Expr) -> Vec<&mut ast::Expr> {
    use ast::Expr as E;
    // Two signs together would begin a comment.
    let signed = matches!(expr, E::UnaryOp { op: UnaryOperator::Minus, .. });
    let operands: Vec<&mut E> = match expr {
        // Nothing binds less than these; the printer puts parentheses around them.
        E::BinaryOp { op: BinaryOperator::And | BinaryOperator::Or, .. } => Vec::new(),
        E::BinaryOp { left: a, right: b, .. } | E::IsDistinctFrom(a, b) | E::IsNotDistinctFrom(a, b) => vec![a, b],
        E::Like { expr: a, pattern: b, .. } | E::ILike { expr: a, pattern: b, .. } | E::SimilarTo { expr: a, pattern: b, .. } => vec![a, b],
        E::IsFalse(a) | E::IsNotFalse(a) | E::IsTrue(a) | E::IsNotTrue(a) | E::IsNull(a) | E::IsNotNull(a) => vec![a],
        E::IsUnknown(a) | E::IsNotUnknown(a) | E::InList { expr: a, .. } => vec![a],
        E::UnaryOp { expr: a, .. } => vec![a],
        E::Between { expr: a, low: b, high: c, .. } => vec![a, b, c],
        _ => Vec::new(),
    };
    operands.into_iter().filter(|operand| binds_loosely(operand) || (signed && operand.to_string().starts_with('-'))).collect()
}

fn binds_loosely(expr: &ast::Expr) -> bool {
    use ast::Expr as E;
    matches!(
        expr,
        E::BinaryOp { .. }
            | E::UnaryOp { .. }
            | E::IsDistinctFrom(..)
            | E::IsNotDistinctFrom(..)
            | E::Like { .. }
            | E::ILike { .. }
            | E::SimilarTo { .. }
            | E::InList { .. }
            | E::Between { .. }
            | E::IsFalse(_)
            | E::IsNotFalse(_)
            | E::IsTrue(_)
            | E::IsNotTrue(_)
            | E::IsNull(_)
            | E::IsNotNull(_)
            | E::IsUnknown(_)
            | E::IsNotUnknown(_)
            | E::Interval(_)
    )
}

struct Canonical;

impl Dialect for Canonical {
    /// Quotes what is a keyword or no plain name. Lower-casing is off, so upper case needs no quotes.
    fn identifier_quote_style(&self, identifier: &str) -> Option<char> {
        let plain = identifier.bytes().enumerate().all(|(i, b)| b.is_ascii_alphabetic() || b == b'_' || (i > 0 && b.is_ascii_digit()));
        let keyword = ALL_KEYWORDS.binary_search(&identifier.to_ascii_uppercase().as_str()).is_ok();
        (!plain || identifier.is_empty() || keyword).then_some('"')
    }

    fn interval_style(&self) -> IntervalStyle {
        IntervalStyle::PostgresVerbose
    }

    fn timestamp_cast_dtype(&self, _: &TimeUnit, _: &Option<Arc<str>>) -> ast::DataType {
        ast::DataType::Timestamp(None, ast::TimezoneInfo::None)
    }
}
