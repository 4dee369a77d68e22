//! JSON records, one object each, straight into the arrays of the declared fields: what is not declared is read over, not kept.
//!
//! Every record is decoded alone, so nothing of one record can change what becomes of another. Of a key that is given twice the
//! last counts, with all it holds. A value on the way to a nested field that is no object does not fit that field; null is null.

use std::ops::Range;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use tress_configs::plan::{FieldPlan, SignalPlan};

use super::cell::Cell;
use super::field::{FieldBuilder, Fit};
use super::scan::{Malformed, Scanner, Text, Token, Turn};
use crate::error::Result;
use crate::raw::{Invalid, Reason};

/// Decodes records of one signal.
#[derive(Debug)]
pub(super) struct JsonDecoder {
    schema: SchemaRef,
    fields: Vec<FieldPlan>,
    /// Of each field: its node.
    node_of: Vec<usize>,
    nodes: Vec<Node>,
}

/// A place in the record that is looked at. Nodes are in depth-first order: what lies below one follows it.
#[derive(Debug)]
struct Node {
    /// Keys below, sorted; each with its node.
    keys: Vec<(String, usize)>,
    /// One past the last node below.
    end: usize,
    is_field: bool,
}

/// What one record holds, at each node. Reused from record to record.
#[derive(Debug, Default)]
struct Slots {
    values: Vec<Slot>,
    /// Elements of the lists, one list after another.
    elements: Vec<Slot>,
    /// Strings that had escapes.
    unescaped: String,
}

#[derive(Debug, Clone)]
enum Slot {
    Token(Token),
    /// Of `elements`.
    List(Range<usize>),
}

const NULL: Slot = Slot::Token(Token::Null);

impl JsonDecoder {
    pub(super) fn new(plan: &SignalPlan) -> Self {
        let fields = plan.event.fields.clone();
        let mut nodes = Vec::new();
        let mut node_of = vec![0; fields.len()];
        let mut all: Vec<_> = fields.iter().enumerate().map(|(field, f)| (f.path.as_slice(), field)).collect();
        all.sort();
        build(&mut nodes, &mut node_of, &all);
        Self { schema: plan.raw_schema(), fields, node_of, nodes }
    }

    /// One row a payload. Beside the fields: what did not fit, per row.
    ///
    /// # Errors
    /// `Invalid` when a declared type is none of a column.
    pub(super) fn decode<'a>(
        &self,
        payloads: impl ExactSizeIterator<Item = &'a [u8]>,
        max_bytes: usize,
    ) -> Result<(RecordBatch, Vec<Option<Invalid>>)> {
        let rows = payloads.len();
        let mut builders = self.fields.iter().map(|f| FieldBuilder::new(&f.column_type, rows)).collect::<Result<Vec<_>>>()?;
        let mut broken = Vec::with_capacity(rows);
        let mut slots = Slots::default();
        for payload in payloads {
            let text = if payload.len() > max_bytes { Err(Reason::TooLarge) } else { self.read(payload, &mut slots) };
            match text {
                Ok(text) => broken.push(self.append(text, &slots, &mut builders)),
                Err(reason) => {
                    builders.iter_mut().for_each(FieldBuilder::push_null);
                    broken.push(Some(Invalid { reason, field: String::new() }));
                }
            }
        }
        let columns = builders.into_iter().map(FieldBuilder::finish).collect::<Result<Vec<_>>>()?;
        let options = arrow::array::RecordBatchOptions::new().with_row_count(Some(rows));
        Ok((RecordBatch::try_new_with_options(self.schema.clone(), columns, &options)?, broken))
    }

    /// Fills the slots from one record.
    fn read<'a>(&self, payload: &'a [u8], slots: &mut Slots) -> Result<&'a str, Reason> {
        slots.values.clear();
        slots.values.resize(self.nodes.len(), NULL);
        slots.elements.clear();
        slots.unescaped.clear();
        let text = std::str::from_utf8(payload).map_err(|_| Reason::Unreadable)?;
        let mut scanner = Scanner::new(text);
        let mut whole = || {
            let Token::Object = scanner.value(&mut slots.unescaped)? else { return Err(Malformed) };
            self.members(0, &mut scanner, text, slots)?;
            scanner.end()
        };
        whole().map_err(|Malformed| Reason::Unreadable)?;
        Ok(text)
    }

    /// The members of the object at `node`, whose brace has been read.
    fn members(&self, node: usize, scanner: &mut Scanner<'_>, text: &str, slots: &mut Slots) -> Result<(), Malformed> {
        let mut turn = Turn::First;
        loop {
            let unescaped = slots.unescaped.len();
            let Some(key) = scanner.key(turn, &mut slots.unescaped)? else { return Ok(()) };
            turn = Turn::Next;
            let child = self.nodes.get(node).and_then(|n| n.child(resolve(key, text, &slots.unescaped)));
            slots.unescaped.truncate(unescaped);
            let token = scanner.value(&mut slots.unescaped)?;
            match child {
                Some(child) => self.member(child, token, scanner, text, slots)?,
                None => {
                    scanner.skip_rest(token, &mut slots.unescaped)?;
                    slots.unescaped.truncate(unescaped);
                }
            }
        }
    }

    /// A value at `node`, whose first token has been read. It replaces whatever an earlier one of the same key left here and below.
    fn member(&self, node: usize, token: Token, scanner: &mut Scanner<'_>, text: &str, slots: &mut Slots) -> Result<(), Malformed> {
        let Some(Node { keys, end, is_field }) = self.nodes.get(node) else { return Err(Malformed) };
        // What is neither an object nor null holds nothing below: fields there do not fit.
        let below = if matches!(token, Token::Object | Token::Null) { NULL } else { Slot::Token(Token::TooGreat) };
        if let Some(slots) = slots.values.get_mut(node + 1..*end) {
            slots.fill(below);
        }
        let slot = match token {
            Token::Object if !keys.is_empty() => {
                self.members(node, scanner, text, slots)?;
                Slot::Token(token)
            }
            Token::Array if *is_field => Slot::List(elements(scanner, slots)?),
            _ => {
                scanner.skip_rest(token, &mut slots.unescaped)?;
                Slot::Token(token)
            }
        };
        if let Some(place) = slots.values.get_mut(node) {
            *place = slot;
        }
        Ok(())
    }

    /// One row from the slots; the first declared field that does not fit.
    fn append(&self, text: &str, slots: &Slots, builders: &mut [FieldBuilder]) -> Option<Invalid> {
        let mut misfit = None;
        for ((field, node), builder) in self.fields.iter().zip(&self.node_of).zip(builders) {
            let fit = match slots.values.get(*node) {
                None => builder.push(Cell::Null),
                Some(Slot::List(range)) => {
                    let elements = slots.elements.get(range.clone()).unwrap_or_default();
                    builder.push_list(elements.iter().map(|slot| slot.cell(text, &slots.unescaped)))
                }
                Some(slot) => builder.push(slot.cell(text, &slots.unescaped)),
            };
            if fit == Fit::Misfit && misfit.is_none() {
                misfit = Some(Invalid { reason: Reason::WrongType, field: field.name.clone() });
            }
        }
        misfit
    }
}

