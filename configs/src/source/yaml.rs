//! Text to documents. Events of the parser are folded into JSON values without recursion; what a definition has no use for
//! (aliases, tags, keys that are not scalars) is refused, so that a text never stands for more than its own length.

use std::borrow::Cow;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, StrInput, Tag};
use serde_json::{Map, Value};

use super::positions::{Place, Positions, Text};
use super::scalar;
use crate::issue::{Issue, IssueCode, Position};
use crate::path;

/// The most bytes of one text.
pub const MAX_TEXT: usize = 1024 * 1024;
/// How deep mappings and lists may nest.
pub const MAX_DEPTH: usize = 32;
/// How many documents one text may hold.
pub const MAX_DOCUMENTS: usize = 1000;

/// One document of a text.
#[derive(Debug)]
pub(super) struct Document {
    pub value: Value,
    pub positions: Positions,
    /// What is wrong within it.
    pub issues: Vec<Issue>,
}

/// All documents that can be read, and what stopped the reading, if anything did.
pub(super) fn documents(text: &str) -> (Vec<Document>, Option<Issue>) {
    if text.len() > MAX_TEXT {
        let message = format!("the text has {} bytes; at most {MAX_TEXT} are read", text.len());
        return (Vec::new(), Some(Issue::error("", IssueCode::TooLong, message, "split it into several files")));
    }
    // A byte order mark is no part of the first key.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader { lines: text.lines().collect(), ..Reader::default() };
    let mut parser: Parser<'_, StrInput<'_>> = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = match event {
            Ok(event) => event,
            Err(error) => {
                let help = if error.info().contains("anchor") { ALIAS_HELP } else { SYNTAX_HELP };
                let issue = at(position(*error.marker()), IssueCode::Syntax, format!("this is not YAML: {}", error.info()), help);
                return (reader.documents, Some(issue));
            }
        };
        if let Err(issue) = reader.accept(event, span) {
            return (reader.documents, Some(*issue));
        }
    }
    (reader.documents, None)
}

/// Folds events into documents.
#[derive(Default)]
struct Reader<'a> {
    lines: Vec<&'a str>,
    documents: Vec<Document>,
    stack: Vec<Container>,
    root: Option<Value>,
    positions: Positions,
    issues: Vec<Issue>,
}

/// A mapping or a list that is still open.
struct Container {
    path: String,
    start: Position,
    /// Its own key, in the mapping that holds it.
    key: Option<(String, Position)>,
    kind: Kind,
}

enum Kind {
    /// With the key whose value comes next.
    Mapping(Map<String, Value>, Option<(String, Position)>),
    List(Vec<Value>),
}

