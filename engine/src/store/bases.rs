//! Brings new bases to readers: when one is announced, and every few minutes in case an announcement was missed.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use super::signal::Installed;
use super::{BaseFacts, Budget, SignalStore};
use crate::base::{self, Base, Manifest, Residence};
use crate::error::{Error, Result};
use crate::history::bucket;
use crate::layout;

/// How often the newest base is looked for without being announced.
const LOOK: Duration = Duration::from_secs(300);
/// When it is tried again that could not be shown; each further time twice as late, up to [`LOOK`].
const AGAIN: Duration = Duration::from_secs(2);

/// Loads bases of one signal.
#[derive(Debug)]
pub struct Bases {
    pub store: Arc<SignalStore>,
    pub residence: Residence,
    /// What the bases of all signals may take together; `None` = as much as there is.
    budget: Option<Arc<Budget>>,
    /// The last that was loaded: the next shares its runs.
    loaded: ArcSwapOption<Base>,
    /// Held while one is loaded: two would write the same files.
    loading: Mutex<()>,
    /// Why the newest base is not shown.
    trouble: parking_lot::Mutex<Option<String>>,
}

impl Drop for Bases {
    fn drop(&mut self) {
        if let Some(budget) = &self.budget {
            budget.release(self.store.uid());
        }
    }
}

impl Bases {
    #[must_use]
    pub fn new(store: Arc<SignalStore>, residence: Residence) -> Self {
        Self {
            store,
            residence,
            budget: None,
            loaded: ArcSwapOption::empty(),
            loading: Mutex::default(),
            trouble: parking_lot::Mutex::default(),
        }
    }

    /// Refuses bases beyond a budget.
    #[must_use]
    pub fn within(mut self, budget: Option<Arc<Budget>>) -> Self {
        self.budget = budget;
        self
    }

    /// The base that readers see; `None` = none yet.
    #[must_use]
    pub fn shown(&self) -> Option<Arc<Base>> {
        self.loaded.load_full()
    }

    /// Why the newest base could not be shown when it was last tried; `None` = it could.
    #[must_use]
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// Shows readers the newest base, if they do not see it yet.
    ///
    /// # Errors
    /// `Full` when the budget or the folder has no room; when the lake does not answer or a file of it is damaged; readers go on with
    /// what they have.
    pub async fn refresh(&self) -> Result<()> {
        let refreshed = self.show_newest().await;
        *self.trouble.lock() = refreshed.as_ref().err().map(ToString::to_string);
        refreshed
    }

    async fn show_newest(&self) -> Result<()> {
        let _one_at_a_time = self.loading.lock().await;
        let history = self.store.history();
        let Some(manifest) = Manifest::newest(history).await? else { return Ok(()) };
        if self.store.base().is_some_and(|seen| seen.manifest >= manifest.number) {
            return Ok(());
        }
        let (uid, number, bytes) = (self.store.uid(), manifest.number, manifest.bytes());
        let held = match &self.budget {
            None => 0,
            Some(budget) => budget.hold(uid, bytes).map_err(|e| e.while_doing(format!("load base {number} of {uid}")))?,
        };
        let shown = self.show(manifest).await;
        if let (Err(_), Some(budget)) = (&shown, &self.budget) {
            budget.put_back(uid, held);
        }
        shown
    }

    async fn show(&self, manifest: Manifest) -> Result<()> {
        let (history, before) = (self.store.history(), self.loaded.load_full());
        let base = Arc::new(Base::load(history.lake(), manifest, &self.residence, before.as_deref()).await?);
        let manifest = base.manifest();
        let snapshot = history
            .snapshot_at(Some(manifest.history))
            .await?
            .ok_or_else(|| Error::corrupt(format!("load base {}: version {} of its history is gone", manifest.number, manifest.history)))?;
        let plan = self.store.plan();
        let facts = BaseFacts {
            manifest: manifest.number,
            made_at: manifest.planned_at,
            sealed_through: manifest.newest,
            complete_through: manifest
                .planned_at
                .map(|at| bucket::start_of(at.saturating_sub(plan.lateness_ms.saturating_mul(1000)), plan.bucket)),
            changelog: manifest.changelog.clone(),
        };
        let installed = Installed { facts, history: Arc::new(snapshot), cut: manifest.cut.clone(), shards: base.shards().to_vec() };
        self.store.install(installed)?;
        if let Residence::Folder(folder) = &self.residence
            && let Err(error) = Base::sweep(folder, &[&base])
        {
            tracing::warn!(uid = self.store.uid(), %error, "files of older bases could not be deleted");
        }
        self.loaded.store(Some(base));
        Ok(())
    }

    /// Shows readers the newest base, and makes sure that it has what the restored tail gave up: a base whose manifest is gone is made
    /// again from history.
    ///
    /// # Errors
    /// As [`Bases::refresh`] and [`base::update`]; `Corrupt` when history has less than the tail gave up, too: rows would be missed.
    pub async fn begin(&self) -> Result<()> {
        self.refresh().await?;
        if self.store.is_whole() {
            return Ok(());
        }
        let (history, uid) = (self.store.history(), self.store.uid());
        tracing::warn!(uid, "the base that took over rows of the tail is gone; it is made again from history");
        let demands = Manifest::newest(history).await?.map(|manifest| manifest.demands).unwrap_or_default();
        base::update(history, &demands).await?;
        self.refresh().await?;
        if self.store.is_whole() {
            return Ok(());
        }
        Err(Error::corrupt(format!(
            "load base of {uid}: the tail gave up rows that neither base nor history has; restore {} and {} from a copy, or remove {} and \
             restate all buckets from the raw events",
            layout::history(uid),
            layout::base_manifests(uid),
            layout::signal(uid),
        )))
    }

    /// Refreshes whenever `announced` changes, until `shutdown`.
    pub async fn watch(&self, mut announced: watch::Receiver<u64>, shutdown: &CancellationToken) {
        let mut again = AGAIN;
        loop {
            let mut pause = LOOK;
            match self.refresh().await {
                Ok(()) => again = AGAIN,
                Err(error) => {
                    tracing::warn!(uid = self.store.uid(), %error, "the newest base could not be shown whole; trying again");
                    (pause, again) = (again, (again * 2).min(LOOK));
                }
            }
            tokio::select! {
                () = shutdown.cancelled() => return,
                changed = announced.changed() => if changed.is_err() { return },
                () = tokio::time::sleep(pause) => {}
            }
        }
    }
}
