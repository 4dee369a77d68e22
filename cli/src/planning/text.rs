//! A plan for people.

use super::{Planned, Status};
use crate::render::Style;

/// All definitions, what changes first in each.
pub fn render(against: &str, planned: &[Planned], style: Style) -> String {
    let mut text = format!("compared with {against}\n");
    for entry in planned {
        text.push('\n');
        text.push_str(&one(entry, style));
    }
    let count = |status: Status| planned.iter().filter(|p| p.status == status).count();
    text.push_str(&format!(
        "\n{} new, {} changed, {} unchanged, {} removed\n",
        count(Status::New),
        count(Status::Changed),
        count(Status::Unchanged),
        count(Status::Removed)
    ));
    text
}

fn one(entry: &Planned, style: Style) -> String {
    let (sign, word) = match entry.status {
        Status::New => (style.green("+"), "new".to_owned()),
        Status::Changed => (style.yellow("~"), entry.class.unwrap_or("changed").to_owned()),
        Status::Unchanged => ("=".to_owned(), "unchanged".to_owned()),
        Status::Removed => (style.red("-"), "removed".to_owned()),
    };
    let digest = |d: &Option<String>| d.as_ref().map_or("none".to_owned(), |d| d.chars().take(12).collect());
    let revision = match entry.status {
        Status::Changed => format!("{} → {}", digest(&entry.before), digest(&entry.digest)),
        Status::Removed => digest(&entry.before),
        Status::New | Status::Unchanged => digest(&entry.digest),
    };
    let mut text = format!("{sign} {}  {}  {}\n", style.bold(&entry.object), word, style.dim(&revision));
    for difference in &entry.differences {
        let at = if difference.path.is_empty() { String::new() } else { format!("{}: ", difference.path) };
        text.push_str(&format!("    {:<12}{at}{}\n", difference.class, difference.reason));
    }
    if entry.class == Some("Breaking") {
        let remedy = if entry.object.starts_with("SignalDefinition/") {
            "raise schemaVersion: both versions then run side by side"
        } else {
            "give the changed feature a new name"
        };
        text.push_str(&format!("    remedy      {remedy}\n"));
    }
    for line in &entry.schema {
        text.push_str(&format!("    column      {line}\n"));
    }
    if matches!(entry.status, Status::New | Status::Changed | Status::Removed) {
        text.push_str(&format!("    built anew  {}\n", entry.rebuild));
    }
    if let Some(cost) = entry.cost.as_ref().filter(|_| entry.status != Status::Unchanged) {
        text.push_str(&format!("    size        {cost}\n"));
    }
    text
}
