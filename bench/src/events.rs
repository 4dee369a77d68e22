//! Events of the generated Parquet file as the JSON that an app would send.

use std::path::Path;

use anyhow::{Context, anyhow};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::compute::concat_batches;
use arrow::datatypes::Int64Type;
use arrow_json::LineDelimitedWriter;

use crate::data;

/// A batch of events and, line by line, their JSON; what is null is left out.
pub struct Lines {
    pub events: RecordBatch,
    pub json: Vec<Vec<u8>>,
}

impl Lines {
    pub fn of(events: RecordBatch) -> anyhow::Result<Self> {
        let mut text = Vec::new();
        let mut writer = LineDelimitedWriter::new(&mut text);
        writer.write(&events)?;
        writer.finish()?;
        let json: Vec<Vec<u8>> = text.split(|b| *b == b'\n').filter(|line| !line.is_empty()).map(<[u8]>::to_vec).collect();
        anyhow::ensure!(json.len() == events.num_rows(), "write events as JSON: {} lines for {} rows", json.len(), events.num_rows());
        Ok(Self { events, json })
    }

    /// Whose event a row is; `None` for the few that are nobody's.
    pub fn user(&self, row: usize) -> Option<i64> {
        let users = self.events.column_by_name("user_id")?.as_primitive_opt::<Int64Type>()?;
        users.is_valid(row).then(|| users.value(row))
    }
}

/// The partition of a user's events.
pub fn partition_of(user: Option<i64>, partitions: i32) -> i32 {
    let mixed = user.unwrap_or_default().cast_unsigned().wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
    i32::try_from(mixed % u64::from(partitions.unsigned_abs().max(1))).unwrap_or_default()
}

/// Batches of the first `rows` events of `events.parquet` in a folder.
pub fn batches(folder: &Path, rows: usize, batch: usize) -> anyhow::Result<impl Iterator<Item = anyhow::Result<RecordBatch>>> {
    let mut left = rows;
    let all = data::batches(&folder.join("events.parquet"), batch)?;
    Ok(all.map_while(move |found| match found {
        Ok(_) if left == 0 => None,
        Ok(found) => {
            let found = found.slice(0, found.num_rows().min(left));
            left -= found.num_rows();
            Some(Ok(found))
        }
        Err(e) => Some(Err(anyhow!(e))),
    }))
}

/// The first `rows` events as one batch.
pub fn first(folder: &Path, rows: usize) -> anyhow::Result<RecordBatch> {
    let all = batches(folder, rows, 1 << 16)?.collect::<anyhow::Result<Vec<_>>>()?;
    let first = all.first().with_context(|| format!("{}/events.parquet is empty", folder.display()))?;
    Ok(concat_batches(&first.schema(), &all)?)
}

/// How large an event's text is, in bytes: evenly on a logarithmic scale.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    pub least: usize,
    pub most: usize,
}

impl std::str::FromStr for Sizes {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (least, most) = text.split_once("..").context("sizes are written LEAST..MOST, in bytes")?;
        Ok(Self { least: least.parse()?, most: most.parse()? })
    }
}

/// Text that no codec makes small.
pub struct Noise {
    letters: String,
    state: u64,
}

impl Noise {
    pub fn new(sizes: Sizes) -> Self {
        let mut noise = Self { letters: String::new(), state: 1 };
        noise.letters = (0..sizes.most * 2).map(|_| char::from(b'0' + u8::try_from(noise.next() % 75).unwrap_or_default())).collect();
        noise.letters = noise.letters.replace('\\', "a");
        noise
    }

    /// Events whose `query` is long.
    pub fn lengthen(&mut self, events: &RecordBatch, sizes: Sizes) -> anyhow::Result<RecordBatch> {
        let index = events.schema().index_of("query")?;
        let texts: Vec<String> = (0..events.num_rows()).map(|_| self.text(sizes)).collect();
        let mut columns = events.columns().to_vec();
        columns[index] = std::sync::Arc::new(StringArray::from(texts)) as ArrayRef;
        Ok(RecordBatch::try_new(events.schema(), columns)?)
    }

    fn text(&mut self, Sizes { least, most }: Sizes) -> String {
        let share = (self.next() >> 11) as f64 / (1u64 << 53) as f64;
        let length = (least as f64 * (most as f64 / least as f64).powf(share)) as usize;
        let at = usize::try_from(self.next()).unwrap_or_default() % (self.letters.len() - length);
        self.letters[at..at + length].to_owned()
    }

    /// splitmix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}
