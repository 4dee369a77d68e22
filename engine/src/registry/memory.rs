//! What was asked lately: each id once, also by several at once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::OnceCell;

use super::Found;
use crate::clock::Stopwatch;
use crate::error::Result;

/// How much is kept; beyond that all is forgotten, and asked for again.
const MAX_IDS: usize = 1_000;
const MAX_BYTES: usize = 16 << 20;
/// How long it counts that an id has no schema.
const NOTHING_COUNTS: Duration = Duration::from_secs(10);

#[derive(Debug, Default)]
pub struct Memory(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    ids: BTreeMap<u32, Arc<OnceCell<(Found, Stopwatch)>>>,
    bytes: usize,
}

impl Memory {
    /// What is known of an id, or what `ask` says. An error is told to whoever caused it, and kept for nobody.
    pub async fn get<F>(&self, id: u32, ask: impl FnOnce() -> F) -> Result<Found>
    where
        F: Future<Output = Result<Found>>,
    {
        let cell = self.cell(id);
        let known = cell.get_or_try_init(|| async {
            let found = ask().await?;
            if let Found::Schema(text) = &found {
                self.count(text.schema.len() + text.references.iter().map(String::len).sum::<usize>());
            }
            Ok::<_, crate::error::Error>((found, Stopwatch::start()))
        });
        Ok(known.await?.0.clone())
    }

    fn cell(&self, id: u32) -> Arc<OnceCell<(Found, Stopwatch)>> {
        let mut known = self.0.lock();
        let is_old =
            |cell: &Arc<OnceCell<(Found, Stopwatch)>>| matches!(cell.get(), Some((Found::None, since)) if since.elapsed() > NOTHING_COUNTS);
        if known.ids.get(&id).is_some_and(is_old) {
            known.ids.remove(&id);
        }
        if known.ids.len() >= MAX_IDS {
            *known = Known::default();
        }
        Arc::clone(known.ids.entry(id).or_default())
    }

    fn count(&self, bytes: usize) {
        let mut known = self.0.lock();
        known.bytes += bytes;
        if known.bytes > MAX_BYTES {
            *known = Known::default();
        }
    }
}
