//! Damaged copies of valid inputs: the same case number always gives the same bytes.

/// A number that looks random and is not (splitmix64).
#[derive(Debug, Clone)]
pub struct Random {
    state: u64,
    /// What [`mutate`] hands out instead of a damaged copy.
    given: Option<Vec<u8>>,
}

/// Numbers that programs get wrong.
const NUMBERS: [&str; 12] = [
    "0",
    "-1",
    "1",
    "255",
    "65536",
    "2147483647",
    "-2147483649",
    "4294967296",
    "9223372036854775807",
    "-9223372036854775808",
    "99999999999999999999999",
    "1e999",
];

/// Longest input: what grows, grows up to here.
const MAX_BYTES: usize = 1 << 16;

impl Random {
    pub const fn new(seed: u64) -> Self {
        Self { state: seed, given: None }
    }

    /// For an input that another fuzzer has made: [`mutate`] hands it out as it is, and all choices follow from it.
    pub fn given(input: &[u8]) -> Self {
        let state = input.iter().fold(0, |state: u64, byte| state.wrapping_mul(0x0100_0000_01b3) ^ u64::from(*byte));
        Self { state, given: Some(input.to_vec()) }
    }

    pub fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than `end`; 0 when that is 0.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % (end.max(1) as u64)).expect("below a usize")
    }
}

/// One of `seeds`, changed in a few places.
pub fn mutate(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    if let Some(given) = random.given.take() {
        return given;
    }
    let mut bytes = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(4) {
        change(random, &mut bytes, seeds);
        bytes.truncate(MAX_BYTES);
    }
    bytes
}

fn change(random: &mut Random, bytes: &mut Vec<u8>, seeds: &[Vec<u8>]) {
    let at = random.below(bytes.len());
    let span = |random: &mut Random, bytes: &[u8]| {
        let start = random.below(bytes.len());
        let longest = if random.below(4) == 0 { bytes.len() } else { 40 };
        start..(start + random.below(longest) + 1).min(bytes.len())
    };
    match random.below(10) {
        0 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
        1 if !bytes.is_empty() => bytes[at] = [0, 1, 0x7f, 0x80, 0xff, b'{', b'"', b'\n'][random.below(8)],
        2 => bytes.truncate(at),
        3 => drop(bytes.drain(span(random, bytes))),
        4 => {
            let copied = bytes[span(random, bytes)].to_vec();
            bytes.splice(at..at, copied);
        }
        5 => {
            let other = &seeds[random.below(seeds.len())];
            let taken = other[span(random, other)].to_vec();
            let over = span(random, bytes);
            bytes.splice(over, taken);
        }
        6 => {
            let random_bytes: Vec<u8> = (0..=random.below(9)).map(|_| random.next() as u8).collect();
            bytes.splice(at..at, random_bytes);
        }
        7 => number(random, bytes, at),
        8 => {
            // A little-endian number where binary formats have one.
            let value = [0u64, 1, u64::MAX, i64::MAX as u64, 1 << 31, 1 << 40][random.below(6)].to_le_bytes();
            let width = [2, 4, 8][random.below(3)];
            let at = at & !3;
            let end = (at + width).min(bytes.len());
            if at < end {
                bytes[at..end].copy_from_slice(&value[..end - at]);
            }
        }
        _ => {
            // Nested ever deeper, or repeated ever longer.
            let piece = bytes[span(random, bytes)].to_vec();
            let times = 1 << random.below(12);
            let grown: Vec<u8> = piece.iter().copied().cycle().take((piece.len() * times).min(MAX_BYTES)).collect();
            bytes.splice(at..at, grown);
        }
    }
}

/// Puts another number in the place of the first one from `at` on.
fn number(random: &mut Random, bytes: &mut Vec<u8>, at: usize) {
    let Some(start) = bytes.iter().skip(at).position(u8::is_ascii_digit).map(|from| at + from) else { return };
    let end = bytes[start..].iter().position(|b| !b.is_ascii_digit()).map_or(bytes.len(), |length| start + length);
    bytes.splice(start..end, NUMBERS[random.below(NUMBERS.len())].bytes());
}

#[test]
fn what_another_fuzzer_gives_is_fed_as_it_is() {
    let mut random = Random::given(b"abc");
    assert_eq!(mutate(&mut random, &[b"seed".to_vec()]), b"abc");
    assert_eq!(Random::given(b"abc").below(1 << 40), Random::given(b"abc").below(1 << 40));
    assert_ne!(Random::given(b"abc").below(1 << 40), Random::given(b"abd").below(1 << 40));
}
