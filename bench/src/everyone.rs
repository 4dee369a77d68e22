//! The last 500 events of every user with what is known of each item, from raw Parquet to Parquet.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, anyhow};
use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch};
use arrow::datatypes::{DataType, Field, Schema};
use object_store::local::LocalFileSystem;
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::Value;
use tress_configs::plan::BatchPlan;
use tress_configs::{FeaturePlan, Plan};
use tress_engine::backfill::ExternalFiles;
use tress_engine::batch::{Batch, Input, Settings, Way};
use tress_engine::dataset::Target;
use tress_engine::read::Feature;

use crate::Places;
use crate::meter::{Meter, peak_resident};
use crate::world::{NOW, World};

#[derive(clap::Args)]
pub struct Everyone {
    #[command(flatten)]
    places: Places,
    /// An empty folder.
    #[arg(long)]
    to: PathBuf,
    #[arg(long, default_value = "last500")]
    feature: String,
    /// Megabytes of rows that are held.
    #[arg(long, default_value_t = 1024)]
    memory: usize,
    /// Every row is made and every sequence read, as after a fold.
    #[arg(long)]
    general: bool,
    /// Writes the sequences, untimed, as a flat Parquet file: a row an event.
    #[arg(long)]
    answers_to: Option<PathBuf>,
}

impl Everyone {
    pub async fn run(self) -> anyhow::Result<Value> {
        let world = World::open(&self.places)?;
        std::fs::create_dir_all(&self.to)?;
        let plan = world.feature(&self.feature)?;
        let meter = Meter::start()?;
        let (mut signals, mut inputs) = (Vec::new(), Vec::new());
        for read in &plan.signals {
            let signal = world.signal(&read.name.name)?;
            let BatchPlan::External(log) = &signal.source.batch else { return Err(anyhow!("its raw log is not external")) };
            let raw = Arc::new(ExternalFiles::new(world.tables.clone(), signal, log)?);
            inputs.push(Input::load(signal, raw, |_| Ok(world.tables.clone())).await?);
            signals.push(Arc::clone(signal));
        }
        let batch = Batch {
            feature: Arc::new(Feature::new(Arc::clone(plan), signals)?),
            digest: Plan::Feature(FeaturePlan::clone(plan)).digest(),
            inputs,
            as_of: NOW,
            settings: Settings {
                memory: self.memory << 20,
                scratch: self.to.join("scratch"),
                parallelism: 2,
                way: if self.general { Way::General } else { Way::Fastest },
            },
        };
        let target = Target { store: Arc::new(LocalFileSystem::new_with_prefix(&self.to)?), folder: object_store::path::Path::from("all") };
        let manifest = batch.write(&target, &|_| {}).await?;
        let mut result = meter.stop()?;
        result["entities"] = manifest.entities.into();
        result["events"] = manifest.events.into();
        result["bytes"] = manifest.parts.iter().map(|p| p.bytes).sum::<usize>().into();
        result["peak_rss"] = peak_resident()?.into();
        if let Some(to) = &self.answers_to {
            let parts: Vec<PathBuf> = manifest.parts.iter().map(|p| self.to.join("all").join(&p.name)).collect();
            flatten(&parts, to)?;
        }
        Ok(result)
    }
}

/// A row an event: the entity as `user_id`, then the columns of the lists.
fn flatten(parts: &[PathBuf], to: &Path) -> anyhow::Result<()> {
    let mut writer: Option<ArrowWriter<File>> = None;
    for part in parts {
        for batch in ParquetRecordBatchReaderBuilder::try_new(File::open(part)?)?.with_batch_size(256).build()? {
            let batch = batch?;
            let entities = batch.column(0).as_primitive::<arrow::datatypes::Int64Type>();
            let lengths = batch.column_by_name("event_time").context("the time is a column")?.as_list::<i32>().offsets().lengths();
            let users: Int64Array = entities.values().iter().zip(lengths).flat_map(|(user, n)| std::iter::repeat_n(*user, n)).collect();
            let mut fields = vec![Field::new("user_id", DataType::Int64, false)];
            let mut columns: Vec<ArrayRef> = vec![Arc::new(users)];
            for (column, field) in batch.columns().iter().zip(batch.schema_ref().fields()).skip(2).filter(|(_, f)| f.name() != "signal") {
                let list = column.as_list::<i32>();
                let (from, to) = (list.value_offsets()[0], list.value_offsets()[list.len()]);
                let values = list.values().slice(usize::try_from(from)?, usize::try_from(to - from)?);
                fields.push(Field::new(field.name(), values.data_type().clone(), true));
                columns.push(values);
            }
            let flat = RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)?;
            let writer = match &mut writer {
                Some(writer) => writer,
                none => none.insert(ArrowWriter::try_new(File::create(to)?, flat.schema(), None)?),
            };
            writer.write(&flat)?;
        }
    }
    if let Some(writer) = writer {
        writer.close()?;
    }
    Ok(())
}
