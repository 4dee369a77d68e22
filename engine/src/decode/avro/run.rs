//! Runs the steps over the bytes of one record, into a slot for each declared field.
//!
//! What a record holds takes no more memory and time than its bytes pay for: an element is counted before it is made, lists whose
//! elements take no bytes are short, the steps are counted, and what is nested deeper than [`super::MAX_DEPTH`] is not read.

use std::ops::Range;

use super::super::cell::Cell;
use super::MAX_DEPTH;
use super::cursor::{Cursor, Malformed};
use super::schema::{Kind, Schema, TypeId};
use super::step::{Shape, Step, Target, Unit, Wire};

/// How many elements a record may have that take no bytes.
const MAX_FREE_ELEMENTS: usize = 1_024;
/// How many steps a record may take: so many, and so many more for each of its bytes.
const STEPS: (usize, usize) = (100_000, 16);

/// Why a record is not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Its bytes are not what its writer's schema says.
    Malformed,
    /// The reader's schema has no place for what it holds.
    Mismatch,
}

/// What one record holds. Reused from record to record.
#[derive(Debug, Default)]
pub struct Slots<'a> {
    pub values: Vec<Slot<'a>>,
    /// Elements of the lists, one list after another.
    pub elements: Vec<Slot<'a>>,
    /// Texts that are not in the record as such.
    pub written: String,
}

#[derive(Debug, Clone)]
pub enum Slot<'a> {
    Cell(Cell<'a>),
    /// Of `elements`.
    List(Range<usize>),
    /// Of `written`.
    Written(Range<usize>),
}

impl<'a> Slots<'a> {
    /// Forgets the record before.
    pub fn clear(&mut self, fields: usize) {
        self.values.clear();
        self.values.resize(fields, Slot::Cell(Cell::Null));
        self.elements.clear();
        self.written.clear();
    }

    /// One value; a list is none.
    pub fn cell(&self, slot: &Slot<'a>) -> Cell<'_> {
        match slot {
            Slot::Cell(cell) => *cell,
            Slot::List(_) => Cell::Other,
            Slot::Written(range) => self.written.get(range.clone()).map_or(Cell::Other, Cell::Text),
        }
    }

    fn put(&mut self, target: Target, slot: Slot<'a>) {
        match target {
            Target::Element => self.elements.push(slot),
            Target::Field(field) => {
                if let Some(place) = self.values.get_mut(field) {
                    *place = slot;
                }
            }
        }
    }
}

/// Reads a whole record: nothing may be left of its bytes.
pub fn record<'a>(step: &'a Step, schemas: (&'a Schema, &'a Schema), bytes: &'a [u8], slots: &mut Slots<'a>) -> Result<(), Failure> {
    let (schema, reader) = schemas;
    let mut run =
        Run { cursor: Cursor::new(bytes), schema, reader, free: MAX_FREE_ELEMENTS, steps: STEPS.0 + STEPS.1 * bytes.len(), slots };
    run.step(step, 0)?;
    if run.cursor.left() == 0 { Ok(()) } else { Err(Failure::Malformed) }
}

struct Run<'a, 's> {
    cursor: Cursor<'a>,
    /// Of what is being read.
    schema: &'a Schema,
    /// Of defaults.
    reader: &'a Schema,
    /// Elements without bytes that may still come.
    free: usize,
    /// Steps that may still come.
    steps: usize,
    slots: &'s mut Slots<'a>,
}

