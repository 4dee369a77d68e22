//! Compiles the protocol without `protoc`: Rust code, and the descriptors that reflection answers with.

use std::error::Error;
use std::path::PathBuf;

use protox::prost::Message;

const PROTO: &str = "tress/v1/sequence.proto";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=proto");
    let files = protox::compile([PROTO], ["proto"])?;
    let out = PathBuf::from(std::env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    std::fs::write(out.join("tress.v1.bin"), files.encode_to_vec())?;
    tonic_prost_build::configure()
        // Columns are buffers that exist already: shared, not copied into the message.
        .bytes(".tress.v1")
        .compile_fds(files)?;
    Ok(())
}
