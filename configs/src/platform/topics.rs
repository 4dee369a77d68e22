//! The topics that Tress makes: whether, under which names, and for how long.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::duration::Duration;
use crate::name::QualifiedName;

const SIGNAL: &str = "{signal}";
const UID: &str = "{uid}";
/// What a template may have besides its placeholders: the longest names of a signal and a revision have to fit too.
const MAX_LITERAL: usize = 40;

/// The topics that Tress makes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Topics {
    #[serde(default)]
    pub create: CreateTopics,
    /// How changelogs and dead letters begin their names: `{signal}` is namespace and name, `{uid}`, which there must be, the revision's.
    /// It holds for revisions that are prepared from now on. Omitted = `tress.{uid}`.
    #[serde(default = "default_name")]
    #[schemars(length(min = 1, max = 60))]
    pub name: String,
    /// How long changelogs and dead letters are kept: longer than any gap between backfills that is tolerated. Omitted = 7d.
    #[serde(default = "default_retention")]
    pub retention: Duration,
    /// On how many brokers each of their partitions is. Omitted = as the brokers have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 100))]
    pub replicas: Option<i16>,
}

/// Whether Tress makes topics that are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum CreateTopics {
    /// Missing topics are made.
    #[default]
    Always,
    /// Somebody else makes topics; a missing one is refused by name.
    Never,
}

fn default_name() -> String {
    ["tress.", UID].concat()
}

const fn default_retention() -> Duration {
    Duration::from_millis(7 * 86_400_000)
}

impl Default for Topics {
    fn default() -> Self {
        Self { create: CreateTopics::default(), name: default_name(), retention: default_retention(), replicas: None }
    }
}

impl Topics {
    /// How the names of a revision's topics begin.
    #[must_use]
    pub fn stem(&self, signal: &QualifiedName, uid: &str) -> String {
        self.name.replace(SIGNAL, &format!("{}-{}", signal.namespace, signal.name)).replace(UID, uid)
    }

    /// What is wrong with the template, and the remedy.
    pub(super) fn mistake(&self) -> Option<(&'static str, &'static str)> {
        if self.name.matches(UID).count() != 1 {
            return Some(("it does not tell revisions apart", "have {uid} in it, once"));
        }
        if self.name.matches(SIGNAL).count() > 1 {
            return Some(("it has {signal} more than once", "name the signal once"));
        }
        let literal = self.name.replace(SIGNAL, "").replace(UID, "");
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if literal.contains(['{', '}']) {
            return Some(("it has a placeholder that there is not", "there are {signal} and {uid}"));
        }
        if !literal.chars().all(legal) || self.name.starts_with('.') {
            return Some((
                "this begins no name of a topic",
                "use letters, digits, dots, underscores and dashes; begin with none of the dots",
            ));
        }
        if literal.len() > MAX_LITERAL {
            return Some((
                "it is too long: names of signals and revisions have to fit too",
                "have at most 40 letters besides {signal} and {uid}",
            ));
        }
        None
    }
}
