//! Places in the text of an expression.

use datafusion_sql::sqlparser::ast::{Expr, Spanned, Value};
use datafusion_sql::sqlparser::tokenizer::{Location, Span};

use super::syntax::children;
use crate::issue::Position;

/// Where a part of an expression begins. Some nodes know no span of their own: theirs is the first of their parts'.
pub(super) fn start(expr: &Expr) -> Option<Position> {
    let own = |e: &Expr| match e {
        Expr::Function(f) => from_span(f.name.span()),
        Expr::TypedString(t) => from_span(t.value.span),
        e => from_span(e.span()),
    };
    let mut parts = vec![expr];
    let mut first: Option<Position> = None;
    while let Some(part) = parts.pop() {
        first = match (first, own(part)) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        parts.extend(children(part));
    }
    first
}

/// Where the literal `text` stands, or the first literal of all.
pub(super) fn literal(expr: &Expr, text: &str) -> Option<Position> {
    let mut parts = vec![expr];
    let mut found: Vec<(bool, Position)> = Vec::new();
    while let Some(part) = parts.pop() {
        let value = match part {
            Expr::Value(value) => Some(value),
            Expr::TypedString(typed) => Some(&typed.value),
            _ => None,
        };
        if let Some((value, position)) = value.and_then(|v| Some((&v.value, from_span(v.span)?))) {
            let same = match value {
                Value::SingleQuotedString(s) | Value::Number(s, _) => s == text,
                _ => false,
            };
            found.push((!same, position));
        }
        parts.extend(children(part));
    }
    found.into_iter().min().map(|(_, position)| position)
}

/// Just behind the last letter.
pub(super) fn end(sql: &str) -> Position {
    let text = sql.trim_end();
    let last = text.rsplit('\n').next().unwrap_or_default();
    Position { line: text.matches('\n').count() + 1, column: last.chars().count() + 1 }
}

pub(super) fn from_span(span: Span) -> Option<Position> {
    from_location(span.start)
}

pub(super) fn from_location(location: Location) -> Option<Position> {
    let number = |n: u64| usize::try_from(n).ok().filter(|n| *n > 0);
    Some(Position { line: number(location.line)?, column: number(location.column)? })
}
