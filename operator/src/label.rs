//! Labels: how the operator finds what it has made. Those of users are not copied into these names.

use std::collections::BTreeMap;

/// Which role of the data flow an object serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    Prepare,
    Stream,
    Archive,
    Backfill,
    Base,
    Drop,
    Serve,
    /// What pods of all roles are given.
    Connections,
}

/// The object of our kinds that an object is made for.
pub const OF: &str = "tress.dev/of";
/// The role.
pub const ROLE: &str = "tress.dev/role";
/// What the operator owns and may prune.
pub const MANAGED: (&str, &str) = ("app.kubernetes.io/managed-by", "tress-operator");

impl Role {
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Prepare => "prepare",
            Self::Stream => "stream",
            Self::Archive => "archive",
            Self::Backfill => "backfill",
            Self::Base => "base",
            Self::Drop => "drop",
            Self::Serve => "serve",
            Self::Connections => "connections",
        }
    }
}

/// The labels of an object of this role, made for `of`.
#[must_use]
pub fn labels(role: Role, of: &str) -> BTreeMap<&'static str, String> {
    let mut labels = selector(role, of);
    labels.insert("app.kubernetes.io/name", "tress".to_owned());
    labels.insert("app.kubernetes.io/component", role.as_str().to_owned());
    labels.insert(MANAGED.0, MANAGED.1.to_owned());
    labels
}

/// Those of them that tell its pods from all others, for good: a Deployment's selector never changes.
#[must_use]
pub fn selector(role: Role, of: &str) -> BTreeMap<&'static str, String> {
    BTreeMap::from([(ROLE, role.as_str().to_owned()), (OF, of.to_owned())])
}
