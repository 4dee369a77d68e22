//! Many sorted files of one bucket become one; equal copies fall away, and nothing else.

use std::sync::Arc;

use arrow::array::{BooleanArray, RecordBatch};
use arrow::compute::{concat_batches, filter_record_batch};
use futures::TryStreamExt;
use object_store::buffered::BufWriter;
use object_store::path::Path;
use tokio::io::AsyncWriteExt;

use crate::error::{Context, Error, Result};
use crate::history::{Encoder, FileStats, History, HistoryFile, NewFile, Scan, aside, bucket};
use crate::layout;
use crate::rows::Rows;
use crate::run::{self, order};

/// Rows that are sorted at once, about.
const CHUNK_ROWS: u64 = 512 * 1024;

/// Writes the one file that stands for `files`, range of hashes by range, so that memory does not grow with the bucket.
///
/// # Guarantees
/// The same files give the same bytes, in whatever order they are named.
///
/// # Errors
/// `Corrupt` when a file is damaged; when the lake does not answer.
pub async fn compact(history: &History, name: &str, number: u64, files: Vec<(String, FileStats)>) -> Result<NewFile> {
    let times = bucket::range_of(name, history.plan().bucket)?;
    let files: Vec<HistoryFile> = files
        .into_iter()
        .map(|(path, stats)| HistoryFile { path, bucket: name.to_owned(), times: times.clone(), backfill: 0, stats })
        .collect();
    let path = layout::compacted_file(name, number);
    let doing = || format!("write {path}");
    let store = history.lake().table_store(&layout::history(history.uid()));
    let mut target = BufWriter::new(store, Path::from(path.clone()));
    let mut encoder = Encoder::new(history.schema());
    let rows: u64 = files.iter().map(|f| f.stats.rows).sum();
    for hashes in ranges(rows.div_ceil(CHUNK_ROWS)) {
        let batches: Vec<RecordBatch> = history.scan(files.clone(), Scan { hashes, columns: None }).try_collect().await?;
        let schema = Arc::clone(history.schema());
        let (returned, bytes) = aside(move || {
            let sorted = run::sort(concat_batches(&schema, &batches)?)?;
            encoder.write(&without_copies(sorted)?)?;
            let bytes = encoder.drain()?;
            Ok((encoder, bytes))
        })
        .await?;
        encoder = returned;
        target.put(bytes).await.map_err(Error::from).context(doing)?;
    }
    let Some((rest, stats)) = encoder.finish()? else {
        return Err(Error::internal(format!("{}: it would have no rows", doing())));
    };
    target.put(rest).await.map_err(Error::from).context(doing)?;
    target.shutdown().await.map_err(Error::from).context(doing)?;
    Ok(NewFile { path, bucket: name.to_owned(), stats })
}

/// All hashes in `count` ranges of equal width, rising.
pub fn ranges(count: u64) -> impl Iterator<Item = std::ops::RangeInclusive<i64>> {
    let count = u128::from(count.max(1));
    let at = move |i: u128| crate::entity::flip(u64::try_from((1u128 << 64) * i / count).unwrap_or(u64::MAX));
    (0..count).map(move |i| at(i)..=if i + 1 == count { i64::MAX } else { at(i + 1) - 1 })
}

/// Sorted rows without the ones that equal the row before in all that the order looks at.
fn without_copies(batch: RecordBatch) -> Result<RecordBatch> {
    let rows = Rows::new(batch)?;
    let copy = |row: usize| row > 0 && order::compare(&rows, row - 1, &rows, row).is_eq();
    let keep: BooleanArray = (0..rows.len()).map(|row| Some(!copy(row))).collect();
    if keep.true_count() == rows.len() {
        return Ok(rows.batch().clone());
    }
    Ok(filter_record_batch(rows.batch(), &keep)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_of_hashes_cover_all_and_do_not_overlap() {
        for count in [0, 1, 2, 3, 7, 1000] {
            let all: Vec<_> = ranges(count).collect();
            assert_eq!(all.len() as u64, count.max(1));
            assert_eq!((*all[0].start(), *all[all.len() - 1].end()), (i64::MIN, i64::MAX));
            assert!(all.windows(2).all(|w| w[0].end() + 1 == *w[1].start()));
        }
    }
}
