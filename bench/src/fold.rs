//! Raw Parquet, joined with a table, into history and base.

use std::path::PathBuf;

use serde_json::Value;

use crate::meter::{Meter, peak_resident};
use crate::world::World;
use crate::{Places, answers};

#[derive(clap::Args)]
pub struct Fold {
    #[command(flatten)]
    places: Places,
    /// Signal and the features that its base is made for: `event=last500,last100`.
    #[arg(long)]
    signal: Vec<String>,
    /// Writes what each user's sequence of this feature is, as Parquet, after the timed part.
    #[arg(long, requires = "answers_to")]
    answers: Option<String>,
    #[arg(long)]
    answers_to: Option<PathBuf>,
}

impl Fold {
    pub async fn run(self) -> anyhow::Result<Value> {
        let world = World::open(&self.places)?;
        let meter = Meter::start()?;
        let mut rows = 0;
        for signal in &self.signal {
            let (name, features) = signal.split_once('=').unwrap_or((signal, ""));
            let features: Vec<&str> = features.split(',').filter(|f| !f.is_empty()).collect();
            rows += world.fold(name, &features).await?;
        }
        let mut result = meter.stop()?;
        result["rows"] = rows.into();
        result["peak_rss"] = peak_resident()?.into();
        if let (Some(feature), Some(to)) = (&self.answers, &self.answers_to) {
            result["answers"] = answers::write(&world, feature, &self.places.data, to).await?.into();
        }
        Ok(result)
    }
}
