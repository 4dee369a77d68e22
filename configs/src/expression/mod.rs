//! SQL scalar expressions: parsed, checked and typed at compile, executed as one physical expression over record batches.
//!
//! ```text
//! text ─▶ syntax (AST, every name and construct with its place) ─▶ typing (planned, coerced, constants tried) ─▶ printed SQL + type
//!                                                                        physical: printed SQL ─▶ the same typing ─▶ PhysicalExpr
//! ```
//!
//! Identifiers are case sensitive. Three-valued logic. Only immutable functions of [`functions`]' list; no clock, no randomness. Times are UTC.

mod constants;
mod dialect;
mod functions;
mod physical;
mod place;
mod print;
mod provider;
mod stack;
mod syntax;
mod typing;

use std::collections::BTreeSet;

pub use functions::ALLOWED as ALLOWED_FUNCTIONS;
pub use physical::physical;

use crate::column::ColumnType;
use crate::issue::{IssueCode, Position};
use crate::plan::Expression;

/// The most bytes of an expression.
pub const MAX_BYTES: usize = 4096;
/// How deep an expression may nest, parentheses not counted.
pub const MAX_DEPTH: usize = 40;

/// A column that an expression may name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    pub name: String,
    pub column_type: ColumnType,
    pub nullable: bool,
}

/// What an expression is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wanted {
    /// A truth value: a filter.
    Condition,
    /// Any value a column may have.
    Value,
}

/// An expression that type-checks.
#[derive(Debug, Clone, PartialEq)]
pub struct Typed {
    pub expression: Expression,
    /// The columns that it names.
    pub columns: BTreeSet<String>,
}

/// What is wrong in an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// Line and column in the text of the expression, from 1.
    pub at: Option<Position>,
    pub code: IssueCode,
    pub message: String,
    pub help: String,
    /// The column that is not there.
    pub unknown: Option<String>,
}

impl Mistake {
    fn new(at: Option<Position>, code: IssueCode, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { at, code, message: message.into(), help: help.into(), unknown: None }
    }
}

/// Parses, checks and types `sql` over `columns`.
///
/// # Errors
/// Every mistake that can be told apart: all unknown names and constructs, else the smallest parts that do not type-check.
pub fn compile(sql: &str, columns: &[Column], wanted: Wanted) -> Result<Typed, Vec<Mistake>> {
    let failed = |message: String| vec![Mistake::new(None, IssueCode::ExpressionType, message, "write it another way")];
    stack::with_room(|| {
        let ast = syntax::parse(sql).map_err(|mistake| vec![mistake])?;
        let used = syntax::check(&ast, columns)?;
        let scope = typing::Scope::new(columns).map_err(failed)?;
        let expression = typing::typed(&ast, &scope, wanted)?;
        Ok(Typed { expression, columns: used })
    })
    .map_err(failed)?
}

/// The columns that a printed expression names; none of what does not parse.
#[must_use]
pub fn columns_of(sql: &str) -> BTreeSet<String> {
    stack::with_room(|| syntax::parse(sql).map(|ast| syntax::names(&ast)).unwrap_or_default()).unwrap_or_default()
}

#[cfg(test)]
mod tests;
