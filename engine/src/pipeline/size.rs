//! How large rows are, as a changelog record would hold them: an estimate from lengths, without encoding.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::DataType;

/// The rows with more than `limit` bytes, ascending.
pub(super) fn rows_above(batch: &RecordBatch, limit: usize) -> Vec<usize> {
    let fixed: usize = batch.columns().iter().map(fixed_width).sum();
    let variable: Vec<&ArrayRef> = batch.columns().iter().filter(|c| is_variable(c.data_type())).collect();
    // Not even all rows together reach the limit: the common case, at no cost per row.
    let most: usize = variable.iter().map(|c| c.get_array_memory_size()).sum();
    if fixed + most <= limit {
        return Vec::new();
    }
    let bytes = |row: usize| fixed + variable.iter().map(|c| variable_bytes(c, row)).sum::<usize>();
    (0..batch.num_rows()).filter(|row| bytes(*row) > limit).collect()
}

fn is_variable(data_type: &DataType) -> bool {
    matches!(data_type, DataType::Utf8 | DataType::Binary | DataType::List(_))
}

/// Bytes that every row has in this column: the value, or the offset of what varies.
fn fixed_width(column: &ArrayRef) -> usize {
    match column.data_type() {
        DataType::FixedSizeBinary(width) => usize::try_from(*width).unwrap_or_default(),
        other => other.primitive_width().unwrap_or(4),
    }
}

fn variable_bytes(column: &ArrayRef, row: usize) -> usize {
    if column.is_null(row) {
        return 0;
    }
    match column.data_type() {
        DataType::Utf8 => column.as_string::<i32>().value_length(row) as usize,
        DataType::Binary => column.as_binary::<i32>().value_length(row) as usize,
        DataType::List(_) => {
            let lists = column.as_list::<i32>();
            let elements = lists.value_offsets();
            let (start, end) = (elements[row] as usize, elements[row + 1] as usize);
            let values = lists.values();
            let fixed = (end - start) * fixed_width(values);
            if is_variable(values.data_type()) { fixed + (start..end).map(|e| variable_bytes(values, e)).sum::<usize>() } else { fixed }
        }
        _ => 0,
    }
}
