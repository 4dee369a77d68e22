//! From text to a syntax tree of which every construct, name and function is known and allowed.

use std::collections::BTreeSet;

use datafusion_sql::sqlparser::ast::{
    BinaryOperator, CastKind, CeilFloorKind, DateTimeField, Expr, Function, FunctionArg, FunctionArgExpr, FunctionArguments, Ident,
    UnaryOperator, Value, ValueWithSpan,
};
use datafusion_sql::sqlparser::keywords::Keyword;
use datafusion_sql::sqlparser::parser::{Parser, ParserError};
use datafusion_sql::sqlparser::tokenizer::Token;

use super::dialect::Expressions;
use super::functions::FUNCTIONS;
use super::provider::{SQL_TYPES, sql_data_type};
use super::{Column, MAX_BYTES, MAX_DEPTH, Mistake, place};
use crate::issue::{IssueCode, Position};
use crate::nearest::{nearest, suggest};

/// Parentheses count here; they are printed around every operator, so more of them are allowed than [`MAX_DEPTH`].
const PARSER_DEPTH: usize = 4 * MAX_DEPTH;
/// Calls of `position` in one expression.
const MAX_POSITIONS: usize = 8;

/// Parses one expression that fills the whole text.
pub(super) fn parse(sql: &str) -> Result<Expr, Mistake> {
    if sql.len() > MAX_BYTES {
        let message = format!("the expression has {} bytes; at most {MAX_BYTES} are allowed", sql.len());
        return Err(Mistake::new(None, IssueCode::TooLong, message, "derive parts of it as columns of their own"));
    }
    if sql.trim().is_empty() {
        return Err(Mistake::new(None, IssueCode::ExpressionSyntax, "the expression is empty", "write one, or remove the field"));
    }
    let mut parser = Parser::new(&Expressions).with_recursion_limit(PARSER_DEPTH).try_with_sql(sql).map_err(|e| syntax(&e))?;
    if let Some(mistake) = one_position_too_many(&parser) {
        return Err(mistake);
    }
    let expr = parser.parse_expr().map_err(|e| {
        let mistake = syntax(&e);
        // What is missing at the end has no place of its own.
        let at = mistake.at.or_else(|| mistake.message.ends_with("EOF").then(|| place::end(sql)));
        Mistake { at, ..mistake }
    })?;
    let next = parser.peek_token();
    if next.token != Token::EOF {
        let message = format!("the expression ends before \"{}\"", next.token);
        let help = "write one expression; join conditions with AND or OR";
        return Err(Mistake::new(place::from_span(next.span), IssueCode::ExpressionSyntax, message, help));
    }
    Ok(expr)
}

/// A call of `position` beyond the most that may be written: nested, with a mistake inside, the parser's time doubles with each level.
fn one_position_too_many(parser: &Parser<'_>) -> Option<Mistake> {
    let tokens = (0..).map(|n| parser.peek_nth_token_ref(n)).take_while(|t| t.token != Token::EOF);
    let mut before = None;
    let mut calls = 0;
    for token in tokens {
        if let (Some(span), Token::LParen) = (before, &token.token) {
            calls += 1;
            if calls > MAX_POSITIONS {
                let message = format!("position(… IN …) is written more than {MAX_POSITIONS} times");
                let help = "write strpos(text, part), or derive parts as columns of their own";
                return Some(Mistake::new(place::from_span(span), IssueCode::TooLong, message, help));
            }
        }
        let is_position = matches!(&token.token, Token::Word(word) if word.keyword == Keyword::POSITION && word.quote_style.is_none());
        before = is_position.then_some(token.span);
    }
    None
}

/// The columns that `expr` names, when everything in it is known and allowed.
pub(super) fn check(expr: &Expr, columns: &[Column]) -> Result<BTreeSet<String>, Vec<Mistake>> {
    let mut check = Check { columns, used: BTreeSet::new(), mistakes: Vec::new() };
    let mut parts = vec![(expr, 0)];
    while let Some((part, depth)) = parts.pop() {
        if depth > MAX_DEPTH {
            let message = format!("the expression nests deeper than {MAX_DEPTH}");
            let help = "derive parts of it as columns of their own; IN (…) takes many values at once";
            return Err(vec![Mistake::new(place::from_span(expr_span(part)), IssueCode::TooLong, message, help)]);
        }
        check.node(part);
        let depth = depth + usize::from(!matches!(part, Expr::Nested(_)));
        parts.extend(children(part).into_iter().map(|child| (child, depth)));
    }
    check.mistakes.sort_by(|a, b| (a.at, &a.message).cmp(&(b.at, &b.message)));
    if check.mistakes.is_empty() { Ok(check.used) } else { Err(check.mistakes) }
}

