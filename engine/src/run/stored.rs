//! A run as one row of a table, whose every value is a whole column: columns of different lengths in one Arrow batch, read without a copy.
//!
//! A plain column is a list. Packed integers are a struct of what they say and their words; a packed column of a signal is one of these
//! with its nulls, or codes with what they stand for. Flags are a list; one flag stands for all.

use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Int32Array, Int64Array, LargeBinaryArray, ListArray, RecordBatch, StructArray,
    TimestampMicrosecondArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{DataType, Field, Fields, Int32Type, Int64Type, Schema, SchemaRef, TimestampMicrosecondType};

use super::{Directory, Run};
use crate::error::{Error, Result};
use crate::rows::{Columns, Flags, Integers, Packed, Shape, Values, col};

/// Entries of the table before the signal's columns.
const SYSTEM: usize = 18;

/// # Errors
/// `Internal` when a column cannot be made a list.
pub fn to_table(run: &Run) -> Result<RecordBatch> {
    let Directory { hash, start, floor, settled, entity } = &run.directory;
    let r = &run.rows;
    let mut table: Vec<(&str, ArrayRef)> = vec![
        ("hash", list(Arc::new(Int64Array::new(hash.clone(), None)))?),
        ("entity", list(Arc::clone(entity))?),
        ("start", list(Arc::new(Int32Array::new(start.clone(), None)))?),
        ("floor", packed(floor)?),
        ("settled", flags(settled)?),
        ("event_time", integers(&r.event_time)?),
        ("event_id", list(Arc::new(Int64Array::new(r.event_id.clone(), None)))?),
        ("ordinal", integers(&r.ordinal)?),
        ("version", integers(&r.version)?),
        ("raw_hash", integers(&r.raw_hash)?),
        ("available_at", integers(&r.available_at)?),
        ("deleted", flags(&r.deleted)?),
        ("found", integers(&r.found)?),
        ("partition", integers(&r.partition)?),
        ("has_partition", flags(&r.has_partition)?),
        ("offset", integers(&r.offset)?),
        ("has_offset", flags(&r.has_offset)?),
        ("backfill", integers(&r.backfill)?),
    ];
    debug_assert_eq!(table.len(), SYSTEM);
    for (values, field) in r.signal.iter().zip(r.schema.fields().iter().skip(col::SIGNAL)) {
        table.push((field.name(), column(values)?));
    }
    let fields: Vec<Field> = table.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), false)).collect();
    Ok(RecordBatch::try_new(Arc::new(Schema::new(fields)), table.into_iter().map(|(_, array)| array).collect())?)
}

/// `schema`: of rows.
///
/// # Errors
/// `Corrupt` when the table is not one that [`to_table`] makes, or its columns do not fit one another.
pub fn from_table(table: &RecordBatch, schema: SchemaRef) -> Result<Run> {
    let all = table.columns();
    if table.num_rows() != 1 || all.len() < SYSTEM {
        return Err(wrong());
    }
    let long = |index: usize| plain(&all[index])?.as_primitive_opt::<Int64Type>().map(|a| a.values().clone()).ok_or_else(wrong);
    let rows = Columns {
        schema,
        event_time: to_integers(&all[5])?,
        event_id: long(6)?,
        ordinal: to_integers(&all[7])?,
        version: to_integers(&all[8])?,
        raw_hash: to_integers(&all[9])?,
        available_at: to_integers(&all[10])?,
        deleted: to_flags(&all[11])?,
        found: to_integers(&all[12])?,
        partition: to_integers(&all[13])?,
        has_partition: to_flags(&all[14])?,
        offset: to_integers(&all[15])?,
        has_offset: to_flags(&all[16])?,
        backfill: to_integers(&all[17])?,
        signal: all[SYSTEM..].iter().map(to_column).collect::<Result<_>>()?,
    };
    if !rows.fits() {
        return Err(wrong());
    }
    let start = plain(&all[2])?.as_primitive_opt::<Int32Type>().map(|a| a.values().clone()).ok_or_else(wrong)?;
    let directory = Directory { hash: long(0)?, start, floor: to_packed(&all[3])?, settled: to_flags(&all[4])?, entity: plain(&all[1])? };
    Run::from_parts(rows, directory)
}

fn wrong() -> Error {
    Error::corrupt("read run: its columns are not a run's; it was written by another program or is damaged")
}

fn list(values: ArrayRef) -> Result<ArrayRef> {
    let item = Arc::new(Field::new("item", values.data_type().clone(), true));
    Ok(Arc::new(ListArray::try_new(item, OffsetBuffer::from_lengths([values.len()]), values, None)?))
}

fn plain(array: &ArrayRef) -> Result<ArrayRef> {
    let list = array.as_list_opt::<i32>().ok_or_else(wrong)?;
    if list.is_null(0) { Err(wrong()) } else { Ok(list.value(0)) }
}

fn structure(columns: Vec<(&str, ArrayRef)>) -> Result<ArrayRef> {
    let fields: Fields = columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true)).collect();
    Ok(Arc::new(StructArray::try_new(fields, columns.into_iter().map(|(_, array)| array).collect(), None)?))
}

