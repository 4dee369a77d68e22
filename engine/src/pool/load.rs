//! One load: from a revision's UID to a feature that can be read.

use std::sync::Arc;

use tress_configs::Plan;
use tress_configs::name::QualifiedName;

use super::signals::{Signals, Use};
use crate::error::{Error, Result};
use crate::platform::Platform;
use crate::prepare;
use crate::serve::Pinned;
use crate::store::ServedFeature;

/// A feature's revision that can be read, and what keeps its signals followed.
#[derive(Debug)]
pub struct Loaded {
    pub served: Arc<ServedFeature>,
    pub uses: Vec<Use>,
}

/// Loads a revision of `feature`, and waits until everything that its changelogs hold now can be read.
///
/// # Errors
/// `NotFound` when it was not prepared; `Invalid` when it is not what is named, or is of another feature; as [`Signals::take`] and
/// [`Signals::caught_up`].
pub async fn load(platform: &Platform, signals: &Signals, (feature, pinned): (&QualifiedName, &Pinned)) -> Result<Loaded> {
    let Pinned { uid, digest } = pinned;
    let record = prepare::read_feature(platform, uid).await?;
    let record = record.ok_or_else(|| Error::not_found(format!("revision {uid} is not prepared; prepare it first")))?;
    if record.digest != *digest {
        let message = format!("revision {uid} has digest {}, the route names {digest}; route to what was prepared", record.digest);
        return Err(Error::invalid(message));
    }
    let Plan::Feature(plan) = prepare::plan(platform, digest).await? else {
        return Err(Error::invalid(format!("revision {uid} is a signal's; route to a feature's")));
    };
    if plan.name != *feature {
        return Err(Error::invalid(format!("revision {uid} is of feature {}; route it there", plan.name)));
    }
    let of_plan = plan.signals.iter().map(|read| read.name.to_string());
    if !of_plan.eq(record.signals.iter().map(|signal| signal.name.clone())) {
        return Err(Error::corrupt(format!("revision {uid} does not record the signals that its plan reads; prepare it anew")));
    }
    let mut uses = Vec::with_capacity(record.signals.len());
    for signal in &record.signals {
        uses.push(signals.take(&signal.uid, &signal.digest).await.map_err(|e| e.while_doing(format!("load signal {}", signal.name)))?);
    }
    for used in &uses {
        signals.caught_up(&used.signal).await.map_err(|e| e.while_doing(format!("load signal {}", used.signal.plan.name)))?;
    }
    let stores = uses.iter().map(|used| Arc::clone(&used.signal.followed.store)).collect();
    let served = Arc::new(ServedFeature::new(Arc::new(plan), digest.clone(), stores)?);
    Ok(Loaded { served, uses })
}
