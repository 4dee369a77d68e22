//! The known name that a mistaken one probably stands for.

/// The name of `known` that is most like `name`, if one is like it at all.
#[must_use]
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let wanted = fold(name);
    known
        .into_iter()
        .filter(|k| !k.is_empty())
        .map(|k| (strsim::jaro_winkler(&wanted, &fold(k)), k))
        .filter(|(likeness, _)| *likeness >= 0.8)
        // The first of equals, so that the answer depends on the order of names alone.
        .fold(None, |best: Option<(f64, &str)>, candidate| match best {
            Some(best) if best.0 >= candidate.0 => Some(best),
            _ => Some(candidate),
        })
        .map(|(_, name)| name)
}

/// The remedy for an unknown name: the nearest, else what there is.
#[must_use]
pub(crate) fn suggest<'a>(name: &str, what: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.into_iter().collect();
    let meant = SYNONYMS.iter().find(|(others, _)| others.contains(&name.to_lowercase().as_str())).map(|(_, ours)| *ours);
    if let Some(ours) = meant.filter(|ours| known.contains(ours)) {
        return format!("did you mean \"{ours}\"?");
    }
    match nearest(name, known.iter().copied()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None if known.is_empty() => format!("there are no {what} here"),
        None if known.len() > 12 => format!("known {what}: {}, … ({} in all)", known[..12].join(", "), known.len()),
        None => format!("known {what}: {}", known.join(", ")),
    }
}

/// What other systems call our types.
const SYNONYMS: &[(&[&str], &str)] = &[
    (&["int", "integer", "long", "bigint", "uint64"], "int64"),
    (&["short", "int16", "smallint", "uint32"], "int32"),
    (&["float", "real"], "float32"),
    (&["double", "number", "decimal"], "float64"),
    (&["text", "str", "varchar", "utf8", "uuid"], "string"),
    (&["boolean"], "bool"),
    (&["bytes", "bytea"], "binary"),
    (&["datetime", "date", "time"], "timestamp"),
];

/// Case and separators are what people most often mistake.
fn fold(name: &str) -> String {
    name.chars().take(256).filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn a_typo_finds_its_name_and_nonsense_finds_none() {
        let known = ["retention", "lateness", "onInvalid"];
        assert_eq!(nearest("retenton", known), Some("retention"));
        assert_eq!(nearest("on_invalid", known), Some("onInvalid"));
        assert_eq!(nearest("zzz", known), None);
    }
}
