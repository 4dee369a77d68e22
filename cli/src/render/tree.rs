//! A tree of objects for people: a line each, and below it what is the matter and what may help.

use super::Style;
use crate::cluster::tree::{Item, State};

/// All of `items`, their notes, and how many are ready.
pub fn render(items: &[Item], notes: &[String], style: Style) -> String {
    let mut text = String::new();
    for item in items {
        let name = format!("{}/{}", item.namespace, item.name);
        text.push_str(&line(item, &name, style));
        below(item, "", &mut text, style);
    }
    let ready = items.iter().filter(|item| item.state == State::Ready).count();
    text.push_str(&match (items.len(), ready) {
        (0, _) => "no definitions\n".to_owned(),
        (1, _) => String::new(),
        (all, ready) if all == ready => format!("\nall {all} are ready\n"),
        (all, ready) => format!("\n{ready} of {all} are ready\n"),
    });
    for note in notes {
        text.push_str(&format!("{} {note}\n", style.yellow("note:")));
    }
    text
}

/// What stands below an item: why, what may help, then its own.
fn below(item: &Item, indent: &str, text: &mut String, style: Style) {
    let bar = if item.children.is_empty() { "   " } else { "│  " };
    for message in item.message.iter().flat_map(|message| message.lines()) {
        text.push_str(&format!("{indent}{bar}{}\n", plain(message)));
    }
    if let Some(next) = &item.next {
        text.push_str(&format!("{indent}{bar}{} {next}\n", style.cyan("→")));
    }
    let last = item.children.len().saturating_sub(1);
    for (index, child) in item.children.iter().enumerate() {
        let (branch, deeper) = if index == last { ("└─ ", "   ") } else { ("├─ ", "│  ") };
        // Of another namespace: it is named.
        let name = if child.namespace == item.namespace { child.name.clone() } else { format!("{}/{}", child.namespace, child.name) };
        text.push_str(&format!("{indent}{branch}{}", line(child, &name, style)));
        below(child, &format!("{indent}{deeper}"), text, style);
    }
}

fn line(item: &Item, name: &str, style: Style) -> String {
    let state = match item.state {
        State::Ready => style.green("ready"),
        State::Going => style.yellow("going"),
        State::Failed => style.red("failed"),
        State::Unknown => style.yellow("unknown"),
        State::Idle => style.dim("idle"),
    };
    // `failed Failed` says nothing twice.
    let reason = item.reason.as_deref().filter(|reason| !reason.eq_ignore_ascii_case(&format!("{:?}", item.state)));
    let reason = reason.map(|reason| format!(" {}", plain(reason))).unwrap_or_default();
    let facts: String = item.facts.shown().map(|fact| format!(" · {}", plain(fact))).collect();
    format!("{} {}  {state}{reason}{}\n", item.role, style.bold(name), style.dim(&facts))
}

/// What a cluster says may hold anything: nothing of it may break a line or a terminal.
fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '�' } else { c }).collect()
}
