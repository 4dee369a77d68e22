//! A point-in-time training set, and another program that reads it.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};
use serde_json::{Map, Value};
use tokio::runtime::Runtime;
use tress_configs::column::{ColumnType, Scalar};
use tress_engine::clock::Stopwatch;

use super::data::Data;
use super::stage::Stage;
use crate::progress;
use crate::render::rows::grouped;
use crate::session::dataset::{Request, Unit};
use crate::session::operation::{Operation, perform};
use crate::session::{self, any_port};
use crate::tables::{self, Column};

/// Reads the dataset and tells what is in it.
const READ: &str = r#"
import json, sys
import polars as pl
frame = pl.read_parquet(sys.argv[1] + "/*.parquet")
last = frame.select(late=pl.col("event_time").list.last() >= pl.col("label_time"))["late"]
own = frame.select(own=(pl.col("item_id").list.last() == pl.col("label_item")) & (pl.col("event_time").list.last() == pl.col("label_time")))["own"]
print(json.dumps({
    "labels": frame.height,
    "empty": int((frame["item_id"].list.len() == 0).sum()),
    "events": int(frame["item_id"].list.len().sum()),
    "late": int(last.fill_null(False).sum()),
    "own": int(own.fill_null(False).sum()),
    "version": pl.__version__,
}))
with pl.Config(tbl_width_chars=110, tbl_rows=4, fmt_table_cell_list_len=3, tbl_hide_dataframe_shape=True):
    print(frame.sort("user_id", "label_time").select("user_id", "label_item", "label_rating", "item_id", "rating").head(4), file=sys.stderr)
"#;

/// One label for every tenth rating: what was rated, to be told from what came before.
///
/// # Errors
/// When the dataset cannot be made, or `python` has no Polars.
pub fn step(stage: &mut Stage, data: &Data, runtime: &Runtime, python: &Path) -> anyhow::Result<()> {
    stage.step("A training set: for every tenth rating, the sequence as it was known just before")?;
    let labels = data.work.join("training-labels.parquet");
    let chosen: Vec<Map<String, Value>> = data
        .ratings
        .iter()
        .step_by(10)
        .map(|r| {
            Map::from_iter([
                ("user_id".to_owned(), r.user.into()),
                ("ts".to_owned(), r.ts.into()),
                ("label_item".to_owned(), r.item.into()),
                ("label_rating".to_owned(), r.rating.into()),
            ])
        })
        .collect();
    let column = |name: &str, scalar| Column { name: name.into(), column_type: ColumnType::scalar(scalar) };
    let columns = [
        column("user_id", Scalar::Int64),
        column("ts", Scalar::Int64),
        column("label_item", Scalar::Int64),
        column("label_rating", Scalar::Float64),
    ];
    tables::write(&labels, &columns, &chosen)?;
    let out = data.work.join("training");
    let request = Request {
        feature: "movies/recent-movies".into(),
        labels,
        entity_column: "user_id".into(),
        time_column: "ts".into(),
        time_unit: Some(Unit::Seconds),
        out: out.clone(),
        inclusive: false,
        read_delay: 0,
    };
    let bar = progress::bar("dataset");
    let began = Stopwatch::start();
    runtime.block_on(async {
        let node = session::open(&data.dir, any_port()).await?;
        let written = perform(&node, &Operation::Dataset(request), &|p| progress::show(&bar, p)).await;
        node.shutdown().await?;
        anyhow::Ok(written?)
    })?;
    bar.finish_and_clear();
    stage.say(&format!(
        "{} labels with their sequences as Parquet in {:.1} s",
        grouped(chosen.len() as u64),
        began.elapsed().as_secs_f64()
    ))?;

    let shown = python.display();
    let read = Command::new(python).args(["-c", READ]).arg(&out).stdin(Stdio::null()).output();
    let read = read.with_context(|| format!("run {shown}: give a Python that has Polars with --python, or run `make demo`"))?;
    if !read.status.success() {
        bail!(
            "{shown} cannot read the dataset with Polars; give a Python that has it with --python, or run `make demo`\n{}",
            String::from_utf8_lossy(&read.stderr)
        );
    }
    let found: Value = serde_json::from_slice(&read.stdout).context("read what Polars says")?;
    let number = |key: &str| found[key].as_u64().unwrap_or(u64::MAX);
    stage.claim(
        number("labels") == chosen.len() as u64 && number("events") > 0,
        &format!(
            "Polars {} reads {} labels with {} events ({} had none yet)",
            found["version"].as_str().unwrap_or_default(),
            grouped(number("labels")),
            grouped(number("events")),
            number("empty")
        ),
    )?;
    stage.claim(number("late") == 0, "no sequence holds an event of its label's time or later")?;
    stage.claim(number("own") == 0, "no label sees itself")?;
    stage.say(&String::from_utf8_lossy(&read.stderr))
}