impl<'a> Run<'a, '_> {
    /// One more step, so deep.
    fn count(&mut self, depth: usize) -> Result<(), Failure> {
        if depth > MAX_DEPTH {
            return Err(Failure::Malformed);
        }
        self.steps = self.steps.checked_sub(1).ok_or(Malformed)?;
        Ok(())
    }

    fn step(&mut self, step: &'a Step, depth: usize) -> Result<(), Failure> {
        self.count(depth)?;
        match step {
            Step::Skip(of) => self.skip(*of, depth)?,
            Step::Mismatch => return Err(Failure::Mismatch),
            Step::Misfit(of, targets) => {
                self.skip(*of, depth)?;
                for target in targets {
                    self.slots.put(*target, Slot::Cell(Cell::Other));
                }
            }
            Step::Leaf { target, wire, shape } => {
                let slot = self.leaf(wire, *shape)?;
                self.slots.put(*target, slot);
            }
            Step::List { target, items, item } => {
                let start = self.slots.elements.len();
                self.blocks(*items, &mut |run| run.step(item, depth + 1))?;
                self.slots.put(*target, Slot::List(start..self.slots.elements.len()));
            }
            Step::Record(steps) => {
                for step in steps {
                    self.step(step, depth + 1)?;
                }
            }
            Step::Union(branches) => {
                let branch = self.cursor.index(branches.len())?;
                self.step(branches.get(branch).ok_or(Malformed)?, depth + 1)?;
            }
            Step::Each(steps) => {
                let from = self.cursor;
                for step in steps {
                    self.cursor = from;
                    self.step(step, depth + 1)?;
                }
            }
            Step::Default { bytes, step } => {
                let (cursor, schema) = (self.cursor, self.schema);
                (self.cursor, self.schema) = (Cursor::new(bytes), self.reader);
                self.step(step, depth + 1)?;
                (self.cursor, self.schema) = (cursor, schema);
            }
        }
        Ok(())
    }

    /// The elements of an array or a map, block by block. A block that tells its size in bytes has to have it.
    fn blocks(&mut self, items: TypeId, element: &mut dyn FnMut(&mut Self) -> Result<(), Failure>) -> Result<(), Failure> {
        loop {
            let count = self.cursor.long()?;
            if count == 0 {
                return Ok(());
            }
            let mut told = None;
            if count < 0 {
                let size = usize::try_from(self.cursor.long()?).map_err(|_| Malformed)?;
                told = Some(self.cursor.left().checked_sub(size).ok_or(Malformed)?);
            }
            let count = usize::try_from(count.unsigned_abs()).map_err(|_| Malformed)?;
            if self.schema.is_empty(items) {
                self.free = self.free.checked_sub(count).ok_or(Malformed)?;
            } else if count > self.cursor.left() {
                return Err(Failure::Malformed);
            }
            for _ in 0..count {
                element(self)?;
            }
            if told.is_some_and(|left| left != self.cursor.left()) {
                return Err(Failure::Malformed);
            }
        }
    }

    fn skip(&mut self, of: TypeId, depth: usize) -> Result<(), Failure> {
        self.count(depth)?;
        let schema = self.schema;
        if schema.is_empty(of) {
            return Ok(());
        }
        match schema.kind(of) {
            Kind::Null => {}
            Kind::Boolean => drop(self.cursor.boolean()?),
            Kind::Int => drop(self.cursor.int()?),
            Kind::Long => drop(self.cursor.long()?),
            Kind::Float => drop(self.cursor.take(4)?),
            Kind::Double => drop(self.cursor.take(8)?),
            Kind::Bytes | Kind::String => drop(self.cursor.bytes()?),
            Kind::Fixed { size, .. } => drop(self.cursor.take(*size)?),
            Kind::Enum { symbols, .. } => drop(self.cursor.index(symbols.len())?),
            Kind::Array(items) => self.blocks(*items, &mut |run| run.skip(*items, depth + 1))?,
            // A key takes bytes, whatever its value takes.
            Kind::Map(values) => self.blocks(of, &mut |run| {
                run.cursor.bytes()?;
                run.skip(*values, depth + 1)
            })?,
            Kind::Record { fields, .. } => {
                for field in fields {
                    self.skip(field.of, depth + 1)?;
                }
            }
            Kind::Union(branches) => {
                let branch = self.cursor.index(branches.len())?;
                self.skip(*branches.get(branch).ok_or(Malformed)?, depth + 1)?;
            }
        }
        Ok(())
    }

    fn leaf(&mut self, wire: &'a Wire, shape: Shape) -> Result<Slot<'a>, Failure> {
        let cell = match wire {
            Wire::Null => Cell::Null,
            Wire::Boolean => Cell::Bool(self.cursor.boolean()?),
            Wire::Int => number(self.cursor.int()?, shape),
            Wire::Long => number(self.cursor.long()?, shape),
            Wire::Float => Cell::Float(f64::from(self.cursor.float()?)),
            Wire::Double => Cell::Float(self.cursor.double()?),
            Wire::Enum(symbols) => match symbols.get(self.cursor.index(symbols.len())?) {
                Some(Some(symbol)) => Cell::Text(symbol),
                _ => return Err(Failure::Mismatch),
            },
            Wire::Bytes => return self.bytes(None, shape),
            Wire::Fixed(size) => return self.bytes(Some(*size), shape),
        };
        Ok(Slot::Cell(cell))
    }

    fn bytes(&mut self, fixed: Option<usize>, shape: Shape) -> Result<Slot<'a>, Failure> {
        let bytes = match fixed {
            Some(size) => self.cursor.take(size)?,
            None => self.cursor.bytes()?,
        };
        Ok(match shape {
            Shape::Text => Slot::Cell(Cell::Text(std::str::from_utf8(bytes).map_err(|_| Malformed)?)),
            Shape::Decimal { scale } => Slot::Cell(decimal(bytes, scale)),
            Shape::DecimalText { scale } => match integer(bytes) {
                Some(value) => self.write(&decimal_text(value, scale)),
                None => Slot::Cell(Cell::Other),
            },
            Shape::UuidText => match <[u8; 16]>::try_from(bytes) {
                Ok(bytes) => self.write(&uuid(u128::from_be_bytes(bytes))),
                Err(_) => Slot::Cell(Cell::Other),
            },
            Shape::Plain | Shape::Single | Shape::Double | Shape::Time(_) => Slot::Cell(Cell::Bytes(bytes)),
        })
    }

    fn write(&mut self, text: &str) -> Slot<'a> {
        let start = self.slots.written.len();
        self.slots.written.push_str(text);
        Slot::Written(start..self.slots.written.len())
    }
}

