//! The faults, by name: each is inflicted and taken back.

use std::fmt;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tress_engine::faults::Point;

use super::chance::Chance;
use super::cluster::Cluster;
use super::findings::Findings;
use super::proxy::Mode;
use super::world::World;

/// How long a process may take to come to the point where it dies.
const REACHES: Duration = Duration::from_secs(45);
/// How long a fault of a server or a network holds.
const HOLDS: Duration = Duration::from_millis(3500);

/// What is done to the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// SIGKILL, at any time.
    Killed(&'static str),
    /// At a step where it matters.
    KilledAt(&'static str, Point),
    /// SIGSTOP for longer than a member may be silent, then SIGCONT.
    Paused(&'static str),
    /// SIGTERM: it ends in good order and is started again.
    Stopped(&'static str),
    BrokerKilled,
    BrokerPaused,
    BrokerSlow,
    BrokerCut,
    StoreKilled,
    StoreRefuses,
    StoreHolds,
    StoreSlow,
    StoreCutsRequests,
    StoreCutsReplies,
    PartitionAdded,
    PodsJoinAndLeave,
    /// Its clock is so many seconds ahead, or behind, until it is started again.
    ClockOff(&'static str, i32),
}

impl Fault {
    /// Every fault of a cluster that goes on.
    pub const EVERY: &'static [Self] = &[
        Self::Killed("stream-0"),
        Self::Killed("stream-1"),
        Self::Killed("archive-0"),
        Self::Killed("serve-0"),
        Self::Killed("plan"),
        Self::Killed("tasks-0"),
        Self::Killed("seal"),
        Self::Killed("base"),
        Self::KilledAt("stream-0", Point::ChangelogAppend),
        Self::KilledAt("stream-1", Point::StreamCommit),
        Self::KilledAt("archive-0", Point::ArchiveCommit),
        Self::KilledAt("archive-1", Point::ArchiveCommitted),
        Self::KilledAt("plan", Point::WorkPlanPut),
        Self::KilledAt("tasks-0", Point::TaskFile),
        Self::KilledAt("tasks-0", Point::TaskManifest),
        Self::KilledAt("seal", Point::SealCommit),
        Self::KilledAt("seal", Point::SealCommitted),
        Self::KilledAt("seal", Point::BaseRun),
        Self::KilledAt("seal", Point::BaseManifest),
        Self::KilledAt("serve-0", Point::TailFreeze),
        Self::KilledAt("serve-1", Point::ReadSetSwap),
        Self::Paused("stream-0"),
        Self::Paused("archive-1"),
        Self::Paused("serve-1"),
        Self::Stopped("stream-1"),
        Self::Stopped("serve-0"),
        Self::BrokerKilled,
        Self::BrokerPaused,
        Self::BrokerSlow,
        Self::BrokerCut,
        Self::StoreKilled,
        Self::StoreRefuses,
        Self::StoreHolds,
        Self::StoreSlow,
        Self::StoreCutsRequests,
        Self::StoreCutsReplies,
        Self::PartitionAdded,
        Self::PodsJoinAndLeave,
        Self::ClockOff("stream-0", 600),
        Self::ClockOff("stream-1", -600),
        Self::ClockOff("archive-0", 600),
        Self::ClockOff("serve-1", -600),
    ];

    /// What it disturbs: two of one target do not go together.
    pub const fn target(self) -> &'static str {
        match self {
            Self::Killed(name) | Self::KilledAt(name, _) | Self::Paused(name) | Self::Stopped(name) | Self::ClockOff(name, _) => name,
            Self::BrokerKilled | Self::BrokerPaused | Self::BrokerSlow | Self::BrokerCut | Self::PartitionAdded => "broker",
            Self::StoreKilled
            | Self::StoreRefuses
            | Self::StoreHolds
            | Self::StoreSlow
            | Self::StoreCutsRequests
            | Self::StoreCutsReplies => "store",
            Self::PodsJoinAndLeave => "stream-2",
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Killed(name) => write!(f, "{name} killed"),
            Self::KilledAt(name, point) => write!(f, "{name} killed at {}", point.name()),
            Self::Paused(name) => write!(f, "{name} paused"),
            Self::Stopped(name) => write!(f, "{name} stopped in good order"),
            Self::BrokerKilled => f.write_str("broker killed and started again"),
            Self::BrokerPaused => f.write_str("broker paused"),
            Self::BrokerSlow => f.write_str("broker slow"),
            Self::BrokerCut => f.write_str("connections to the broker cut"),
            Self::StoreKilled => f.write_str("S3 server killed and started again"),
            Self::StoreRefuses => f.write_str("S3 refuses connections"),
            Self::StoreHolds => f.write_str("S3 does not answer"),
            Self::StoreSlow => f.write_str("S3 slow"),
            Self::StoreCutsRequests => f.write_str("S3 requests cut half-way"),
            Self::StoreCutsReplies => f.write_str("S3 replies lost"),
            Self::PartitionAdded => f.write_str("raw topic gains a partition"),
            Self::ClockOff(name, seconds) => write!(f, "clock of {name} off by {seconds} s"),
            Self::PodsJoinAndLeave => f.write_str("a stream pod joins and leaves"),
        }
    }
}

/// Who inflicts them.
#[derive(Debug)]
pub struct Nemesis {
    pub world: Arc<World>,
    pub cluster: Arc<Cluster>,
    pub findings: Arc<Findings>,
    pub chance: Mutex<Chance>,
}

impl Nemesis {
    /// Inflicts a fault and takes it back.
    pub async fn inflict(&self, fault: Fault) {
        match fault {
            Fault::Killed(name) => self.kill(name).await,
            Fault::KilledAt(name, point) => self.kill_at(name, point).await,
            Fault::Paused(name) => {
                let process = self.cluster.process(name);
                process.pause();
                tokio::time::sleep(Duration::from_secs(5)).await;
                process.go_on();
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            Fault::Stopped(name) => {
                let process = self.cluster.process(name);
                let ends = process.ends();
                process.stop();
                if !process.until(REACHES, |p| p.ends() > ends).await {
                    self.findings.add(format!("{name} was told to stop and did not in {REACHES:?}"));
                    process.kill();
                }
            }
            Fault::BrokerKilled => self.server_killed(Server::Broker).await,
            Fault::StoreKilled => self.server_killed(Server::Store).await,
            Fault::BrokerPaused => {
                let _one = self.world.servers.lock().await;
                let pid = self.world.kafka.pid();
                send("STOP", pid);
                tokio::time::sleep(HOLDS).await;
                send("CONT", pid);
            }
            Fault::BrokerSlow => self.broker(Mode::Slow(40)).await,
            Fault::BrokerCut => self.broker(Mode::CutReplies(60)).await,
            Fault::StoreRefuses => self.store(Mode::Refuse).await,
            Fault::StoreHolds => self.store(Mode::Hold).await,
            Fault::StoreSlow => self.store(Mode::Slow(25)).await,
            Fault::StoreCutsRequests => self.store(Mode::CutRequests(9)).await,
            Fault::StoreCutsReplies => self.store(Mode::CutReplies(9)).await,
            Fault::PartitionAdded => self.add_a_partition().await,
            Fault::ClockOff(name, seconds) => {
                let process = self.cluster.process(name);
                process.surround(vec![
                    ("LD_PRELOAD".to_owned(), self.world.skew().await.display().to_string()),
                    ("TRESS_TEST_SKEW".to_owned(), seconds.to_string()),
                ]);
                process.kill();
                tokio::time::sleep(HOLDS).await;
                process.surround(Vec::new());
                process.kill();
            }
            Fault::PodsJoinAndLeave => {
                let process = self.cluster.process("stream-2");
                process.down(false);
                tokio::time::sleep(HOLDS).await;
                process.down(true);
                if self.chance.lock().one_in(2) {
                    process.stop();
                } else {
                    {
                        process.kill();
                    }
                }
                process.until(Duration::from_secs(30), |p| p.pid().is_none()).await;
            }
        }
    }

    /// A job may have to be waited for.
    async fn kill(&self, name: &str) {
        let process = self.cluster.process(name);
        if !process.until(REACHES, |p| p.steady().is_some()).await {
            self.findings.ended(name, "did not run");
            return self.findings.say(format!("{name} did not run for {REACHES:?}: nothing was tried"));
        }
        let within = self.chance.lock().below(if name.contains('-') && !name.starts_with("tasks") { 2000 } else { 300 });
        tokio::time::sleep(Duration::from_millis(within)).await;
        process.kill();
    }

    async fn kill_at(&self, name: &str, point: Point) {
        let process = self.cluster.process(name);
        let nth = match point {
            Point::ChangelogAppend | Point::StreamCommit => 1 + self.chance.lock().below(8),
            _ => 1,
        };
        let died = process.died();
        process.arm(format!("{}:{nth}:abort", point.name()));
        // Those that stay are started anew with it; jobs are with their next run.
        if ["stream", "archive", "serve"].iter().any(|stays| name.starts_with(stays)) {
            process.kill();
        }
        if !process.until(REACHES, |p| p.died() > died).await {
            process.disarm();
            process.kill();
            self.findings.say(format!("{name} did not come to {} in {REACHES:?}: nothing was tried", point.name()));
            self.findings.ended(name, &format!("did not come to {}", point.name()));
        }
    }

    async fn store(&self, mode: Mode) {
        self.world.to_s3.set(mode);
        tokio::time::sleep(HOLDS).await;
        self.world.to_s3.set(Mode::Pass);
    }

    async fn broker(&self, mode: Mode) {
        self.world.to_kafka.set(mode);
        tokio::time::sleep(HOLDS).await;
        self.world.to_kafka.set(Mode::Pass);
    }

    async fn server_killed(&self, server: Server) {
        let _one = self.world.servers.lock().await;
        let world = Arc::clone(&self.world);
        let again = tokio::task::spawn_blocking(move || {
            let server = match server {
                Server::Broker => &world.kafka,
                Server::Store => &world.s3,
            };
            server.kill();
            std::thread::sleep(Duration::from_secs(1));
            // With its data, where it was.
            server.start_again_as_it_was();
        });
        again.await.unwrap();
    }

    async fn add_a_partition(&self) {
        let log = self.world.platform.log("main").unwrap();
        let topic = &self.cluster.prepared.defined.topic;
        let partitions = match log.ends(topic).await {
            Ok(ends) => i32::try_from(ends.len()).unwrap(),
            Err(e) => return self.findings.say(format!("no partition was added: {e}")),
        };
        // Enough is enough.
        if partitions < 12
            && let Err(e) = log.create(topic, partitions + 1).await
        {
            self.findings.say(format!("no partition was added: {e}"));
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

#[derive(Debug, Clone, Copy)]
enum Server {
    Broker,
    Store,
}

fn send(signal: &str, pid: u32) {
    assert!(Command::new("kill").args([&format!("-{signal}"), &pid.to_string()]).status().unwrap().success(), "kill -{signal}");
}
