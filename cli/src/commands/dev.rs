//! `tress dev`.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use clap::Args;

use crate::dev::AtEnd;
use crate::dev::input::Input;
use crate::dev::run::{Settings, run as serve};
use crate::exit::Outcome;
use crate::session::runtime;

/// Run the definitions of a folder on this machine: feed, serve, and follow every edit.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tress dev sequences --input ratings=ratings.jsonl
  tail -F app.log | tress dev sequences --input clicks=-
  tress dev sequences --input ratings=ratings.csv --once --watch-entity u1
  tress dev sequences --http 127.0.0.1:0 --grpc 127.0.0.1:0     any free ports; see sequences/.tress/dev.json

State is kept in DIR/.tress and survives a restart and a kill. A restart appends no record of a file twice: it goes on behind
the last line, and follows the file as it grows. CSV cells become what the signals of the topic declare. An edited definition is
built beside the live one and then swapped in; one with mistakes is reported and changes nothing. While this runs, the other
commands go through it. Ctrl-C writes what was read and ends.")]
pub struct Arguments {
    /// The folder of definitions.
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Records for a topic: a file of JSON lines or CSV, or - for standard input. May be given more than once.
    #[arg(long, value_name = "TOPIC=FILE|-")]
    input: Vec<Input>,
    /// Where sequences are read as JSON.
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 7070)))]
    http: SocketAddr,
    /// Where sequences are read over gRPC.
    #[arg(long, value_name = "ADDRESS", default_value_t = SocketAddr::from((Ipv4Addr::LOCALHOST, 7071)))]
    grpc: SocketAddr,
    /// End when all inputs are read and can be seen in sequences.
    #[arg(long)]
    once: bool,
    /// Print the sequences of this entity whenever they change.
    #[arg(long, value_name = "ENTITY")]
    watch_entity: Option<String>,
}

pub fn run(arguments: Arguments) -> anyhow::Result<Outcome> {
    let Arguments { dir, input, http, grpc, once, watch_entity } = arguments;
    let at_end = if once { AtEnd::Stop } else { AtEnd::Wait };
    let runtime = runtime()?;
    let outcome = runtime.block_on(serve(Settings { dir, inputs: input, http, grpc, at_end, watch_entity }));
    // A thread may still wait for standard input.
    runtime.shutdown_background();
    outcome
}
