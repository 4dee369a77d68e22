//! The chosen rows' columns as one batch: a slice where they lie side by side, copied together where they do not.

use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, StringArray, new_null_array};
use arrow::datatypes::{DataType, Schema};

use super::assemble::{Chosen, rows_of};
use super::feature::{EVENT_COLUMNS, Feature};
use super::source::Source;
use crate::error::Result;
use crate::rows::{self, Values};

/// `wanted`: indexes into the schema of events.
pub fn gather(feature: &Feature, sources: &[Source<'_>], chosen: &[Chosen], wanted: &[usize]) -> Result<RecordBatch> {
    let events = feature.events();
    let schema = Arc::new(Schema::new(wanted.iter().map(|index| Arc::clone(&events.fields()[*index])).collect::<Vec<_>>()));
    let places = Places::new(sources, chosen);
    let columns = wanted
        .iter()
        .map(|index| match index {
            0 => Ok(places.times()),
            1 => Ok(labels(feature, chosen)),
            column => places.column(|signal| feature.reads()[signal].sources[column - EVENT_COLUMNS], events.field(*column).data_type()),
        })
        .collect::<Result<Vec<_>>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(places.count));
    Ok(RecordBatch::try_new_with_options(schema, columns, &options)?)
}

fn labels(feature: &Feature, chosen: &[Chosen]) -> ArrayRef {
    let labels = chosen.iter().flat_map(|c| c.rows.clone().map(|_| feature.reads()[c.signal].label.as_str()));
    Arc::new(StringArray::from_iter_values(labels))
}

/// Where the chosen rows are, computed once for all columns.
struct Places<'s, 'a> {
    sources: &'s [Source<'a>],
    chosen: &'s [Chosen],
    count: usize,
    /// Per chosen row: part, counted over all signals, and row. Empty when the rows lie side by side.
    rows: Vec<(usize, usize)>,
}

impl<'s, 'a> Places<'s, 'a> {
    fn new(sources: &'s [Source<'a>], chosen: &'s [Chosen]) -> Self {
        let count = chosen.iter().map(|c| c.rows.len()).sum();
        let mut rows = Vec::new();
        if chosen.len() > 1 {
            rows.reserve_exact(count);
            for c in chosen {
                let part = sources[..c.signal].iter().map(|source| source.parts.len()).sum::<usize>() + c.part;
                rows.extend(c.rows.clone().map(|row| (part, row)));
            }
        }
        Self { sources, chosen, count, rows }
    }

    fn times(&self) -> ArrayRef {
        if let [all] = self.chosen {
            return rows_of(self.sources, all).times(all.rows.clone());
        }
        let mut times = Vec::with_capacity(self.count);
        for c in self.chosen {
            let rows = rows_of(self.sources, c);
            times.extend(c.rows.clone().map(|row| rows.event_time(row)));
        }
        Arc::new(rows::timestamps(times.into()))
    }

    /// `of`: for a signal, its column to read; `None` = null there.
    fn column(&self, of: impl Fn(usize) -> Option<usize>, data_type: &DataType) -> Result<ArrayRef> {
        match self.chosen {
            [] => return Ok(arrow::array::new_empty_array(data_type)),
            [all] => {
                return match of(all.signal) {
                    Some(column) => rows_of(self.sources, all).signal(column).slice(all.rows.clone()),
                    None => Ok(new_null_array(data_type, self.count)),
                };
            }
            _ => {}
        }
        let everywhere = (0..self.sources.len()).all(|signal| of(signal).is_some());
        let null = Values::Plain(new_null_array(data_type, usize::from(!everywhere)));
        let mut parts: Vec<&Values> = Vec::new();
        for (signal, source) in self.sources.iter().enumerate() {
            let column = of(signal);
            parts.extend(source.parts.iter().map(|part| column.map_or(&null, |column| part.rows.signal(column))));
        }
        if everywhere {
            return rows::gather(&parts, &self.rows);
        }
        let signals = self.chosen.iter().flat_map(|c| c.rows.clone().map(|_| c.signal));
        let places = self.rows.iter().zip(signals).map(|(&(part, row), signal)| (part, if of(signal).is_some() { row } else { 0 }));
        rows::gather(&parts, &places.collect::<Vec<_>>())
    }
}
