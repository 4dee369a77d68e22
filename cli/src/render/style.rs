//! Colours, only where a person looks: on a terminal, and not with `NO_COLOR`.

use std::io::{IsTerminal, stderr, stdout};

/// Whether text is coloured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style {
    colour: bool,
}

impl Style {
    /// As standard output wants it.
    pub fn stdout() -> Self {
        Self { colour: stdout().is_terminal() && wanted() }
    }

    /// As standard error wants it.
    pub fn stderr() -> Self {
        Self { colour: stderr().is_terminal() && wanted() }
    }

    /// No colours.
    #[cfg(test)]
    pub const fn plain() -> Self {
        Self { colour: false }
    }

    pub fn bold(self, text: &str) -> String {
        self.paint("1", text)
    }

    pub fn dim(self, text: &str) -> String {
        self.paint("2", text)
    }

    pub fn red(self, text: &str) -> String {
        self.paint("1;31", text)
    }

    pub fn yellow(self, text: &str) -> String {
        self.paint("1;33", text)
    }

    pub fn green(self, text: &str) -> String {
        self.paint("32", text)
    }

    pub fn cyan(self, text: &str) -> String {
        self.paint("36", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        if self.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// `NO_COLOR`, when not empty, and `TERM=dumb` ask for none.
fn wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty()) && std::env::var_os("TERM").is_none_or(|v| v != "dumb")
}
