//! What people say of a feature, as pods tell it.

use serde::{Deserialize, Serialize};

use crate::definition::FeatureDefinition;

/// The most bytes of a description and owners together: the routes of a whole pool have to fit into one map of 1 MiB.
const MAX_BYTES: usize = 1000;
/// The most of them that owners take.
const MAX_OWNERS: usize = 500;

/// Description and owners.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Words {
    /// One sentence; empty = none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Who answers for it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owners: Vec<String>,
}

impl Words {
    /// What a definition says, where it is long: the first owners, and the beginning of the description, with `…`.
    #[must_use]
    pub fn of(definition: &FeatureDefinition) -> Self {
        let mut taken = 0;
        let fits = |owner: &&String| {
            taken += owner.len();
            taken <= MAX_OWNERS
        };
        let owners: Vec<String> = definition.owners.iter().flatten().take_while(fits).cloned().collect();
        let left = MAX_BYTES - owners.iter().map(String::len).sum::<usize>();
        let mut description = definition.description.clone().unwrap_or_default();
        if description.len() > left {
            description.truncate(description.floor_char_boundary(left - '…'.len_utf8()));
            description.push('…');
        }
        Self { description, owners }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(description: &str, owners: &[String]) -> Words {
        let definition = serde_json::json!({"description": description, "owners": owners, "signals": [{"name": "s"}], "length": 1});
        Words::of(&serde_json::from_value(definition).unwrap())
    }

    #[test]
    fn what_is_short_is_told_whole_and_what_is_long_is_cut() {
        let owner = "team@example.com".to_owned();
        let told = Words { description: "The last ratings.".to_owned(), owners: vec![owner.clone()] };
        assert_eq!(words("The last ratings.", &[owner]), told);
        let long = words(&"é".repeat(1024), &[]);
        assert!(long.description.len() <= 1000 && long.description.ends_with("é…"), "{}", long.description.len());
        let both = words(&"a".repeat(1024), &vec!["o".repeat(253); 20]);
        assert_eq!((both.owners.len(), both.description.len()), (1, 1000 - 253));
        assert_eq!(words("", &[]), Words::default());
    }
}