impl Reader<'_> {
    fn accept(&mut self, event: Event<'_>, span: Span) -> Result<(), Box<Issue>> {
        let start = position(span.start);
        match event {
            Event::DocumentStart(_) if self.documents.len() >= MAX_DOCUMENTS => {
                let message = format!("there are more than {MAX_DOCUMENTS} documents");
                return Err(Box::new(at(start, IssueCode::TooLong, message, "split the text into several files")));
            }
            Event::DocumentEnd => {
                let value = self.root.take().unwrap_or(Value::Null);
                let positions = std::mem::take(&mut self.positions);
                self.documents.push(Document { value, positions, issues: std::mem::take(&mut self.issues) });
            }
            Event::Alias(_) => {
                return Err(Box::new(at(start, IssueCode::Syntax, "an alias stands here", ALIAS_HELP)));
            }
            Event::Scalar(text, style, _, tag) => self.scalar(&text, style, tag, span)?,
            Event::MappingStart(_, tag) => self.open(Kind::Mapping(Map::new(), None), tag, start)?,
            Event::SequenceStart(_, tag) => self.open(Kind::List(Vec::new()), tag, start)?,
            Event::MappingEnd | Event::SequenceEnd => self.close(),
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentStart(_) => {}
        }
        Ok(())
    }

    fn open(&mut self, kind: Kind, tag: Option<Cow<'_, Tag>>, start: Position) -> Result<(), Box<Issue>> {
        if self.stack.len() >= MAX_DEPTH {
            let message = format!("mappings and lists nest deeper than {MAX_DEPTH}");
            return Err(Box::new(at(start, IssueCode::TooLong, message, "no definition needs that: check the indentation")));
        }
        if self.awaits_key() {
            return Err(Box::new(at(start, IssueCode::Syntax, "a key must be a scalar", "quote the key if it begins with [ or {")));
        }
        if let Some(tag) = tag.filter(|t| !matches!((t.is_yaml_core_schema(), t.suffix.as_str()), (true, "map" | "seq"))) {
            return Err(Box::new(unknown_tag(&tag, start)));
        }
        let (path, key) = self.next_path();
        self.stack.push(Container { path, start, key, kind });
        Ok(())
    }

    fn close(&mut self) {
        let Some(Container { path, start, key, kind }) = self.stack.pop() else { return };
        let key_position = key.as_ref().map(|(_, position)| *position);
        self.positions.insert(path, Place { key: key_position, value: start, text: Text::Container });
        let value = match kind {
            Kind::Mapping(map, _) => Value::Object(map),
            Kind::List(items) => Value::Array(items),
        };
        self.put(key.map(|(name, _)| name), value);
    }

    fn scalar(&mut self, text: &str, style: ScalarStyle, tag: Option<Cow<'_, Tag>>, span: Span) -> Result<(), Box<Issue>> {
        let start = position(span.start);
        if self.awaits_key() {
            self.key(text, start);
            return Ok(());
        }
        let value = match tag {
            None if style == ScalarStyle::Plain => scalar::resolve(text),
            None => Value::String(text.to_owned()),
            Some(tag) => match (tag.is_yaml_core_schema(), tag.suffix.as_str()) {
                (true, "str") => Value::String(text.to_owned()),
                (true, "int" | "float" | "bool" | "null") => scalar::resolve(text),
                _ => return Err(Box::new(unknown_tag(&tag, start))),
            },
        };
        let (path, key) = self.next_path();
        let place = Place { key: key.as_ref().map(|(_, position)| *position), value: start, text: self.text(text, style, span) };
        self.positions.insert(path, place);
        self.put(key.map(|(name, _)| name), value);
        Ok(())
    }

    /// Notes the key of the open mapping whose value comes next. A repeated one keeps its first value.
    fn key(&mut self, name: &str, start: Position) {
        let Some(Container { path, kind: Kind::Mapping(map, next), .. }) = self.stack.last_mut() else { return };
        if map.contains_key(name) {
            let message = format!("the key \"{name}\" is given twice");
            let mut issue = at(start, IssueCode::Duplicate, message, "keep one of them");
            issue.path = path::member(path, name);
            self.issues.push(issue);
        }
        *next = Some((name.to_owned(), start));
    }

    fn awaits_key(&self) -> bool {
        matches!(self.stack.last(), Some(Container { kind: Kind::Mapping(_, None), .. }))
    }

    /// The path of the value that comes next, and its key.
    fn next_path(&mut self) -> (String, Option<(String, Position)>) {
        match self.stack.last_mut() {
            None => (String::new(), None),
            Some(Container { path, kind: Kind::List(items), .. }) => (path::item(path, items.len()), None),
            Some(Container { path, kind: Kind::Mapping(_, next), .. }) => {
                let key = next.take();
                (path::member(path, key.as_ref().map_or("", |(name, _)| name)), key)
            }
        }
    }

    fn put(&mut self, key: Option<String>, value: Value) {
        match self.stack.last_mut().map(|c| &mut c.kind) {
            None => self.root = Some(value),
            Some(Kind::List(items)) => items.push(value),
            Some(Kind::Mapping(map, _)) => {
                map.entry(key.unwrap_or_default()).or_insert(value);
            }
        }
    }

    /// How the letters of a scalar lie in the file.
    fn text(&self, text: &str, style: ScalarStyle, span: Span) -> Text {
        let start = position(span.start);
        match style {
            ScalarStyle::Plain | ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => {
                let quote = usize::from(style != ScalarStyle::Plain);
                let first = Position { line: start.line, column: start.column + quote };
                let same = self.rest(first).is_some_and(|rest| rest.starts_with(text));
                if same { Text::Line(first) } else { Text::Opaque }
            }
            ScalarStyle::Literal | ScalarStyle::Folded => self.block(text, start.line).unwrap_or(Text::Opaque),
        }
    }

    /// A block scalar whose indicator stands on `line`, if every line of it is found below, indented alike.
    fn block(&self, text: &str, line: usize) -> Option<Text> {
        // The span of a block begins at its indicator or at its first letter.
        [line + 1, line].into_iter().find_map(|first| {
            let below = self.lines.get(first - 1..)?;
            let sample = text.lines().zip(below).find(|(wanted, _)| !wanted.trim().is_empty())?;
            let indent = sample.1.len().checked_sub(sample.0.len())?;
            let fits = text.lines().zip(below).all(|(wanted, found)| found.get(indent..).unwrap_or("") == wanted);
            (fits && text.lines().count() <= below.len()).then_some(Text::Block { first, column: indent + 1 })
        })
    }

    /// What stands in the file from `position` to the end of its line.
    fn rest(&self, position: Position) -> Option<&str> {
        let line = self.lines.get(position.line - 1)?;
        let (at, _) = line.char_indices().nth(position.column - 1)?;
        line.get(at..)
    }
}

const ALIAS_HELP: &str = "write the value out; anchors and aliases are not read";
const SYNTAX_HELP: &str =
    "look for a bracket or quote that is not closed, a missing space after a colon, or wrong indentation, here or above";

fn position(marker: Marker) -> Position {
    Position { line: marker.line().max(1), column: marker.col() + 1 }
}

fn unknown_tag(tag: &Tag, start: Position) -> Issue {
    at(start, IssueCode::Syntax, format!("the tag {tag} is not known"), "remove it; a quoted value is a string")
}

fn at(position: Position, code: IssueCode, message: impl Into<String>, help: &str) -> Issue {
    let mut issue = Issue::error("", code, message, help);
    issue.position = Some(position);
    issue
}
