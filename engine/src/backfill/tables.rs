//! The tables of enrichments, pinned: a backfill's answers depend on the versions that its work plan names and on nothing else.

use std::collections::BTreeMap;
use std::sync::Arc;

use object_store::path::Path;
use serde::{Deserialize, Serialize};
use tress_configs::SignalPlan;
use tress_configs::plan::EnrichmentPlan;

use crate::error::{Context, Error, Result};
use crate::lake::Lake;
use crate::lookup::{Lookup, TableLookup};

/// Which state of an enrichment's table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum TableVersion {
    /// Of a Delta table.
    Delta(u64),
    /// Of a folder of files: the identity of their contents.
    Files(String),
}

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
    pub async fn versions(&self) -> Result<Vec<TableVersion>> {
        let mut versions = Vec::with_capacity(self.plan.enrichments.len());
        for enrichment in &self.plan.enrichments {
            let doing = || format!("enrichment {}", enrichment.name);
            let lake = self.lake(enrichment)?;
            let table = lake.delta(&Path::from(enrichment.lookup.table.as_str())).await.context(doing)?;
            versions.push(match table.and_then(|t| t.version()) {
                Some(version) => TableVersion::Delta(version),
                // Plain files have no versions: what they hold is the version.
                None => TableVersion::Files(lookup(lake, enrichment, None).await.context(doing)?.identity()),
            });
        }
        Ok(versions)
    }

    /// One lookup per enrichment, of these versions.
    ///
    /// # Errors
    /// As [`Tables::versions`]; `Invalid` when a table without versions has changed; `Corrupt` when there are not as many versions as
    /// enrichments.
    pub async fn load(&self, versions: &[TableVersion]) -> Result<Vec<Arc<dyn Lookup>>> {
        if versions.len() != self.plan.enrichments.len() {
            return Err(Error::corrupt("load tables: the work plan names other enrichments than the signal has"));
        }
        let mut lookups: Vec<Arc<dyn Lookup>> = Vec::with_capacity(versions.len());
        for (enrichment, version) in self.plan.enrichments.iter().zip(versions) {
            let lake = self.lake(enrichment)?;
            let doing = || format!("enrichment {}", enrichment.name);
            lookups.push(match version {
                TableVersion::Delta(version) => lookup(lake, enrichment, Some(*version)).await.context(doing)?,
                TableVersion::Files(identity) => {
                    let found = lookup(lake, enrichment, None).await.context(doing)?;
                    if found.identity() != *identity {
                        return Err(Error::invalid(format!(
                            "enrichment {}: the files of table {} changed after the backfill was planned; abandon it and plan anew, or use a Delta table",
                            enrichment.name, enrichment.lookup.table
                        )));
                    }
                    found
                }
            });
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

async fn lookup(lake: &Lake, enrichment: &EnrichmentPlan, version: Option<u64>) -> Result<Arc<dyn Lookup>> {
    Ok(Arc::new(TableLookup::load(Arc::clone(lake.store()), enrichment, version).await?))
}
