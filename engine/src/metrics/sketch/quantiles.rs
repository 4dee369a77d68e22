//! Counts of numbers by size: eight buckets between a power of two and the next, so that no value is far from the middle of its bucket.

/// Buckets of an octave: by the first three bits of a float's fraction.
const PARTS: usize = 8;
/// What is smaller counts as zero.
const SMALLEST: i32 = -32;
/// What is as large or larger counts as the largest.
const OCTAVES: usize = 96;

/// Counts of numbers. Holds nothing until the first number comes.
#[derive(Debug, Default)]
pub struct Quantiles {
    /// Negative numbers, zeros, positive numbers: the smallest first.
    counts: Vec<u32>,
    total: u64,
}

const SIDE: usize = OCTAVES * PARTS;

impl Quantiles {
    pub fn add(&mut self, value: f64) {
        if value.is_nan() {
            return;
        }
        if self.counts.is_empty() {
            self.counts = vec![0; 2 * SIDE + 1];
        }
        if let Some(count) = self.counts.get_mut(place(value)) {
            *count = count.saturating_add(1);
            self.total += 1;
        }
    }

    /// Values at these shares of all numbers of some sketches; `None` when there are none.
    pub fn of<const N: usize>(sketches: &[&Self], shares: [f64; N]) -> Option<[f64; N]> {
        let total: u64 = sketches.iter().map(|s| s.total).sum();
        if total == 0 {
            return None;
        }
        Some(shares.map(|share| {
            // The rank of the value, from 0 on.
            let rank = ((total - 1) as f64 * share).round() as u64;
            let mut before = 0;
            let found = (0..=2 * SIDE).find(|place| {
                before += sketches.iter().map(|s| u64::from(s.counts.get(*place).copied().unwrap_or(0))).sum::<u64>();
                before > rank
            });
            middle(found.unwrap_or(2 * SIDE))
        }))
    }
}

/// The place of a number among the counts.
fn place(value: f64) -> usize {
    let bits = value.abs().to_bits();
    let exponent = i32::try_from(bits >> 52).unwrap_or(0) - 1023;
    if exponent < SMALLEST {
        return SIDE;
    }
    let octave = usize::try_from(exponent - SMALLEST).unwrap_or(0);
    let part = usize::try_from((bits >> 49) & 7).unwrap_or(0);
    let size = if octave < OCTAVES { octave * PARTS + part } else { SIDE - 1 };
    if value < 0.0 { SIDE - 1 - size } else { SIDE + 1 + size }
}

/// The middle of the numbers at a place.
fn middle(place: usize) -> f64 {
    let of = |size: usize| {
        let octave = i32::try_from(size / PARTS).unwrap_or(0) + SMALLEST;
        (1.0 + ((size % PARTS) as f64 + 0.5) / PARTS as f64) * f64::from(octave).exp2()
    };
    match place {
        SIDE => 0.0,
        place if place < SIDE => -of(SIDE - 1 - place),
        place => of(place - SIDE - 1),
    }
}
