//! Which features a base is made for.

use serde::{Deserialize, Serialize};

/// The format.
const VERSION: u32 = 1;

/// The digests of the plans of all features that read a signal revision, as of one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Demanded {
    pub version: u32,
    /// Rises with every change of the list: a job with an older list than was used last uses that one.
    pub number: u64,
    /// Digests of features' plans.
    pub features: Vec<String>,
}

/// Why a text is no such list.
#[derive(Debug, thiserror::Error)]
#[error("not a list of features ({{\"version\":1,\"number\":1,\"features\":[\"<digest>\"]}}): {0}")]
pub struct NotDemands(String);

impl Demanded {
    #[must_use]
    pub const fn new(number: u64, features: Vec<String>) -> Self {
        Self { version: VERSION, number, features }
    }

    /// # Errors
    /// With what is wrong and where.
    pub fn from_json(text: &str) -> Result<Self, NotDemands> {
        let list: Self = serde_json::from_str(text).map_err(|e| NotDemands(e.to_string()))?;
        match (list.version, list.number) {
            (VERSION, 1..) => Ok(list),
            (VERSION, 0) => Err(NotDemands("number: lists are numbered from 1 on".to_owned())),
            (other, _) => Err(NotDemands(format!("version: {other} is not known here; use a newer program"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_reads_back_and_what_is_none_is_refused_with_its_field() {
        let list = Demanded::new(3, vec!["sha256:a".to_owned()]);
        assert_eq!(Demanded::from_json(&serde_json::to_string(&list).unwrap()).unwrap(), list);
        let refused = |text: &str| Demanded::from_json(text).unwrap_err().to_string();
        assert!(refused(r#"{"version":2,"number":1,"features":[]}"#).contains("version: 2"));
        assert!(refused(r#"{"version":1,"number":0,"features":[]}"#).contains("number"));
        assert!(refused(r#"{"version":1,"number":1,"feature":[]}"#).contains("`feature`"));
    }
}
