//! Rows of a sequence as a table.

use serde_json::Value;

use super::{Align, Style, Table, value};

/// A column for each key of the first row; numbers stand right.
pub fn table(rows: &[Value], style: Style) -> String {
    let Some(first) = rows.first().and_then(Value::as_object) else { return String::new() };
    let names: Vec<&String> = first.keys().collect();
    let align = |name: &&String| {
        let mut values = rows.iter().filter_map(|row| row.get(name.as_str())).filter(|v| !v.is_null()).peekable();
        if values.peek().is_some() && values.all(Value::is_number) { Align::Right } else { Align::Left }
    };
    let mut table = Table::new(names.iter().map(|name| ((*name).clone(), align(name))));
    for row in rows {
        table.row(names.iter().map(|name| value::cell(row.get(name.as_str()).unwrap_or(&Value::Null))).collect());
    }
    table.render(style)
}

/// `1234567` as `1,234,567`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
