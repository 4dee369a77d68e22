//! The tables of enrichments, pinned: a backfill's answers depend on the versions that its work plan names and on nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;

use object_store::path::Path;
use tress_configs::SignalPlan;
use tress_configs::plan::EnrichmentPlan;

use crate::error::{Context, Error, Result};
use crate::lake::Lake;
use crate::lookup::Lookup;

/// Where a signal's enrichments look things up.
#[derive(Debug, Clone)]
pub struct Tables {
    pub plan: Arc<SignalPlan>,
    /// By connection.
    pub lakes: BTreeMap<String, Lake>,
}

impl Tables {
    /// The newest version of each enrichment's table, in the plan's order.
    ///
    /// # Errors
    /// `Invalid` when a connection is not configured; `NotFound` when there is no such table.
    pub async fn versions(&self) -> Result<Vec<u64>> {
        let mut versions = Vec::with_capacity(self.plan.enrichments.len());
        for enrichment in &self.plan.enrichments {
            let table = &enrichment.lookup.table;
            let missing = || Error::not_found(format!("enrichment {}: there is no table {table}", enrichment.name));
            let found =
                self.lake(enrichment)?.delta(&Path::from(table.as_str())).await.context(|| format!("enrichment {}", enrichment.name))?;
            versions.push(found.and_then(|t| t.version()).ok_or_else(missing)?);
        }
        Ok(versions)
    }

    /// One lookup per enrichment, of these versions.
    ///
    /// # Errors
    /// As [`Tables::versions`]; `Corrupt` when there are not as many versions as enrichments.
    pub async fn load(&self, versions: &[u64]) -> Result<Vec<Arc<dyn Lookup>>> {
        if versions.len() != self.plan.enrichments.len() {
            return Err(Error::corrupt("load tables: the work plan names other enrichments than the signal has"));
        }
        let mut lookups: Vec<Arc<dyn Lookup>> = Vec::with_capacity(versions.len());
        for (enrichment, version) in self.plan.enrichments.iter().zip(versions) {
            lookups.push(load(self.lake(enrichment)?, enrichment, *version).await.context(|| format!("enrichment {}", enrichment.name))?);
        }
        Ok(lookups)
    }

    fn lake(&self, enrichment: &EnrichmentPlan) -> Result<&Lake> {
        let connection = &enrichment.lookup.connection;
        self.lakes.get(connection).ok_or_else(|| {
            Error::invalid(format!(
                "enrichment {}: connection {connection} is not configured; add it to the platform file",
                enrichment.name
            ))
        })
    }
}

async fn load(_lake: &Lake, _enrichment: &EnrichmentPlan, _version: u64) -> Result<Arc<dyn Lookup>> {
    Err(Error::internal("table lookups are not built in"))
}
