//! Which secrets are mounted now. A client keeps those that it was made with: when others are mounted, clients are made anew.

use std::path::Path;
use std::time::Duration;

use parking_lot::Mutex;
use xxhash_rust::xxh3::xxh3_128;

use super::connection::{ClientCertificate, Connection, Sasl, Tls};
use crate::clock::Stopwatch;

/// How long what was read of the files counts.
const FRESH: Duration = Duration::from_secs(10);

/// A connection, and how often its secrets were replaced.
#[derive(Debug)]
pub struct Credentials {
    connection: Connection,
    fresh: Duration,
    seen: Mutex<Seen>,
}

#[derive(Debug)]
struct Seen {
    /// Of all files; `None` = one of them could not be read.
    hash: Option<u128>,
    generation: u64,
    looked: Stopwatch,
}

impl Credentials {
    pub fn of(connection: Connection) -> Self {
        Self::looked_at_every(connection, FRESH)
    }

    fn looked_at_every(connection: Connection, fresh: Duration) -> Self {
        let seen = Seen { hash: hash(&connection), generation: 0, looked: Stopwatch::start() };
        Self { connection, fresh, seen: Mutex::new(seen) }
    }

    pub const fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Rises when other secrets are mounted. A file that cannot be read is being replaced: what was there before counts till then.
    pub fn generation(&self) -> u64 {
        let mut seen = self.seen.lock();
        if seen.looked.elapsed() >= self.fresh {
            seen.looked = Stopwatch::start();
            let now = hash(&self.connection);
            if now.is_some() && now != seen.hash {
                seen.hash = now;
                seen.generation += 1;
                tracing::info!("other secrets of a Kafka are mounted: its clients are made anew");
            }
        }
        seen.generation
    }

    /// Waits until secrets are mounted that are not of this generation.
    pub async fn renewed(&self, generation: u64) {
        while self.generation() == generation {
            tokio::time::sleep(self.fresh).await;
        }
    }
}

fn hash(connection: &Connection) -> Option<u128> {
    let Connection { bootstrap: _, tls, sasl, missing: _ } = connection;
    let mut files: Vec<&Path> = Vec::new();
    if let Some(Tls { ca, client }) = tls {
        files.extend(ca.as_deref());
        if let Some(ClientCertificate { certificate, key }) = client {
            files.extend([certificate.as_path(), key.as_path()]);
        }
    }
    if let Some(Sasl { mechanism: _, username, password }) = sasl {
        files.extend([username.as_path(), password.as_path()]);
    }
    let mut all = Vec::new();
    for file in files {
        let bytes = std::fs::read(file).ok()?;
        all.extend((bytes.len() as u64).to_le_bytes());
        all.extend(bytes);
    }
    Some(xxh3_128(&all))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::kafka::Mechanism;

    #[test]
    fn a_generation_begins_when_a_secret_is_another_and_not_while_it_is_being_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let (username, password) = (folder.path().join("username"), folder.path().join("password"));
        let write = |name: &str, secret: &str| {
            std::fs::write(&username, name).unwrap();
            std::fs::write(&password, secret).unwrap();
        };
        write("me", "one");
        let sasl = Sasl { mechanism: Mechanism::Plain, username: username.clone(), password: password.clone() };
        let connection = Connection { sasl: Some(sasl), ..Connection::plain("k:1") };
        let credentials = Credentials::looked_at_every(connection.clone(), Duration::ZERO);
        assert_eq!(credentials.generation(), 0);
        write("me", "two");
        assert_eq!((credentials.generation(), credentials.generation()), (1, 1));
        std::fs::remove_file(&password).unwrap();
        assert_eq!(credentials.generation(), 1);
        write("me", "two");
        assert_eq!(credentials.generation(), 1, "the same again");
        write("met", "wo");
        assert_eq!(credentials.generation(), 2, "where one ends and the other begins counts");
        let patient = Credentials::of(connection);
        write("me", "three");
        assert_eq!(patient.generation(), 0, "files are not read at every call");
    }
}
