//! One signal revision in this process: base, tail and history, shared by all features that read it.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use tress_configs::SignalPlan;

use super::{Progress, SignalState};
use crate::backfill::Cut;
use crate::entity::{Entity, shard_of};
use crate::error::Result;
use crate::history::{History, Snapshot};
use crate::layout;
use crate::tail::{Held, Sealed, Settings, Shard};

/// A signal revision that is loaded.
#[derive(Debug)]
pub struct SignalStore {
    uid: String,
    /// The topic of its changelog.
    changelog: String,
    plan: Arc<SignalPlan>,
    shards: Vec<Shard>,
    history: History,
    base: ArcSwapOption<BaseFacts>,
    /// What a base had of the source when the tail gave it up.
    given_up: Mutex<Option<Cut>>,
    progress: Progress,
    /// Why the tail could not be tidied when it was last tried.
    trouble: Mutex<Option<String>>,
}

/// What is told of the base that readers see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseFacts {
    /// Number of its manifest.
    pub manifest: u64,
    /// When its backfill was planned, µs.
    pub made_at: Option<i64>,
    /// The newest event_time that is sealed, µs.
    pub sealed_through: Option<i64>,
    /// The end of the newest bucket that counts as complete, µs.
    pub complete_through: Option<i64>,
    /// Per shard: it has everything of the changelog before this position. Empty = not known.
    pub changelog: Vec<i64>,
}

/// A base that was loaded: what each shard gets, and the history it was made from.
#[derive(Debug)]
pub struct Installed {
    pub facts: BaseFacts,
    pub history: Arc<Snapshot>,
    /// What that history has of the source.
    pub cut: Option<Cut>,
    /// By shard.
    pub shards: Vec<Vec<Arc<crate::run::Run>>>,
}

impl SignalStore {
    /// An empty store; rows come from its changelog, base from the lake.
    #[must_use]
    pub fn new(history: History, settings: &Settings) -> Self {
        let plan = Arc::clone(history.plan());
        let shards = plan.shards as usize;
        Self {
            uid: history.uid().to_owned(),
            changelog: layout::changelog(history.uid()),
            shards: (0..shards).map(|shard| Shard::new(settings.for_shard(shard, shards))).collect(),
            progress: Progress::new(shards),
            base: ArcSwapOption::empty(),
            given_up: Mutex::default(),
            trouble: Mutex::default(),
            history,
            plan,
        }
    }

    /// The same, with a changelog of another name than the one that follows from the UID.
    #[must_use]
    pub fn with_changelog(self, changelog: String) -> Self {
        Self { changelog, ..self }
    }

    /// The topic that its rows come from.
    #[must_use]
    pub fn changelog(&self) -> &str {
        &self.changelog
    }

    #[must_use]
    pub fn uid(&self) -> &str {
        &self.uid
    }

    #[must_use]
    pub const fn plan(&self) -> &Arc<SignalPlan> {
        &self.plan
    }

    #[must_use]
    pub const fn history(&self) -> &History {
        &self.history
    }

    #[must_use]
    pub fn shards(&self) -> &[Shard] {
        &self.shards
    }

    #[must_use]
    pub const fn progress(&self) -> &Progress {
        &self.progress
    }

    /// The base that readers see; `None` = none yet.
    #[must_use]
    pub fn base(&self) -> Option<Arc<BaseFacts>> {
        self.base.load_full()
    }

    /// Shows readers a newer base, shard by shard, each with what it covers gone from the tail in the same swap.
    /// An older one than readers see is ignored.
    ///
    /// # Errors
    /// `Full` when the tail has to spill and the disk has no room: the first such error, after every shard was tried. It may be repeated.
    pub fn install(&self, base: Installed) -> Result<()> {
        if self.base().is_some_and(|seen| seen.manifest >= base.facts.manifest) {
            return Ok(());
        }
        let manifest = base.facts.manifest;
        let mut outcome = Ok(());
        for (shard, generations) in self.shards.iter().zip(base.shards) {
            let sealed = Sealed { manifest, generations, history: Some(Arc::clone(&base.history)), cut: base.cut.clone() };
            // A shard that cannot spill keeps no other from giving up what base covers: that is what makes room.
            outcome = outcome.and(shard.install(sealed));
        }
        outcome?;
        self.base.store(Some(Arc::new(base.facts)));
        Ok(())
    }

