//! One signal revision in this process: base, tail and history, shared by all features that read it.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use tress_configs::SignalPlan;

use super::{Progress, SignalState};
use crate::backfill::Cut;
use crate::entity::{Entity, shard_of};
use crate::error::Result;
use crate::history::{History, Snapshot};
use crate::tail::{Held, Sealed, Settings, Shard};

/// A signal revision that is loaded.
#[derive(Debug)]
pub struct SignalStore {
    uid: String,
    plan: Arc<SignalPlan>,
    shards: Vec<Shard>,
    history: History,
    base: ArcSwapOption<BaseFacts>,
    progress: Progress,
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
            shards: (0..shards).map(|shard| Shard::new(settings.for_shard(shard, shards))).collect(),
            progress: Progress::new(shards),
            base: ArcSwapOption::empty(),
            history,
            plan,
        }
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
    /// `Full` when the tail has to spill and the disk has no room.
    pub fn install(&self, base: Installed) -> Result<()> {
        if self.base().is_some_and(|seen| seen.manifest >= base.facts.manifest) {
            return Ok(());
        }
        let manifest = base.facts.manifest;
        for (shard, generations) in self.shards.iter().zip(base.shards) {
            shard.install(Sealed { manifest, generations, history: Some(Arc::clone(&base.history)), cut: base.cut.clone() })?;
        }
        self.base.store(Some(Arc::new(base.facts)));
        Ok(())
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
