//! `tress-operator`: brings what is declared in Kubernetes to run.

use std::process::ExitCode;

use clap::Parser;
use tress_operator::process::{self, Arguments};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    process::run(Arguments::parse())
}
