//! Reads the first records of a file: JSON lines, CSV or Parquet.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use anyhow::Context;
use arrow::array::Array;
use arrow::datatypes::DataType;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use serde_json::{Map, Value};

use crate::exit::usage;

/// How a file of events is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    JsonLines,
    Csv,
    Parquet,
}

/// The first records of a file.
#[derive(Debug)]
pub struct Sample {
    pub kind: Kind,
    /// As they stand in the file: nested objects stay nested.
    pub records: Vec<Map<String, Value>>,
}

/// The most records that are looked at.
pub const MAX_RECORDS: usize = 10_000;
/// The longest line that is read.
const MAX_LINE: u64 = 8 << 20;

/// Reads a sample. The kind is told by the ending of the name, else by the first byte.
///
/// # Errors
/// When the file cannot be read, or a record cannot be understood: with its line.
pub fn read(path: &Path) -> anyhow::Result<Sample> {
    let kind = kind(path)?;
    let records = match kind {
        Kind::JsonLines => json_lines(path)?,
        Kind::Csv => csv(path)?,
        Kind::Parquet => parquet(path)?,
    };
    if records.is_empty() {
        return Err(usage(format!("{} holds no records: give a file with at least one event", path.display())));
    }
    Ok(Sample { kind, records })
}

/// How a file is written, by the ending of its name, else by its first byte.
///
/// # Errors
/// When the file cannot be opened.
pub fn kind(path: &Path) -> anyhow::Result<Kind> {
    match path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase).as_deref() {
        Some("csv") => return Ok(Kind::Csv),
        Some("jsonl" | "ndjson" | "json") => return Ok(Kind::JsonLines),
        Some("parquet") => return Ok(Kind::Parquet),
        _ => {}
    }
    let mut first = [0; 4];
    let mut file = open(path)?;
    let read = file.read(&mut first).with_context(|| format!("read {}", path.display()))?;
    Ok(match &first[..read] {
        b"PAR1" => Kind::Parquet,
        bytes if bytes.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{') => Kind::JsonLines,
        _ => Kind::Csv,
    })
}

fn open(path: &Path) -> anyhow::Result<File> {
    File::open(path).map_err(|e| usage(format!("read {}: {e}", path.display())))
}

fn json_lines(path: &Path) -> anyhow::Result<Vec<Map<String, Value>>> {
    let mut reader = BufReader::new(open(path)?);
    let mut records = Vec::new();
    let mut number = 0;
    loop {
        let mut line = Vec::new();
        if reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut line).with_context(|| format!("read {}", path.display()))? == 0 {
            return Ok(records);
        }
        number += 1;
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match serde_json::from_slice(&line) {
            Ok(Value::Object(record)) => records.push(record),
            Ok(_) => return Err(usage(format!("{}:{number}: this line is no JSON object; one event stands on each line", path.display()))),
            Err(e) => return Err(usage(format!("{}:{number}: {e}; one JSON object stands on each line", path.display()))),
        }
        if records.len() == MAX_RECORDS {
            return Ok(records);
        }
    }
}

fn csv(path: &Path) -> anyhow::Result<Vec<Map<String, Value>>> {
    let mut reader = csv::ReaderBuilder::new().delimiter(delimiter(path)?).from_reader(open(path)?);
    let wrong = |e: csv::Error| usage(format!("read {}: {e}", path.display()));
    let headers: Vec<String> = reader.headers().map_err(wrong)?.iter().map(|h| h.trim().to_owned()).collect();
    let mut columns: Vec<Vec<String>> = vec![Vec::new(); headers.len()];
    for record in reader.records().take(MAX_RECORDS) {
        for (column, cell) in columns.iter_mut().zip(record.map_err(wrong)?.iter()) {
            column.push(cell.to_owned());
        }
    }
    let rows = columns.first().map_or(0, Vec::len);
    let typed: Vec<fn(&str) -> Value> = columns.iter().map(|cells| reading(cells)).collect();
    let record = |row: usize| headers.iter().enumerate().map(|(c, name)| (name.clone(), typed[c](&columns[c][row]))).collect();
    Ok((0..rows).map(record).collect())
}

