//! Raw events that were put aside: written by the stream, listed and replayed by people.
//!
//! A dead letter is a record of its own topic: the raw payload as it was, and a header that says why and where it came from.
//! *Replay* appends the payload to the raw topic again, to the partition it came from, with the timestamp it had. So the raw log,
//! the archive and every stream see it as one more copy of that raw event: what has the same identity, version and content counts
//! once, and replaying twice changes nothing. The letters stay where they are.

mod told;

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::log::{Log, NewRecord, Position, Record};
use crate::raw::{DeadLetter, Invalid};

pub use told::{Payload, told};

/// The partition that letters are written to.
pub const PARTITION: i32 = 0;
const HEADER: &str = "letter";
const VERSION: u32 = 1;
const READ_BYTES: usize = 1 << 20;
/// How long a read of letters that are known to be there may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// What the header says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Origin {
    version: u32,
    #[serde(flatten)]
    invalid: Invalid,
    partition: Option<i32>,
    offset: Option<i64>,
    /// Microseconds.
    record_timestamp: Option<i64>,
}

/// A letter as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// In the topic of dead letters.
    pub position: Position,
    /// When it was put aside, in milliseconds.
    pub since: i64,
    pub letter: DeadLetter,
}

/// Which letters: of one partition, within offsets, at most so many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    pub partition: i32,
    pub offsets: Range<i64>,
    pub limit: usize,
}

/// What a replay did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Replayed {
    pub appended: usize,
    /// Letters that came from no topic, but from an external log: repair that log and restate its buckets.
    pub not_of_a_topic: usize,
}

impl Selection {
    /// Every letter, up to `limit`.
    #[must_use]
    pub const fn first(limit: usize) -> Self {
        Self { partition: PARTITION, offsets: 0..i64::MAX, limit }
    }
}

/// The record of a letter.
///
/// # Panics
/// Never: what is written is plain.
#[must_use]
pub fn record(letter: &DeadLetter) -> NewRecord {
    let DeadLetter { invalid, partition, offset, record_timestamp, payload } = letter.clone();
    let origin = Origin { version: VERSION, invalid, partition, offset, record_timestamp };
    let header = serde_json::to_vec(&origin).expect("plain strings and numbers");
    NewRecord { payload, headers: vec![(HEADER.to_owned(), header.into())], ..NewRecord::default() }
}

/// Reads a letter back.
///
/// # Errors
/// `Corrupt` when the record is none.
pub fn read(partition: i32, record: Record) -> Result<Kept> {
    let Record { offset, timestamp, payload, headers, .. } = record;
    let origin = headers.iter().find(|(name, _)| name == HEADER).and_then(|(_, value)| parse(value));
    let Origin { invalid, partition: from, offset: at, record_timestamp, .. } = origin.ok_or_else(|| {
        Error::corrupt(format!(
            "read dead letter at partition {partition}, offset {offset}: it is none; something else wrote to this topic"
        ))
    })?;
    let letter = DeadLetter { invalid, partition: from, offset: at, record_timestamp, payload };
    Ok(Kept { position: Position { partition, offset }, since: timestamp, letter })
}

fn parse(header: &Bytes) -> Option<Origin> {
    serde_json::from_slice::<Origin>(header).ok().filter(|origin| origin.version == VERSION)
}

/// The letters in a signal revision's topic of dead letters, oldest first. What retention dropped is not among them.
///
/// # Errors
/// `NotFound` when there is no such topic; as [`Log::read`].
pub async fn list(log: &dyn Log, topic: &str, selection: &Selection) -> Result<Vec<Kept>> {
    let partition = selection.partition;
    let ends = log.ends(topic).await?;
    let ends = usize::try_from(partition).ok().and_then(|p| ends.get(p)).copied();
    let ends = ends.ok_or_else(|| Error::not_found(format!("list dead letters: topic {topic} has no partition {partition}")))?;
    let end = selection.offsets.end.min(ends.end);
    let mut next = selection.offsets.start.max(ends.start);
    let mut letters = Vec::new();
    while next < end && letters.len() < selection.limit {
        let batch = log.read(topic, Position { partition, offset: next }, READ_BYTES, PATIENCE).await?;
        if batch.next == next {
            break;
        }
        next = batch.next;
        for record in batch.records.into_iter().filter(|r| r.offset < end).take(selection.limit - letters.len()) {
            letters.push(read(partition, record)?);
        }
    }
    Ok(letters)
}

