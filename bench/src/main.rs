//! The engine's side of every benchmark: each command does one measured thing and prints one line of JSON about it.
//!
//! Process start, definitions and loading stand outside the timed part, as they do for the peers. `bench/harness.py` runs it.

mod answers;
mod changelog;
mod data;
mod dataset;
mod deployment;
mod encode;
mod events;
mod everyone;
mod fill;
mod fold;
mod follow;
mod freshness;
mod load;
mod meter;
mod plans;
mod produce;
mod reads;
mod serve;
mod stream;
mod tail;
mod watch;
mod world;

use std::path::PathBuf;

use clap::{Parser, Subcommand};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

#[derive(Parser)]
#[command(about = "The engine's side of the benchmarks; bench/harness.py runs it")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Raw Parquet into history and base. `--answers` also writes, untimed, what is read back.
    Fold(fold::Fold),
    /// Reads in process over a base that is loaded.
    Reads(reads::Reads),
    /// Rows of a tail in memory, as its follower would apply them.
    Tail(tail::Tail),
    /// A new process with a tail's snapshot.
    Restart(tail::Restart),
    /// Serves a folded lake over gRPC until its standard input ends.
    Serve(serve::Serve),
    /// Puts what the server answers into Redis: a list per entity, newest first.
    FillRedis(load::FillRedis),
    /// Compares the server's answers with those of Redis.
    Check(load::Check),
    /// Loads a server with requests.
    Load(load::Load),
    /// A training set.
    Dataset(dataset::Training),
    /// Every entity's sequence, from raw Parquet to Parquet.
    Everyone(everyone::Everyone),
    /// Fills a topic with events as JSON.
    Fill(fill::Fill),
    /// Makes a topic anew.
    Topic(fill::Topic),
    /// What a topic holds, a record a line.
    Lines(fill::Lines),
    /// The stream process, from a topic until everything is published.
    Stream(stream::Stream),
    /// From produce to read, at a rate.
    Freshness(freshness::Freshness),
    /// Sends events at a rate.
    Produce(produce::Producer),
    /// Reads what is served until every probe was seen.
    Follow(follow::Follow),
}

/// Where the raw log and the item table are, and where the engine keeps its lake.
#[derive(clap::Args, Clone)]
pub struct Places {
    /// Holds `raw/dt=…/` and `items.parquet`.
    #[arg(long)]
    data: PathBuf,
    #[arg(long)]
    lake: PathBuf,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let workers = match &arguments.command {
        Command::Serve(serve) => serve.workers,
        _ => 2,
    };
    // Threads must not end before their CPU time is counted.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_keep_alive(std::time::Duration::from_secs(3600))
        .enable_all()
        .build()?;
    let result = runtime.block_on(async {
        match arguments.command {
            Command::Fold(command) => command.run().await,
            Command::Reads(command) => command.run().await,
            Command::Tail(command) => command.run().await,
            Command::Restart(command) => command.run().await,
            Command::Serve(command) => command.run().await,
            Command::FillRedis(command) => command.run().await,
            Command::Check(command) => command.run().await,
            Command::Load(command) => command.run().await,
            Command::Dataset(command) => command.run().await,
            Command::Everyone(command) => command.run().await,
            Command::Fill(command) => command.run().await,
            Command::Topic(command) => command.run().await,
            Command::Lines(command) => command.run().await,
            Command::Stream(command) => command.run().await,
            Command::Freshness(command) => command.run().await,
            Command::Produce(command) => command.run().await,
            Command::Follow(command) => command.run().await,
        }
    });
    runtime.shutdown_background();
    println!("{}", result?);
    Ok(())
}
