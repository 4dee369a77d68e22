//! Reads JSON (RFC 8259) token by token, strictly: nothing but one value and white space around it, bounded in depth.
//!
//! Numbers keep their exactness: whole numbers that fit are integers, all others the nearest float64.

/// How deep objects and lists may nest.
const MAX_DEPTH: u32 = 128;

/// A value, or the start of one that has members.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Token {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    /// A number beyond float64.
    TooGreat,
    Text(Text),
    Object,
    Array,
}

/// Where the letters of a string are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Text {
    /// In the record itself.
    Plain { start: usize, end: usize },
    /// In the buffer that strings with escapes are written to.
    Unescaped { start: usize, end: usize },
}

/// The record is not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Malformed;

/// Whether a member follows inside an object or a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    First,
    Next,
}

pub(super) struct Scanner<'a> {
    text: &'a str,
    bytes: &'a [u8],
    at: usize,
    depth: u32,
}

impl<'a> Scanner<'a> {
    pub(super) const fn new(text: &'a str) -> Self {
        Self { text, bytes: text.as_bytes(), at: 0, depth: 0 }
    }

    /// The next value. After `Object` follow calls of `key`, after `Array` of `element`, until they say that it has ended.
    pub(super) fn value(&mut self, unescaped: &mut String) -> Result<Token, Malformed> {
        self.blanks();
        match self.peek().ok_or(Malformed)? {
            b'"' => self.string(unescaped).map(Token::Text),
            b'{' => self.open().map(|()| Token::Object),
            b'[' => self.open().map(|()| Token::Array),
            b't' => self.word("true").map(|()| Token::Bool(true)),
            b'f' => self.word("false").map(|()| Token::Bool(false)),
            b'n' => self.word("null").map(|()| Token::Null),
            _ => self.number(),
        }
    }

    /// The next key of an object, the colon behind it read; `None` at its end.
    pub(super) fn key(&mut self, turn: Turn, unescaped: &mut String) -> Result<Option<Text>, Malformed> {
        if !self.element_of(turn, b'}')? {
            return Ok(None);
        }
        self.blanks();
        let key = self.string(unescaped)?;
        self.blanks();
        self.expect(b':')?;
        Ok(Some(key))
    }

    /// Whether a list has one more element.
    pub(super) fn element(&mut self, turn: Turn) -> Result<bool, Malformed> {
        self.element_of(turn, b']')
    }

