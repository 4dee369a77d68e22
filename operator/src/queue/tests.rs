use std::time::Duration;

use super::due::Seen;
use super::*;
use crate::clock::Stopwatch;

fn key(name: &str) -> Key {
    Key::new("n", name)
}

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_key_is_there_once_at_its_earliest_time() {
    let now = Stopwatch::start().reaches(Duration::ZERO);
    let mut due = Due::default();
    due.add(key("a"), now + SECOND);
    due.add(key("a"), now);
    due.add(key("a"), now + 2 * SECOND);
    assert_eq!((due.depth(now), due.first()), (1, Some(now)));
    assert_eq!((due.take(now), due.take(now + 9 * SECOND)), (Some(key("a")), None));
}

#[test]
fn what_changes_while_it_is_looked_at_is_looked_at_again_and_never_twice_at_a_time() {
    let now = Stopwatch::start().reaches(Duration::ZERO);
    let mut due = Due::default();
    due.add(key("a"), now);
    assert_eq!(due.take(now), Some(key("a")));
    due.add(key("a"), now);
    assert_eq!(due.take(now), None);
    due.ended(&key("a"), Seen::Well(None), now);
    assert_eq!(due.take(now), Some(key("a")));
    due.ended(&key("a"), Seen::Well(None), now);
    assert_eq!(due.first(), None);
}

#[test]
fn pauses_grow_up_to_five_minutes_and_begin_anew_after_success() {
    let now = Stopwatch::start().reaches(Duration::ZERO);
    let mut due = Due::default();
    let mut pauses = Vec::new();
    for _ in 0..12 {
        due.add(key("a"), now);
        due.take(now).unwrap();
        due.ended(&key("a"), Seen::Failed, now);
        pauses.push(due.first().unwrap() - now);
    }
    assert!(pauses[0] <= SECOND && pauses[0] > SECOND * 3 / 4, "{pauses:?}");
    assert!(pauses.windows(2).all(|pair| pair[0] <= pair[1]), "{pauses:?}");
    assert!(pauses[11] <= 300 * SECOND && pauses[11] > 225 * SECOND, "{pauses:?}");
    due.add(key("a"), now);
    due.take(now).unwrap();
    due.ended(&key("a"), Seen::Well(None), now);
    due.add(key("a"), now);
    due.take(now).unwrap();
    due.ended(&key("a"), Seen::Failed, now);
    assert_eq!(due.first().unwrap() - now, pauses[0]);
}

#[test]
fn a_change_ends_the_pause_of_what_failed() {
    let now = Stopwatch::start().reaches(Duration::ZERO);
    let mut due = Due::default();
    due.add(key("a"), now);
    due.take(now).unwrap();
    due.ended(&key("a"), Seen::Failed, now);
    assert_eq!(due.take(now), None);
    due.add(key("a"), now);
    assert_eq!(due.take(now), Some(key("a")));
}

#[test]
fn keys_are_taken_by_their_times() {
    let now = Stopwatch::start().reaches(Duration::ZERO);
    let mut due = Due::default();
    due.add(key("late"), now + 2 * SECOND);
    due.add(key("early"), now + SECOND);
    assert_eq!(due.take(now), None);
    let taken: Vec<_> = std::iter::from_fn(|| due.take(now + 3 * SECOND)).map(|key| key.name).collect();
    assert_eq!(taken, ["early", "late"]);
}
