//! A signal's revision: prepared, streamed, archived, folded, kept or dropped, as far as it is needed.
//!
//! ```text
//! observe (needs, jobs, workloads, backfills) ─▶ decide ─▶ status (intent) ─▶ act ─▶ …
//!                                                 ├─ demands    the numbered list that base is made for
//!                                                 ├─ schedule   when the next incremental backfill is due
//!                                                 └─ archive    one for each topic of a namespace
//! ```
//! What is meant is in its status before it is done, and everything that is done can be done again.

mod act;
mod archive;
mod decide;
mod demands;
mod observe;
mod report;
mod schedule;
mod stream;
#[cfg(test)]
mod tests;
mod wake;

use jiff::Timestamp;

pub(crate) use self::act::{place, rendered};
pub use self::decide::{Action, Decision, decide};
pub use self::demands::{covers, list_of};
pub(crate) use self::observe::is_of;
pub use self::observe::{Facts, Stream};
pub use self::wake::triggers;
use crate::context::Context;
use crate::error::Result;
use crate::queue::{Key, Next};

/// Looks at one revision.
///
/// # Errors
/// When the API server refuses or does not answer.
pub async fn reconcile(context: &Context, key: &Key) -> Result<Next> {
    let Some((facts, again)) = observe::observe(context, key) else { return Ok(Next::Rest) };
    let now = context.clock.now();
    let Decision { mut status, actions, next } = decide(&facts, now);
    let before = facts.revision.status.as_ref().map(|status| status.conditions.clone()).unwrap_or_default();
    status.conditions = report::conditions_of(&facts, &status, now);
    context.writer.status(&*facts.revision, &status).await?;
    context.events.transition(&*facts.revision, &before, &status.conditions);
    for action in &actions {
        act::act(context, &facts, action).await?;
    }
    Ok(earliest([next, again]).map_or(Next::Rest, Next::At))
}

fn earliest(times: impl IntoIterator<Item = Option<Timestamp>>) -> Option<Timestamp> {
    times.into_iter().flatten().min()
}
