use std::sync::Arc;

use arrow::array::{Array, AsArray, BooleanArray, Float32Array, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray};
use arrow::datatypes::{Schema, SchemaRef};
use proptest::prelude::*;

use super::{Column, Mistake, Wanted, compile, physical};
use crate::column::{ColumnType, Scalar};
use crate::issue::IssueCode;

fn columns() -> Vec<Column> {
    let column = |name: &str, column_type, nullable| Column { name: name.to_owned(), column_type, nullable };
    vec![
        column("rating", ColumnType::scalar(Scalar::Float32), true),
        column("item_id", ColumnType::scalar(Scalar::Int64), false),
        column("small", ColumnType::scalar(Scalar::Int32), true),
        column("kind", ColumnType::scalar(Scalar::String), false),
        column("ts", ColumnType::scalar(Scalar::Timestamp), true),
        column("ok", ColumnType::scalar(Scalar::Bool), true),
        column("userId", ColumnType::scalar(Scalar::String), true),
        column("order", ColumnType::scalar(Scalar::Int64), true),
        column("half", ColumnType::scalar(Scalar::Float16), true),
        column("price", ColumnType::scalar(Scalar::Float64), true),
        column("genres", ColumnType::list(Scalar::String), true),
        column("embedding", ColumnType::vector(Scalar::Float16, 4), true),
    ]
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(columns().iter().map(|c| c.column_type.field(&c.name, c.nullable)).collect::<Vec<_>>()))
}