/// Appends the payloads of letters (in one log and topic) to the raw topic that they came from (which may be in another), each with its
/// own timestamp.
///
/// # Errors
/// As [`list`] and [`Log::append`]. What was appended before stays: repeat the replay.
pub async fn replay((own, topic): (&dyn Log, &str), selection: &Selection, (raw, raw_topic): (&dyn Log, &str)) -> Result<Replayed> {
    let mut replayed = Replayed::default();
    for Kept { letter, .. } in list(own, topic, selection).await? {
        let Some(partition) = letter.partition else {
            replayed.not_of_a_topic += 1;
            continue;
        };
        let timestamp = letter.record_timestamp.map(|micros| micros.div_euclid(1000));
        raw.append(raw_topic, partition, vec![NewRecord { payload: letter.payload, timestamp, ..NewRecord::default() }]).await?;
        replayed.appended += 1;
    }
    Ok(replayed)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::clock::FixedClock;
    use crate::log::MemoryLog;
    use crate::raw::Reason;

    const LETTERS: &str = "letters";

    fn letter(offset: i64, partition: Option<i32>) -> DeadLetter {
        DeadLetter {
            invalid: Invalid { reason: Reason::WrongType, field: "rating".into() },
            partition,
            offset: Some(offset),
            record_timestamp: Some(1_000 * offset),
            payload: Bytes::from(format!("payload {offset}")),
        }
    }

    async fn log_with(letters: &[DeadLetter]) -> MemoryLog {
        let log = MemoryLog::new(Arc::new(FixedClock::new(77_000)));
        log.create(LETTERS, 1).await.unwrap();
        log.create("raw", 2).await.unwrap();
        log.append(LETTERS, PARTITION, letters.iter().map(record).collect()).await.unwrap();
        log
    }

    #[tokio::test]
    async fn letters_are_listed_as_they_were_put_aside_within_the_selection() {
        let letters: Vec<_> = (0..10).map(|i| letter(i, Some(1))).collect();
        let log = log_with(&letters).await;
        let listed = list(&log, LETTERS, &Selection { partition: PARTITION, offsets: 3..8, limit: 4 }).await.unwrap();
        assert_eq!(listed.iter().map(|k| &k.letter).collect::<Vec<_>>(), letters[3..7].iter().collect::<Vec<_>>());
        assert_eq!((listed[0].position.offset, listed[0].since), (3, 77));
        assert_eq!(list(&log, LETTERS, &Selection::first(100)).await.unwrap().len(), 10);
    }

    #[tokio::test]
    async fn a_replay_puts_payloads_back_where_and_when_they_were() {
        let log = log_with(&[letter(5, Some(1)), letter(6, None)]).await;
        let replayed = replay((&log, LETTERS), &Selection::first(10), (&log, "raw")).await.unwrap();
        assert_eq!(replayed, Replayed { appended: 1, not_of_a_topic: 1 });
        let records = log.read("raw", Position { partition: 1, offset: 0 }, 1 << 20, Duration::ZERO).await.unwrap().records;
        assert_eq!(records.iter().map(|r| (r.timestamp, r.payload.as_ref())).collect::<Vec<_>>(), [(5, &b"payload 5"[..])]);
    }

    #[tokio::test]
    async fn a_record_that_is_no_letter_is_said_to_be_none() {
        let log = log_with(&[]).await;
        log.append(LETTERS, PARTITION, vec![NewRecord::default()]).await.unwrap();
        let error = list(&log, LETTERS, &Selection::first(1)).await.unwrap_err();
        assert_eq!(error.kind(), crate::ErrorKind::Corrupt);
    }
}
