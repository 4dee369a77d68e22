//! A lookup whose table is swapped for a newer one while it answers.

use std::sync::Arc;

use arc_swap::ArcSwap;
use arrow::array::{RecordBatch, TimestampMicrosecondArray};
use async_trait::async_trait;
use object_store::ObjectStore;
use tokio::sync::Mutex;
use tress_configs::plan::EnrichmentPlan;

use super::{Found, Lookup, TableLookup, files};
use crate::error::Result;

/// Answers from the newest table it was asked to load. Each call is answered from one version.
#[derive(Debug)]
pub struct ReloadingLookup {
    store: Arc<dyn ObjectStore>,
    plan: EnrichmentPlan,
    current: ArcSwap<TableLookup>,
    /// One refresh at a time: a slower one must not put back an older table.
    refreshing: Mutex<()>,
}

/// What a refresh did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Refreshed {
    Unchanged,
    Swapped { from: String, to: String },
}

impl ReloadingLookup {
    /// Loads the newest version.
    ///
    /// # Errors
    /// As [`TableLookup::load`].
    pub async fn load(store: Arc<dyn ObjectStore>, plan: EnrichmentPlan) -> Result<Self> {
        let table = TableLookup::load(Arc::clone(&store), &plan, None).await?;
        Ok(Self { store, plan, current: ArcSwap::from_pointee(table), refreshing: Mutex::new(()) })
    }

    /// Loads the table again if it has changed, and answers from it from then on. On an error the old one goes on answering.
    ///
    /// # Errors
    /// As [`TableLookup::load`].
    pub async fn refresh(&self) -> Result<Refreshed> {
        let _one = self.refreshing.lock().await;
        let current = self.current.load_full();
        let found = files::find(&self.store, &self.plan.lookup.table, None).await?;
        if found.snapshot == *current.snapshot() {
            return Ok(Refreshed::Unchanged);
        }
        let newer = Arc::new(TableLookup::read(Arc::clone(&self.store), &self.plan, found).await?);
        let (from, to) = (current.identity(), newer.identity());
        self.current.store(newer);
        Ok(if from == to { Refreshed::Unchanged } else { Refreshed::Swapped { from, to } })
    }
}

#[async_trait]
impl Lookup for ReloadingLookup {
    async fn lookup(&self, keys: &RecordBatch, as_of: &TimestampMicrosecondArray) -> Result<Found> {
        let table = self.current.load_full();
        table.lookup(keys, as_of).await
    }

    fn identity(&self) -> String {
        self.current.load().identity()
    }
}
