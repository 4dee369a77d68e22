//! Exit codes: 0 done, 1 failed, 2 what was given is wrong (definitions or usage).

use std::process::ExitCode;

use crate::render::Style;

/// How a command ended that ran to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Done,
    /// It ran, and what it checked does not hold.
    Failed,
    /// The definitions are wrong; the issues were printed.
    Invalid,
}

/// What was given is wrong, in a sentence with its remedy.
#[derive(Debug)]
pub struct Usage(pub String);

impl std::fmt::Display for Usage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// An error that ends with code 2.
pub fn usage(message: impl Into<String>) -> anyhow::Error {
    Usage(message.into()).into()
}

/// Prints an error and gives the code.
pub fn code(ended: anyhow::Result<Outcome>) -> ExitCode {
    match ended {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Failed) => ExitCode::from(1),
        Ok(Outcome::Invalid) => ExitCode::from(2),
        Err(error) => {
            eprintln!("{} {error:#}", Style::stderr().red("error:"));
            ExitCode::from(if is_usage(&error) { 2 } else { 1 })
        }
    }
}

fn is_usage(error: &anyhow::Error) -> bool {
    error.downcast_ref::<Usage>().is_some()
        || error.downcast_ref::<tress_engine::Error>().is_some_and(|e| e.kind() == tress_engine::ErrorKind::Invalid)
}
