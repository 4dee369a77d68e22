//! Compiles the client of the engine's control service, and the server: tests stand in for pods with it. The operator shares the protocol
//! with the engine, not code.

use std::error::Error;

/// What serving processes answer and take.
const CONTROL: &str = "tress/v1/control.proto";
const PROTOCOLS: &str = "../engine/proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed={PROTOCOLS}");
    tonic_prost_build::configure().build_server(true).compile_fds(protox::compile([CONTROL], [PROTOCOLS])?)?;
    Ok(())
}
