//! Issues with the line they are about and a mark below it.

use std::collections::HashMap;

use tress_configs::Issue;

use super::Style;

/// All issues, in their order, an empty line after each.
///
/// `source` gives the text of a file by the name it has in issues.
pub fn render(issues: &[Issue], source: &HashMap<String, String>, style: Style) -> String {
    let mut text = String::new();
    for issue in issues {
        text.push_str(&one(issue, source, style));
        text.push('\n');
    }
    text
}

fn one(issue: &Issue, source: &HashMap<String, String>, style: Style) -> String {
    let mut place = issue.file.clone().unwrap_or_else(|| issue.object.clone());
    if let Some(at) = issue.position {
        place.push_str(&format!(":{}:{}", at.line, at.column));
    }
    let severity =
        if issue.is_error() { style.red(&format!("error[{:?}]", issue.code)) } else { style.yellow(&format!("warning[{:?}]", issue.code)) };
    let path = if issue.path.is_empty() { String::new() } else { format!(" {}", style.bold(&issue.path)) };
    let mut text = format!("{place}: {severity}{path}: {}\n", issue.message);
    if let Some(excerpt) = excerpt(issue, source, style) {
        text.push_str(&excerpt);
    }
    if !issue.help.is_empty() {
        text.push_str(&format!("  {} {}\n", style.cyan("help:"), issue.help));
    }
    text
}

/// The most letters of a source line that are shown.
const MAX_LINE: usize = 140;

fn excerpt(issue: &Issue, source: &HashMap<String, String>, style: Style) -> Option<String> {
    let at = issue.position?;
    let line = source.get(issue.file.as_ref()?)?.lines().nth(at.line.checked_sub(1)?)?;
    let before = at.column.saturating_sub(1);
    if before > MAX_LINE {
        return None;
    }
    let shown: String = line.chars().take(MAX_LINE).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let number = at.line.to_string();
    let margin = " ".repeat(number.len());
    let bar = style.dim("|");
    let mark = style.red("^");
    Some(format!("  {} {bar} {shown}\n  {margin} {bar} {}{mark}\n", style.dim(&number), " ".repeat(before)))
}
