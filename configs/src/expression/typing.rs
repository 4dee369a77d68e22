//! Types of expressions: planned and coerced by DataFusion, narrowed to the types that columns have, printed in one form.

use std::sync::Arc;

use arrow::datatypes::{DataType, Schema, SchemaRef, TimeUnit};
use datafusion_common::tree_node::TreeNode;
use datafusion_common::{DFSchema, DFSchemaRef, DataFusionError};
use datafusion_expr::execution_props::ExecutionProps;
use datafusion_expr::physical_planning_context::PhysicalPlanningContext;
use datafusion_expr::{Expr, ExprSchemable, cast};
use datafusion_optimizer::analyzer::type_coercion::TypeCoercionRewriter;
use datafusion_physical_expr::create_physical_expr;
use datafusion_sql::planner::{ParserOptions, PlannerContext, SqlToRel};
use datafusion_sql::sqlparser::ast;

use super::physical::simplify;
use super::print::print;
use super::provider::PROVIDER;
use super::syntax::children;
use super::{Column, Mistake, Wanted, constants, place};
use crate::column::{ColumnType, Scalar};
use crate::issue::IssueCode;
use crate::plan::Expression;

/// The columns in sight.
pub(super) struct Scope<'a> {
    pub columns: &'a [Column],
    pub schema: DFSchemaRef,
}

impl<'a> Scope<'a> {
    pub(super) fn new(columns: &'a [Column]) -> Result<Self, String> {
        let mut fields: Vec<arrow::datatypes::Field> = Vec::with_capacity(columns.len());
        for column in columns {
            // Names given twice are reported where they are given.
            if !fields.iter().any(|f| f.name() == &column.name) {
                fields.push(column.column_type.field(&column.name, column.nullable));
            }
        }
        Ok(Self { columns, schema: df_schema(Arc::new(Schema::new(fields)))? })
    }
}

pub(super) fn df_schema(schema: SchemaRef) -> Result<DFSchemaRef, String> {
    DFSchema::try_from(schema).map(Arc::new).map_err(|e| message(&e))
}

/// Types `ast`, which names only what is known.
pub(super) fn typed(ast: &ast::Expr, scope: &Scope<'_>, wanted: Wanted) -> Result<Expression, Vec<Mistake>> {
    let (expr, coerced) = match plan(ast, &scope.schema).and_then(|e| coerce(e.clone(), &scope.schema).map(|coerced| (e, coerced))) {
        Ok(planned) => planned,
        Err(error) => return Err(smallest_mistakes(ast, &scope.schema, &error)),
    };
    constants::check(&coerced, ast)?;
    let simplified = simplify(coerced.clone(), Arc::clone(&scope.schema)).map_err(|error| {
        let text = format!("a constant part of this cannot be evaluated: {}", message(&error));
        vec![Mistake::new(place::start(ast), IssueCode::ExpressionConstant, text, "correct the literal")]
    })?;
    // Some casts are refused only here.
    executable(&simplified, &scope.schema).map_err(|error| smallest_mistakes(ast, &scope.schema, &error))?;
    let whole = |code, message: String, help: String| vec![Mistake::new(place::start(ast), code, message, help)];
    let unprintable = |e: DataFusionError| whole(IssueCode::ExpressionType, message(&e), "write it another way".to_owned());

    let found = coerced.get_type(&scope.schema).map_err(unprintable)?;
    let (expr, column_type) = match (&expr, narrow(&found), wanted) {
        (_, Narrowed::Same(Scalar::Bool), Wanted::Condition) => (expr, ColumnType::scalar(Scalar::Bool)),
        (_, _, Wanted::Condition) => {
            let message = format!("the expression gives {}, and true or false is needed", type_name(&found));
            return Err(whole(IssueCode::ExpressionType, message, "compare it with something".to_owned()));
        }
        // A column alone is passed on as it is, whatever its type.
        (Expr::Column(column), _, Wanted::Value) => {
            let known = scope.columns.iter().find(|c| c.name == column.name);
            let Some(known) = known else {
                return Err(whole(IssueCode::UnknownColumn, "there is no such column".to_owned(), String::new()));
            };
            (expr.clone(), known.column_type.clone())
        }
        (_, Narrowed::Same(scalar), Wanted::Value) => (expr, ColumnType::scalar(scalar)),
        (_, Narrowed::Cast(scalar), Wanted::Value) => (cast(expr, scalar.arrow()), ColumnType::scalar(scalar)),
        (_, Narrowed::None(help), Wanted::Value) => {
            let message = format!("the expression gives {}, which is no type of a column", type_name(&found));
            return Err(whole(IssueCode::ExpressionType, message, help.to_owned()));
        }
    };
    let sql = print(&expr).map_err(unprintable)?;
    // Signs of literals are folded when they are read: - (0) prints as -0, and that as 0.
    let sql = (0..MAX_REPRINTS).fold(sql, |sql, _| reprinted(&sql, scope).unwrap_or(sql));
    let nullable = coerced.nullable(&scope.schema).map_err(unprintable)?;
    let expression = Expression { sql, column_type, nullable };
    match settled(&expression, scope) {
        Ok(()) => Ok(expression),
        Err(reason) => Err(whole(
            IssueCode::ExpressionType,
            format!("the expression has no canonical form: {reason}"),
            "write it another way".to_owned(),
        )),
    }
}

