//! The chosen rows' columns as one batch: a slice where they lie side by side, copied together where they do not.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, StringArray, new_null_array};
use arrow::compute::interleave;
use arrow::datatypes::Schema;

use super::assemble::Chosen;
use super::feature::{EVENT_COLUMNS, Feature};
use super::source::Source;
use crate::error::Result;
use crate::rows::col;

/// `wanted`: indexes into the schema of events.
pub fn gather(feature: &Feature, sources: &[Source<'_>], chosen: &[Chosen], wanted: &[usize]) -> Result<RecordBatch> {
    let events = feature.events();
    let schema = Arc::new(Schema::new(wanted.iter().map(|index| events.field(*index).clone()).collect::<Vec<_>>()));
    let places = Places::new(sources, chosen);
    let columns = wanted
        .iter()
        .map(|index| match index {
            0 => places.column(|_| Some(col::EVENT_TIME), events.field(0).data_type()),
            1 => Ok(labels(feature, chosen)),
            column => places.column(
                |signal| feature.reads()[signal].sources[column - EVENT_COLUMNS].map(|source| col::SIGNAL + source),
                events.field(*column).data_type(),
            ),
        })
        .collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(chosen.len()));
    Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
}

fn labels(feature: &Feature, chosen: &[Chosen]) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(chosen.iter().map(|c| feature.reads()[c.signal].label.as_str())))
}

/// Where the chosen rows are, computed once for all columns.
struct Places<'s, 'a> {
    sources: &'s [Source<'a>],
    count: usize,
    /// Per chosen row: part, counted over all signals, and row; the signal beside it. Empty when the rows are adjacent.
    rows: Vec<(usize, usize, usize)>,
    /// When all rows lie in one part, one after the other: (signal, part of it, first row).
    adjacent: Option<(usize, usize, usize)>,
}

impl<'s, 'a> Places<'s, 'a> {
    fn new(sources: &'s [Source<'a>], chosen: &[Chosen]) -> Self {
        let adjacent = chosen.first().and_then(|first| {
            let side_by_side =
                |(at, c): (usize, &Chosen)| c.signal == first.signal && c.pick.part == first.pick.part && c.pick.row == first.pick.row + at;
            chosen.iter().enumerate().all(side_by_side).then_some((first.signal, first.pick.part, first.pick.row))
        });
        let rows = if adjacent.is_some() { Vec::new() } else { scattered(sources, chosen) };
        Self { sources, count: chosen.len(), rows, adjacent }
    }

    /// `of`: for a signal, the batch column to read; `None` = null there.
    fn column(&self, of: impl Fn(usize) -> Option<usize>, data_type: &arrow::datatypes::DataType) -> Result<ArrayRef> {
        if self.count == 0 {
            return Ok(arrow::array::new_empty_array(data_type));
        }
        if let Some((signal, part, first)) = self.adjacent {
            return Ok(match of(signal) {
                Some(column) => self.sources[signal].parts[part].rows.batch().column(column).slice(first, self.count),
                None => new_null_array(data_type, self.count),
            });
        }
        let null = new_null_array(data_type, 1);
        let mut arrays: Vec<&dyn Array> = Vec::new();
        for (signal, source) in self.sources.iter().enumerate() {
            for part in &source.parts {
                arrays.push(match of(signal) {
                    Some(column) => part.rows.batch().column(column).as_ref(),
                    None => null.as_ref(),
                });
            }
        }
        let indices: Vec<(usize, usize)> =
            self.rows.iter().map(|&(part, row, signal)| (part, if of(signal).is_some() { row } else { 0 })).collect();
        Ok(interleave(&arrays, &indices)?)
    }
}

/// Per chosen row its part, counted over all signals, its row, and its signal.
fn scattered(sources: &[Source<'_>], chosen: &[Chosen]) -> Vec<(usize, usize, usize)> {
    let first_of_signal = sources.iter().scan(0, |next, source| {
        let first = *next;
        *next += source.parts.len();
        Some(first)
    });
    let first_part: Vec<usize> = first_of_signal.collect();
    chosen.iter().map(|c| (first_part[c.signal] + c.pick.part, c.pick.row, c.signal)).collect()
}
