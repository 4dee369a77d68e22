//! `tress`: the users' tool. Parses arguments, runs one command, and turns what came of it into an exit code.

mod arguments;
mod called;
mod cluster;
mod commands;
mod definitions;
mod demo;
mod dev;
mod exit;
mod init;
mod logging;
mod output;
mod place;
mod planning;
mod progress;
mod render;
mod say;
mod session;
mod tables;
mod testing;
mod time;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    logging::start();
    let called = called::Called::by(std::env::args_os());
    if called == called::Called::Completion {
        return exit::code(commands::completion::of_kubectl(std::env::args_os().skip(1)));
    }
    exit::code(commands::run(arguments::Arguments::read(called, std::env::args_os()), called))
}
