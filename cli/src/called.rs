//! What the program was called as: `tress`, or a plugin of kubectl (an executable `kubectl-tress` on `PATH` is `kubectl tress`).

use std::ffi::{OsStr, OsString};
use std::path::Path;

/// The name that it was called by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Called {
    Tress,
    /// `kubectl tress`: a cluster is meant, unless a folder is named.
    Plugin,
    /// `kubectl_complete-tress`: kubectl asks how the words so far may go on.
    Completion,
}

impl Called {
    /// By the first word of the command line.
    pub fn by(words: impl IntoIterator<Item = OsString>) -> Self {
        let first = words.into_iter().next().unwrap_or_default();
        match Path::new(&first).file_stem().and_then(OsStr::to_str) {
            Some("kubectl-tress") => Self::Plugin,
            Some("kubectl_complete-tress") => Self::Completion,
            _ => Self::Tress,
        }
    }

    /// As people type it.
    pub const fn program(self) -> &'static str {
        match self {
            Self::Tress => "tress",
            Self::Plugin | Self::Completion => "kubectl tress",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_the_file_decides_wherever_it_lies() {
        for (word, called) in [
            ("tress", Called::Tress),
            ("target/debug/tress", Called::Tress),
            ("kubectl-tress", Called::Plugin),
            ("bin/kubectl-tress", Called::Plugin),
            ("bin/kubectl_complete-tress", Called::Completion),
            ("", Called::Tress),
        ] {
            assert_eq!(Called::by([OsString::from(word), "status".into()]), called, "{word}");
        }
    }
}
