//! The bytes of one record, read in order, and never beyond their end.

/// The bytes are not of the format, or end too early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

#[derive(Debug, Clone, Copy)]
pub struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub const fn left(&self) -> usize {
        self.rest.len()
    }

    pub fn take(&mut self, bytes: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(bytes).ok_or(Malformed)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Malformed)?;
        self.rest = rest;
        Ok(*taken)
    }

    /// A zigzag varint of at most 64 bits.
    pub fn long(&mut self) -> Result<i64, Malformed> {
        let mut value = 0u64;
        for shift in (0..).step_by(7).take(10) {
            let [byte] = self.array()?;
            if shift == 63 && byte > 1 {
                return Err(Malformed);
            }
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        Err(Malformed)
    }

    pub fn int(&mut self) -> Result<i64, Malformed> {
        self.long().and_then(|value| i32::try_from(value).map(i64::from).map_err(|_| Malformed))
    }

    pub fn boolean(&mut self) -> Result<bool, Malformed> {
        match self.array()? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(Malformed),
        }
    }

    pub fn float(&mut self) -> Result<f32, Malformed> {
        self.array().map(f32::from_le_bytes)
    }

    pub fn double(&mut self) -> Result<f64, Malformed> {
        self.array().map(f64::from_le_bytes)
    }

    /// Bytes with their length before them.
    pub fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(self.long()?).map_err(|_| Malformed)?;
        self.take(length)
    }

    /// Which of `of` choices follows.
    pub fn index(&mut self, of: usize) -> Result<usize, Malformed> {
        usize::try_from(self.long()?).ok().filter(|index| *index < of).ok_or(Malformed)
    }
}
