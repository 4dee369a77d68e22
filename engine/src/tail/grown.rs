//! A list that takes memory as it is used: read by many without a lock, while one makes its places.

use std::sync::OnceLock;

/// Places of the first piece; each further one has twice as many.
const FIRST: usize = 4;
/// Pieces: enough for 16,380 places.
const PIECES: usize = 12;
/// The most places.
pub const MOST: usize = FIRST * ((1 << PIECES) - 1);

/// Places are made piece by piece, stay where they are, and begin as `T` begins.
#[derive(Debug)]
pub struct Grown<T>([OnceLock<Box<[T]>>; PIECES]);

impl<T> Default for Grown<T> {
    fn default() -> Self {
        Self([const { OnceLock::new() }; PIECES])
    }
}

impl<T: Default> Grown<T> {
    /// The place, if it was made: by itself or with others of its piece.
    pub fn get(&self, index: usize) -> Option<&T> {
        let (piece, place) = whereabouts(index);
        self.0.get(piece)?.get()?.get(place)
    }

    /// The place, made unless it is there; `None` beyond [`MOST`].
    pub fn make(&self, index: usize) -> Option<&T> {
        let (piece, place) = whereabouts(index);
        self.0.get(piece)?.get_or_init(|| (0..FIRST << piece).map(|_| T::default()).collect()).get(place)
    }

    /// Places that were made, from the first on.
    pub fn made(&self) -> impl Iterator<Item = &T> {
        self.0.iter().map_while(OnceLock::get).flatten()
    }

    /// Bytes of all that was made, without what places point to.
    pub fn bytes(&self) -> usize {
        self.0.iter().filter_map(OnceLock::get).map(|piece| size_of_val(&**piece)).sum()
    }
}

/// The piece that has it, and its place there.
const fn whereabouts(index: usize) -> (usize, usize) {
    let piece = (index / FIRST + 1).ilog2() as usize;
    (piece, index - FIRST * ((1 << piece) - 1))
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn every_place_is_another_one_and_only_what_is_used_takes_memory() {
        let list: Grown<AtomicUsize> = Grown::default();
        assert_eq!((list.bytes(), list.get(0).map(|_| ())), (0, None));
        for index in 0..MOST {
            let place = list.make(index).unwrap();
            assert_eq!(place.swap(index + 1, Ordering::Relaxed), 0, "nobody else has place {index}");
            let (used, taken) = ((index + 1) * size_of::<AtomicUsize>(), list.bytes());
            assert!((used..=2 * used + FIRST * size_of::<AtomicUsize>()).contains(&taken), "{taken} of {used}");
        }
        assert!(list.make(MOST).is_none() && list.get(MOST).is_none());
        assert!(list.made().map(|place| place.load(Ordering::Relaxed)).eq(1..=MOST), "in order");
    }
}
