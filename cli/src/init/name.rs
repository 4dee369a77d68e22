//! Names that definitions accept, made of names that files have.

use tress_configs::name::{MAX_NAME, SYSTEM_COLUMNS};

/// A definition's name: lower-case letters, digits and `-`.
pub fn definition(text: &str) -> String {
    let mut name = String::new();
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            name.push(c.to_ascii_lowercase());
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    let name: String = name.chars().take(MAX_NAME).collect();
    let name = name.trim_matches('-');
    match name.chars().next() {
        None => "events".to_owned(),
        Some(c) if c.is_ascii_digit() => format!("e-{name}").chars().take(MAX_NAME).collect(),
        Some(_) => name.to_owned(),
    }
}

/// A field's name: letters, digits and `_`, and none that the engine uses for its own columns.
pub fn field(text: &str) -> String {
    let mut name: String = text.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).take(60).collect();
    if name.chars().next().is_none_or(|c| c.is_ascii_digit()) {
        name.insert(0, 'f');
    }
    if SYSTEM_COLUMNS.contains(&name.as_str()) { format!("{name}_value").chars().take(63).collect() } else { name }
}
