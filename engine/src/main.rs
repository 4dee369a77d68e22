//! `tress-engine`: one role of the data flow as a process that a cluster can run, kill and scale.

use std::process::ExitCode;

use clap::Parser;
use tress_engine::process::{self, Arguments};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    process::run(Arguments::parse())
}
