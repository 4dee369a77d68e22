//! Issues as one condition's message, and as the warnings of a status.

use tress_configs::Issue;

/// The most letters of a condition's message.
const MAX_MESSAGE: usize = 1024;
/// The most warnings of a status, and the most letters of each.
const MAX_WARNINGS: usize = 20;
const MAX_WARNING: usize = 512;

/// All issues in one text: each with its path and its remedy; where they do not fit, how many more there are.
#[must_use]
pub fn message(issues: &[Issue]) -> String {
    let mut text = String::new();
    for (index, issue) in issues.iter().enumerate() {
        let more = issues.len() - index;
        let room = MAX_MESSAGE - format!("; and {more} more").len();
        let one = sentence(issue);
        let separator = if text.is_empty() { "" } else { "; " };
        if text.chars().count() + separator.len() + one.chars().count() > room {
            if text.is_empty() {
                text = cut(&one, room);
                match more {
                    1 => return text,
                    _ => return format!("{text}; and {} more", more - 1),
                }
            }
            return format!("{text}; and {more} more");
        }
        text.push_str(separator);
        text.push_str(&one);
    }
    text
}

/// The first warnings, one text each.
#[must_use]
pub fn warnings(issues: &[Issue]) -> Vec<String> {
    issues.iter().take(MAX_WARNINGS).map(|issue| cut(&sentence(issue), MAX_WARNING)).collect()
}

fn sentence(issue: &Issue) -> String {
    let Issue { path, message, help, within, .. } = issue;
    let place = within.map(|at| format!(" (line {}, column {})", at.line, at.column)).unwrap_or_default();
    let path = if path.is_empty() { String::new() } else { format!("{path}{place}: ") };
    let help = if help.is_empty() { String::new() } else { format!(" — {help}") };
    format!("{path}{message}{help}")
}

fn cut(text: &str, most: usize) -> String {
    if text.chars().count() <= most { text.to_owned() } else { text.chars().take(most - 1).chain(['…']).collect() }
}

#[cfg(test)]
mod tests {
    use tress_configs::IssueCode;

    use super::*;

    fn issue(path: &str, letters: usize) -> Issue {
        Issue::error(path, IssueCode::Conflict, "m".repeat(letters), "do this")
    }

    #[test]
    fn every_issue_is_there_with_its_path_and_remedy() {
        assert_eq!(message(&[issue("a", 2), issue("b[0].c", 1)]), "a: mm — do this; b[0].c: m — do this");
        assert_eq!(warnings(&[issue("a", 2)]), ["a: mm — do this"]);
    }

    #[test]
    fn what_does_not_fit_is_counted() {
        let many: Vec<Issue> = (0..100).map(|n| issue(&format!("f{n}"), 50)).collect();
        let text = message(&many);
        assert!(text.chars().count() <= MAX_MESSAGE, "{}", text.len());
        let told = text.matches("do this").count();
        assert!(text.ends_with(&format!("; and {} more", 100 - told)), "{text}");
        let long = message(&[issue("é", 3000), issue("b", 1)]);
        assert!(long.chars().count() <= MAX_MESSAGE && long.ends_with("…; and 1 more"), "{long}");
        assert_eq!(message(&[issue("a", 3000)]).chars().count(), MAX_MESSAGE - "; and 1 more".len());
        assert!(warnings(&many).len() == 20 && warnings(&[issue("a", 3000)])[0].chars().count() == 512);
    }
}
