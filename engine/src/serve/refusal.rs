//! Why a request is not answered, before it is put into the words of a protocol.

use std::fmt;

use crate::error::{Error, ErrorKind};
use crate::metrics::ReadResult;

/// The reasons, as both protocols know them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Code {
    InvalidArgument,
    NotFound,
    /// Nothing is wrong with the request: it does not work now.
    Unavailable,
    /// Too much is asked at once, or of one request.
    ResourceExhausted,
    DeadlineExceeded,
    Internal,
}

/// A request that is not answered. Names fields, never the values of entities.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub code: Code,
    /// The field of the request; empty when it is not about one.
    pub field: String,
    pub message: String,
    /// What to do; empty when there is nothing.
    pub help: String,
}

impl Refusal {
    #[must_use]
    pub fn new(code: Code, field: &str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { code, field: field.to_owned(), message: message.into(), help: help.into() }
    }

    #[must_use]
    pub fn invalid(field: &str, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, field, message, help)
    }
}

impl Code {
    /// The code's name in gRPC, which HTTP replies carry too.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::InvalidArgument => "INVALID_ARGUMENT",
            Self::NotFound => "NOT_FOUND",
            Self::Unavailable => "UNAVAILABLE",
            Self::ResourceExhausted => "RESOURCE_EXHAUSTED",
            Self::DeadlineExceeded => "DEADLINE_EXCEEDED",
            Self::Internal => "INTERNAL",
        }
    }
}

/// `field: message; help`
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.field.is_empty() {
            write!(f, "{}: ", self.field)?;
        }
        f.write_str(&self.message)?;
        if !self.help.is_empty() {
            write!(f, "; {}", self.help)?;
        }
        Ok(())
    }
}

impl std::error::Error for Refusal {}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let (code, help) = match error.kind() {
            ErrorKind::Invalid => (Code::InvalidArgument, ""),
            ErrorKind::NotFound => (Code::NotFound, ""),
            ErrorKind::Unavailable | ErrorKind::Conflict => (Code::Unavailable, "try again"),
            ErrorKind::Full => (Code::ResourceExhausted, "try again later, or ask for less"),
            ErrorKind::Corrupt | ErrorKind::Refused | ErrorKind::Internal => {
                // Whoever runs the server needs the cause; whoever asks can do nothing with it.
                tracing::error!(%error, "a request failed");
                return Self::new(Code::Internal, "", "the server failed to answer", "its log says why");
            }
        };
        Self::new(code, "", error.to_string(), help)
    }
}

impl From<Code> for ReadResult {
    fn from(code: Code) -> Self {
        match code {
            Code::InvalidArgument => Self::InvalidArgument,
            Code::NotFound => Self::NotFound,
            Code::Unavailable => Self::Unavailable,
            Code::ResourceExhausted => Self::ResourceExhausted,
            Code::DeadlineExceeded => Self::DeadlineExceeded,
            Code::Internal => Self::Internal,
        }
    }
}
