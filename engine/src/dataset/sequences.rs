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

use super::{Edge, Labels, Moment, unpack};
use crate::error::{Error, Result};
use crate::read::{Feature, Order, Outcome, Part, Query, Source, assemble};
use crate::run::{NO_FLOOR, Run};

/// Labels whose sequences are held at once.
const LABELS: usize = 4096;

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

/// The bytes of a part's Parquet file.
pub fn encode(feature: &Feature, runs: &[Run], labels: &Labels, moment: Moment) -> Result<Vec<u8>> {
    let schema = schema(feature, labels);
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .set_dictionary_enabled(false)
        .set_created_by("tress".to_owned())
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), Arc::clone(&schema), Some(properties))?;
    for from in (0..labels.len()).step_by(LABELS) {
        let to = (from + LABELS).min(labels.len());
        let sequences = (from..to).map(|row| sequence(feature, runs, labels, row, moment)).collect::<Result<Vec<_>>>()?;
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
    }
    Ok(writer.into_inner()?)
}

/// The sequence of one label, oldest first.
fn sequence(feature: &Feature, runs: &[Run], labels: &Labels, row: usize, moment: Moment) -> Result<RecordBatch> {
    let (entity, hash) = (labels.entity(row), labels.hash(row));
    let sources: Vec<Source<'_>> = runs
        .iter()
        .map(|run| {
            let parts = run.find(&entity, hash).map(|entry| Part::of_run(run, entry));
            Source { parts: parts.into_iter().collect(), floor: NO_FLOOR }
        })
        .collect();
    let at = match moment.edge {
        Edge::Strict => labels.time(row).saturating_sub(1),
        Edge::Inclusive => labels.time(row),
    };
    let query = Query { known_by: Some(at.saturating_sub(moment.read_delay)), order: Order::OldestFirst, ..Query::new(entity, at) };
    match assemble(feature, &sources, &query)? {
        Outcome::Complete(sequence) => Ok(sequence.rows),
        Outcome::NeedMore => Err(Error::internal("assemble a label's sequence: all of history was given, and still more is needed")),
    }
}

/// The written type of an output column; what the view adds is no vector.
fn column_type(feature: &Feature, name: &str) -> ColumnType {
    feature.plan().columns.iter().find(|c| c.name == name).map_or(const { ColumnType::scalar(Scalar::Int64) }, |c| c.column_type.clone())
}
