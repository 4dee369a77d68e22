//! `backfill run --schedule`: stays, and folds at the times of a schedule. What was missed is caught up once.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tress_configs::job::Outcome;
use tress_configs::schedule::due::Calendar;

use super::arguments::Run;
use super::monitor::Monitored;
use super::revision::Prepared;
use super::{Ended, World, backfill};
use crate::backfill::in_effect;
use crate::clock::Clock;
use crate::error::{Context, Error, Result};

/// How long it is slept at most: the machine may sleep, too, and its clock may be set.
const LOOK: Duration = Duration::from_secs(10);
/// Before a fold that failed is tried again; each further time twice as long …
const AGAIN: Duration = Duration::from_secs(10);
/// … and at most this long.
const LONGEST: Duration = Duration::from_secs(600);

/// How patient it is.
#[derive(Debug, Clone, Copy)]
struct Pace {
    look: Duration,
    again: Duration,
}

/// Why the newest fold failed; `None` = it did not, or is none yet.
type Trouble = Arc<Mutex<Option<String>>>;

pub async fn run(world: &World, cron: String, arguments: Run) -> Result<Ended> {
    let calendar = Calendar::parse(&cron, &arguments.time_zone).map_err(Error::invalid).context(|| "--schedule".to_owned())?;
    let prepared = Prepared::find(&world.platform, &arguments.plan.uid).await?;
    let (trouble, clock) = (Trouble::default(), Arc::clone(world.platform.clock()));
    let last = folded(world, &prepared).await?.unwrap_or_else(|| clock.now_micros());
    let told = Arc::clone(&trouble);
    let monitored = Monitored::listen(arguments.monitor.clone(), &world.platform, move || told.lock().clone()).await?;
    let monitoring = tokio::spawn(monitored.run(world.shutdown.clone()));
    let fold = async || backfill::whole(world, arguments.clone()).await.map(|ended| ended.outcome);
    let pace = Pace { look: LOOK, again: AGAIN };
    let ended = at_each_time((&calendar, last), (clock.as_ref(), pace), (&world.shutdown, &trouble), fold).await;
    // What scrapes keeps its connection open: it is not waited for.
    monitoring.abort();
    ended.map(|()| Ended::as_asked())
}

/// When the fold was planned that history has; `None` = it has none.
async fn folded(world: &World, prepared: &Prepared) -> Result<Option<i64>> {
    let history = prepared.history(&world.platform);
    let Some(snapshot) = history.snapshot().await? else { return Ok(None) };
    Ok(in_effect(&history, &snapshot).await?.map(|plan| plan.planned_at))
}

