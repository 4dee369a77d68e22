//! `tress`: the users' tool. Parses arguments, runs one command, and turns what came of it into an exit code.

mod arguments;
mod commands;
mod definitions;
mod demo;
mod dev;
mod exit;
mod init;
mod output;
mod planning;
mod progress;
mod render;
mod say;
mod session;
mod tables;
mod testing;
mod time;

use std::process::ExitCode;

use clap::Parser;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    exit::code(commands::run(arguments::Arguments::parse()))
}
