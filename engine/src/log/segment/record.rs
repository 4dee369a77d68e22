//! A record in a segment file: length, checksum, then the body.
//!
//! ```text
//! u32 length of the body | u64 xxh3-64 of length and body | i64 offset | i64 timestamp | i32 key length, −1 = none | u16 headers
//! | key | per header: u16 name length, u32 value length, name, value | payload: the rest
//! ```
//! All integers are little-endian.

use bytes::Bytes;
use xxhash_rust::xxh3::Xxh3;

use crate::log::limits::MAX_RECORD_BYTES;
use crate::log::{NewRecord, Record};

/// Bytes before the body.
pub const HEAD: usize = 12;
const FIXED: usize = 22;
/// Lengths above this are damage: the greatest record, with room for 65535 headers' lengths.
const MAX_BODY: usize = MAX_RECORD_BYTES + FIXED + 6 * 65_535;

/// What reading a frame found.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    /// A whole record, and the bytes that it takes.
    Whole(Record, usize),
    /// Not all of it is here: at least this many bytes are needed.
    Short(usize),
    /// It is not what was written.
    Damaged,
}

/// Appends a record's frame to `out`.
pub fn encode(out: &mut Vec<u8>, offset: i64, timestamp: i64, record: &NewRecord) {
    let start = out.len();
    out.extend_from_slice(&[0; HEAD]);
    out.extend_from_slice(&offset.to_le_bytes());
    out.extend_from_slice(&timestamp.to_le_bytes());
    let key_length = record.key.as_ref().map_or(-1, |k| i32::try_from(k.len()).expect("records are checked to be small"));
    out.extend_from_slice(&key_length.to_le_bytes());
    let headers = u16::try_from(record.headers.len()).expect("records are checked to have few headers");
    out.extend_from_slice(&headers.to_le_bytes());
    out.extend_from_slice(record.key.as_deref().unwrap_or_default());
    for (name, value) in &record.headers {
        out.extend_from_slice(&u16::try_from(name.len()).expect("header names are checked").to_le_bytes());
        out.extend_from_slice(&u32::try_from(value.len()).expect("records are checked to be small").to_le_bytes());
        out.extend_from_slice(name.as_bytes());
        out.extend_from_slice(value);
    }
    out.extend_from_slice(&record.payload);
    let length = u32::try_from(out.len() - start - HEAD).expect("records are checked to be small").to_le_bytes();
    let checksum = checksum(length, &out[start + HEAD..]);
    out[start..start + 4].copy_from_slice(&length);
    out[start + 4..start + HEAD].copy_from_slice(&checksum.to_le_bytes());
}

/// Reads the frame at the start of `bytes`. Its parts share `bytes`' memory.
#[must_use]
pub fn decode(bytes: &Bytes) -> Frame {
    let Some(head) = bytes.get(..HEAD) else { return Frame::Short(HEAD) };
    let length_bytes = [head[0], head[1], head[2], head[3]];
    let length = u32::from_le_bytes(length_bytes) as usize;
    if !(FIXED..=MAX_BODY).contains(&length) {
        return Frame::Damaged;
    }
    if bytes.len() < HEAD + length {
        return Frame::Short(HEAD + length);
    }
    let mut body = bytes.slice(HEAD..HEAD + length);
    let mut expected = [0; 8];
    expected.copy_from_slice(&head[4..HEAD]);
    if checksum(length_bytes, &body) != u64::from_le_bytes(expected) {
        return Frame::Damaged;
    }
    fields(&mut body).map_or(Frame::Damaged, |record| Frame::Whole(record, HEAD + length))
}

fn fields(body: &mut Bytes) -> Option<Record> {
    let offset = i64::from_le_bytes(array(body)?);
    let timestamp = i64::from_le_bytes(array(body)?);
    let key_length = i32::from_le_bytes(array(body)?);
    let count = u16::from_le_bytes(array(body)?);
    let key = match key_length {
        -1 => None,
        length => Some(take(body, usize::try_from(length).ok()?)?),
    };
    let mut headers = Vec::new();
    for _ in 0..count {
        let name_length = u16::from_le_bytes(array(body)?);
        let value_length = u32::from_le_bytes(array(body)?);
        let name = String::from_utf8(take(body, usize::from(name_length))?.to_vec()).ok()?;
        headers.push((name, take(body, value_length as usize)?));
    }
    Some(Record { offset, timestamp, key, payload: std::mem::take(body), headers })
}

fn take(bytes: &mut Bytes, count: usize) -> Option<Bytes> {
    (bytes.len() >= count).then(|| bytes.split_to(count))
}

fn array<const N: usize>(bytes: &mut Bytes) -> Option<[u8; N]> {
    take(bytes, N)?.as_ref().try_into().ok()
}

fn checksum(length: [u8; 4], body: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    hash.update(&length);
    hash.update(body);
    hash.digest()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Vec<u8> {
        let mut out = Vec::new();
        let headers = vec![("kind".to_owned(), Bytes::from_static(b"rows"))];
        let record = NewRecord { key: Some("key".into()), payload: "payload".into(), headers, timestamp: None };
        encode(&mut out, 7, 1_000, &record);
        out
    }

    #[test]
    fn a_record_reads_back_whole_and_every_shorter_piece_is_short() {
        let bytes = frame();
        let Frame::Whole(record, taken) = decode(&Bytes::from(bytes.clone())) else { panic!("not whole") };
        assert_eq!((record.offset, record.timestamp, taken), (7, 1_000, bytes.len()));
        assert_eq!((record.key.as_deref(), record.payload.as_ref()), (Some(&b"key"[..]), &b"payload"[..]));
        for length in 0..bytes.len() {
            assert!(matches!(decode(&Bytes::copy_from_slice(&bytes[..length])), Frame::Short(_)), "{length}");
        }
    }

    #[test]
    fn no_changed_bit_goes_unseen() {
        let bytes = frame();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut changed = bytes.clone();
                changed[at] ^= 1 << bit;
                assert!(!matches!(decode(&Bytes::from(changed)), Frame::Whole(..)), "byte {at} bit {bit}");
            }
        }
    }
}