impl Node {
    fn child(&self, key: &str) -> Option<usize> {
        let at = self.keys.binary_search_by(|(k, _)| k.as_str().cmp(key)).ok()?;
        self.keys.get(at).map(|(_, node)| *node)
    }
}

impl Slot {
    fn cell<'a>(&self, text: &'a str, unescaped: &'a str) -> Cell<'a> {
        match self {
            Self::List(_) => Cell::Other,
            Self::Token(token) => match *token {
                Token::Null => Cell::Null,
                Token::Bool(value) => Cell::Bool(value),
                Token::Int(value) => Cell::Int(value),
                Token::Float(value) => Cell::Float(value),
                Token::Text(place) => Cell::Text(resolve(place, text, unescaped)),
                Token::TooGreat | Token::Object | Token::Array => Cell::Other,
            },
        }
    }
}

/// Adds the node of `fields`, which share a path so far and are sorted by what is left of it; returns its index.
fn build(nodes: &mut Vec<Node>, node_of: &mut [usize], fields: &[(&[String], usize)]) -> usize {
    let node = nodes.len();
    nodes.push(Node { keys: Vec::new(), end: 0, is_field: false });
    let here = fields.iter().take_while(|(path, _)| path.is_empty()).count();
    let (ending, below) = fields.split_at(here);
    for (_, field) in ending {
        node_of[*field] = node;
    }
    let mut keys = Vec::new();
    for group in below.chunk_by(|(a, _), (b, _)| a.first() == b.first()) {
        let rest: Vec<_> = group.iter().filter_map(|(path, field)| path.split_first().map(|(_, rest)| (rest, *field))).collect();
        if let Some(key) = group.first().and_then(|(path, _)| path.first()) {
            keys.push((key.clone(), build(nodes, node_of, &rest)));
        }
    }
    let end = nodes.len();
    nodes[node] = Node { keys, end, is_field: !ending.is_empty() };
    node
}

/// The elements of a list whose bracket has been read.
fn elements(scanner: &mut Scanner<'_>, slots: &mut Slots) -> Result<Range<usize>, Malformed> {
    let start = slots.elements.len();
    let mut turn = Turn::First;
    while scanner.element(turn)? {
        turn = Turn::Next;
        let token = scanner.value(&mut slots.unescaped)?;
        scanner.skip_rest(token, &mut slots.unescaped)?;
        slots.elements.push(Slot::Token(token));
    }
    Ok(start..slots.elements.len())
}

fn resolve<'a>(place: Text, text: &'a str, unescaped: &'a str) -> &'a str {
    let (letters, range) = match place {
        Text::Plain { start, end } => (text, start..end),
        Text::Unescaped { start, end } => (unescaped, start..end),
    };
    letters.get(range).expect("the scanner cuts at letters of the text it was given")
}
