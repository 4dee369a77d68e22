//! Compiles the protocols without `protoc`: Rust code, and the descriptors that reflection answers with.

use std::error::Error;
use std::path::PathBuf;

use protox::prost::Message;

/// For everyone: reflection tells of it.
const PUBLIC: &str = "tress/v1/sequence.proto";
/// For those who run the process.
const CONTROL: &str = "tress/v1/control.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    std::fs::write(out.join("tress.v1.bin"), protox::compile([PUBLIC], ["proto"])?.encode_to_vec())?;
    tonic_prost_build::configure()
        // Columns are buffers that exist already: shared, not copied into the message.
        .bytes(".tress.v1")
        .compile_fds(protox::compile([PUBLIC, CONTROL], ["proto"])?)?;
    Ok(())
}
