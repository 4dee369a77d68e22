//! The one error of this crate: what went wrong, and what its caller should do.

use std::fmt;

/// What the caller should do about an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// What was given is wrong: change it.
    Invalid,
    /// What was named is not there: name another.
    NotFound,
    /// What is stored is damaged: restore or rebuild it.
    Corrupt,
    /// The outside world does not answer now: try again.
    Unavailable,
    /// The outside world does not let us: mend keys or rights there, then the same works.
    Refused,
    /// There is no room: make some, then go on.
    Full,
    /// Somebody else was first: read again and decide anew.
    Conflict,
    /// A mistake of this program: report it.
    Internal,
}

impl ErrorKind {
    /// Whether the same may work later, without a change of what was given.
    #[must_use]
    pub const fn may_work_later(self) -> bool {
        match self {
            Self::Unavailable | Self::Refused | Self::Full | Self::Conflict | Self::Internal => true,
            Self::Invalid | Self::NotFound | Self::Corrupt => false,
        }
    }
}

/// Verb and object first, the cause behind it: `read manifest signals/…/3.json: not found`.
pub struct Error {
    kind: ErrorKind,
    message: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    #[must_use]
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), source: None }
    }

    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Invalid, message)
    }

    #[must_use]
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::NotFound, message)
    }

    #[must_use]
    pub fn corrupt(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Corrupt, message)
    }

    #[must_use]
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(ErrorKind::Internal, message)
    }

    #[must_use]
    pub fn with_source(mut self, source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        self.source = Some(source.into());
        self
    }

    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The error of reading a file that something else names: that it is not there means damage, and damage is mended from a copy.
    #[must_use]
    pub fn of_a_needed_file(mut self) -> Self {
        if matches!(self.kind, ErrorKind::NotFound | ErrorKind::Corrupt) {
            self.kind = ErrorKind::Corrupt;
            self.message = format!("restore it from a copy: {}", self.message);
        }
        self
    }

    /// The error of reading a partition that the log told of: a client may learn later of one that was just added, so it is tried again.
    /// That the whole topic is gone shows where its id is asked for.
    #[must_use]
    pub fn of_a_new_partition(mut self) -> Self {
        if self.kind == ErrorKind::NotFound {
            self.kind = ErrorKind::Unavailable;
        }
        self
    }

    /// Puts what was being done before the message: `verb object: message`.
    #[must_use]
    pub fn while_doing(mut self, doing: impl fmt::Display) -> Self {
        self.message = format!("{doing}: {}", self.message);
        self
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        let mut source = self.source.as_deref().map(|s| s as &dyn std::error::Error);
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {self}", self.kind)
    }
}

impl std::error::Error for Error {}

/// Adds what was being done to any error on its way up.
pub trait Context<T> {
    /// # Errors
    /// The same error, with `doing` before its message.
    fn context(self, doing: impl FnOnce() -> String) -> Result<T>;
}

impl<T, E: Into<Error>> Context<T> for std::result::Result<T, E> {
    fn context(self, doing: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|e| e.into().while_doing(doing()))
    }
}

impl From<std::io::Error> for Error {
    fn from(e: std::io::Error) -> Self {
        use std::io::ErrorKind as Io;
        let kind = match e.kind() {
            Io::NotFound => ErrorKind::NotFound,
            Io::StorageFull | Io::QuotaExceeded | Io::FileTooLarge => ErrorKind::Full,
            Io::AlreadyExists => ErrorKind::Conflict,
            Io::UnexpectedEof | Io::InvalidData => ErrorKind::Corrupt,
            _ => ErrorKind::Unavailable,
        };
        Self::new(kind, e.to_string())
    }
}

impl From<object_store::Error> for Error {
    fn from(e: object_store::Error) -> Self {
        let kind = match &e {
            object_store::Error::NotFound { .. } => ErrorKind::NotFound,
            object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. } => ErrorKind::Conflict,
            object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
                return Self::new(
                    ErrorKind::Refused,
                    "the object store refuses these keys, or what they ask for; look at the connection's credentials secret",
                )
                .with_source(e);
            }
            _ if is_full(&e) => ErrorKind::Full,
            _ => ErrorKind::Unavailable,
        };
        Self::new(kind, e.to_string())
    }
}

/// Whether the cause of `error`, at any depth, is a disk without room.
fn is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(e) = cause {
        if let Some(io) = e.downcast_ref::<std::io::Error>() {
            return matches!(io.kind(), std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded);
        }
        cause = e.source();
    }
    false
}

impl From<arrow::error::ArrowError> for Error {
    fn from(e: arrow::error::ArrowError) -> Self {
        Self::new(ErrorKind::Internal, e.to_string())
    }
}

impl From<parquet::errors::ParquetError> for Error {
    fn from(e: parquet::errors::ParquetError) -> Self {
        Self::new(ErrorKind::Corrupt, e.to_string())
    }
}

impl From<datafusion_common::DataFusionError> for Error {
    fn from(e: datafusion_common::DataFusionError) -> Self {
        Self::new(ErrorKind::Internal, e.to_string())
    }
}
