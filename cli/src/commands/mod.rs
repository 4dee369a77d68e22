//! The commands, a file each.

pub mod attempt;
pub mod backfill;
pub mod completion;
pub mod dataset;
pub mod deadletters;
pub mod demo;
pub mod dev;
pub mod get;
pub mod init;
pub mod lint;
pub mod pause;
pub mod plan;
pub mod status;
pub mod test;

use crate::arguments::{Arguments, Command};
use crate::called::Called;
use crate::exit::Outcome;

/// Runs what the command line says.
///
/// # Errors
/// What stopped the command, as a sentence.
pub fn run(arguments: Arguments, called: Called) -> anyhow::Result<Outcome> {
    match arguments.command {
        Command::Init(arguments) => init::run(arguments),
        Command::Demo(arguments) => demo::run(arguments),
        Command::Dev(arguments) => dev::run(arguments),
        Command::Lint(arguments) => lint::run(&arguments),
        Command::Plan(arguments) => plan::run(&arguments),
        Command::Test(arguments) => test::run(&arguments),
        Command::Get(arguments) => get::run(&arguments, called),
        Command::Backfill(arguments) => backfill::run(arguments, called),
        Command::Dataset(arguments) => dataset::run(arguments),
        Command::Deadletters(arguments) => deadletters::run(&arguments, called),
        Command::Status(arguments) => status::run(&arguments, called),
        Command::Pause(arguments) => pause::pause(&arguments, called),
        Command::Resume(arguments) => pause::resume(&arguments, called),
        Command::Abort(arguments) => attempt::abort(&arguments, called),
        Command::Retry(arguments) => attempt::retry(&arguments, called),
        Command::Completion(arguments) => completion::run(&arguments),
    }
}
