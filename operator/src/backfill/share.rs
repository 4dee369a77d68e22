//! How many pods of a backfill work at a time: those of a namespace share what the platform allows, first come, first served.

use std::sync::Arc;

use kube::ResourceExt;
use tress_crds::Backfill;
use tress_crds::backfill::BackfillPhase;

/// How many work at a time, unless the Backfill or its signal's definition says.
pub(super) const PARALLELISM: i32 = 4;

/// The share of `one` among `all` of its namespace, with at most `limit` together; 0 = it waits for the others. `parallelism`: how many
/// pods one wants.
pub(super) fn of(all: &[Arc<Backfill>], one: &Backfill, limit: i32, parallelism: impl Fn(&Backfill) -> i32) -> i32 {
    let wanted = |backfill: &Backfill| {
        let workers = backfill.status.as_ref().and_then(|status| status.workers).unwrap_or(i32::MAX);
        parallelism(backfill).min(workers)
    };
    let mut working: Vec<&Backfill> = all.iter().map(|b| &**b).filter(|b| is_working(b) && b.uid() != one.uid()).collect();
    working.push(one);
    working.sort_by_key(|b| (started(b), b.creation_timestamp(), b.name_any()));
    let mut left = limit;
    for backfill in working {
        let share = wanted(backfill).min(left);
        if backfill.uid() == one.uid() {
            return share;
        }
        left -= share;
    }
    left
}

fn is_working(backfill: &Backfill) -> bool {
    let phase = backfill.status.as_ref().and_then(|status| status.phase);
    phase == Some(BackfillPhase::Working) && backfill.spec.suspend != Some(true)
}

/// `None` comes first, and is none that works.
fn started(backfill: &Backfill) -> Option<jiff::Timestamp> {
    backfill.status.as_ref().and_then(|status| status.started.as_ref()).map(|time| time.0)
}
