//! `prepare`: a plan file becomes a revision.

use std::sync::Arc;

use tress_configs::job::Facts;
use tress_configs::{Plan, SignalPlan};

use super::arguments::Prepare;
use super::{Ended, World};
use crate::error::{Context, Error, Result};
use crate::{layout, prepare};

/// The largest plan file that is read: twice what a plan may have.
const MAX_PLAN_BYTES: u64 = 512 << 10;

pub async fn run(world: &World, Prepare { plan, uid, signals }: Prepare) -> Result<Ended> {
    let doing = || format!("read plan {}", plan.display());
    check_uid(&uid)?;
    // One that was named and is not there is a mistake in the call.
    let size = std::fs::metadata(&plan).map_err(|e| Error::invalid(e.to_string())).context(doing)?.len();
    if size > MAX_PLAN_BYTES {
        return Err(Error::invalid(format!("{size} bytes; a plan has at most 256 KiB")).while_doing(doing()));
    }
    let text = std::fs::read_to_string(&plan).map_err(Error::from).context(doing)?;
    let parsed = Plan::from_json(&text).map_err(|e| Error::invalid(e.to_string())).context(doing)?;
    let path = layout::revision(&uid).to_string();
    let facts = match parsed {
        Plan::Signal(_) if !signals.is_empty() => {
            return Err(Error::invalid("--signal: a signal reads no signals; leave it away"));
        }
        Plan::Signal(plan) => {
            let plan = Arc::new(plan);
            let revision = prepare::signal(&world.platform, &plan, &uid).await?;
            let asked = Plan::Signal(SignalPlan::clone(&plan)).digest();
            if revision.digest != asked {
                return Err(Error::invalid(format!(
                    "revision {uid}: it was prepared with plan {} before; a revision never changes, use a new UID",
                    revision.digest
                )));
            }
            let partitions = world.platform.log(&plan.source.stream.connection)?.ends(&revision.topic).await?.len();
            Facts::Prepared { uid, digest: revision.digest, partitions: u32::try_from(partitions).ok(), path }
        }
        Plan::Feature(plan) => {
            let revision = prepare::feature_revision(&world.platform, &plan, (&uid, &signals)).await?;
            Facts::Prepared { uid, digest: revision.digest, partitions: None, path }
        }
    };
    Ok(Ended::with(facts))
}

/// A UID is part of names of topics, groups and paths.
fn check_uid(uid: &str) -> Result<()> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
    if (1..=128).contains(&uid.len()) && uid.chars().all(fits) && !uid.starts_with('.') {
        return Ok(());
    }
    Err(Error::invalid("--uid: 1 to 128 letters, digits, hyphens and dots, not a dot first"))
}
