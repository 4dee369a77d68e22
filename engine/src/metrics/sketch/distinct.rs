//! HyperLogLog: how many distinct hashes, from the longest run of zeros in each of 1,024 parts.
//!
//! Flajolet, Fusy, Gandouet, Meunier: HyperLogLog, the analysis of a near-optimal cardinality estimation algorithm (2007); the estimate is
//! that of Ertl: New cardinality estimation algorithms for HyperLogLog sketches (2017), which is unbiased from the first hash on.

/// Bits of a hash that choose a register.
const BITS: u32 = 10;
const REGISTERS: usize = 1 << BITS;
/// The longest run, the first one included.
const LONGEST: usize = 64 - BITS as usize + 1;

/// Holds nothing until the first hash comes.
#[derive(Debug, Default)]
pub struct Distinct(Vec<u8>);

impl Distinct {
    pub fn add(&mut self, hash: u64) {
        if self.0.is_empty() {
            self.0 = vec![0; REGISTERS];
        }
        let register = usize::try_from(hash >> (64 - BITS)).unwrap_or(0);
        let zeros = u8::try_from((hash << BITS | 1 << (BITS - 1)).leading_zeros() + 1).unwrap_or(u8::MAX);
        if let Some(longest) = self.0.get_mut(register) {
            *longest = (*longest).max(zeros);
        }
    }

    /// About how many distinct hashes some sketches have seen together; `None` when they have seen none.
    pub fn of(sketches: &[&Self]) -> Option<f64> {
        if sketches.iter().all(|s| s.0.is_empty()) {
            return None;
        }
        // How many registers have each longest run.
        let mut counts = [0_u32; LONGEST + 1];
        for register in 0..REGISTERS {
            let longest = sketches.iter().filter_map(|s| s.0.get(register)).max().copied().unwrap_or(0);
            counts[usize::from(longest).min(LONGEST)] += 1;
        }
        let registers = REGISTERS as f64;
        let mut sum = registers * tau(1.0 - f64::from(counts[LONGEST]) / registers);
        for count in counts[1..LONGEST].iter().rev() {
            sum = 0.5 * (sum + f64::from(*count));
        }
        sum += registers * sigma(f64::from(counts[0]) / registers);
        Some(registers * registers / (2.0 * std::f64::consts::LN_2 * sum))
    }
}

/// Corrects for registers that are empty.
fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z <= before {
            return z;
        }
    }
}

/// Corrects for registers that are full.
fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x).powi(2) * y;
        if z >= before {
            return z / 3.0;
        }
    }
}
