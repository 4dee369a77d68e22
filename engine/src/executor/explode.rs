//! `explode`: one record for every element of a list, as for the line items of an order or the items of an impression.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int32Array, ListArray, RecordBatch, RecordBatchOptions, UInt32Array, UInt64Array};
use arrow::compute::take;
use arrow::datatypes::{Schema, SchemaRef};
use tress_configs::column::ColumnType;
use tress_configs::column::Scalar;

use super::builtin::{Builtin, Declared, Need, OptionSpec, Options};
use super::{ExecuteError, Executed, Executor};
use crate::error::{Error, Result};

inventory::submit!(Builtin {
    name: "explode",
    summary: "One record for every element of a list; lists that belong together are read side by side.",
    options: &[
        OptionSpec { name: "list", help: "raw fields that are lists, separated by commas: item_ids, prices", need: Need::Required },
        OptionSpec { name: "as", help: "the column of each list's element, in the same order: item_id, price", need: Need::Required },
        OptionSpec { name: "position", help: "an int32 column for the element's place in the list, from 0 on", need: Need::Optional },
    ],
    build: |options, declared| Ok(Arc::new(Explode::new(options, declared)?)),
});

/// A raw event without the list, or with an empty one, yields nothing. Lists that are read side by side must be equally long.
#[derive(Debug)]
struct Explode {
    /// Names of the lists, the first one leading.
    lists: Vec<String>,
    has_position: bool,
    schema: SchemaRef,
}

impl Explode {
    fn new(options: &Options<'_>, declared: &Declared<'_>) -> Result<Self> {
        let lists = names(options.required("list")?);
        let columns = names(options.required("as")?);
        if lists.len() != columns.len() {
            return Err(Error::invalid(format!(
                "list names {} fields and as {} columns; name one column a field",
                lists.len(),
                columns.len()
            )));
        }
        let mut fields = Vec::with_capacity(lists.len() + 1);
        for (list, column) in lists.iter().zip(&columns) {
            let field = declared.plan.field(list).ok_or_else(|| Error::invalid(format!("list: there is no raw field {list}")))?;
            if !field.column_type.list {
                return Err(Error::invalid(format!("list: raw field {list} is {}, not a list", field.column_type)));
            }
            fields.push(ColumnType::scalar(field.column_type.scalar).field(column, true));
        }
        let position = options.optional("position");
        fields.extend(position.map(|name| ColumnType::scalar(Scalar::Int32).field(name, true)));
        Ok(Self { lists, has_position: position.is_some(), schema: Arc::new(Schema::new(fields)) })
    }
}

impl Executor for Explode {
    fn schema(&self) -> SchemaRef {
        self.schema.clone()
    }

    fn execute(&self, raw: &RecordBatch) -> Result<Executed, ExecuteError> {
        let lists: Vec<(&String, &ListArray)> =
            self.lists.iter().map(|name| Ok((name, list(raw, name)?))).collect::<Result<_, ExecuteError>>()?;
        let mut source_row = Vec::new();
        let mut position = Vec::new();
        let mut elements: Vec<Vec<u64>> = vec![Vec::new(); lists.len()];
        for row in 0..raw.num_rows() {
            let Some(length) = lists.first().map(|(_, list)| length(list, row)) else { continue };
            for ((name, list), elements) in lists.iter().zip(&mut elements) {
                if self::length(list, row) != length {
                    return Err(ExecuteError { field: (*name).clone(), message: "its length is not that of the first list".to_owned() });
                }
                let start = list.value_offsets()[row] as u64;
                elements.extend(start..start + length as u64);
            }
            source_row.extend(std::iter::repeat_n(row as u32, length as usize));
            position.extend(0..length);
        }
        let mut columns = Vec::with_capacity(lists.len() + 1);
        for ((name, list), elements) in lists.iter().zip(elements) {
            columns.push(
                take(list.values(), &UInt64Array::from(elements), None)
                    .map_err(|e| ExecuteError { field: (*name).clone(), message: e.to_string() })?,
            );
        }
        if self.has_position {
            columns.push(Arc::new(Int32Array::from(position)) as ArrayRef);
        }
        let options = RecordBatchOptions::new().with_row_count(Some(source_row.len()));
        let records = RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)
            .map_err(|e| ExecuteError { field: "executor".to_owned(), message: e.to_string() })?;
        Ok(Executed { records, source_row: UInt32Array::from(source_row) })
    }
}

fn names(text: &str) -> Vec<String> {
    text.split(',').map(|name| name.trim().to_owned()).collect()
}

fn list<'a>(raw: &'a RecordBatch, name: &str) -> Result<&'a ListArray, ExecuteError> {
    raw.column_by_name(name)
        .and_then(|column: &ArrayRef| column.as_list_opt::<i32>())
        .ok_or_else(|| ExecuteError { field: name.to_owned(), message: "there is no such list in the raw events".to_owned() })
}

/// Of a list that is null: 0.
fn length(list: &ListArray, row: usize) -> i32 {
    if list.is_null(row) { 0 } else { list.value_length(row) }
}
