//! What values of a column are like, in a few kilobytes and without the values: quantiles of numbers, distinct values, the share of the
//! most frequent one. All are of a window: a current half and the one before it.

mod distinct;
mod frequent;
mod quantiles;
mod values;

pub use values::{Measures, observe};

use self::distinct::Distinct;
use self::frequent::Frequent;
use self::quantiles::Quantiles;

/// Of one column.
#[derive(Debug, Default)]
pub struct Sketch {
    now: Half,
    before: Half,
}

#[derive(Debug, Default)]
struct Half {
    numbers: Quantiles,
    distinct: Distinct,
    frequent: Frequent,
}

/// What a sketch says of its window. `None` = nothing of that kind was seen.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Summary {
    /// At 5 %, 50 % and 95 %; within a sixteenth of the value.
    pub quantiles: Option<[f64; 3]>,
    /// About how many distinct values: within some 7 % of them, 19 times of 20.
    pub distinct: Option<f64>,
    /// The share of the most frequent value: never more than it is, and less by 3 % of all values at most.
    pub top_share: Option<f64>,
}

/// The quantiles that are told.
pub const QUANTILES: [f64; 3] = [0.05, 0.5, 0.95];

impl Sketch {
    /// A value as a number.
    fn number(&mut self, value: f64) {
        self.now.numbers.add(value);
    }

    /// A value by its hash.
    fn hash(&mut self, hash: u64) {
        self.now.distinct.add(hash);
        self.now.frequent.add(hash);
    }

    /// Begins a new half; what is older than the one that ends is forgotten.
    pub fn turn(&mut self) {
        self.before = std::mem::take(&mut self.now);
    }

    pub fn summary(&self) -> Summary {
        Summary {
            quantiles: Quantiles::of(&[&self.now.numbers, &self.before.numbers], QUANTILES),
            distinct: Distinct::of(&[&self.now.distinct, &self.before.distinct]),
            top_share: Frequent::share(&[&self.now.frequent, &self.before.frequent]),
        }
    }
}

#[cfg(test)]
mod tests;