/// Text, printed form, type and nullability of expressions that must compile.
const GOOD: &[(&str, &str, &str, bool)] = &[
    ("rating >= 4.0", "(rating >= 4.0)", "bool", true),
    ("kind='rating'", "(kind = 'rating')", "bool", false),
    ("kind IN ('a','b''c')", "kind IN ('a', 'b''c')", "bool", false),
    ("userId = 'X' and not ok", "((userId = 'X') AND NOT ok)", "bool", true),
    ("\"order\" + 1", "(\"order\" + 1)", "int64", true),
    ("item_id % 2 = 0", "((item_id % 2) = 0)", "bool", false),
    ("small + small", "(small + small)", "int32", true),
    ("small + 1", "(small + 1)", "int64", true),
    ("-rating", "-rating", "float32", true),
    ("- - item_id", "-(-item_id)", "int64", false),
    ("- -1", "-(-1)", "int64", false),
    ("rating IS NOT NULL AND rating >= 0.5", "(rating IS NOT NULL AND (rating >= 0.5))", "bool", true),
    ("rating BETWEEN 1 AND 5", "(rating BETWEEN 1 AND 5)", "bool", true),
    ("kind LIKE 'a%'", "kind LIKE 'a%'", "bool", false),
    ("kind NOT ILIKE '%x_'", "kind NOT ILIKE '%x_'", "bool", false),
    ("kind ~ '^a.*'", "(kind ~ '^a.*')", "bool", false),
    ("kind SIMILAR TO 'a%'", "", "bool", false),
    ("lower(kind) || '-' || userId", "((lower(kind) || '-') || userId)", "string", true),
    ("CASE WHEN rating > 4 THEN 'high' WHEN rating > 2 THEN 'mid' ELSE 'low' END", "", "string", false),
    ("CASE kind WHEN 'a' THEN 1 ELSE 2 END", "", "int64", false),
    ("coalesce(rating, 0)", "coalesce(rating, 0)", "float32", false),
    ("nvl(userId, 'none')", "nvl(userId, 'none')", "string", false),
    ("CAST(item_id AS VARCHAR)", "CAST(item_id AS VARCHAR)", "string", false),
    ("item_id::int", "CAST(item_id AS INTEGER)", "int32", false),
    ("TRY_CAST(kind AS DOUBLE)", "TRY_CAST(kind AS DOUBLE)", "float64", true),
    ("cast(kind as float)", "CAST(kind AS FLOAT)", "float32", false),
    ("ts > TIMESTAMP '2024-01-01T00:00:00Z'", "", "bool", true),
    ("ts > '2024-01-01T00:00:00Z'", "(ts > '2024-01-01T00:00:00Z')", "bool", true),
    ("ts - INTERVAL '1 day'", "", "timestamp", true),
    ("ts + INTERVAL '2' HOUR > ts", "", "bool", true),
    ("date_trunc('day', ts)", "date_trunc('day', ts)", "timestamp", true),
    ("EXTRACT(HOUR FROM ts)", "date_part('HOUR', ts)", "int32", true),
    ("date_part('dow', ts)", "date_part('dow', ts)", "int32", true),
    ("to_timestamp_millis(item_id)", "CAST(to_timestamp_millis(item_id) AS TIMESTAMP)", "timestamp", true),
    ("CAST(ts AS DATE) = DATE '2024-01-01'", "", "bool", true),
    ("character_length(kind)", "character_length(kind)", "int32", true),
    ("length(kind)", "character_length(kind)", "int32", true),
    ("substring(kind FROM 2 FOR 3)", "substr(kind, 2, 3)", "string", true),
    ("position('a' IN kind)", "strpos(kind, 'a')", "int32", false),
    ("trim(kind)", "btrim(kind)", "string", true),
    ("floor(rating)", "floor(rating)", "float32", true),
    ("ceil(price)", "ceil(price)", "float64", true),
    ("round(price, 1)", "round(price, 1)", "float64", true),
    ("power(price, 2)", "power(price, 2)", "float64", true),
    ("greatest(small, item_id)", "greatest(small, item_id)", "int64", true),
    ("nullif(kind, '')", "nullif(kind, '')", "string", true),
    ("item_id IN (1, 2, 3, 4, 5)", "item_id IN (1, 2, 3, 4, 5)", "bool", false),
    ("rating IS DISTINCT FROM 3", "(rating IS DISTINCT FROM 3)", "bool", true),
    ("ok IS NOT TRUE", "ok IS NOT TRUE", "bool", false),
    ("ok IS UNKNOWN", "", "bool", false),
    ("embedding IS NOT NULL", "embedding IS NOT NULL", "bool", false),
    ("genres IS NULL", "genres IS NULL", "bool", false),
    ("embedding", "embedding", "vector<float16, 4>", true),
    ("genres", "genres", "list<string>", true),
    ("half", "half", "float16", true),
    ("half * 2", "(half * 2)", "float32", true),
    ("CAST(NULL AS BIGINT)", "CAST(NULL AS BIGINT)", "int64", true),
    ("1.0", "1.0", "float64", false),
    ("1e3", "1000.0", "float64", false),
    ("1e20", "", "float64", false),
    ("1e-9", "", "float64", false),
    ("'it''s'", "'it''s'", "string", false),
    ("TRUE", "true", "bool", false),
    ("regexp_like(kind, '^a')", "regexp_like(kind, '^a')", "bool", true),
    ("regexp_replace(kind, '[0-9]+', '#')", "", "string", true),
    ("item_id & 3", "(item_id & 3)", "int64", false),
    ("kind -- a comment\n = 'x'", "(kind = 'x')", "bool", false),
    ("left(kind, 2)", "left(kind, 2)", "string", true),
    ("to_char(ts, '%Y')", "to_char(ts, '%Y')", "string", true),
    ("9223372036854775807", "9223372036854775807", "int64", false),
    ("-9223372036854775808", "-9223372036854775808", "int64", false),
    ("kind || item_id", "", "string", false),
    ("to_date('2024-01-01') = CAST(ts AS DATE)", "", "bool", true),
];

