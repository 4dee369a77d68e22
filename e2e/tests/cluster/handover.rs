//! The operator rolled in good order: the next one acts within seconds, and does nothing a second time.

use std::time::{Duration, Instant};

use crate::deployed::{Deployed, SHORTER};
use crate::site::Site;
use crate::written::at_rest;

/// A leader that was killed is replaced after 15 s at the earliest: less than that is a handover.
const SECONDS: u64 = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster with Tress: e2e/check"]
async fn operators_that_are_rolled_hand_over_within_seconds_and_do_nothing_twice() {
    const SPACE: &str = "handover";
    let site = Site::here().await;
    Deployed::to(&site, SPACE).await;
    let before = at_rest(&site, SPACE).await;
    let old = site.operators().await;
    assert_eq!(old.len(), 2);
    let first = site.leader().await;
    site.kubectl(&["rollout", "restart", "deployment/tress-operator", "--namespace", &site.space]);

    // From when the one that leads is told to end until another one does.
    let is_of = |holder: &str, pods: &[String]| pods.iter().any(|pod| holder.starts_with(pod.as_str()));
    let mut led = Instant::now();
    let mut handovers = vec![(first, Duration::ZERO)];
    site.until("one of the new operators leads, and the old ones are gone", async || {
        for _ in 0..4 {
            let leader = site.leader().await;
            let last = &handovers.last().expect("one").0;
            if leader == *last {
                led = Instant::now();
            } else if !leader.is_empty() {
                handovers.push((leader, led.elapsed()));
                led = Instant::now();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let now = site.operators().await;
        now.len() == 2 && !is_of(&handovers.last().expect("one").0, &old) && !now.iter().any(|pod| old.contains(pod))
    })
    .await;
    assert!(handovers.len() > 1);
    for (leader, after) in &handovers {
        assert!(*after < Duration::from_secs(SECONDS), "{leader} led after {after:?}: {handovers:?}");
    }
    println!("{handovers:?}");

    // What it took over it leaves as it is …
    assert_eq!(at_rest(&site, SPACE).await, before);
    // … and what is new it does, once.
    site.apply(SPACE, SHORTER);
    site.wait(SPACE, "sequencefeature/shorter");
    let attempts = site.get(SPACE, "sequencerollouts");
    assert_eq!(attempts["items"].as_array().map(Vec::len), Some(2), "{attempts}");
    site.leave(SPACE);
}