    /// Reads over what follows a value's first token.
    pub(super) fn skip_rest(&mut self, token: Token, unescaped: &mut String) -> Result<(), Malformed> {
        let mut turn = Turn::First;
        match token {
            Token::Object => {
                while self.key(turn, unescaped)?.is_some() {
                    turn = Turn::Next;
                    let member = self.value(unescaped)?;
                    self.skip_rest(member, unescaped)?;
                }
            }
            Token::Array => {
                while self.element(turn)? {
                    turn = Turn::Next;
                    let member = self.value(unescaped)?;
                    self.skip_rest(member, unescaped)?;
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// # Errors
    /// When anything but white space is left.
    pub(super) fn end(&mut self) -> Result<(), Malformed> {
        self.blanks();
        if self.at == self.bytes.len() { Ok(()) } else { Err(Malformed) }
    }

    fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\n' | b'\r' | b'\t')) {
            self.at += 1;
        }
    }

    fn expect(&mut self, byte: u8) -> Result<(), Malformed> {
        if self.peek() != Some(byte) {
            return Err(Malformed);
        }
        self.at += 1;
        Ok(())
    }

    fn word(&mut self, word: &str) -> Result<(), Malformed> {
        let rest = self.bytes.get(self.at..).ok_or(Malformed)?;
        if !rest.starts_with(word.as_bytes()) {
            return Err(Malformed);
        }
        self.at += word.len();
        Ok(())
    }

    fn open(&mut self) -> Result<(), Malformed> {
        self.at += 1;
        self.depth += 1;
        if self.depth > MAX_DEPTH { Err(Malformed) } else { Ok(()) }
    }

    fn element_of(&mut self, turn: Turn, close: u8) -> Result<bool, Malformed> {
        self.blanks();
        if self.peek() == Some(close) {
            self.at += 1;
            self.depth -= 1;
            return Ok(false);
        }
        if turn == Turn::Next {
            self.expect(b',')?;
        }
        Ok(true)
    }

    fn number(&mut self) -> Result<Token, Malformed> {
        let start = self.at;
        let negative = self.peek() == Some(b'-');
        if negative {
            self.at += 1;
        }
        match self.peek() {
            Some(b'0') => self.at += 1,
            Some(b'1'..=b'9') => self.digits(),
            _ => return Err(Malformed),
        }
        let mut whole = true;
        if self.peek() == Some(b'.') {
            whole = false;
            self.at += 1;
            self.some_digits()?;
        }
        if matches!(self.peek(), Some(b'e' | b'E')) {
            whole = false;
            self.at += 1;
            if matches!(self.peek(), Some(b'+' | b'-')) {
                self.at += 1;
            }
            self.some_digits()?;
        }
        let text = self.text.get(start..self.at).ok_or(Malformed)?;
        if whole && let Ok(value) = text.parse::<i64>() {
            return Ok(Token::Int(value));
        }
        let value = text.parse::<f64>().map_err(|_| Malformed)?;
        Ok(if value.is_finite() { Token::Float(value) } else { Token::TooGreat })
    }

    fn digits(&mut self) {
        while matches!(self.peek(), Some(b'0'..=b'9')) {
            self.at += 1;
        }
    }

    fn some_digits(&mut self) -> Result<(), Malformed> {
        let start = self.at;
        self.digits();
        if self.at > start { Ok(()) } else { Err(Malformed) }
    }

    fn string(&mut self, unescaped: &mut String) -> Result<Text, Malformed> {
        self.expect(b'"')?;
        let start = self.at;
        self.plain_letters();
        if self.peek() == Some(b'"') {
            let end = self.at;
            self.at += 1;
            return Ok(Text::Plain { start, end });
        }
        let first = unescaped.len();
        let mut from = start;
        loop {
            unescaped.push_str(self.text.get(from..self.at).ok_or(Malformed)?);
            match self.peek() {
                Some(b'"') => {
                    self.at += 1;
                    return Ok(Text::Unescaped { start: first, end: unescaped.len() });
                }
                Some(b'\\') => {
                    self.at += 1;
                    unescaped.push(self.escape()?);
                }
                // The end of the record, or a control character.
                _ => return Err(Malformed),
            }
            from = self.at;
            self.plain_letters();
        }
    }

    fn plain_letters(&mut self) {
        while self.peek().is_some_and(|b| b >= 0x20 && b != b'"' && b != b'\\') {
            self.at += 1;
        }
    }

    fn escape(&mut self) -> Result<char, Malformed> {
        let letter = self.peek().ok_or(Malformed)?;
        self.at += 1;
        Ok(match letter {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => self.code_point()?,
            _ => return Err(Malformed),
        })
    }

    /// `\uXXXX`, or the two of a surrogate pair; half a pair is no character.
    fn code_point(&mut self) -> Result<char, Malformed> {
        let first = self.hex()?;
        if !(0xd800..0xdc00).contains(&first) {
            return char::from_u32(first).ok_or(Malformed);
        }
        self.expect(b'\\')?;
        self.expect(b'u')?;
        let second = self.hex()?;
        if !(0xdc00..0xe000).contains(&second) {
            return Err(Malformed);
        }
        char::from_u32(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00)).ok_or(Malformed)
    }

    fn hex(&mut self) -> Result<u32, Malformed> {
        let mut value = 0;
        for _ in 0..4 {
            let digit = self.peek().and_then(|b| char::from(b).to_digit(16)).ok_or(Malformed)?;
            value = value << 4 | digit;
            self.at += 1;
        }
        Ok(value)
    }
}