/// How often an expression is read and printed again until its form settles.
const MAX_REPRINTS: usize = 2;

fn reprinted(sql: &str, scope: &Scope<'_>) -> Option<String> {
    let ast = super::syntax::parse(sql).ok()?;
    plan(&ast, &scope.schema).and_then(|expr| print(&expr)).ok()
}

/// Whether the printed form prints as itself and has the same type: what the engine relies on.
fn settled(expression: &Expression, scope: &Scope<'_>) -> Result<(), String> {
    let ast = super::syntax::parse(&expression.sql).map_err(|m| m.message)?;
    let (expr, coerced) = planned(&ast, &scope.schema)?;
    let again = print(&expr).map_err(|e| message(&e))?;
    if again != expression.sql {
        return Err(format!("it prints as {} and then as {again}", expression.sql));
    }
    let found = coerced.get_type(&scope.schema).map_err(|e| message(&e))?;
    if found != expression.column_type.arrow() {
        return Err(format!("its type changes from {} to {}", expression.column_type, type_name(&found)));
    }
    super::physical::build(expression, scope.schema.inner()).map(|_| ())
}

/// The expression of a syntax tree, as planned and as coerced.
pub(super) fn planned(ast: &ast::Expr, schema: &DFSchemaRef) -> Result<(Expr, Expr), String> {
    let expr = plan(ast, schema).map_err(|e| message(&e))?;
    let coerced = coerce(expr.clone(), schema).map_err(|e| message(&e))?;
    Ok((expr, coerced))
}

fn plan(ast: &ast::Expr, schema: &DFSchemaRef) -> Result<Expr, DataFusionError> {
    let options = ParserOptions::default().with_enable_ident_normalization(false).with_map_string_types_to_utf8view(false);
    SqlToRel::new_with_options(&*PROVIDER, options).sql_to_expr(ast.clone(), schema, &mut PlannerContext::new())
}

fn coerce(expr: Expr, schema: &DFSchemaRef) -> Result<Expr, DataFusionError> {
    let coerced = expr.rewrite(&mut TypeCoercionRewriter::new(schema))?.data;
    // Asks every part for its type, which is what finds a call with arguments of no use.
    coerced.get_type(schema)?;
    Ok(coerced)
}

/// Whether there is a physical form.
fn executable(simplified: &Expr, schema: &DFSchemaRef) -> Result<(), DataFusionError> {
    create_physical_expr(simplified, schema, &ExecutionProps::new(), &PhysicalPlanningContext::default()).map(|_| ())
}

/// The smallest parts of `ast` that do not type-check, all of them. `whole`: what is said of the whole.
fn smallest_mistakes(ast: &ast::Expr, schema: &DFSchemaRef, whole: &DataFusionError) -> Vec<Mistake> {
    let checked = |part: &ast::Expr| {
        let coerced = plan(part, schema).and_then(|e| coerce(e, schema))?;
        // A constant that cannot be evaluated is another mistake.
        simplify(coerced, Arc::clone(schema)).map_or(Ok(()), |simplified| executable(&simplified, schema))
    };
    let mut mistakes = Vec::new();
    let mut parts = vec![ast];
    while let Some(part) = parts.pop() {
        let Err(error) = checked(part) else { continue };
        let inner: Vec<_> = children(part).into_iter().filter(|child| checked(child).is_err()).collect();
        if inner.is_empty() {
            mistakes.push(Mistake::new(place::start(part), IssueCode::ExpressionType, message(&error), help(&error)));
        }
        parts.extend(inner);
    }
    if mistakes.is_empty() {
        mistakes.push(Mistake::new(place::start(ast), IssueCode::ExpressionType, message(whole), help(whole)));
    }
    mistakes.sort_by(|a, b| (a.at, &a.message).cmp(&(b.at, &b.message)));
    mistakes
}

