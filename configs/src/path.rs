//! Paths of fields: `definition.event.fields[3].name`; keys that are not plain names stand in brackets.

/// The path of member `key` of the object at `path`.
#[must_use]
pub fn member(path: &str, key: &str) -> String {
    let plain = !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    match (plain, path.is_empty()) {
        (true, true) => key.to_owned(),
        (true, false) => format!("{path}.{key}"),
        (false, _) => format!("{path}[{key:?}]"),
    }
}

/// The path of item `index` of the list at `path`.
#[must_use]
pub fn item(path: &str, index: usize) -> String {
    format!("{path}[{index}]")
}

/// The path of what holds the field at `path`; `None` at the root.
#[must_use]
pub(crate) fn parent(path: &str) -> Option<&str> {
    if path.is_empty() {
        return None;
    }
    if path.ends_with("\"]") {
        // A bracketed key may hold any letter, so its opening is looked for as `["`.
        return Some(path.rfind("[\"").map_or("", |at| &path[..at]));
    }
    Some(path.rfind(['.', '[']).map_or("", |at| &path[..at]))
}

#[cfg(test)]
mod tests {
    use super::{item, member, parent};

    #[test]
    fn a_path_leads_back_to_its_parents() {
        let path = member(&item(&member("", "a"), 2), "b.c/d");
        assert_eq!(path, "a[2][\"b.c/d\"]");
        let parents: Vec<_> = std::iter::successors(Some(path.as_str()), |p| parent(p)).collect();
        assert_eq!(parents, ["a[2][\"b.c/d\"]", "a[2]", "a", ""]);
    }
}
