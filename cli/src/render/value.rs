//! One value in one cell: short, on one line, and true to what it is.

use serde_json::Value;

/// The most letters of a cell.
const MAX_CELL: usize = 48;
/// The most elements of a list of numbers that are shown whole.
const MAX_NUMBERS: usize = 4;

/// What a table shows for a value: lists of words joined, long vectors as `[0.1, 0.2, … 64]`.
pub fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => "·".to_owned(),
        Value::String(text) => plain(text),
        Value::Array(items) if items.len() > MAX_NUMBERS && items.iter().all(Value::is_number) => vector(items),
        Value::Array(items) if items.iter().all(Value::is_number) => format!("[{}]", join(items)),
        Value::Array(items) => join(items),
        other => other.to_string(),
    };
    shortened(&text)
}

fn vector(items: &[Value]) -> String {
    let first: Vec<String> = items.iter().take(2).map(Value::to_string).collect();
    format!("[{}, … {}]", first.join(", "), items.len())
}

fn join(items: &[Value]) -> String {
    items.iter().map(cell).collect::<Vec<_>>().join(", ")
}

/// Without what would break a line or a terminal.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '�' } else { c }).collect()
}

fn shortened(text: &str) -> String {
    if text.chars().count() <= MAX_CELL {
        return text.to_owned();
    }
    let kept: String = text.chars().take(MAX_CELL - 1).collect();
    format!("{kept}…")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::cell;

    #[test]
    fn every_kind_of_value_fits_one_cell() {
        for (value, shown) in [
            (json!(null), "·"),
            (json!("Toy Story (1995)"), "Toy Story (1995)"),
            (json!("two\nlines\u{1b}[31m"), "two�lines�[31m"),
            (json!(["Comedy", "Drama"]), "Comedy, Drama"),
            (json!([1, 2]), "[1, 2]"),
            (json!([0.5, 0.25, 0, 1, 1, 1]), "[0.5, 0.25, … 6]"),
            (json!([]), "[]"),
            (json!(true), "true"),
            (json!(4.5), "4.5"),
        ] {
            assert_eq!(cell(&value), shown);
        }
        assert_eq!(cell(&json!("x".repeat(100))).chars().count(), 48);
    }
}
