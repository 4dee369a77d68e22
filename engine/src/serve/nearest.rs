//! The name that was probably meant.

/// The sentence that helps: the nearest of `known`, or all of them when none is near and they are few.
pub fn help<'a>(given: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let near = known
        .iter()
        .map(|name| (strsim::damerau_levenshtein(&given.to_lowercase(), &name.to_lowercase()), *name))
        .filter(|(distance, name)| *distance <= 1 + name.chars().count().min(given.chars().count()) / 3)
        .min();
    match near {
        Some((_, name)) => format!("did you mean {name}?"),
        None if known.is_empty() => "there is none yet".to_owned(),
        None if known.len() <= 12 => format!("there is {}", known.join(", ")),
        None => format!("there are {}; ask for the description", known.len()),
    }
}

/// What a caller wrote, short enough and plain enough to be said back to them.
pub fn quoted(given: &str) -> String {
    const MOST: usize = 80;
    let plain: String = given.chars().take(MOST).map(|c| if c.is_control() { '?' } else { c }).collect();
    if given.chars().count() > MOST { format!("\"{plain}…\"") } else { format!("\"{plain}\"") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_pen_is_put_right_and_nonsense_gets_the_list() {
        assert_eq!(help("ratng", ["rating", "watch"]), "did you mean rating?");
        assert_eq!(help("Rating", ["rating", "watch"]), "did you mean rating?");
        assert_eq!(help("zzzzzzz", ["rating", "watch"]), "there is rating, watch");
        assert_eq!(help("rating", []), "there is none yet");
    }

    #[test]
    fn what_is_said_back_is_short_and_has_no_control_characters() {
        assert_eq!(quoted("a\nb"), "\"a?b\"");
        assert!(quoted(&"x".repeat(10_000)).len() < 100);
    }
}