#[test]
fn an_expression_prints_in_one_form_with_its_type() {
    let mut wrong = Vec::new();
    for (sql, printed, column_type, nullable) in GOOD {
        match compile(sql, &columns(), Wanted::Value) {
            Err(mistakes) => wrong.push(format!("{sql}: {mistakes:?}")),
            Ok(typed) => {
                let found = (typed.expression.column_type.to_string(), typed.expression.nullable);
                if found != ((*column_type).to_owned(), *nullable) || (!printed.is_empty() && typed.expression.sql != *printed) {
                    wrong.push(format!("{sql}: {found:?} {}", typed.expression.sql));
                }
                if let Err(reason) = physical(&typed.expression, &schema()) {
                    wrong.push(format!("{sql}: {reason}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

fn refused(sql: &str, wanted: Wanted) -> Vec<(IssueCode, Option<(usize, usize)>, String)> {
    let mistakes = compile(sql, &columns(), wanted).expect_err(sql);
    mistakes
        .into_iter()
        .map(|Mistake { at, code, message, help, .. }| (code, at.map(|p| (p.line, p.column)), format!("{message} | {help}")))
        .collect()
}

/// Text, and code, place and words of each mistake.
type Bad = (&'static str, &'static [(IssueCode, Option<(usize, usize)>, &'static str)]);

const BAD: &[Bad] = &[
    ("ratng > 4", &[(IssueCode::UnknownColumn, Some((1, 1)), "did you mean \"rating\"?")]),
    (
        "rating > 4 AND useridd = 'x' OR knd = 'y'",
        &[
            (IssueCode::UnknownColumn, Some((1, 16)), "did you mean \"userId\"?"),
            (IssueCode::UnknownColumn, Some((1, 33)), "did you mean \"kind\"?"),
        ],
    ),
    ("Kind = 'x'", &[(IssueCode::UnknownColumn, Some((1, 1)), "did you mean \"kind\"?")]),
    ("kind = \"zzz\"", &[(IssueCode::UnknownColumn, Some((1, 8)), "single quotes: 'zzz'")]),
    ("context.surface = 'x'", &[(IssueCode::UnknownColumn, Some((1, 1)), "with a path")]),
    ("lwer(kind)", &[(IssueCode::UnknownFunction, Some((1, 1)), "did you mean \"lower\"?")]),
    ("ts > now()", &[(IssueCode::UnknownFunction, Some((1, 6)), "same answer at any time")]),
    ("random() > 0.5", &[(IssueCode::UnknownFunction, Some((1, 1)), "same answer at any time")]),
    ("ts < CURRENT_TIMESTAMP", &[(IssueCode::UnknownFunction, Some((1, 6)), "same answer at any time")]),
    ("sum(rating)", &[(IssueCode::UnknownFunction, Some((1, 1)), "there is no function \"sum\"")]),
    ("rating >", &[(IssueCode::ExpressionSyntax, Some((1, 9)), "found: EOF")]),
    ("rating > 4)", &[(IssueCode::ExpressionSyntax, Some((1, 11)), "ends before \")\"")]),
    ("rating > 4, ok", &[(IssueCode::ExpressionSyntax, Some((1, 11)), "ends before \",\"")]),
    ("kind = 'x", &[(IssueCode::ExpressionSyntax, Some((1, 8)), "Unterminated string")]),
    ("", &[(IssueCode::ExpressionSyntax, None, "empty")]),
    ("  ", &[(IssueCode::ExpressionSyntax, None, "empty")]),
    ("(SELECT 1) = 1", &[(IssueCode::ExpressionSyntax, Some((1, 2)), "no subqueries")]),
    ("kind IN (SELECT 'a')", &[(IssueCode::ExpressionSyntax, Some((1, 1)), "no subqueries")]),
    ("genres[1] = 'x'", &[(IssueCode::ExpressionSyntax, Some((1, 1)), "not allowed")]),
    ("[1, 2]", &[(IssueCode::ExpressionSyntax, Some((1, 2)), "not allowed")]),
    ("item_id ^ 2 = 4", &[(IssueCode::ExpressionSyntax, Some((1, 1)), "operator ^ is not allowed")]),
    ("ts AT TIME ZONE 'Europe/Berlin' > ts", &[(IssueCode::ExpressionSyntax, Some((1, 1)), "not allowed")]),
    ("count(*) OVER ()", &[(IssueCode::UnknownFunction, Some((1, 1)), "no function")]),
    ("lower(DISTINCT kind)", &[(IssueCode::ExpressionSyntax, Some((1, 1)), "no DISTINCT")]),
    ("CAST(rating AS DECIMAL(10,2))", &[(IssueCode::ExpressionType, Some((1, 6)), "use one of BOOLEAN")]),
    ("CAST(rating AS SMALLINT)", &[(IssueCode::ExpressionType, Some((1, 6)), "SMALLINT is not known")]),
    ("rating > 4 AND ts + 1 > ts", &[(IssueCode::ExpressionType, Some((1, 16)), "timestamp")]),
    ("kind + ok", &[(IssueCode::ExpressionType, Some((1, 1)), "coerce")]),
    ("lower(rating, 2)", &[(IssueCode::ExpressionType, Some((1, 1)), "lower")]),
    ("ts > 5", &[(IssueCode::ExpressionType, Some((1, 1)), "timestamp")]),
    ("ts > '2024-13-01'", &[(IssueCode::ExpressionConstant, Some((1, 6)), "2024-13-01")]),
    ("rating > 1 AND item_id > CAST('abc' AS BIGINT)", &[(IssueCode::ExpressionConstant, Some((1, 31)), "abc")]),
    ("item_id > 1 / 0", &[(IssueCode::ExpressionConstant, Some((1, 11)), "Divide by zero")]),
    ("kind ~ '['", &[(IssueCode::ExpressionConstant, Some((1, 8)), "regex")]),
    ("regexp_like(kind, '(')", &[(IssueCode::ExpressionConstant, Some((1, 19)), "regex")]),
    ("1e999 > rating", &[(IssueCode::ExpressionConstant, Some((1, 1)), "too large")]),
    ("item_id = X'41'", &[(IssueCode::ExpressionSyntax, Some((1, 11)), "literal")]),
    ("item_id = $1", &[(IssueCode::ExpressionSyntax, Some((1, 11)), "literal")]),
    ("item_id = @x", &[(IssueCode::UnknownColumn, Some((1, 11)), "@x")]),
];

#[test]
fn a_mistake_has_its_place_and_a_remedy() {
    let mut wrong = Vec::new();
    for (sql, expected) in BAD {
        let found = refused(sql, Wanted::Value);
        let same = found.len() == expected.len() && found.iter().zip(*expected).all(|(f, e)| f.0 == e.0 && f.1 == e.1 && f.2.contains(e.2));
        if !same {
            wrong.push(format!("{sql}: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_condition_must_be_true_or_false_and_a_value_a_type_of_columns() {
    for (sql, wanted, words) in [
        ("rating", Wanted::Condition, "gives float32, and true or false is needed"),
        ("kind", Wanted::Condition, "gives string"),
        ("embedding", Wanted::Condition, "gives a vector"),
        ("NULL", Wanted::Value, "give the null a type"),
        ("CAST(ts AS DATE)", Wanted::Value, "CAST(… AS TIMESTAMP)"),
        ("ts - ts", Wanted::Value, "to_unixtime"),
        ("coalesce(embedding, embedding)", Wanted::Value, "passed on"),
    ] {
        let found = refused(sql, wanted);
        assert!(matches!(found.as_slice(), [(IssueCode::ExpressionType, _, text)] if text.contains(words)), "{sql}: {found:?}");
    }
    assert!(compile("ok", &columns(), Wanted::Condition).is_ok());
    assert!(compile("NULL OR ok", &columns(), Wanted::Condition).is_ok());
}

#[test]
fn the_places_of_lines_below_the_first_are_known() {
    assert_eq!(refused("rating > 4\n  AND knd = 'x'", Wanted::Value)[0].1, Some((2, 7)));
}

/// As deep as expressions may be, on a stack as small as any thread's: neither compile nor execution may overflow it.
#[test]
fn the_deepest_expression_fits_a_small_stack() {
    let deep = |open: &str, core: &str, close: &str, n: usize| format!("{}{core}{}", open.repeat(n), close.repeat(n));
    let texts = [
        deep("(1 + ", "small", ")", 39),
        format!("ok{}", " OR ok".repeat(39)),
        deep("lower(", "kind", ")", 39),
        deep("coalesce(small, ", "1", ")", 39),
        deep("CASE WHEN ok THEN ", "1", " ELSE 2 END", 39),
        deep("NOT (", "ok", ")", 39),
    ];
    let run = move || {
        for text in texts {
            let typed = compile(&text, &columns(), Wanted::Value).unwrap_or_else(|e| panic!("{text}: {e:?}"));
            let physical = physical(&typed.expression, &schema()).unwrap_or_else(|e| panic!("{text}: {e}"));
            physical.evaluate(&batch()).unwrap();
        }
    };
    std::thread::Builder::new().stack_size(2 * 1024 * 1024).spawn(run).unwrap().join().unwrap();
}

#[test]
fn what_nests_deeper_than_allowed_is_refused() {
    for text in [
        format!("ok{}", " OR ok".repeat(600)),
        format!("{}ok{}", "(".repeat(1500), ")".repeat(1500)),
        "NOT ".repeat(1000) + "ok",
        "-".repeat(3) + &" -".repeat(1500) + "small",
        "[".repeat(2000),
        "CASE WHEN ".repeat(300),
    ] {
        let found = refused(&text, Wanted::Value);
        assert!(found.len() == 1 && matches!(found[0].0, IssueCode::TooLong | IssueCode::ExpressionSyntax), "{found:?}");
    }
    assert_eq!(refused(&"x".repeat(5000), Wanted::Value)[0].0, IssueCode::TooLong);
}

fn batch() -> RecordBatch {
    let columns: Vec<_> = schema()
        .fields()
        .iter()
        .map(|f| match f.name().as_str() {
            "rating" => Arc::new(Float32Array::from(vec![Some(4.5), None])) as Arc<dyn Array>,
            "item_id" => Arc::new(Int64Array::from(vec![7, 8])),
            "kind" => Arc::new(StringArray::from(vec!["rating", "Watch"])),
            "ts" => Arc::new(TimestampMicrosecondArray::from(vec![Some(90_000_000), None]).with_timezone("UTC")),
            "ok" => Arc::new(BooleanArray::from(vec![None, Some(false)])),
            _ => arrow::array::new_null_array(f.data_type(), 2),
        })
        .collect();
    RecordBatch::try_new(schema(), columns).unwrap()
}

#[test]
fn what_is_executed_is_what_was_written() {
    let run = |sql: &str| {
        let typed = compile(sql, &columns(), Wanted::Value).unwrap_or_else(|e| panic!("{sql}: {e:?}"));
        physical(&typed.expression, &schema()).unwrap().evaluate(&batch()).unwrap().into_array(2).unwrap()
    };
    let truth = |sql: &str| run(sql).as_boolean().iter().collect::<Vec<_>>();
    assert_eq!(truth("rating >= 4.0"), [Some(true), None]);
    assert_eq!(truth("rating >= 4 OR TRUE"), [Some(true), Some(true)]);
    assert_eq!(truth("ok AND rating > 5"), [Some(false), Some(false)]);
    assert_eq!(truth("kind IN ('rating', 'x')"), [Some(true), Some(false)]);
    assert_eq!(truth("ts = '1970-01-01T00:01:30Z'"), [Some(true), None]);
    assert_eq!(truth("CAST(ts AS DATE) = DATE '1970-01-01'"), [Some(true), None]);
    let numbers = |sql: &str| run(sql).as_primitive::<arrow::datatypes::Int64Type>().iter().collect::<Vec<_>>();
    assert_eq!(numbers("coalesce(TRY_CAST(kind AS BIGINT), item_id * 2)"), [Some(14), Some(16)]);
    let text = |sql: &str| run(sql).as_string::<i32>().iter().map(|s| s.map(str::to_owned)).collect::<Vec<_>>();
    assert_eq!(text("upper(left(kind, 3)) || '!'"), [Some("RAT!".to_owned()), Some("WAT!".to_owned())]);
    let time = run("date_trunc('minute', ts)");
    assert_eq!(time.as_primitive::<arrow::datatypes::TimestampMicrosecondType>().value(0), 60_000_000);
}

#[test]
fn a_plan_that_states_another_type_is_refused() {
    let mut expression = compile("item_id + 1", &columns(), Wanted::Value).unwrap().expression;
    assert!(!expression.nullable);
    let nullable = Arc::new(Schema::new(schema().fields().iter().map(|f| f.as_ref().clone().with_nullable(true)).collect::<Vec<_>>()));
    assert!(physical(&expression, &nullable).unwrap_err().contains("never null"));
    expression.column_type = ColumnType::scalar(Scalar::Int32);
    assert!(physical(&expression, &schema()).unwrap_err().contains("states int32, but its type here is int64"));
    expression.sql = "now()".to_owned();
    assert!(physical(&expression, &schema()).is_err());
}

/// Expressions of every allowed form, most of which type-check.
fn any_sql() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        prop::sample::select(vec!["rating", "item_id", "small", "kind", "ts", "ok", "userId", "\"order\"", "half", "price"])
            .prop_map(str::to_owned),
        any::<i32>().prop_map(|n| n.to_string()),
        any::<f64>().prop_filter("finite", |f| f.is_finite()).prop_map(|f| format!("{f:?}")),
        "[a-z'\\\\ é\"%_]{0,6}".prop_map(|s| format!("'{}'", s.replace('\'', "''"))),
        prop::sample::select(vec!["TRUE", "false", "NULL", "INTERVAL '1 day'", "TIMESTAMP '2024-01-01T00:00:00Z'"]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(4, 24, 3, |inner| {
        let pair = (inner.clone(), inner.clone());
        prop_oneof![
            (
                pair.clone(),
                prop::sample::select(vec!["+", "-", "*", "/", "%", "||", "=", "<>", "<", ">=", "AND", "OR", "&", "~", "IS DISTINCT FROM"])
            )
                .prop_map(|((a, b), op)| format!("{a} {op} ({b})")),
            (
                inner.clone(),
                prop::sample::select(vec!["IS NULL", "IS NOT NULL", "IS TRUE", "IS NOT FALSE", "IS UNKNOWN", "::varchar", "::double"])
            )
                .prop_map(|(a, suffix)| format!("({a}) {suffix}")),
            (inner.clone(), prop::sample::select(vec!["NOT", "-", "- -", "+"])).prop_map(|(a, op)| format!("{op} {a}")),
            (inner.clone(), prop::sample::select(vec!["lower", "abs", "floor", "length", "sqrt", "signum", "trim", "initcap"]))
                .prop_map(|(a, f)| format!("{f}({a})")),
            (pair.clone(), prop::sample::select(vec!["coalesce", "nullif", "greatest", "concat", "power", "nvl", "starts_with", "round"]))
                .prop_map(|((a, b), f)| format!("{f}({a}, {b})")),
            (pair.clone(), any::<bool>()).prop_map(|((a, b), not)| format!("({a}) {}LIKE {b}", if not { "NOT " } else { "" })),
            (inner.clone(), pair.clone()).prop_map(|(a, (b, c))| format!("({a}) BETWEEN ({b}) AND ({c})")),
            (inner.clone(), pair.clone()).prop_map(|(a, (b, c))| format!("({a}) IN ({b}, {c})")),
            (inner.clone(), pair.clone()).prop_map(|(a, (b, c))| format!("CASE WHEN {a} THEN {b} ELSE {c} END")),
            (inner.clone(), pair.clone()).prop_map(|(a, (b, c))| format!("CASE {a} WHEN {b} THEN {c} END")),
            (inner.clone(), prop::sample::select(vec!["BIGINT", "INT", "DOUBLE", "REAL", "VARCHAR", "BOOLEAN", "TIMESTAMP", "DATE"]))
                .prop_map(|(a, t)| format!("CAST({a} AS {t})")),
        ]
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn what_compiles_is_printed_as_itself_and_runs(sql in any_sql()) {
        let compiled = compile(&sql, &columns(), Wanted::Value);
        let canonical = |m: &Mistake| m.message.contains("no canonical form");
        prop_assert!(compiled.as_ref().err().into_iter().flatten().all(|m| !canonical(m)), "{:?}", compiled);
        if let Ok(typed) = compiled {
            let again = compile(&typed.expression.sql, &columns(), Wanted::Value);
            prop_assert_eq!(again.as_ref().ok(), Some(&typed));
            let physical = physical(&typed.expression, &schema());
            prop_assert!(physical.is_ok(), "{:?}", physical);
            // Data may be refused (a cast, a division by zero); a wrong type or a panic may not be.
            if let Ok(value) = physical.unwrap().evaluate(&batch()) {
                let array = value.into_array(2).unwrap();
                prop_assert_eq!(array.data_type(), &typed.expression.column_type.arrow());
                prop_assert!(typed.expression.nullable || array.null_count() == 0, "{}", typed.expression.sql);
            }
        }
    }

    #[test]
    fn no_text_makes_compile_panic(sql in "[ -~é\\n]{0,60}") {
        let _ = compile(&sql, &columns(), Wanted::Value);
    }
}

/// The parser reads some words in two ways; where something deep inside is wrong, it must not try both at every level.
#[test]
fn what_is_wrong_deep_inside_is_told_at_once() {
    for open in [
        "CAST(",
        "TRY_CAST(small OR ",
        "NOT (",
        "CASE (",
        "CASE WHEN ",
        "floor(",
        "substr(",
        "substring(",
        "extract(",
        "position(",
        "array[",
        "trim(",
        "(",
        "lower(",
        "convert(",
    ] {
        let text = open.repeat(30);
        assert!(compile(&text, &columns(), Wanted::Value).is_err(), "{open}");
    }
}
