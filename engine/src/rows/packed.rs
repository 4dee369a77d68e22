//! Integers in as many bits as they need; a constant column needs none.

use std::ops::Range;

use arrow::buffer::{Buffer, MutableBuffer};

use crate::error::{Error, Result};

/// `value = base + step × packed`, `bits` bits each. Any row is read alone, without what lies before it.
#[derive(Debug, Clone)]
pub struct Packed {
    length: usize,
    /// The least value.
    base: i64,
    /// What every value differs from the least by a multiple of: times that are whole seconds lose their zeros.
    step: u64,
    /// At most [`MOST_BITS`], or 64.
    bits: u32,
    /// Little-endian words, and one more than the last value needs: eight bytes can be read at any place.
    words: Buffer,
}

/// The most bits of a value that one unaligned read of eight bytes reaches, wherever in a byte it begins.
const MOST_BITS: u32 = 57;

/// What a stored column of integers says beside its words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    pub length: usize,
    pub base: i64,
    pub step: u64,
    pub bits: u32,
}

impl Packed {
    pub fn new(values: impl Iterator<Item = i64> + Clone) -> Self {
        let (mut length, mut least, mut greatest, mut step) = (0, i64::MAX, i64::MIN, 0);
        let first = values.clone().next().unwrap_or(0);
        for value in values.clone() {
            length += 1;
            least = least.min(value);
            greatest = greatest.max(value);
            if step != 1 {
                step = common_divisor(step, value.abs_diff(first));
            }
        }
        if length == 0 {
            return Self::constant(0, 0);
        }
        let step = step.max(1);
        let bits = u64::BITS - (greatest.abs_diff(least) / step).leading_zeros();
        let bits = if bits > MOST_BITS { u64::BITS } else { bits };
        if bits == 0 {
            return Self::constant(least, length);
        }
        let mut words = vec![0u64; (length * bits as usize).div_ceil(64) + 1];
        for (row, value) in values.enumerate() {
            let difference = value.abs_diff(least);
            let packed = if step == 1 { difference } else { difference / step };
            let (word, shift) = (row * bits as usize / 64, (row * bits as usize % 64) as u32);
            words[word] |= packed << shift;
            if shift + bits > u64::BITS {
                words[word + 1] |= packed >> (u64::BITS - shift);
            }
        }
        words.iter_mut().for_each(|word| *word = word.to_le());
        Self { length, base: least, step, bits, words: Buffer::from(words) }
    }

    pub fn constant(value: i64, length: usize) -> Self {
        Self { length, base: value, step: 1, bits: 0, words: MutableBuffer::new(0).into() }
    }

    /// What was stored.
    ///
    /// # Errors
    /// `Corrupt` when the words are fewer than the shape says.
    pub fn from_parts(shape: Shape, words: Buffer) -> Result<Self> {
        let Shape { length, base, step, bits } = shape;
        let known = bits <= MOST_BITS || bits == u64::BITS;
        let needed = length.checked_mul(bits as usize).map(|all| if all == 0 { 0 } else { (all.div_ceil(64) + 1) * 8 });
        if !known || needed.is_none_or(|needed| words.len() < needed) {
            return Err(Error::corrupt("read integers: they are shorter than they say; the file was cut or damaged"));
        }
        Ok(Self { length, base, step, bits, words })
    }

    pub const fn shape(&self) -> Shape {
        Shape { length: self.length, base: self.base, step: self.step, bits: self.bits }
    }

    pub const fn words(&self) -> &Buffer {
        &self.words
    }

    pub const fn len(&self) -> usize {
        self.length
    }

    /// Bytes of memory.
    pub fn bytes(&self) -> usize {
        self.words.capacity()
    }

    /// # Panics
    /// Beyond the last row.
    #[inline]
    pub fn get(&self, row: usize) -> i64 {
        if self.bits == 0 {
            return self.base;
        }
        let at = row * self.bits as usize;
        let mut word = [0u8; 8];
        word.copy_from_slice(&self.words.as_slice()[at / 8..at / 8 + 8]);
        let packed = (u64::from_le_bytes(word) >> (at % 8)) & (u64::MAX >> (u64::BITS - self.bits));
        self.base.wrapping_add(packed.wrapping_mul(self.step) as i64)
    }

    pub fn range(&self, rows: Range<usize>) -> impl Iterator<Item = i64> + Clone + '_ {
        rows.map(|row| self.get(row))
    }
}

/// 0 divides nothing and is divided by everything.
const fn common_divisor(mut a: u64, mut b: u64) -> u64 {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn check(values: &[i64]) {
        let packed = Packed::new(values.iter().copied());
        assert_eq!(packed.range(0..packed.len()).collect::<Vec<_>>(), values);
        let again = Packed::from_parts(packed.shape(), packed.words().clone()).unwrap();
        assert_eq!(again.range(0..values.len()).collect::<Vec<_>>(), values);
        if !packed.words().is_empty() {
            assert!(Packed::from_parts(packed.shape(), packed.words().slice_with_length(0, packed.words().len() - 8)).is_err());
        }
    }

    #[test]
    fn constants_take_no_bytes_and_seconds_lose_their_zeros() {
        assert_eq!(Packed::new([7; 1000].into_iter()).bytes(), 0);
        let seconds = |i: i64| 1_700_000_000_000_000 + i * 1_000_000;
        assert!(Packed::new((0..1000).map(seconds)).words().len() <= 1000 * 10 / 8 + 16);
        check(&[i64::MIN, i64::MAX]);
        check(&[i64::MIN, 0, i64::MAX, -1]);
        check(&[]);
    }

    proptest! {
        #[test]
        fn every_value_comes_back(bits in 0u32..64, values in proptest::collection::vec(any::<i64>(), 0..200), step in 1i64..2000) {
            check(&values.iter().map(|v| (v >> bits).wrapping_mul(step)).collect::<Vec<_>>());
        }
    }
}
