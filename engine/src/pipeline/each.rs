//! Runs a batch as if every row came alone: a batch that fails is halved until the rows that fail alone are found.

use arrow::array::{BooleanArray, RecordBatch, UInt32Array};
use arrow::compute::{concat, concat_batches, filter_record_batch};

use crate::error::{Error, Result};
use crate::executor::expression::Expression;
use crate::executor::{ExecuteError, Executed, Executor};

/// A value over a batch, and the rows that failed: ascending, each with what failed.
#[derive(Debug)]
pub(super) struct Each<T> {
    pub value: T,
    pub failed: Vec<(usize, String)>,
}

/// The rows for which an expression is true; a row that fails is not.
pub(super) fn is_true(expression: &Expression, batch: &RecordBatch) -> Result<Each<BooleanArray>> {
    each(batch, &|part| expression.is_true(part), &|_| Ok(BooleanArray::from(vec![false])), &|parts| {
        let parts: Vec<&dyn arrow::array::Array> = parts.iter().map(|p| p as _).collect();
        Ok(arrow::array::AsArray::as_boolean(concat(&parts)?.as_ref()).clone())
    })
}

/// The records of all rows that do not fail.
///
/// # Errors
/// `Internal` when the executor breaks its contract.
pub(super) fn execute(executor: &dyn Executor, raw: &RecordBatch) -> Result<Each<Executed>> {
    let none =
        |_: usize| Ok(Executed { records: RecordBatch::new_empty(executor.schema()), source_row: UInt32Array::from(Vec::<u32>::new()) });
    let done = each(raw, &|part| executor.execute(part).map(|e| (part.num_rows(), e)), &|row| none(row).map(|e| (1, e)), &|parts| {
        let mut source_row = Vec::new();
        let mut base = 0;
        let mut rows = 0;
        for (raw_rows, part) in &parts {
            source_row.extend(part.source_row.values().iter().map(|row| row + base));
            base += *raw_rows as u32;
            rows += raw_rows;
        }
        let records = concat_batches(&executor.schema(), parts.iter().map(|(_, part)| &part.records))?;
        Ok((rows, Executed { records, source_row: UInt32Array::from(source_row) }))
    })?;
    let Each { value: (_, value), failed } = done;
    let sorted =
        value.source_row.values().is_sorted() && value.source_row.values().last().is_none_or(|last| (*last as usize) < raw.num_rows());
    if !sorted || value.source_row.len() != value.records.num_rows() || value.records.schema_ref().fields() != executor.schema().fields() {
        return Err(Error::internal("run the executor: its records do not align with their raw events, or are not of its schema"));
    }
    Ok(Each { value, failed })
}

/// The rows that are marked, and which they are.
pub(super) fn keep(batch: &RecordBatch, marks: &[bool]) -> Result<(RecordBatch, Vec<u32>)> {
    let rows: Vec<u32> = marks.iter().enumerate().filter(|(_, kept)| **kept).map(|(row, _)| row as u32).collect();
    if rows.len() == batch.num_rows() {
        return Ok((batch.clone(), rows));
    }
    Ok((filter_record_batch(batch, &BooleanArray::from(marks.to_vec()))?, rows))
}

type Joined<T> = Result<T>;

/// `run` over the whole batch, or over parts of it that do not fail, joined; `lone` stands for a row that fails alone.
fn each<T>(
    batch: &RecordBatch,
    run: &dyn Fn(&RecordBatch) -> Result<T, ExecuteError>,
    lone: &dyn Fn(usize) -> Result<T>,
    join: &dyn Fn(Vec<T>) -> Joined<T>,
) -> Result<Each<T>> {
    if let Ok(value) = run(batch) {
        return Ok(Each { value, failed: Vec::new() });
    }
    let (mut parts, mut failed) = (Vec::new(), Vec::new());
    halve(batch, 0, run, &mut |part| match part {
        Ok(value) => {
            parts.push(value);
            Ok(())
        }
        Err((row, error)) => {
            failed.push((row, error.field));
            parts.push(lone(row)?);
            Ok(())
        }
    })?;
    Ok(Each { value: join(parts)?, failed })
}

type Part<T> = std::result::Result<T, (usize, ExecuteError)>;

fn halve<T>(
    batch: &RecordBatch,
    first: usize,
    run: &dyn Fn(&RecordBatch) -> Result<T, ExecuteError>,
    emit: &mut dyn FnMut(Part<T>) -> Result<()>,
) -> Result<()> {
    match run(batch) {
        Ok(value) => emit(Ok(value)),
        Err(error) if batch.num_rows() <= 1 => emit(Err((first, error))),
        Err(_) => {
            let middle = batch.num_rows() / 2;
            halve(&batch.slice(0, middle), first, run, emit)?;
            halve(&batch.slice(middle, batch.num_rows() - middle), first + middle, run, emit)
        }
    }
}
