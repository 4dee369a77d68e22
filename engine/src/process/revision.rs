//! A signal revision by its UID, as a process finds it in the lake.

use std::sync::Arc;

use tress_configs::{Plan, SignalPlan};

use crate::error::{Error, Result};
use crate::history::History;
use crate::platform::Platform;
use crate::prepare::{self, Revision};

/// A signal revision that was prepared.
#[derive(Debug)]
pub struct Prepared {
    pub revision: Revision,
    pub plan: Arc<SignalPlan>,
}

impl Prepared {
    /// Finds a revision whose connections lead where they led when it was prepared.
    ///
    /// # Errors
    /// `NotFound` for a UID that was not prepared; `Invalid` for one that is no signal's, or whose connections lead elsewhere.
    pub async fn find(platform: &Platform, uid: &str) -> Result<Self> {
        let revision = prepare::read(platform, uid)
            .await?
            .ok_or_else(|| Error::not_found(format!("signal revision {uid}: it was not prepared in this lake; prepare it first")))?;
        let Plan::Signal(plan) = prepare::plan(platform, &revision.digest).await? else {
            return Err(Error::invalid(format!("revision {uid}: it is a feature's, a signal's is needed")));
        };
        prepare::check_identity(platform, &plan, &revision).await?;
        Ok(Self { revision, plan: Arc::new(plan) })
    }

    pub fn history(&self, platform: &Platform) -> History {
        History::new(platform.lake().clone(), &self.revision.uid, Arc::clone(&self.plan))
    }
}