/// What becomes of a type that an expression gives.
enum Narrowed {
    Same(Scalar),
    /// A column has the type next to it, and every value fits.
    Cast(Scalar),
    None(&'static str),
}

fn narrow(found: &DataType) -> Narrowed {
    use Narrowed::{Cast, None, Same};
    match found {
        DataType::Boolean => Same(Scalar::Bool),
        DataType::Int32 => Same(Scalar::Int32),
        DataType::Int64 => Same(Scalar::Int64),
        DataType::Float32 => Same(Scalar::Float32),
        DataType::Float64 => Same(Scalar::Float64),
        DataType::Utf8 => Same(Scalar::String),
        DataType::Binary => Same(Scalar::Binary),
        DataType::Timestamp(TimeUnit::Microsecond, Some(tz)) if &**tz == "UTC" => Same(Scalar::Timestamp),
        DataType::Int8 | DataType::Int16 | DataType::UInt8 | DataType::UInt16 => Cast(Scalar::Int32),
        DataType::UInt32 => Cast(Scalar::Int64),
        DataType::LargeUtf8 | DataType::Utf8View => Cast(Scalar::String),
        DataType::Timestamp(..) => Cast(Scalar::Timestamp),
        DataType::Null => None("give the null a type: CAST(NULL AS …)"),
        DataType::UInt64 => None("cast it: CAST(… AS BIGINT)"),
        DataType::Date32 | DataType::Date64 => None("cast it: CAST(… AS TIMESTAMP) or CAST(… AS VARCHAR)"),
        DataType::Interval(_) | DataType::Duration(_) => None("compare it, or take the times apart: to_unixtime(a) - to_unixtime(b)"),
        DataType::List(_) | DataType::FixedSizeBinary(_) => None("lists and vectors can be passed on and compared with NULL, not computed"),
        _ => None("cast it to a type of a column"),
    }
}

/// The name of an Arrow type as people say it.
pub(super) fn type_name(found: &DataType) -> String {
    match narrow(found) {
        Narrowed::Same(scalar) => scalar.to_string(),
        _ => match found {
            DataType::Null => "null".to_owned(),
            DataType::Date32 => "a date".to_owned(),
            DataType::Interval(_) | DataType::Duration(_) => "an interval".to_owned(),
            DataType::List(_) => "a list".to_owned(),
            DataType::FixedSizeBinary(_) => "a vector".to_owned(),
            other => other.to_string(),
        },
    }
}

/// DataFusion's message without its prefixes and its own advice.
pub(super) fn message(error: &DataFusionError) -> String {
    let text = error.strip_backtrace();
    let mut text = text.as_str();
    for prefix in [
        "Error during planning: ",
        "Internal error: ",
        "Execution error: ",
        "type_coercion\ncaused by\n",
        "Schema error: ",
        "Arrow error: ",
        "Optimizer rule ",
    ] {
        text = text.strip_prefix(prefix).unwrap_or(text);
    }
    for prefix in ["Error during planning: ", "Execution error: ", "Cast error: ", "Parser error: "] {
        text = text.strip_prefix(prefix).unwrap_or(text);
    }
    let text = text.split("No function matches").next().unwrap_or(text).split("\nThis issue").next().unwrap_or(text);
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let ours = ARROW_NAMES.iter().fold(line, |line, (theirs, ours)| line.replace(theirs, ours));
    ours.trim_end_matches(['.', ' ']).chars().take(300).collect()
}

/// Arrow's names of types in messages, and ours.
const ARROW_NAMES: &[(&str, &str)] = &[
    ("Timestamp(µs, \"UTC\")", "timestamp"),
    ("Timestamp(Microsecond, Some(\"UTC\"))", "timestamp"),
    ("Boolean", "bool"),
    ("Int32", "int32"),
    ("Int64", "int64"),
    ("Float32", "float32"),
    ("Float64", "float64"),
    ("Utf8", "string"),
    ("Date32", "date"),
];

fn help(error: &DataFusionError) -> String {
    let text = error.strip_backtrace();
    match text.split_once("Candidate functions:") {
        Some((_, candidates)) => {
            let forms: Vec<_> = candidates.lines().map(str::trim).filter(|l| !l.is_empty()).take(3).collect();
            format!("it can be called as {}", forms.join(" or "))
        }
        None => "make the types agree: CAST(… AS …), or another column".to_owned(),
    }
}