/// Every identifier in `expr`.
pub(super) fn names(expr: &Expr) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let mut parts = vec![expr];
    while let Some(part) = parts.pop() {
        if let Expr::Identifier(ident) = part {
            names.insert(ident.value.clone());
        }
        parts.extend(children(part));
    }
    names
}

fn expr_span(expr: &Expr) -> datafusion_sql::sqlparser::tokenizer::Span {
    match expr {
        Expr::Identifier(ident) => ident.span,
        Expr::Value(value) => value.span,
        _ => datafusion_sql::sqlparser::tokenizer::Span::empty(),
    }
}

struct Check<'a> {
    columns: &'a [Column],
    used: BTreeSet<String>,
    mistakes: Vec<Mistake>,
}

impl Check<'_> {
    fn node(&mut self, expr: &Expr) {
        match expr {
            Expr::Identifier(ident) => self.column(ident),
            Expr::CompoundIdentifier(parts) => self.compound(parts),
            Expr::Function(function) => self.function(function),
            Expr::Value(value) => self.literal(value),
            Expr::TypedString(typed) => {
                self.cast_type(&typed.data_type, place::from_span(typed.value.span));
                self.literal(&typed.value);
            }
            Expr::Cast { kind, data_type, array: false, format: None, .. } => {
                if matches!(kind, CastKind::SafeCast) {
                    self.refuse(expr, "SAFE_CAST is not allowed", "write TRY_CAST");
                }
                self.cast_type(data_type, place::start(expr));
            }
            Expr::BinaryOp { op, .. } if !allowed_operator(op) => {
                self.refuse(expr, &format!("the operator {op} is not allowed"), "use + - * / % || = <> < <= > >= AND OR ~ LIKE IN BETWEEN");
            }
            Expr::UnaryOp { op, .. } if !matches!(op, UnaryOperator::Not | UnaryOperator::Plus | UnaryOperator::Minus) => {
                self.refuse(expr, &format!("the operator {op} is not allowed"), "use NOT, + or -");
            }
            Expr::Like { any: false, escape_char: None, .. } | Expr::ILike { any: false, escape_char: None, .. } => {}
            Expr::SimilarTo { escape_char: None, .. } => {}
            Expr::Ceil { field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime), .. }
            | Expr::Floor { field: CeilFloorKind::DateTimeField(DateTimeField::NoDateTime), .. } => {}
            Expr::Trim { trim_characters: None, .. } => {}
            Expr::Interval(interval) => {
                let plain = interval.leading_precision.is_none()
                    && interval.last_field.is_none()
                    && interval.fractional_seconds_precision.is_none();
                if !plain || !matches!(&*interval.value, Expr::Value(_)) {
                    self.refuse(expr, "this interval is not allowed", "write it as INTERVAL '1 day'");
                }
            }
            Expr::Substring { substring_from: None, substring_for: None, .. } => {
                self.refuse(expr, "the start is missing", "call it as substr(text, start) or substr(text, start, length)");
            }
            Expr::InList { list, .. } if list.is_empty() => self.refuse(expr, "the list of IN is empty", "give at least one value"),
            Expr::BinaryOp { .. }
            | Expr::UnaryOp { .. }
            | Expr::IsFalse(_)
            | Expr::IsNotFalse(_)
            | Expr::IsTrue(_)
            | Expr::IsNotTrue(_)
            | Expr::IsNull(_)
            | Expr::IsNotNull(_)
            | Expr::IsUnknown(_)
            | Expr::IsNotUnknown(_)
            | Expr::IsDistinctFrom(..)
            | Expr::IsNotDistinctFrom(..)
            | Expr::InList { .. }
            | Expr::Between { .. }
            | Expr::Extract { .. }
            | Expr::Position { .. }
            | Expr::Substring { .. }
            | Expr::Overlay { .. }
            | Expr::Nested(_)
            | Expr::Case { .. } => {}
            _ => self.refuse(
                expr,
                "this is not allowed in an expression",
                "write a scalar expression over columns: no subqueries, lists or windows",
            ),
        }
    }

    fn column(&mut self, ident: &Ident) {
        if self.columns.iter().any(|c| c.name == ident.value) {
            self.used.insert(ident.value.clone());
            return;
        }
        let names = self.columns.iter().map(|c| c.name.as_str());
        // What stands in double quotes is a name in SQL; who finds no such column most likely meant a string.
        let help = match (ident.quote_style, nearest(&ident.value, names.clone())) {
            (Some('"'), None) => format!("a string stands in single quotes: '{}'", ident.value),
            _ => suggest(&ident.value, "columns", names),
        };
        let message = format!("there is no column \"{}\"", ident.value);
        let mistake = Mistake::new(place::from_span(ident.span), IssueCode::UnknownColumn, message, help);
        self.mistakes.push(Mistake { unknown: Some(ident.value.clone()), ..mistake });
    }

    fn compound(&mut self, parts: &[Ident]) {
        let name = parts.iter().map(|p| p.value.as_str()).collect::<Vec<_>>().join(".");
        let at = parts.first().and_then(|p| place::from_span(p.span));
        let help = "declare the nested value as a field with a path, and use the field's name";
        self.mistakes.push(Mistake::new(at, IssueCode::UnknownColumn, format!("there is no column \"{name}\""), help));
    }

    fn function(&mut self, function: &Function) {
        let name = function.name.to_string();
        let at = function.name.0.first().and_then(|p| p.as_ident()).and_then(|i| place::from_span(i.span));
        if !FUNCTIONS.contains_key(&name.to_lowercase()) {
            let help = if REFUSED.contains(&name.to_lowercase().as_str()) {
                "expressions give the same answer at any time: use the event's own fields".to_owned()
            } else {
                suggest(&name, "functions", FUNCTIONS.keys().map(String::as_str))
            };
            self.mistakes.push(Mistake::new(
                at,
                IssueCode::UnknownFunction,
                format!("there is no function \"{name}\" for expressions"),
                help,
            ));
            return;
        }
        let plain_args = match &function.args {
            FunctionArguments::None => true,
            FunctionArguments::Subquery(_) => false,
            FunctionArguments::List(list) => {
                let plain = |a: &FunctionArg| matches!(a, FunctionArg::Unnamed(FunctionArgExpr::Expr(_)));
                list.duplicate_treatment.is_none() && list.clauses.is_empty() && list.args.iter().all(plain)
            }
        };
        let plain = plain_args
            && !function.uses_odbc_syntax
            && matches!(function.parameters, FunctionArguments::None)
            && function.filter.is_none()
            && function.null_treatment.is_none()
            && function.over.is_none()
            && function.within_group.is_empty();
        if !plain {
            let help = "call it as name(value, …): no DISTINCT, FILTER, OVER or named arguments";
            self.mistakes.push(Mistake::new(at, IssueCode::ExpressionSyntax, format!("this form of calling {name} is not allowed"), help));
        }
    }

    fn literal(&mut self, value: &ValueWithSpan) {
        let refusal = match &value.value {
            Value::Number(text, false) => match text.parse::<f64>() {
                Ok(number) if number.is_finite() => None,
                _ => Some((IssueCode::ExpressionConstant, "this number is too large", "write one that fits a double")),
            },
            Value::SingleQuotedString(_) | Value::Boolean(_) | Value::Null => None,
            _ => Some((
                IssueCode::ExpressionSyntax,
                "this kind of literal is not allowed",
                "write a number, 'a string', TRUE, FALSE or NULL",
            )),
        };
        if let Some((code, message, help)) = refusal {
            self.mistakes.push(Mistake::new(place::from_span(value.span), code, message, help));
        }
    }

    fn cast_type(&mut self, sql_type: &datafusion_sql::sqlparser::ast::DataType, at: Option<Position>) {
        if sql_data_type(sql_type).is_none() {
            let message = format!("the type {sql_type} is not known");
            self.mistakes.push(Mistake::new(at, IssueCode::ExpressionType, message, format!("use one of {SQL_TYPES}")));
        }
    }

    fn refuse(&mut self, expr: &Expr, message: &str, help: &str) {
        self.mistakes.push(Mistake::new(place::start(expr), IssueCode::ExpressionSyntax, message, help));
    }
}