/// Folds whenever it is due after `last`, until it is told to stop. One that fails and may work later is tried again, until the next time
/// takes its place.
///
/// # Errors
/// `Invalid` for a schedule that never comes; why a fold failed for good.
async fn at_each_time(
    (calendar, mut last): (&Calendar, i64),
    (clock, pace): (&dyn Clock, Pace),
    (stop, trouble): (&CancellationToken, &Trouble),
    mut fold: impl AsyncFnMut() -> Result<Outcome>,
) -> Result<()> {
    let mut again = pace.again;
    while !stop.is_cancelled() {
        let now = clock.now_micros();
        let pause = match calendar.due(last, now) {
            (Some(due), _) => match fold().await {
                Ok(Outcome::Stopped) => return Ok(()),
                Ok(outcome) => {
                    tracing::info!(?outcome, "folded as it was due");
                    (last, again, *trouble.lock()) = (due, pace.again, None);
                    continue;
                }
                Err(error) if error.kind().may_work_later() => {
                    tracing::warn!(%error, pause = ?again, "a fold that is due failed; trying again after a pause");
                    *trouble.lock() = Some(error.to_string());
                    let pause = again;
                    again = (again * 2).min(LONGEST);
                    pause
                }
                Err(error) => return Err(error),
            },
            (None, Some(next)) => Duration::from_micros(u64::try_from(next.saturating_sub(now)).unwrap_or(0)).min(pace.look),
            (None, None) => return Err(Error::invalid("--schedule: such a day never comes")),
        };
        if stop.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
            break;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::FixedClock;
    use crate::error::ErrorKind;

    const MINUTE: i64 = 60_000_000;
    const DAY: i64 = 24 * 60 * MINUTE;
    /// 2024-01-01, 00:00 UTC.
    const NEW_YEAR: i64 = 1_704_067_200_000_000;
    const PACE: Pace = Pace { look: Duration::from_millis(1), again: Duration::from_millis(1) };

    /// The times at which it was folded, from midnight on, in minutes. `step`: what a fold does: it sets the clock, and ends somehow.
    async fn folds(
        (last, now): (i64, i64),
        cron: &str,
        step: impl Fn(usize, &FixedClock, &CancellationToken) -> Result<Outcome>,
    ) -> (Vec<i64>, Result<()>, Option<String>) {
        let (clock, stop, trouble, mut at) = (FixedClock::new(now), CancellationToken::new(), Trouble::default(), Vec::new());
        let calendar = Calendar::parse(cron, "UTC").unwrap();
        let fold = async || {
            at.push((clock.now_micros() - NEW_YEAR) / MINUTE);
            step(at.len(), &clock, &stop)
        };
        let all = at_each_time((&calendar, last), (&clock, PACE), (&stop, &trouble), fold);
        let ended = tokio::time::timeout(Duration::from_secs(20), all).await.expect("in time");
        let trouble = trouble.lock().clone();
        (at, ended, trouble)
    }

    #[tokio::test]
    async fn what_was_missed_for_days_is_caught_up_once_and_then_it_waits_for_its_time() {
        let (at, ended, trouble) = folds((NEW_YEAR - 5 * DAY, NEW_YEAR + MINUTE), "15 3 * * *", |nth, clock, stop| {
            match nth {
                1 => clock.set(NEW_YEAR + 195 * MINUTE),
                2 => clock.set(NEW_YEAR + DAY + 200 * MINUTE),
                _ => stop.cancel(),
            }
            Ok(Outcome::Succeeded)
        })
        .await;
        ended.unwrap();
        assert_eq!((at, trouble), (vec![1, 195, 1440 + 200], None));
    }

    #[tokio::test]
    async fn a_fold_that_may_work_later_is_tried_again_and_told_and_one_that_will_not_ends_it() {
        let fold = |nth: usize, _: &FixedClock, stop: &CancellationToken| match nth {
            1 | 2 => Err(Error::new(ErrorKind::Unavailable, "the lake does not answer")),
            3 => Ok(Outcome::UpToDate),
            _ => {
                stop.cancel();
                Err(Error::new(ErrorKind::Full, "no room"))
            }
        };
        let (at, ended, trouble) = folds((NEW_YEAR - MINUTE, NEW_YEAR), "0 0 * * *", |nth, clock, stop| {
            if nth == 3 {
                clock.set(NEW_YEAR + DAY);
            }
            fold(nth, clock, stop)
        })
        .await;
        ended.unwrap();
        assert_eq!((at, trouble.as_deref()), (vec![0, 0, 0, 1440], Some("no room")));
        let (_, ended, _) = folds((NEW_YEAR - MINUTE, NEW_YEAR), "0 0 * * *", |_, _, _| Err(Error::invalid("another topic"))).await;
        assert_eq!(ended.unwrap_err().to_string(), "another topic");
    }

    #[tokio::test]
    async fn a_schedule_that_never_comes_is_refused_and_what_is_not_due_is_not_done() {
        let (at, ended, _) = folds((NEW_YEAR, NEW_YEAR), "0 0 30 2 *", |_, _, _| Ok(Outcome::Succeeded)).await;
        assert_eq!((at, ended.unwrap_err().kind()), (vec![], ErrorKind::Invalid));
        let (clock, stop, calendar) = (FixedClock::new(NEW_YEAR), CancellationToken::new(), Calendar::parse("0 1 * * *", "UTC").unwrap());
        let trouble = Trouble::default();
        let waits = at_each_time((&calendar, NEW_YEAR), (&clock, PACE), (&stop, &trouble), async || panic!("it is not due"));
        assert!(tokio::time::timeout(Duration::from_millis(50), waits).await.is_err(), "it waits");
    }
}
