//! Records of an input, one after another: JSON lines as they are, CSV typed by what the signals declare.

use std::io::{BufRead, BufReader, Read};

use serde_json::{Map, Value};

use super::fields::Fields;
use crate::init::sample::delimiter_of;

/// A record and the number of its line, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub line: u64,
    pub payload: Vec<u8>,
}

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    JsonLines,
    Csv,
}

/// The longest line.
const MAX_LINE: u64 = 16 << 20;

/// How an input is written: by the ending of its name, else by its first letter.
pub fn form(path: Option<&std::path::Path>, first_line: &[u8]) -> Form {
    match path.and_then(|p| p.extension()).and_then(|e| e.to_str()) {
        Some("csv" | "tsv") => Form::Csv,
        Some("json" | "jsonl" | "ndjson") => Form::JsonLines,
        _ if first_line.iter().find(|b| !b.is_ascii_whitespace()) == Some(&b'{') => Form::JsonLines,
        _ => Form::Csv,
    }
}

/// Reads one line with its end; empty at the end of the input.
///
/// # Errors
/// When it cannot be read, or is longer than a record may be.
pub fn line(reader: &mut impl BufRead) -> std::io::Result<Vec<u8>> {
    let mut line = Vec::new();
    reader.take(MAX_LINE).read_until(b'\n', &mut line)?;
    if line.len() as u64 == MAX_LINE {
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, "a line is longer than 16 MiB: one record stands on each line"));
    }
    Ok(line)
}

/// Gives each record to `take`, until it says stop. `first` is the first line, that was read already.
///
/// # Errors
/// When the input cannot be read; what is wrong with one record is not looked at here.
pub fn each(
    form: Form,
    first: Vec<u8>,
    reader: BufReader<impl Read>,
    fields: &Fields,
    mut take: impl FnMut(Record) -> bool,
) -> anyhow::Result<()> {
    match form {
        Form::JsonLines => json_lines(first, reader, &mut take),
        Form::Csv => csv(&first, reader, fields, &mut take),
    }
}

fn json_lines(first: Vec<u8>, mut reader: BufReader<impl Read>, take: &mut impl FnMut(Record) -> bool) -> anyhow::Result<()> {
    let mut next = first;
    let mut number = 1;
    while !next.is_empty() {
        let payload = next.trim_ascii().to_vec();
        if !payload.is_empty() && !take(Record { line: number, payload }) {
            return Ok(());
        }
        next = line(&mut reader)?;
        number += 1;
    }
    Ok(())
}

fn csv(first: &[u8], reader: BufReader<impl Read>, fields: &Fields, take: &mut impl FnMut(Record) -> bool) -> anyhow::Result<()> {
    let separator = delimiter_of(first);
    let mut builder = csv::ReaderBuilder::new();
    builder.delimiter(separator).has_headers(false).flexible(true);
    let mut header = csv::ByteRecord::new();
    builder.from_reader(first).read_byte_record(&mut header)?;
    let names: Vec<String> = header.iter().map(|name| String::from_utf8_lossy(name.trim_ascii()).into_owned()).collect();
    let mut rows = builder.from_reader(reader);
    let mut row = csv::ByteRecord::new();
    while rows.read_byte_record(&mut row)? {
        // The header was line 1.
        let line = row.position().map_or(0, csv::Position::line) + 1;
        let mut object = Map::new();
        for (name, cell) in names.iter().zip(row.iter()) {
            fields.put(&mut object, name, &String::from_utf8_lossy(cell));
        }
        if !take(Record { line, payload: serde_json::to_vec(&object)? }) {
            return Ok(());
        }
    }
    Ok(())
}

/// Puts a value at a path of keys, making the objects on the way.
pub fn insert(object: &mut Map<String, Value>, path: &[String], value: Value) {
    let Some((first, rest)) = path.split_first() else { return };
    if rest.is_empty() {
        object.insert(first.clone(), value);
        return;
    }
    let nested = object.entry(first.clone()).or_insert_with(|| Value::Object(Map::new()));
    if let Value::Object(nested) = nested {
        insert(nested, rest, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(form: Form, text: &str) -> Vec<(u64, String)> {
        let mut reader = BufReader::new(text.as_bytes());
        let first = line(&mut reader).expect("a line");
        let mut records = Vec::new();
        let fields =
            Fields::for_test(&[("n", "int64"), ("x", "float64"), ("ok", "bool"), ("s", "string"), ("tags", "list"), ("a.b", "int64")]);
        each(form, first, reader, &fields, |r| {
            records.push((r.line, String::from_utf8(r.payload).expect("text")));
            true
        })
        .expect("records");
        records
    }

    #[test]
    fn json_lines_are_taken_as_they_are_and_empty_ones_only_counted() {
        assert_eq!(
            all(Form::JsonLines, "{\"a\":1}\n\n not json \r\n{\"b\":2}"),
            [(1, "{\"a\":1}".into()), (3, "not json".into()), (4, "{\"b\":2}".into())]
        );
    }

    #[test]
    fn csv_cells_become_what_the_signals_declare() {
        let text = "n,x,ok,s,tags,a.b,other\n7,1.50,true,007,\"[\"\"x\"\"]\",3,5\n,,,,,,\nseven,1,yes,\"two\nlines\",,,\n8,1,1,a,,,\n";
        assert_eq!(
            all(Form::Csv, text),
            [
                (2, r#"{"n":7,"x":1.5,"ok":true,"s":"007","tags":["x"],"a":{"b":3},"other":"5"}"#.into()),
                (3, r#"{"n":null,"x":null,"ok":null,"s":null,"tags":null,"a":{"b":null},"other":null}"#.into()),
                // What is not of the type stays text, for the engine to put aside with its reason.
                (4, r#"{"n":"seven","x":1,"ok":"yes","s":"two\nlines","tags":null,"a":{"b":null},"other":null}"#.into()),
                (6, r#"{"n":8,"x":1,"ok":true,"s":"a","tags":null,"a":{"b":null},"other":null}"#.into()),
            ]
        );
    }
}
