//! The sequences of a part's labels, and their Parquet file.

use std::sync::Arc;

use arrow::array::{ArrayRef, ListArray, RecordBatch, TimestampMicrosecondArray};
use arrow::buffer::OffsetBuffer;
use arrow::compute::concat_batches;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;
use tress_configs::column::{ColumnType, Scalar};

use super::part::{self, Made};
use super::{Labels, Moment, unpack};
use crate::error::{Error, Result};
use crate::read::{Feature, Order, Outcome, Part, Query, Sequence, Source, assemble};
use crate::run::{NO_FLOOR, Run};

/// The most labels whose sequences are held at once …
const LABELS: usize = 4096;
/// … unless these have as many rows before: sequences may be long, and their rows wide.
const ROWS: usize = 64 * 1024;

/// The label's columns, `label_time`, then a list per column of the sequence; a name that the labels have already gets `sequence_` before it.
pub fn schema(feature: &Feature, labels: &Labels) -> SchemaRef {
    let table = labels.table().schema();
    let mut fields: Vec<Field> = table.fields().iter().map(|f| f.as_ref().clone()).collect();
    if table.column_with_name("label_time").is_none() {
        fields.push(Field::new("label_time", ColumnType::scalar(Scalar::Timestamp).arrow(), false));
    }
    let taken = Schema::new(fields.clone());
    fields.extend(self::fields(feature, &taken));
    Arc::new(Schema::new(fields))
}

/// A list per column of the sequence; a name that is taken gets `sequence_` before it.
pub fn fields(feature: &Feature, taken: &Schema) -> Vec<Field> {
    let list = |field: &Arc<Field>| {
        let item = unpack::data_type(field.data_type(), &column_type(feature, field.name()));
        let item = Field::new("item", item, field.is_nullable());
        let name = if taken.column_with_name(field.name()).is_some() { format!("sequence_{}", field.name()) } else { field.name().clone() };
        Field::new(name, DataType::List(Arc::new(item)), false)
    };
    feature.schema().fields().iter().map(list).collect()
}

/// The lists of sequences that lie one after the other. `lists`: the fields of [`fields`]; `events`: the columns of the feature's schema.
pub fn lists(feature: &Feature, lists: &[Arc<Field>], events: &[ArrayRef], offsets: &OffsetBuffer<i32>) -> Result<Vec<ArrayRef>> {
    let names = feature.schema().fields().iter().map(|f| f.name());
    let list = |((column, name), list): ((&ArrayRef, &String), &Arc<Field>)| {
        let values = unpack::unpack(column, &column_type(feature, name))?;
        let DataType::List(item) = list.data_type() else {
            return Err(Error::internal("encode sequences: a column is not a list"));
        };
        Ok(Arc::new(ListArray::try_new(Arc::clone(item), offsets.clone(), values, None)?) as ArrayRef)
    };
    events.iter().zip(names).zip(lists).map(list).collect()
}

/// A part's Parquet file. `kept_from`: what happened before may be dropped by retention, µs; `None` = nothing is.
pub fn encode((feature, kept_from): (&Feature, Option<i64>), runs: &[Run], labels: &Labels, moment: Moment) -> Result<Made> {
    let schema = schema(feature, labels);
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_dictionary_enabled(false)
        .set_created_by("tress".to_owned())
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), Arc::clone(&schema), Some(properties))?;
    let (mut from, mut truncated) = (0, 0);
    while from < labels.len() {
        let answers = some(&mut (from..labels.len()).map(|row| sequence(feature, runs, labels, row, moment)))?;
        let to = from + answers.len();
        let is_truncated = |(row, answer): &(usize, Sequence)| {
            kept_from.is_some_and(|kept| reaches_below(feature, (answer, moment.through(labels.time(*row))), kept))
        };
        truncated += (from..to).zip(answers.iter().cloned()).filter(is_truncated).count();
        let sequences: Vec<RecordBatch> = answers.into_iter().map(|answer| answer.rows).collect();
        let lengths: Vec<usize> = sequences.iter().map(RecordBatch::num_rows).collect();
        let all = concat_batches(feature.schema(), &sequences)?;
        let mut columns: Vec<ArrayRef> = labels.table().columns().iter().map(|c| c.slice(from, to - from)).collect();
        if labels.table().column_by_name("label_time").is_none() {
            columns
                .push(Arc::new(TimestampMicrosecondArray::from_iter_values((from..to).map(|row| labels.time(row))).with_timezone("UTC")));
        }
        let sequence: Vec<Arc<Field>> = schema.fields().iter().skip(columns.len()).cloned().collect();
        columns.extend(lists(feature, &sequence, all.columns(), &OffsetBuffer::from_lengths(lengths))?);
        writer.write(&RecordBatch::try_new(Arc::clone(&schema), columns)?)?;
        from = to;
    }
    writer.append_key_value_metadata(part::metadata(truncated));
    Ok(Made { bytes: writer.into_inner()?, truncated })
}

