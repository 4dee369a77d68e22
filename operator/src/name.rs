//! What the operator's objects are called: the same for the same thing, and short enough for whatever is made of them.
//!
//! A definition's name has at most 40 letters; `-` and 10 of base32 make a revision or a backfill (51); `-` and 4 make a job (56);
//! an index below 1000 makes the host name of a pod (60). Kubernetes allows 63.

use jiff::Timestamp;
use xxhash_rust::xxh3::xxh3_64;

/// The most letters of what the operator makes for a definition.
pub const MAX_MADE: usize = 51;
/// The most pods of an indexed job, so that their host names fit.
pub const MAX_WORKERS: u32 = 1000;

/// Why a backfill is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Occasion {
    /// The revision has no history yet.
    First,
    /// The schedule was due then.
    Scheduled(Timestamp),
}

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Job {
    Prepare,
    Plan,
    Work,
    Seal,
    Base,
    Drop,
}

/// The revision of a definition with this source hash.
#[must_use]
pub fn revision(definition: &str, source_hash: &str) -> String {
    format!("{definition}-{}", ten(source_hash))
}

/// The nth attempt of a feature.
#[must_use]
pub fn attempt(feature: &str, number: i32) -> String {
    format!("{feature}-{number}")
}

/// The backfill of a signal's revision on some occasion.
#[must_use]
pub fn backfill(signal: &str, revision_uid: &str, occasion: &Occasion) -> String {
    let when = match occasion {
        Occasion::First => "first".to_owned(),
        Occasion::Scheduled(at) => at.as_second().to_string(),
    };
    format!("{signal}-{}", ten(&format!("{revision_uid}/{when}")))
}

/// A job of a revision or a backfill.
#[must_use]
pub fn job(owner: &str, job: Job) -> String {
    let what = match job {
        Job::Prepare => "prep",
        Job::Plan => "plan",
        Job::Work => "work",
        Job::Seal => "seal",
        Job::Base => "base",
        Job::Drop => "drop",
    };
    format!("{owner}-{what}")
}

/// The number of an attempt of a feature, by its name; `None` = it is no name of one.
#[must_use]
pub fn attempt_of(feature: &str, name: &str) -> Option<i32> {
    name.strip_prefix(feature)?.strip_prefix('-')?.parse().ok()
}

/// The archive of a topic, in a namespace.
#[must_use]
pub fn archive(connection: &str, topic: &str) -> String {
    format!("archive-{}", ten(&format!("{connection}/{topic}")))
}

/// What is kept in the operator's namespace of a signal revision whose topics and tables are to go with it.
#[must_use]
pub fn record(revision_uid: &str) -> String {
    format!("tress-owned-{}", ten(revision_uid))
}

/// 50 bits of a text's hash, as base32 in lower case.
fn ten(text: &str) -> String {
    const LETTERS: [char; 32] = [
        'a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i', 'j', 'k', 'l', 'm', 'n', 'o', 'p', 'q', 'r', 's', 't', 'u', 'v', 'w', 'x', 'y', 'z',
        '2', '3', '4', '5', '6', '7',
    ];
    let hash = xxh3_64(text.as_bytes());
    (0..10).filter_map(|n| LETTERS.get(usize::try_from(hash >> (59 - 5 * n) & 31).ok()?)).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn is_label(name: &str) -> bool {
        let edge = |c: Option<char>| c.is_some_and(|c| c.is_ascii_lowercase() || c.is_ascii_digit());
        name.len() <= 63
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
            && edge(name.chars().next())
            && edge(name.chars().last())
    }

    proptest! {
        #[test]
        fn every_name_that_is_made_fits(name in "[a-z0-9]([-a-z0-9]{0,38}[a-z0-9])?", hash in "h1:[0-9a-f]{32}", second in 0i64..4_000_000_000, n in 1i32..) {
            let scheduled = Occasion::Scheduled(Timestamp::from_second(second).unwrap());
            for owner in [revision(&name, &hash), backfill(&name, &hash, &scheduled), backfill(&name, &hash, &Occasion::First)] {
                prop_assert!(owner.len() <= MAX_MADE && is_label(&owner), "{}", owner);
                for what in [Job::Prepare, Job::Plan, Job::Work, Job::Seal, Job::Base, Job::Drop] {
                    let host = format!("{}-{}", job(&owner, what), MAX_WORKERS - 1);
                    prop_assert!(is_label(&host), "{}", host);
                }
            }
            prop_assert!(attempt(&name, n).len() <= MAX_MADE && is_label(&attempt(&name, n)));
        }
    }

    /// Objects that are there are found again by these names.
    #[test]
    fn names_stay_as_they_are() {
        let hash = "h1:0123456789abcdef0123456789abcdef";
        assert_eq!(revision("rating", hash), revision("rating", hash));
        assert_ne!(revision("rating", hash), revision("rating", "h1:1123456789abcdef0123456789abcdef"));
        assert_ne!(backfill("rating", "u", &Occasion::First), backfill("rating", "v", &Occasion::First));
        let names = [
            revision("rating", hash),
            backfill("rating", "uid", &Occasion::First),
            backfill("rating", "uid", &Occasion::Scheduled(Timestamp::from_second(1_700_000_000).unwrap())),
            job(&revision("rating", hash), Job::Prepare),
            attempt("recent-movies", 7),
            archive("main", "ratings"),
            record("uid"),
        ];
        let wanted = ["rating-w5uwjd5sm2", "rating-5stqbb7nig", "rating-vbth3e7jnr", "rating-w5uwjd5sm2-prep", "recent-movies-7"];
        assert_eq!(names[..5], wanted);
        assert_eq!([names[4].as_str(), "recent-7", "recent-movies-x"].map(|name| attempt_of("recent-movies", name)), [Some(7), None, None]);
        assert_eq!(names[5..], ["archive-xyflmnm2fl", "tress-owned-og25vhuuqv"]);
    }
}
