//! Which runs of a tail are merged.

/// So many runs of like size make one; of like size are runs of which none has more than this many times the rows of another.
pub const TIER: usize = 4;

/// How many of the smallest runs are to be merged into one: [`TIER`] or more, or none. `sizes`: rows of each run, rising.
///
/// Every row of the merge comes to lie in a run at least 1 + (TIER − 1) ÷ TIER = 1.75 times as large as the one it lay in, so it is
/// merged at most log(all rows) ÷ log 1.75 times. What is smaller than the runs of like size goes with them.
pub fn to_merge(sizes: &[usize]) -> usize {
    let mut merge = 0;
    for (from, least) in sizes.iter().enumerate() {
        let to = sizes.partition_point(|size| *size <= least.saturating_mul(TIER));
        if to - from >= TIER {
            merge = to;
        }
    }
    merge
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_runs_and_runs_of_unlike_size_are_left_alone() {
        assert_eq!(to_merge(&[]), 0);
        assert_eq!(to_merge(&[1, 1, 1]), 0);
        assert_eq!(to_merge(&[1, 1, 1, 1]), 4);
        assert_eq!(to_merge(&[10, 10, 10, 100, 100, 100, 1000]), 0);
        assert_eq!(to_merge(&[1, 100, 100, 100, 100]), 5, "what is smaller goes with them");
        assert_eq!(to_merge(&[100, 100, 100, 100, 1000]), 4, "what is larger stays");
        assert_eq!(to_merge(&[0, 0, 0, 0]), 4);
    }

    #[test]
    fn a_row_is_merged_a_few_times_however_many_follow_it() {
        let (mut sizes, mut merged, mut rows): (Vec<usize>, usize, usize) = (Vec::new(), 0, 0);
        for step in 0..20_000usize {
            let new = 1000 + step % 700;
            rows += new;
            sizes.push(new);
            sizes.sort_unstable();
            let count = to_merge(&sizes);
            let total = sizes.drain(..count).sum::<usize>();
            merged += total;
            if count > 0 {
                sizes.push(total);
                sizes.sort_unstable();
            }
            assert!(sizes.len() <= 4 * TIER * 3, "{sizes:?}");
        }
        // log(20,000) ÷ log 4 is 7.
        assert!(merged < rows * 9, "{merged} of {rows}");
    }
}
