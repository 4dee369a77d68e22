//! `tress lint`.
use crate::exit::Outcome;
use clap::Args;
#[derive(Debug, Args)]
pub struct Arguments {}
pub fn run(_: &Arguments) -> anyhow::Result<Outcome> {
    Ok(Outcome::Done)
}
