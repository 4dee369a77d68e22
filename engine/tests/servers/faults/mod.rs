//! Faults on real processes and real servers, and a checker that knows what every sequence must be.
//!
//! ```text
//! events (seed) ─▶ ledger ─▶ Kafka ─▶ stream, archive ─▶ … ─▶ serve ─▶ readers: never less than before, never what was not produced
//!     │              │         ╰ proxy, as S3 has one: refuses, holds, slows, cuts      ╰ settle: exactly what the model says
//!     ╰────────────▶ model                                 nemesis: kills, pauses, arms, adds, restarts
//! ```
//! A round inflicts some faults while records come in; then nothing disturbs any more, and sequences, history and dead letters have to be
//! exactly what was appended. docs/operations/faults.md says how to run it and what a finding looks like.

mod apart;
mod chance;
mod cluster;
mod definitions;
mod events;
mod findings;
mod ledger;
mod model;
mod nemesis;
mod process;
mod proxy;
mod readers;
mod rounds;
mod settle;
mod world;

use std::sync::Arc;
use std::time::Duration;

use tress_engine::faults::Point;

use self::apart::Apart;
use self::findings::Findings;
use self::nemesis::Fault;
use self::rounds::Trial;
use self::world::World;

/// The rounds of `make test`: every kind of fault once.
const SHORT: &[&[Fault]] = &[
    &[
        Fault::Killed("stream-0"),
        Fault::Killed("archive-0"),
        Fault::Killed("serve-0"),
        Fault::Killed("tasks-0"),
        Fault::Killed("seal"),
        Fault::PodsJoinAndLeave,
    ],
    &[
        Fault::KilledAt("stream-1", Point::ChangelogAppend),
        Fault::KilledAt("archive-1", Point::ArchiveCommit),
        Fault::KilledAt("tasks-0", Point::TaskFile),
        Fault::KilledAt("seal", Point::SealCommitted),
        Fault::KilledAt("serve-1", Point::ReadSetSwap),
        Fault::StoreCutsReplies,
    ],
    &[Fault::BrokerKilled, Fault::Paused("stream-0"), Fault::StoreRefuses, Fault::ClockOff("serve-0", -600)],
    &[Fault::BrokerPaused, Fault::ClockOff("stream-0", 600), Fault::StoreCutsRequests, Fault::Paused("serve-0"), Fault::PartitionAdded],
];

fn seed() -> u64 {
    std::env::var("SEED").ok().map_or(20_240_101, |seed| seed.parse().expect("SEED is a whole number"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn through_kills_pauses_and_servers_that_fail_readers_see_exactly_what_was_appended() {
    let mut trial = Trial::start(seed()).await;
    for faults in SHORT {
        trial.round(faults).await;
    }
    trial.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_gone_for_good_is_refused_with_the_reason_and_for_itself_alone() {
    let findings = Arc::new(Findings::new());
    let world = Arc::new(World::start().await);
    let apart = Apart { world: Arc::clone(&world), findings: Arc::clone(&findings), seed: seed() };
    findings.begin("a topic made anew, a changelog cut short, a full disk".to_owned());
    let (anew, short, full) = futures::join!(apart.a_topic_made_anew(0), apart.a_changelog_cut_short(0), apart.a_full_disk(0));
    for (case, ended) in [("a topic made anew", anew), ("a changelog cut short", short), ("a full disk", full)] {
        if let Err(why) = ended {
            findings.add(format!("{case}: {why}"));
        }
    }
    let found = findings.all();
    assert!(found.is_empty(), "logs are in {}\n{}", world.folder.display(), found.join("\n"));
    world.remove();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "make soak"]
async fn for_as_long_as_is_asked_for() {
    let minutes: u64 = std::env::var("MINUTES").ok().map_or(60, |m| m.parse().expect("MINUTES is a whole number"));
    let mut trial = Trial::start(seed()).await;
    trial.soak(Duration::from_secs(minutes * 60)).await;
    trial.end().await;
}
