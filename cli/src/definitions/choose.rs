//! What a person means by a name.

use tress_configs::name::QualifiedName;

use crate::exit::usage;

/// The one of `all` that is meant by `name` or `namespace/name`. `what`: signal or feature.
///
/// # Errors
/// When there is none, or a bare name stands in more than one namespace.
pub fn choose(what: &str, name: &str, all: &[QualifiedName]) -> anyhow::Result<QualifiedName> {
    let fits = |q: &&QualifiedName| name.split_once('/').map_or(q.name == name, |(ns, n)| q.namespace == ns && q.name == n);
    let found: Vec<&QualifiedName> = all.iter().filter(fits).collect();
    let shown = |names: &[&QualifiedName]| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match found.as_slice() {
        [one] => Ok((*one).clone()),
        [] if all.is_empty() => Err(usage(format!("there is no {what} \"{name}\": there is none at all"))),
        [] => Err(usage(format!("there is no {what} \"{name}\"; there are {}", shown(&all.iter().collect::<Vec<_>>())))),
        many => Err(usage(format!("\"{name}\" may be any of {}: write namespace/name", shown(many)))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bare_name_is_enough_where_it_is_clear() {
        let all = [QualifiedName::new("a", "x"), QualifiedName::new("b", "x"), QualifiedName::new("b", "y")];
        assert_eq!(choose("feature", "y", &all).ok(), Some(all[2].clone()));
        assert_eq!(choose("feature", "a/x", &all).ok(), Some(all[0].clone()));
        let said = |name: &str| choose("feature", name, &all).map_err(|e| e.to_string());
        assert_eq!(said("x"), Err("\"x\" may be any of a/x, b/x: write namespace/name".into()));
        assert_eq!(said("z"), Err("there is no feature \"z\"; there are a/x, b/x, b/y".into()));
    }
}
