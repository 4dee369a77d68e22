//! Entities and raw rows out of the generated Parquet files.

use std::fs::File;
use std::path::Path;

use anyhow::Context;
use arrow::array::{AsArray, RecordBatch};
use arrow::datatypes::Int64Type;
use parquet::arrow::arrow_reader::{ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder};

/// Batches of a Parquet file.
pub fn batches(path: &Path, rows: usize) -> anyhow::Result<ParquetRecordBatchReader> {
    let file = File::open(path).with_context(|| format!("open {}; bench/generate.py makes it", path.display()))?;
    Ok(ParquetRecordBatchReaderBuilder::try_new(file)?.with_batch_size(rows).build()?)
}

/// A whole Parquet file as one batch.
pub fn whole(path: &Path) -> anyhow::Result<RecordBatch> {
    let all = batches(path, 1 << 16)?.collect::<Result<Vec<_>, _>>()?;
    let first = all.first().with_context(|| format!("{} is empty", path.display()))?;
    Ok(arrow::compute::concat_batches(&first.schema(), &all)?)
}

/// One column of whole numbers; nulls are left out.
pub fn numbers(path: &Path, column: &str) -> anyhow::Result<Vec<i64>> {
    let mut values = Vec::new();
    for batch in batches(path, 1 << 16)? {
        let batch = batch?;
        let found = batch.column_by_name(column).with_context(|| format!("{}: no column {column}", path.display()))?;
        values.extend(found.as_primitive::<Int64Type>().iter().flatten());
    }
    Ok(values)
}

/// A fixed, well-mixed order (splitmix64), so that neighbours in memory are not read one after the other.
pub fn shuffle<T>(values: &mut [T]) {
    let mut state = 0x9e37_79b9_7f4a_7c15u64;
    for end in (1..values.len()).rev() {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        values.swap(end, ((z ^ (z >> 31)) % (end as u64 + 1)) as usize);
    }
}
