//! Asks all serving pods, again and again, for as long as this process leads.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::sleep;

use super::Pods;
use crate::clock::Stopwatch;
use crate::queue::Key;

/// How often pods are asked …
const USUAL: Duration = Duration::from_secs(30);
/// … and how often where somebody waits.
const AWAITED: Duration = Duration::from_secs(2);
/// How often it is looked at who is due.
const LOOK: Duration = Duration::from_secs(1);

/// Asks for as long as this runs: one call a pod for all of its features; a pool at most once at a time.
pub async fn poll(pods: &Pods) {
    let mut asked: BTreeMap<Key, Stopwatch> = BTreeMap::new();
    let mut asking: JoinSet<Key> = JoinSet::new();
    let mut under_way: BTreeSet<Key> = BTreeSet::new();
    loop {
        let awaited = pods.awaited();
        let pools = pods.pools();
        asked.retain(|pool, _| pools.contains(pool));
        for pool in pools {
            let pause = if awaited.contains(&pool) { AWAITED } else { USUAL };
            if under_way.contains(&pool) || asked.get(&pool).is_some_and(|since| since.elapsed() < pause) {
                continue;
            }
            asked.insert(pool.clone(), Stopwatch::start());
            under_way.insert(pool.clone());
            let pods = pods.clone();
            asking.spawn(async move {
                pods.ask(&pool).await;
                pool
            });
        }
        tokio::select! {
            () = sleep(LOOK) => {}
            () = pods.wait() => {}
            Some(ended) = asking.join_next() => match ended {
                Ok(pool) => {
                    under_way.remove(&pool);
                }
                // Which it was is not known any more: those that go on are asked again once too often.
                Err(_) => under_way.clear(),
            }
        }
        pods.forget();
    }
}
