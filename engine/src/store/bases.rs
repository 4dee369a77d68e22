//! Brings new bases to readers: when one is announced, and every few minutes in case an announcement was missed.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{Mutex, watch};
use tokio_util::sync::CancellationToken;

use super::signal::Installed;
use super::{BaseFacts, SignalStore};
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
    /// The last that was loaded: the next shares its runs. Held while one is loaded: two would write the same files.
    loaded: Mutex<Option<Arc<Base>>>,
}

impl Bases {
    #[must_use]
    pub fn new(store: Arc<SignalStore>, residence: Residence) -> Self {
        Self { store, residence, loaded: Mutex::new(None) }
    }

    /// Shows readers the newest base, if they do not see it yet.
    ///
    /// # Errors
    /// When the lake does not answer or a file of it is damaged; readers go on with what they have.
    pub async fn refresh(&self) -> Result<()> {
        let mut loaded = self.loaded.lock().await;
        let history = self.store.history();
        let Some(manifest) = Manifest::newest(history).await? else { return Ok(()) };
        if self.store.base().is_some_and(|seen| seen.manifest >= manifest.number) {
            return Ok(());
        }
        let base = Arc::new(Base::load(history.lake(), manifest, &self.residence, loaded.as_deref()).await?);
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
        };
        let installed = Installed { facts, history: Arc::new(snapshot), cut: manifest.cut.clone(), shards: base.shards().to_vec() };
        self.store.install(installed)?;
        if let Residence::Folder(folder) = &self.residence
            && let Err(error) = Base::sweep(folder, &[&base])
        {
            tracing::warn!(uid = self.store.uid(), %error, "files of older bases could not be deleted");
        }
        *loaded = Some(base);
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