fn packed(values: &Packed) -> Result<ArrayRef> {
    let Shape { length, base, step, bits } = values.shape();
    let long = |value: i64| -> ArrayRef { Arc::new(Int64Array::from_value(value, 1)) };
    let length = i64::try_from(length).map_err(|_| Error::internal("write run: more rows than a run has"))?;
    let words = LargeBinaryArray::try_new(OffsetBuffer::from_lengths([values.words().len()]), values.words().clone(), None)?;
    structure(vec![
        ("length", long(length)),
        ("base", long(base)),
        ("step", long(step as i64)),
        ("bits", Arc::new(Int32Array::from_value(bits as i32, 1))),
        ("words", Arc::new(words)),
    ])
}

fn to_packed(array: &ArrayRef) -> Result<Packed> {
    let array = array.as_struct_opt().ok_or_else(wrong)?;
    let long = |name: &str| Some(array.column_by_name(name)?.as_primitive_opt::<Int64Type>()?.value(0));
    let bits = || u32::try_from(array.column_by_name("bits")?.as_primitive_opt::<Int32Type>()?.value(0)).ok();
    let length = || usize::try_from(long("length")?).ok();
    let words = || Some(array.column_by_name("words")?.as_binary_opt::<i64>()?);
    match (length(), long("base"), long("step"), bits(), words()) {
        (Some(length), Some(base), Some(step), Some(bits), Some(words)) => {
            let offsets = words.value_offsets();
            let (from, to) = (usize::try_from(offsets[0]), usize::try_from(offsets[1]));
            let (Ok(from), Ok(to)) = (from, to) else { return Err(wrong()) };
            let words = words.values().slice_with_length(from, to - from);
            Packed::from_parts(Shape { length, base, step: step as u64, bits }, words)
        }
        _ => Err(wrong()),
    }
}

fn integers(values: &Integers) -> Result<ArrayRef> {
    match values {
        Integers::Wide(values) => list(Arc::new(TimestampMicrosecondArray::new(values.clone(), None))),
        Integers::Narrow(values) => list(Arc::new(Int32Array::new(values.clone(), None))),
        Integers::Packed(values) => packed(values),
        Integers::Difference(values) => structure(vec![("difference", packed(values)?)]),
    }
}

fn to_integers(array: &ArrayRef) -> Result<Integers> {
    if let Some(columns) = array.as_struct_opt() {
        return match columns.column_by_name("difference") {
            Some(difference) => Ok(Integers::Difference(to_packed(difference)?)),
            None => Ok(Integers::Packed(to_packed(array)?)),
        };
    }
    let values = plain(array)?;
    match values.data_type() {
        DataType::Int32 => Ok(Integers::Narrow(values.as_primitive::<Int32Type>().values().clone())),
        _ => values.as_primitive_opt::<TimestampMicrosecondType>().map(|v| Integers::Wide(v.values().clone())).ok_or_else(wrong),
    }
}

fn flags(flags: &Flags) -> Result<ArrayRef> {
    list(Arc::new(match flags {
        Flags::All(flag) => BooleanArray::from(vec![*flag]),
        Flags::Each(flags) => BooleanArray::new(flags.clone(), None),
    }))
}

fn to_flags(array: &ArrayRef) -> Result<Flags> {
    let values = plain(array)?;
    let flags = values.as_boolean_opt().ok_or_else(wrong)?;
    Ok(if flags.len() == 1 { Flags::All(flags.value(0)) } else { Flags::Each(flags.values().clone()) })
}

fn column(values: &Values) -> Result<ArrayRef> {
    match values {
        Values::Plain(array) => list(Arc::clone(array)),
        Values::Coded { codes, distinct } => structure(vec![("codes", packed(codes)?), ("distinct", list(Arc::clone(distinct))?)]),
        Values::Integers { data_type, packed: values, nulls } => structure(vec![
            ("like", arrow::array::new_null_array(data_type, 1)),
            ("packed", packed(values)?),
            (
                "valid",
                match nulls {
                    Some(nulls) => list(Arc::new(BooleanArray::new(nulls.inner().clone(), None)))?,
                    None => arrow::array::new_null_array(&DataType::new_list(DataType::Boolean, true), 1),
                },
            ),
        ]),
    }
}

fn to_column(array: &ArrayRef) -> Result<Values> {
    let Some(columns) = array.as_struct_opt() else { return Ok(Values::Plain(plain(array)?)) };
    let of = |name: &str| columns.column_by_name(name).ok_or_else(wrong);
    if let Some(codes) = columns.column_by_name("codes") {
        return Ok(Values::Coded { codes: to_packed(codes)?, distinct: plain(of("distinct")?)? });
    }
    let valid = of("valid")?;
    let nulls =
        if valid.is_null(0) { None } else { Some(NullBuffer::new(plain(valid)?.as_boolean_opt().ok_or_else(wrong)?.values().clone())) };
    Ok(Values::Integers { data_type: of("like")?.data_type().clone(), packed: to_packed(of("packed")?)?, nulls })
}