/// Whether more events would have fitted, and the read reaches below what retention keeps: as serving says `truncated`.
fn reaches_below(feature: &Feature, (answer, as_of): (&Sequence, i64), kept: i64) -> bool {
    let plan = feature.plan();
    let wanted = plan.window_ms.map_or(i64::MIN, |window| as_of.saturating_sub(window.saturating_mul(1000)));
    answer.events < plan.length as usize && wanted < kept
}

/// The next sequences, as many as are held at once: at least one.
fn some(sequences: &mut impl Iterator<Item = Result<Sequence>>) -> Result<Vec<Sequence>> {
    let (mut taken, mut rows) = (Vec::new(), 0);
    while taken.len() < LABELS
        && rows < ROWS
        && let Some(sequence) = sequences.next()
    {
        let sequence = sequence?;
        rows += sequence.rows.num_rows();
        taken.push(sequence);
    }
    Ok(taken)
}

/// The sequence of one label, oldest first.
fn sequence(feature: &Feature, runs: &[Run], labels: &Labels, row: usize, moment: Moment) -> Result<Sequence> {
    let (entity, hash) = (labels.entity(row), labels.hash(row));
    let sources: Vec<Source<'_>> = runs
        .iter()
        .map(|run| {
            let parts = run.find(&entity, hash).map(|entry| Part::of_run(run, entry));
            Source { parts: parts.into_iter().collect(), floor: NO_FLOOR }
        })
        .collect();
    let (at, known_by) = (moment.through(labels.time(row)), moment.known_by(labels.time(row)));
    let query = Query { known_by: Some(known_by), order: Order::OldestFirst, ..Query::new(entity, at) };
    match assemble(feature, &sources, &query)? {
        Outcome::Complete(sequence) => Ok(sequence),
        Outcome::NeedMore => Err(Error::internal("assemble a label's sequence: all of history was given, and still more is needed")),
    }
}

/// The written type of an output column; what the view adds is no vector.
fn column_type(feature: &Feature, name: &str) -> ColumnType {
    feature.plan().columns.iter().find(|c| c.name == name).map_or(const { ColumnType::scalar(Scalar::Int64) }, |c| c.column_type.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::Int64Array;

    #[test]
    fn neither_many_labels_nor_long_sequences_are_held_at_once() {
        let sequence = |rows: usize| {
            let item = Arc::new(Int64Array::from(vec![0; rows])) as ArrayRef;
            let rows = RecordBatch::try_from_iter([("item", item)])?;
            Ok(Sequence { rows, events: 0, newest: None, oldest: None, coverage: Vec::new() })
        };
        let lengths = |rows: usize| some(&mut std::iter::repeat_with(|| sequence(rows)).take(10_000)).unwrap().len();
        assert_eq!((lengths(0), lengths(1), lengths(10_000)), (LABELS, LABELS, 7));
        assert_eq!(some(&mut [sequence(10 * ROWS), sequence(1)].into_iter()).unwrap().len(), 1, "one that is longer is taken alone");
    }
}
