//! Numbers that repeat, as codes of the different ones: ids of items, prices that come from a table.

/// A table is given up where more than one in so many rows is new: codes would hardly be smaller.
const REPEATS: usize = 4;
/// Rows after which a column is given up that has hardly repeated at all.
const TRIAL: usize = 4096;

const EMPTY: u32 = u32::MAX;
/// 2⁶⁴ ÷ the golden ratio: spreads what differs in any bit over the upper ones (Knuth, multiplicative hashing).
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// The codes of a column's rows.
#[derive(Debug)]
pub struct Codes {
    /// Per row, the place of its value in `firsts`.
    pub codes: Vec<i64>,
    /// Per value, the first row that has it, rising.
    pub firsts: Vec<u32>,
}

/// `value`: the bits of a row's value, `None` where it is null. `None` when too few rows repeat.
pub fn codes(rows: usize, value: impl Fn(usize) -> Option<u64>) -> Option<Codes> {
    let most = rows / REPEATS;
    let size = (2 * most).next_power_of_two().max(2);
    let shift = u64::BITS - size.trailing_zeros();
    let mut slots = vec![EMPTY; size];
    let mut distinct: Vec<Option<u64>> = Vec::new();
    let mut null: Option<u32> = None;
    let mut found = Codes { codes: Vec::with_capacity(rows), firsts: Vec::new() };
    for row in 0..rows {
        let value = value(row);
        let slot = match value {
            None => null.get_or_insert(EMPTY),
            Some(bits) => {
                let mut at = (bits.wrapping_mul(SPREAD) >> shift) as usize;
                // At most half full: an empty slot is near.
                while slots[at] != EMPTY && distinct[slots[at] as usize] != value {
                    at = (at + 1) % size;
                }
                &mut slots[at]
            }
        };
        if *slot == EMPTY {
            *slot = u32::try_from(distinct.len()).ok()?;
            distinct.push(value);
            found.firsts.push(u32::try_from(row).ok()?);
            let hardly_any = row + 1 == TRIAL && distinct.len() > TRIAL / 16 * 15;
            if distinct.len() > most || hardly_any {
                return None;
            }
        }
        found.codes.push(i64::from(*slot));
    }
    Some(found)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_column_whose_values_hardly_repeat_is_given_up() {
        assert!(codes(100, |row| Some(row as u64)).is_none());
        assert!(codes(100_000, |row| Some(if row < TRIAL { row as u64 } else { 0 })).is_none());
        assert!(codes(100, |row| Some(row as u64 / 5)).is_some());
        assert!(codes(0, |_| None).is_some_and(|c| c.codes.is_empty()));
    }

    proptest! {
        #[test]
        fn every_row_has_the_value_of_its_code(values in proptest::collection::vec(proptest::option::of(0u64..9), 0..300), scale: u64) {
            let value = |row: usize| values[row].map(|v| v.wrapping_mul(scale));
            if let Some(found) = codes(values.len(), value) {
                for (row, code) in found.codes.iter().enumerate() {
                    prop_assert_eq!(value(found.firsts[*code as usize] as usize), value(row));
                }
                prop_assert!(found.firsts.windows(2).all(|w| w[0] < w[1]));
            } else {
                prop_assert!(values.len() < 40 + 4);
            }
        }
    }
}
