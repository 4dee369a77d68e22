//! What is wrong with a definition, where, and what to do about it.

use std::fmt;

use serde::Serialize;

/// A place in a source text, both counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Position {
    pub line: usize,
    pub column: usize,
}

/// How bad an issue is: errors stop a definition from compiling, warnings do not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    Error,
    Warning,
}

/// One mistake in one definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Issue {
    /// `Kind/namespace/name` of the object; empty when the text is not an object.
    pub object: String,
    /// Path of the field, from `spec` on: `definition.executor.declarative.derive[0].expr`.
    pub path: String,
    pub code: IssueCode,
    /// What was found and why it cannot be so. Never carries data of users' events.
    pub message: String,
    /// What to do.
    pub help: String,
    /// Line and column inside the field's text, for a mistake within an expression.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub within: Option<Position>,
    pub severity: Severity,
    /// File as it was named to the reader, when the definition came from one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub position: Option<Position>,
}

/// The kinds of mistakes. Stable: tools match on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum IssueCode {
    /// The text is not YAML.
    Syntax,
    /// `apiVersion`, `kind` or `metadata` is not what we know.
    UnknownKind,
    UnknownField,
    MissingField,
    WrongType,
    /// An enum field with a value it does not have.
    UnknownValue,
    /// A one-of with none or more than one key.
    OneOf,
    /// A name, a key or an object given twice.
    Duplicate,
    /// A name that is empty, too long, reserved or of wrong letters.
    InvalidName,
    InvalidDuration,
    InvalidSchedule,
    InvalidDate,
    /// A number or a length outside its bounds.
    OutOfRange,
    TooLong,
    /// An expression that does not parse.
    ExpressionSyntax,
    /// An expression names a column that is not there.
    UnknownColumn,
    /// A function that is unknown or not allowed.
    UnknownFunction,
    /// An expression whose type is not the one needed, or that does not type-check.
    ExpressionType,
    /// A constant in an expression that cannot be evaluated.
    ExpressionConstant,
    /// A field or column name in a setting that is not there.
    UnknownReference,
    /// A signal that does not exist.
    UnknownSignal,
    /// A signal that is not shared with this namespace.
    NotShared,
    /// A definition that this one needs does not compile.
    DependencyInvalid,
    /// A type that may not be used in this place.
    TypeNotAllowed,
    /// Two columns of one name with different types.
    TypeConflict,
    /// Two names with one field id.
    FieldIdCollision,
    /// Settings that contradict each other.
    Conflict,
    /// A plan larger than its bound.
    PlanTooLarge,
    /// What the design reserves and this version does not run yet.
    NotSupported,
    // Warnings.
    UnusedColumn,
    UnusedEnrichment,
    WeakIdentity,
    NoDelay,
    LargeEmbedding,
    RetentionTooShort,
    DeprecatedSignal,
}

impl Issue {
    /// An error at `path`, not yet bound to an object or a file.
    #[must_use]
    pub fn error(path: impl Into<String>, code: IssueCode, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self {
            object: String::new(),
            path: path.into(),
            code,
            message: message.into(),
            help: help.into(),
            within: None,
            severity: Severity::Error,
            file: None,
            position: None,
        }
    }

    /// A warning at `path`.
    #[must_use]
    pub fn warning(path: impl Into<String>, code: IssueCode, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { severity: Severity::Warning, ..Self::error(path, code, message, help) }
    }

    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

impl fmt::Display for Issue {
    /// `file:line:column: error[Code] path: message` and the remedy below it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(file) = &self.file {
            write!(f, "{file}:")?;
        }
        if let Some(Position { line, column }) = self.position {
            write!(f, "{line}:{column}: ")?;
        }
        let severity = if self.is_error() { "error" } else { "warning" };
        write!(f, "{severity}[{:?}]", self.code)?;
        if !self.path.is_empty() {
            write!(f, " {}", self.path)?;
        }
        write!(f, ": {}", self.message)?;
        if !self.help.is_empty() {
            write!(f, "\n  help: {}", self.help)?;
        }
        Ok(())
    }
}
