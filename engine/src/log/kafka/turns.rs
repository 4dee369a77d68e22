//! One request at a time goes out to a partition; what comes meanwhile waits here, and goes out together.
//!
//! librdkafka would take it all at once. But it sends a partition's records in order, one request after the other, and while some wait for
//! an answer its thread asks without a pause whether it has come: a whole core, for as long as a producer is busy.

use std::collections::{HashMap, VecDeque};

use parking_lot::Mutex;

/// A partition of a topic.
pub type Place = (String, i32);

/// What waits, by partition, with the bytes of each.
#[derive(Debug)]
pub struct Turns<A>(Mutex<HashMap<Place, VecDeque<(usize, A)>>>);

/// Who sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Whoever came: takes [`Turns::next`] until there is nothing.
    Mine,
    /// Who sends already takes this, too.
    Theirs,
}

impl<A> Default for Turns<A> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<A> Turns<A> {
    pub fn wait(&self, place: &Place, bytes: usize, append: A) -> Turn {
        let mut places = self.0.lock();
        if let Some(waiting) = places.get_mut(place) {
            waiting.push_back((bytes, append));
            return Turn::Theirs;
        }
        places.insert(place.clone(), VecDeque::from([(bytes, append)]));
        Turn::Mine
    }

    /// What goes out now: as much as has waited, of no more than `most` bytes unless it is one. `None` = nothing; the turn is over.
    pub fn next(&self, place: &Place, most: usize) -> Option<Vec<A>> {
        let mut places = self.0.lock();
        let waiting = places.get_mut(place)?;
        let (mut taken, mut total) = (Vec::new(), 0usize);
        while let Some((bytes, _)) = waiting.front() {
            total = total.saturating_add(*bytes);
            if total > most && !taken.is_empty() {
                break;
            }
            taken.extend(waiting.pop_front().map(|(_, append)| append));
        }
        if taken.is_empty() {
            places.remove(place);
            return None;
        }
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_while_something_is_sent_goes_out_together_and_in_order() {
        let (turns, here, there) = (Turns::default(), ("t".to_owned(), 0), ("t".to_owned(), 1));
        assert_eq!(turns.wait(&here, 10, 'a'), Turn::Mine);
        assert_eq!(turns.next(&here, 100), Some(vec!['a']));
        assert_eq!(turns.wait(&there, 10, 'z'), Turn::Mine, "another partition has a turn of its own");
        for append in ['b', 'c', 'd'] {
            assert_eq!(turns.wait(&here, 40, append), Turn::Theirs);
        }
        assert_eq!(turns.wait(&here, 1000, 'e'), Turn::Theirs);
        assert_eq!(turns.next(&here, 100), Some(vec!['b', 'c']));
        assert_eq!(turns.next(&here, 100), Some(vec!['d']));
        assert_eq!(turns.next(&here, 100), Some(vec!['e']), "one goes out, however large");
        assert_eq!(turns.next(&here, 100), None);
        assert_eq!(turns.wait(&here, 1, 'f'), Turn::Mine, "the turn was over");
        assert_eq!(turns.next(&there, 100), Some(vec!['z']));
    }
}
