use super::*;

/// Numbers that jump about, the same in every run.
fn jumps(count: u64) -> impl Iterator<Item = u64> {
    (0..count).map(|n| xxhash_rust::xxh3::xxh3_64(&n.to_le_bytes()))
}

#[test]
fn quantiles_are_within_a_sixteenth_of_the_value_whatever_its_size_and_sign() {
    for scale in [1e-6, 1.0, 1e12] {
        let mut values: Vec<f64> = jumps(5_000).map(|n| ((n % 20_001) as f64 - 10_000.0) * scale).collect();
        let mut sketch = Sketch::default();
        values.iter().for_each(|value| sketch.number(*value));
        values.sort_by(f64::total_cmp);
        let found = sketch.summary().quantiles.expect("numbers");
        for (share, found) in QUANTILES.iter().zip(found) {
            let exact = values[(4_999.0 * share).round() as usize];
            assert!((found - exact).abs() <= exact.abs() / 16.0, "{share}: {found}, exactly {exact}");
        }
    }
}

#[test]
fn zero_the_unbounded_and_what_is_no_number_have_a_place_or_none() {
    let mut sketch = Sketch::default();
    assert_eq!(sketch.summary(), Summary { quantiles: None, distinct: None, top_share: None });
    sketch.number(f64::NAN);
    assert_eq!(sketch.summary().quantiles, None);
    for value in [0.0, -0.0, f64::MIN_POSITIVE] {
        sketch.number(value);
    }
    assert_eq!(sketch.summary().quantiles, Some([0.0; 3]));
    sketch.turn();
    sketch.turn();
    for value in [f64::NEG_INFINITY, f64::MIN, 1.0, f64::MAX, f64::INFINITY] {
        sketch.number(value);
    }
    let [low, middle, high] = sketch.summary().quantiles.expect("numbers");
    assert!(low < -1e18 && low.is_finite() && (middle - 1.0).abs() < 0.07 && high > 1e18 && high.is_finite(), "{low} {middle} {high}");
}

#[test]
fn distinct_values_are_counted_within_a_tenth_and_copies_once() {
    for count in [1, 10, 500, 3_000, 100_000] {
        let mut sketch = Sketch::default();
        for hash in jumps(count).chain(jumps(count)) {
            sketch.hash(hash);
        }
        let found = sketch.summary().distinct.expect("values");
        assert!((found - count as f64).abs() <= 0.1 * count as f64, "{found} of {count}");
    }
}

#[test]
fn the_share_of_the_most_frequent_value_is_found_among_many_others() {
    let mut sketch = Sketch::default();
    // Of 40,000 values each fifth is the same one.
    for (index, other) in jumps(40_000).enumerate() {
        sketch.hash(if index % 5 == 0 { 7 } else { other });
    }
    let found = sketch.summary().top_share.expect("values");
    assert!((0.2 - 1.0 / 33.0..=0.2).contains(&found), "{found}");
}

#[test]
fn a_sketch_forgets_what_is_older_than_its_window() {
    let mut sketch = Sketch::default();
    (0..100).for_each(|_| sketch.number(1.0));
    sketch.turn();
    (0..100).for_each(|_| sketch.number(1_000.0));
    let both = sketch.summary().quantiles.expect("numbers");
    assert!(both[0] < 2.0 && both[2] > 900.0, "{both:?}");
    sketch.turn();
    let newest = sketch.summary().quantiles.expect("numbers");
    assert!(newest.iter().all(|q| *q > 900.0), "{newest:?}");
    sketch.turn();
    assert_eq!(sketch.summary().quantiles, None);
}
