//! A training set: per label the last 200 events that a reader could have known.

use std::path::PathBuf;
use std::sync::Arc;

use object_store::local::LocalFileSystem;
use serde_json::Value;
use tress_configs::column::Scalar;
use tress_configs::{FeaturePlan, Plan};
use tress_engine::dataset::{Dataset, Labels, Moment, Target, TimeUnit};
use tress_engine::read::Feature;

use crate::meter::{Meter, peak_resident};
use crate::world::World;
use crate::{Places, data};

#[derive(clap::Args)]
pub struct Training {
    #[command(flatten)]
    places: Places,
    /// An empty folder.
    #[arg(long)]
    to: PathBuf,
}

impl Training {
    pub async fn run(self) -> anyhow::Result<Value> {
        let world = World::open(&self.places)?;
        std::fs::create_dir_all(&self.to)?;
        let plan = world.feature("last200")?;
        let meter = Meter::start()?;
        let labels = data::whole(&self.places.data.join("labels.parquet"))?;
        let labels = Labels::new(&labels, ("user_id", Scalar::Int64), ("label_time", Some(TimeUnit::Micros)))?;
        let history = world.history("event")?;
        let snapshot = history.snapshot().await?;
        let dataset = Dataset {
            feature: Arc::new(Feature::new(Arc::clone(plan), vec![Arc::clone(world.signal("event")?)])?),
            digest: Plan::Feature(FeaturePlan::clone(plan)).digest(),
            histories: vec![(history, snapshot)],
            moment: Moment::default(),
        };
        let target =
            Target { store: Arc::new(LocalFileSystem::new_with_prefix(&self.to)?), folder: object_store::path::Path::from("dataset") };
        let manifest = dataset.write(&labels, &target, &|_| {}).await?;
        let mut result = meter.stop()?;
        result["labels"] = manifest.labels.into();
        result["peak_rss"] = peak_resident()?.into();
        Ok(result)
    }
}
