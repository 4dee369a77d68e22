//! A signal's definition, to the revision that it is.
//!
//! ```text
//! observe (definition, compiled, platform, revisions, readers) ─▶ decide ─▶ create SignalRevision ─▶ report
//! ```
//! What was accepted goes on: a spec with mistakes, with a connection that its namespace may not use, or that readers would break on makes
//! no revision, and says so.

mod admit;
mod decide;
mod observe;
mod report;
#[cfg(test)]
mod tests;

use kube::ResourceExt;
use tress_crds::{SequenceFeature, SignalRevision};

pub use self::decide::{Verdict, decide};
pub use self::observe::{Facts, Last};
use crate::context::Context;
use crate::error::{Error, Result};
use crate::queue::{Key, Next, Triggers};

/// What wakes a definition: itself, its revisions, the features that name it.
#[must_use]
pub fn triggers() -> Triggers {
    Triggers::each(|cluster| &cluster.signals)
        .when(
            |cluster| &cluster.signal_revisions,
            |_, revision: &SignalRevision| vec![Key::new(revision.namespace().unwrap_or_default(), &revision.spec.signal)],
        )
        .when(
            |cluster| &cluster.features,
            |_, feature: &SequenceFeature| {
                let own = feature.namespace().unwrap_or_default();
                let used = feature.spec.definition.signals.iter();
                used.map(|used| Key::new(used.namespace.as_ref().unwrap_or(&own), &used.name)).collect()
            },
        )
}

/// Looks at one definition.
///
/// # Errors
/// When the API server refuses or does not answer.
pub async fn reconcile(context: &Context, key: &Key) -> Result<Next> {
    let Some(facts) = observe::observe(context, key).await? else { return Ok(Next::Rest) };
    let verdict = decide(&facts);
    let accepted = match &verdict {
        Verdict::Make(revision) => {
            let made = context.writer.create(&**revision).await?;
            if made.spec.compiled.source_hash != revision.spec.compiled.source_hash {
                // Another's has the name; now that it is seen, it is decided anew.
                return Err(Error::Conflict);
            }
            Some(made)
        }
        Verdict::Is(revision) => Some(revision.clone()),
        _ => None,
    };
    let status = report::status(&facts, &verdict, accepted.as_deref(), context.clock.now());
    let before = facts.definition.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
    context.writer.status(&*facts.definition, &status).await?;
    context.events.transition(&*facts.definition, &before, &status.conditions);
    Ok(Next::Rest)
}
