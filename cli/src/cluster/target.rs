//! Which object a person means: `kind/name`, `kind name`, or a name alone.

use crate::exit::usage;

/// A kind that people name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Feature,
    Signal,
    Rollout,
    Backfill,
}

/// What is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// `None` = a name alone.
    pub kind: Option<Kind>,
    /// `None` = the one that is worked in.
    pub namespace: Option<String>,
    pub name: String,
}

/// A kind, and all words for it: its own, Kubernetes' plural and short name. A signal has one stream.
const WORDS: &[(Kind, &[&str])] = &[
    (Kind::Feature, &["feature", "features", "sequencefeature", "sequencefeatures", "seq"]),
    (Kind::Signal, &["signal", "signals", "signaldefinition", "signaldefinitions", "sig", "stream", "streams"]),
    (Kind::Rollout, &["rollout", "rollouts", "sequencerollout", "sequencerollouts", "seqroll"]),
    (Kind::Backfill, &["backfill", "backfills", "bf"]),
];

impl Kind {
    /// As people say it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Feature => "feature",
            Self::Signal => "signal",
            Self::Rollout => "rollout",
            Self::Backfill => "backfill",
        }
    }

    fn parse(word: &str) -> anyhow::Result<Self> {
        let lower = word.to_lowercase();
        let found = WORDS.iter().find(|(_, words)| words.contains(&lower.as_str()));
        found.map(|(kind, _)| *kind).ok_or_else(|| usage(format!("\"{word}\" is no kind; there are feature, signal, rollout and backfill")))
    }
}

impl Target {
    /// Of one word (`recent`, `feature/recent`) or two (`feature recent`).
    ///
    /// # Errors
    /// When there are more, the kind is none, or the name cannot be one.
    pub fn parse(words: &[String]) -> anyhow::Result<Self> {
        match words {
            [word] => match word.split_once('/') {
                Some((kind, name)) => Self::of(Some(Kind::parse(kind)?), name),
                None => Self::of(None, word),
            },
            [kind, name] => Self::of(Some(Kind::parse(kind)?), name),
            _ => Err(usage("name one object: kind/name, or its name alone")),
        }
    }

    /// A definition of a kind that the command knows: `name`, or `namespace/name` as on a folder.
    ///
    /// # Errors
    /// When it cannot be the name of one.
    pub fn definition(kind: Kind, word: &str) -> anyhow::Result<Self> {
        match word.split_once('/') {
            Some((namespace, name)) => Ok(Self { namespace: Some(checked("namespace", namespace)?), ..Self::of(Some(kind), name)? }),
            None => Self::of(Some(kind), word),
        }
    }

    fn of(kind: Option<Kind>, name: &str) -> anyhow::Result<Self> {
        Ok(Self { kind, namespace: None, name: checked(kind.map_or("object", Kind::word), name)? })
    }
}

/// Names become parts of paths: what cannot be one is refused here.
fn checked(what: &str, name: &str) -> anyhow::Result<String> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > 63 || !name.chars().all(plain) {
        return Err(usage(format!("\"{name}\" cannot be the name of a {what}: it has lower-case letters, digits and -, at most 63")));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(words: &[&str]) -> Result<Target, String> {
        Target::parse(&words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>()).map_err(|e| e.to_string())
    }

    #[test]
    fn a_kind_may_stand_before_a_name_in_the_words_of_people_and_of_kubectl() {
        let of = |kind, name: &str| Ok(Target { kind, namespace: None, name: name.to_owned() });
        assert_eq!(parse(&["recent"]), of(None, "recent"));
        assert_eq!(parse(&["feature/recent"]), of(Some(Kind::Feature), "recent"));
        assert_eq!(parse(&["SequenceFeature", "recent"]), of(Some(Kind::Feature), "recent"));
        assert_eq!(parse(&["seqroll/recent-2"]), of(Some(Kind::Rollout), "recent-2"));
        assert_eq!(parse(&["stream", "rating"]), of(Some(Kind::Signal), "rating"));
        assert_eq!(parse(&["bf/x"]), of(Some(Kind::Backfill), "x"));
        let qualified = Target::definition(Kind::Signal, "movies/rating").unwrap();
        assert_eq!(qualified, Target { kind: Some(Kind::Signal), namespace: Some("movies".into()), name: "rating".into() });
    }

    #[test]
    fn what_cannot_be_an_object_is_refused_with_what_can() {
        assert_eq!(parse(&["pod/x"]).unwrap_err(), "\"pod\" is no kind; there are feature, signal, rollout and backfill");
        assert_eq!(
            parse(&["signal/../secrets"]).unwrap_err(),
            "\"../secrets\" cannot be the name of a signal: it has lower-case letters, digits and -, at most 63"
        );
        assert!(parse(&["a?b"]).is_err() && parse(&["feature/"]).is_err() && parse(&["feature", "a", "b"]).is_err());
    }
}