/// A whole number as the reader's type has it.
fn number(value: i64, shape: Shape) -> Cell<'static> {
    let micros = |value: Option<i64>| value.map_or(Cell::Other, Cell::Micros);
    match shape {
        Shape::Single => Cell::Float(f64::from(value as f32)),
        Shape::Double => Cell::Float(value as f64),
        Shape::Time(Unit::Days) => micros(value.checked_mul(86_400_000_000)),
        Shape::Time(Unit::Millis) => micros(value.checked_mul(1000)),
        Shape::Time(Unit::Micros) => micros(Some(value)),
        Shape::Time(Unit::Nanos) => micros(Some(value.div_euclid(1000))),
        _ => Cell::Int(value),
    }
}

/// A whole number of any length; `None` beyond 128 bits.
fn integer(bytes: &[u8]) -> Option<i128> {
    let sign = if bytes.first().is_some_and(|b| b & 0x80 != 0) { 0xff } else { 0 };
    let (more, last) = bytes.split_at_checked(bytes.len().saturating_sub(16))?;
    let mut whole = [sign; 16];
    whole.get_mut(16 - last.len()..)?.copy_from_slice(last);
    let value = i128::from_be_bytes(whole);
    (more.iter().all(|b| *b == sign) && (value < 0) == (sign == 0xff)).then_some(value)
}

fn decimal(bytes: &[u8], scale: u32) -> Cell<'static> {
    let Some(value) = integer(bytes) else { return Cell::Other };
    let whole = 10i128.checked_pow(scale).filter(|unit| value % unit == 0).map(|unit| value / unit);
    match whole.and_then(|whole| i64::try_from(whole).ok()) {
        Some(whole) => Cell::Int(whole),
        // Written out and read again: the nearest float there is.
        None => decimal_text(value, scale).parse().map_or(Cell::Other, Cell::Float),
    }
}

fn decimal_text(value: i128, scale: u32) -> String {
    let digits = value.unsigned_abs().to_string();
    let scale = scale as usize;
    let digits = format!("{digits:0>width$}", width = scale + 1);
    let (whole, part) = digits.split_at(digits.len() - scale);
    let sign = if value < 0 { "-" } else { "" };
    let point = if scale == 0 { "" } else { "." };
    format!("{sign}{whole}{point}{part}")
}

fn uuid(value: u128) -> String {
    let hex = format!("{value:032x}");
    let mut text = String::with_capacity(36);
    for (at, letter) in hex.char_indices() {
        if matches!(at, 8 | 12 | 16 | 20) {
            text.push('-');
        }
        text.push(letter);
    }
    text
}

impl From<Malformed> for Failure {
    fn from(_: Malformed) -> Self {
        Self::Malformed
    }
}
