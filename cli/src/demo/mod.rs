//! `tress demo`: the main job on real input, each claim computed.
//!
//! ```text
//! definitions ─▶ stream ─▶ backfill ─▶ a sequence ─▶ proof ─▶ late ─▶ corrected, deleted ─▶ kill -9 ─▶ training set
//! ```

mod crash;
mod data;
mod proof;
mod reads;
mod stage;
mod steps;
mod training;

use std::path::PathBuf;

use anyhow::Context;

use crate::exit::{Outcome, usage};
use crate::session::runtime;
use data::Data;
use stage::Stage;

/// What to run.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The folder of MovieLens 100k.
    pub data: PathBuf,
    /// A Python with Polars: it reads the training set.
    pub python: PathBuf,
    /// Whether the server is left running.
    pub end: End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    CleanUp,
    KeepRunning,
}

/// Runs the demo.
///
/// # Errors
/// When a step cannot be done at all; a claim that does not hold is an outcome.
pub fn run(settings: &Settings) -> anyhow::Result<Outcome> {
    if !settings.data.join("ml-100k.inter").is_file() {
        return Err(usage(format!(
            "{} has no ml-100k.inter: run `make demo`, or `scripts/movielens` to fetch the data",
            settings.data.display()
        )));
    }
    let work = std::env::temp_dir().join(format!("tress-demo-{}", std::process::id()));
    std::fs::create_dir_all(&work).with_context(|| format!("make folder {}", work.display()))?;
    let mut stage = Stage::new();
    let runtime = runtime()?;
    let ran = Data::prepare(&settings.data, &work).and_then(|data| {
        let streamed = runtime.block_on(steps::all(&mut stage, &data))?;
        crash::step(&mut stage, &data, &streamed, &runtime)?;
        training::step(&mut stage, &data, &runtime, &settings.python)?;
        Ok(data)
    });
    let data = match ran {
        Ok(data) => data,
        Err(e) => {
            stage.say(&format!("stopped; what was made so far is in {}", work.display()))?;
            return Err(e);
        }
    };
    let outcome = stage.finish()?;
    match settings.end {
        End::KeepRunning => steps::keep_running(&mut stage, &data)?,
        End::CleanUp => {
            std::fs::remove_dir_all(&work).with_context(|| format!("remove {}", work.display()))?;
            stage.next()?;
        }
    }
    Ok(outcome)
}