    /// The position of the changelog before which the base that readers see has all rows of a shard; 0 = not known of any.
    #[must_use]
    pub fn based(&self, shard: usize) -> i64 {
        self.base().and_then(|base| base.changelog.get(shard).copied()).unwrap_or(0)
    }

    /// Notes what a base had of the source when the tail that was restored gave it up.
    pub(super) fn needs_base(&self, covered: Option<Cut>) {
        *self.given_up.lock() = covered;
    }

    /// Whether base and tail hold everything: the base that readers see has all that the restored tail gave up. It has not when the
    /// manifest of that base was deleted.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        let given_up = self.given_up.lock();
        let Some(given_up) = given_up.as_ref() else { return true };
        self.shards.iter().all(|shard| shard.read_set().sealed.cut.as_ref().is_some_and(|cut| cut.reaches(given_up)))
    }

    /// Tidies every shard of the tail.
    ///
    /// # Errors
    /// The first, after every shard was tried; what could not be tidied stays as it is.
    pub fn tidy(&self) -> Result<()> {
        let mut outcome = Ok(());
        for shard in &self.shards {
            outcome = outcome.and(shard.maintain());
        }
        *self.trouble.lock() = outcome.as_ref().err().map(ToString::to_string);
        outcome
    }

    /// Why the tail could not be tidied when it was last tried; `None` = it could.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// All that this process has of an entity, held until it is dropped.
    #[must_use]
    pub fn hold(&self, entity: &Entity, hash: i64) -> Held {
        self.shards[shard_of(hash, self.plan.shards) as usize].read_set().hold(entity, hash)
    }

    /// How far this signal is, for an entity of that hash.
    #[must_use]
    pub fn state(&self, hash: i64) -> SignalState {
        self.state_of(self.progress.applied_through(shard_of(hash, self.plan.shards) as usize))
    }

    /// How far this signal is in all shards.
    #[must_use]
    pub fn least_state(&self) -> SignalState {
        self.state_of(self.progress.least())
    }

    fn state_of(&self, applied_through: Option<i64>) -> SignalState {
        let base = self.base.load();
        SignalState {
            applied_through,
            history_through: base.as_ref().and_then(|b| b.sealed_through),
            complete_through: base.as_ref().and_then(|b| b.complete_through),
        }
    }

    /// Rows and bytes of the tail that are in memory, for metrics.
    #[must_use]
    pub fn tail_size(&self) -> (usize, usize) {
        self.shards
            .iter()
            .map(|shard| shard.read_set())
            .fold((0, 0), |(rows, bytes), set| (rows + set.tail_rows(), bytes + set.tail_bytes()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::fixture::{Event, event, history, rows};

    #[test]
    fn every_shard_gives_up_what_base_covers_though_another_cannot_spill() {
        let folder = tempfile::tempdir().unwrap();
        let spill = folder.path().join("spill");
        let store = SignalStore::new(history(folder.path()), &Settings { memory: 0, spill_to: Some(spill.clone()) });
        let empty = store.tail_size().1;
        for shard in store.shards() {
            let at = |offset| Event { at: (0, offset), ..event("u", offset, offset) };
            shard.append(rows(&[at(5), at(50)]), 1).unwrap();
        }
        // In the way of the first shard's folder.
        std::fs::create_dir_all(&spill).unwrap();
        std::fs::write(spill.join("0000"), b"").unwrap();
        let base = || Installed {
            facts: BaseFacts { manifest: 1, made_at: None, sealed_through: None, complete_through: None, changelog: Vec::new() },
            history: Arc::new(Snapshot { version: 1, backfill: 1, cut: 1, files: Vec::new() }),
            cut: Some(Cut::Offsets { cluster: "c".into(), topic: "t".into(), ends: [(0, 10)].into() }),
            shards: vec![Vec::new(); store.shards().len()],
        };
        store.install(base()).unwrap_err();
        for shard in store.shards() {
            assert_eq!((shard.read_set().sealed.manifest, shard.read_set().tail_rows()), (1, 1), "covered rows are given up");
        }
        assert_eq!(store.base(), None, "it is not shown whole");
        assert!(store.tidy().is_err());
        let spilled = store.shards().iter().filter(|shard| shard.read_set().tail_bytes() * store.shards().len() == empty).count();
        assert_eq!(spilled, store.shards().len() - 1, "the others have spilled");
        std::fs::remove_file(spill.join("0000")).unwrap();
        store.install(base()).unwrap();
        assert_eq!(store.base().map(|base| base.manifest), Some(1));
        assert_eq!(store.tail_size(), (store.shards().len(), empty));
    }
}
