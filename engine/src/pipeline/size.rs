//! How large rows are, as a changelog record would hold them: an estimate from lengths, without encoding.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::DataType;

/// The rows with more than `limit` bytes, ascending.
pub(super) fn rows_above(batch: &RecordBatch, limit: usize) -> Vec<usize> {
    let fixed: usize = batch.columns().iter().map(fixed_width).sum();
    let variable: Vec<&ArrayRef> = batch.columns().iter().filter(|c| is_variable(c.data_type())).collect();
    // Not even all rows together reach the limit: the common case of small batches, at no cost per row.
    let most: usize = variable.iter().map(|c| c.get_array_memory_size()).sum();
    if fixed + most <= limit {
        return Vec::new();
    }
    let mut bytes = vec![fixed; batch.num_rows()];
    variable.iter().for_each(|column| add_bytes(column, &mut bytes));
    bytes.iter().enumerate().filter(|(_, bytes)| **bytes > limit).map(|(row, _)| row).collect()
}

/// The most bytes that a row of these columns has.
pub(crate) fn widest_row(columns: &[ArrayRef]) -> usize {
    let fixed: usize = columns.iter().map(fixed_width).sum();
    let mut bytes = vec![fixed; columns.first().map_or(0, |column| column.len())];
    columns.iter().for_each(|column| add_bytes(column, &mut bytes));
    bytes.into_iter().max().unwrap_or(fixed)
}

/// Adds to each row what it has in this column beyond the fixed width.
fn add_bytes(column: &ArrayRef, bytes: &mut [usize]) {
    match column.data_type() {
        DataType::Utf8 => add_lengths(column.as_string::<i32>().value_offsets(), 1, bytes),
        DataType::Binary => add_lengths(column.as_binary::<i32>().value_offsets(), 1, bytes),
        DataType::List(_) => {
            let lists = column.as_list::<i32>();
            let values = lists.values();
            add_lengths(lists.value_offsets(), fixed_width(values), bytes);
            if is_variable(values.data_type()) {
                let mut elements = vec![0; values.len()];
                add_bytes(values, &mut elements);
                for (bytes, ends) in bytes.iter_mut().zip(lists.value_offsets().windows(2)) {
                    *bytes += elements.get(ends[0] as usize..ends[1] as usize).unwrap_or_default().iter().sum::<usize>();
                }
            }
        }
        _ => {}
    }
}

fn add_lengths(offsets: &[i32], width: usize, bytes: &mut [usize]) {
    for (bytes, ends) in bytes.iter_mut().zip(offsets.windows(2)) {
        *bytes += (ends[1] - ends[0]) as usize * width;
    }
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use arrow::array::{Int64Array, ListBuilder, StringArray, StringBuilder};

    use super::*;

    #[test]
    fn a_row_is_as_large_as_its_fixed_columns_and_the_lengths_of_the_others() {
        let mut lists = ListBuilder::new(StringBuilder::new());
        for row in [vec!["x", "yz"], vec![], vec!["abc"]] {
            row.iter().for_each(|text| lists.values().append_value(text));
            lists.append(true);
        }
        let batch = RecordBatch::try_from_iter([
            ("number", Arc::new(Int64Array::from(vec![1, 2, 3])) as ArrayRef),
            ("text", Arc::new(StringArray::from(vec!["12345", "", "1"]))),
            ("list", Arc::new(lists.finish())),
        ])
        .unwrap();
        // 8 of the number and 4 of each offset; 5 letters, 2 elements of 3 letters in all; nothing; 1 letter, 1 element of 3.
        let sizes = [16 + 5 + 2 * 4 + 3, 16, 16 + 1 + 4 + 3];
        for limit in 0..40 {
            let wanted: Vec<usize> = (0..3).filter(|row| sizes[*row] > limit).collect();
            assert_eq!(rows_above(&batch, limit), wanted);
            assert_eq!(rows_above(&batch.slice(1, 2), limit), wanted.iter().filter_map(|row| row.checked_sub(1)).collect::<Vec<_>>());
        }
    }
}
