//! The commands, a file each.

pub mod completion;
pub mod dev;
pub mod init;
pub mod lint;
pub mod plan;

use crate::arguments::{Arguments, Command};
use crate::exit::Outcome;

/// Runs what the command line says.
///
/// # Errors
/// What stopped the command, as a sentence.
pub fn run(arguments: Arguments) -> anyhow::Result<Outcome> {
    match arguments.command {
        Command::Init(arguments) => init::run(arguments),
        Command::Dev(arguments) => dev::run(arguments),
        Command::Lint(arguments) => lint::run(&arguments),
        Command::Plan(arguments) => plan::run(&arguments),
        Command::Completion(arguments) => completion::run(&arguments),
    }
}