/// Functions that people try and that depend on more than their arguments.
const REFUSED: &[&str] =
    &["now", "random", "rand", "uuid", "current_date", "current_time", "current_timestamp", "localtime", "localtimestamp", "today"];

fn allowed_operator(op: &BinaryOperator) -> bool {
    use BinaryOperator as Op;
    matches!(
        op,
        Op::Plus
            | Op::Minus
            | Op::Multiply
            | Op::Divide
            | Op::Modulo
            | Op::StringConcat
            | Op::Gt
            | Op::Lt
            | Op::GtEq
            | Op::LtEq
            | Op::Eq
            | Op::NotEq
            | Op::And
            | Op::Or
            | Op::BitwiseAnd
            | Op::BitwiseOr
            | Op::PGRegexMatch
            | Op::PGRegexIMatch
            | Op::PGRegexNotMatch
            | Op::PGRegexNotIMatch
    )
}

/// The expressions directly inside `expr`, of all forms that [`check`] allows.
pub(super) fn children(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::IsFalse(e)
        | Expr::IsNotFalse(e)
        | Expr::IsTrue(e)
        | Expr::IsNotTrue(e)
        | Expr::IsNull(e)
        | Expr::IsNotNull(e)
        | Expr::IsUnknown(e)
        | Expr::IsNotUnknown(e)
        | Expr::Nested(e)
        | Expr::UnaryOp { expr: e, .. }
        | Expr::Cast { expr: e, .. }
        | Expr::Extract { expr: e, .. }
        | Expr::Ceil { expr: e, .. }
        | Expr::Floor { expr: e, .. } => vec![e],
        Expr::IsDistinctFrom(a, b) | Expr::IsNotDistinctFrom(a, b) => vec![a, b],
        Expr::BinaryOp { left: a, right: b, .. } | Expr::Position { expr: a, r#in: b } => vec![a, b],
        Expr::Like { expr: a, pattern: b, .. } | Expr::ILike { expr: a, pattern: b, .. } | Expr::SimilarTo { expr: a, pattern: b, .. } => {
            vec![a, b]
        }
        Expr::InList { expr, list, .. } => std::iter::once(&**expr).chain(list).collect(),
        Expr::Between { expr, low, high, .. } => vec![expr, low, high],
        Expr::Substring { expr, substring_from, substring_for, .. } => {
            std::iter::once(expr).chain(substring_from).chain(substring_for).map(|e| &**e).collect()
        }
        Expr::Trim { expr, trim_what, .. } => std::iter::once(expr).chain(trim_what).map(|e| &**e).collect(),
        Expr::Overlay { expr, overlay_what, overlay_from, overlay_for } => {
            [expr, overlay_what, overlay_from].into_iter().chain(overlay_for).map(|e| &**e).collect()
        }
        Expr::Case { operand, conditions, else_result, .. } => {
            let whens = conditions.iter().flat_map(|when| [&when.condition, &when.result]);
            operand.iter().map(|e| &**e).chain(whens).chain(else_result.iter().map(|e| &**e)).collect()
        }
        Expr::Function(Function { args: FunctionArguments::List(list), .. }) => {
            let value = |a| match a {
                &FunctionArg::Unnamed(FunctionArgExpr::Expr(ref e)) => Some(e),
                _ => None,
            };
            list.args.iter().filter_map(value).collect()
        }
        _ => Vec::new(),
    }
}

/// A parser's message, which ends in its place: `Expected: an expression, found: EOF at Line: 1, Column: 9`.
fn syntax(error: &ParserError) -> Mistake {
    let text = match error {
        ParserError::TokenizerError(text) | ParserError::ParserError(text) => text.as_str(),
        ParserError::RecursionLimitExceeded => {
            let help = "derive parts of it as columns of their own";
            return Mistake::new(None, IssueCode::TooLong, "the expression nests too deep", help);
        }
    };
    let (message, at) = match text.rsplit_once(" at Line: ") {
        Some((message, place)) => {
            let mut numbers = place.split(", Column: ").map(|n| n.trim().parse::<usize>().ok().filter(|n| *n > 0));
            let at = numbers.next().flatten().zip(numbers.next().flatten());
            (message, at.map(|(line, column)| Position { line, column }))
        }
        None => (text, None),
    };
    let message = format!("this is not SQL: {}", message.trim_end_matches(['.', ' ']));
    Mistake::new(at, IssueCode::ExpressionSyntax, message, "write a SQL expression such as rating >= 4 AND kind = 'rating'")
}