/// The separator of a CSV file: of comma, tab, semicolon and bar the one that its first line has most of.
///
/// # Errors
/// When the file cannot be read.
pub fn delimiter(path: &Path) -> anyhow::Result<u8> {
    let mut line = Vec::new();
    BufReader::new(open(path)?).take(MAX_LINE).read_until(b'\n', &mut line).with_context(|| format!("read {}", path.display()))?;
    Ok(delimiter_of(&line))
}

/// The separator that a first line has most of.
pub fn delimiter_of(line: &[u8]) -> u8 {
    let count = |separator: u8| line.iter().filter(|b| **b == separator).count();
    // The last of equals wins: a comma where there is none at all.
    b"|;\t,".iter().copied().max_by_key(|s| count(*s)).unwrap_or(b',')
}

/// How all cells of a column can be read: as whole numbers, numbers, truth values, else as text. An empty cell is null.
fn reading(cells: &[String]) -> fn(&str) -> Value {
    let all = |fits: fn(&str) -> bool| cells.iter().filter(|c| !c.is_empty()).all(|c| fits(c));
    if cells.iter().all(String::is_empty) {
        return |_| Value::Null;
    }
    // 007 is a code, not seven.
    if all(|c| c.parse::<i64>().is_ok_and(|n| n.to_string() == c)) {
        return |c| c.parse::<i64>().map_or(Value::Null, Value::from);
    }
    if all(|c| c.parse::<f64>().is_ok_and(f64::is_finite) && !leads_with_zero(c)) {
        return |c| c.parse::<f64>().map_or(Value::Null, Value::from);
    }
    if all(|c| matches!(c, "true" | "false")) {
        return |c| c.parse::<bool>().map_or(Value::Null, Value::from);
    }
    |c| if c.is_empty() { Value::Null } else { Value::from(c) }
}

fn leads_with_zero(cell: &str) -> bool {
    let digits = cell.trim_start_matches('-').as_bytes();
    digits.len() > 1 && digits[0] == b'0' && digits[1].is_ascii_digit()
}

fn parquet(path: &Path) -> anyhow::Result<Vec<Map<String, Value>>> {
    let wrong = |e: &dyn std::fmt::Display| usage(format!("read {}: {e}; is it a whole Parquet file?", path.display()));
    let builder = ParquetRecordBatchReaderBuilder::try_new(open(path)?).map_err(|e| wrong(&e))?;
    let reader = builder.with_limit(MAX_RECORDS).build().map_err(|e| wrong(&e))?;
    let mut records = Vec::new();
    for batch in reader {
        let batch = batch.map_err(|e| wrong(&e))?;
        for row in 0..batch.num_rows() {
            let fields = batch.schema_ref().fields().iter().zip(batch.columns());
            let record: anyhow::Result<Map<_, _>> =
                fields.map(|(f, column)| Ok((f.name().clone(), value(column.as_ref(), row)?))).collect();
            records.push(record?);
        }
    }
    Ok(records)
}

/// A value of an Arrow array as JSON; times as RFC 3339.
fn value(array: &dyn Array, row: usize) -> anyhow::Result<Value> {
    if array.is_null(row) {
        return Ok(Value::Null);
    }
    if let DataType::List(_) = array.data_type() {
        let items = arrow::array::AsArray::as_list::<i32>(array).value(row);
        return (0..items.len()).map(|i| value(items.as_ref(), i)).collect::<anyhow::Result<Vec<_>>>().map(Value::Array);
    }
    let options = FormatOptions::default();
    let text = ArrayFormatter::try_new(array, &options)?.value(row).try_to_string()?;
    Ok(match array.data_type() {
        t if t.is_integer() || t.is_floating() || *t == DataType::Boolean => serde_json::from_str(&text).unwrap_or(Value::Null),
        DataType::Timestamp(_, None) => Value::from(format!("{text}Z")),
        _ => Value::from(text),
    })
}
