//! Rounds: faults are inflicted while records come in and everybody reads; then all has to come right.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;

use super::apart::Apart;
use super::chance::Chance;
use super::cluster::Cluster;
use super::findings::Findings;
use super::ledger::Ledger;
use super::nemesis::{Fault, Nemesis};
use super::readers;
use super::settle::Settle;
use super::world::World;

/// Users of one round.
const USERS: u32 = 8;
/// Records come in for this long before the first fault of a round, and after the last.
const AROUND: Duration = Duration::from_millis(400);

/// After so many rounds comes a case of its own.
const EACH: u32 = 6;

/// A cluster under test.
pub struct Trial {
    seed: u64,
    settle: Settle,
    nemesis: Arc<Nemesis>,
    findings: Arc<Findings>,
    rounds: u32,
    /// How often each fault was inflicted.
    inflicted: BTreeMap<String, u32>,
    stop: CancellationToken,
    tasks: tokio::task::JoinSet<()>,
}

impl Trial {
    /// Starts servers and processes, and waits until the first records are read everywhere.
    pub async fn start(seed: u64) -> Self {
        let findings = Arc::new(Findings::new());
        findings.say(format!("seed {seed}"));
        let world = Arc::new(World::start().await);
        findings.say(format!("servers run; logs are in {}", world.logs().display()));
        let mut chance = Chance::of(seed);
        let prepared = world.prepare("movies", "ratings", 3).await;
        let routes = world.routes("cluster", &[&prepared]).await;
        let ledger = Ledger::new("ratings", world.platform.log("main").unwrap(), Arc::clone(&findings), chance.fork());
        let ledger = Arc::new(ledger);
        ledger.of_users(0..USERS);
        let cluster = Cluster::start(&world, (&prepared, &routes), &findings);
        let (stop, mut tasks) = (CancellationToken::new(), tokio::task::JoinSet::new());
        tasks.spawn(Arc::clone(&ledger).produce(stop.clone()));
        for serving in &cluster.serving {
            let namespace = prepared.defined.namespace.clone();
            tasks.spawn(readers::read(serving.clone(), namespace, Arc::clone(&ledger), Arc::clone(&findings), stop.clone()));
        }
        let settle = Settle { world: Arc::clone(&world), cluster: Arc::clone(&cluster), ledger, findings: Arc::clone(&findings) };
        let nemesis = Nemesis { world, cluster, findings: Arc::clone(&findings), chance: Mutex::new(chance) };
        let mut trial = Self { seed, settle, nemesis: Arc::new(nemesis), findings, rounds: 0, inflicted: BTreeMap::new(), stop, tasks };
        trial.round(&[]).await;
        trial
    }

    /// One round: all these faults at once.
    pub async fn round(&mut self, faults: &[Fault]) {
        let names: Vec<String> = faults.iter().map(ToString::to_string).collect();
        self.findings.begin(format!("round {}: {}", self.rounds, if names.is_empty() { "no fault".to_owned() } else { names.join(", ") }));
        let first = self.rounds * USERS / 2;
        self.settle.ledger.of_users(first..first + USERS);
        self.settle.ledger.go();
        tokio::time::sleep(AROUND).await;
        let inflicting = faults.iter().map(|fault| self.nemesis.inflict(*fault));
        futures::future::join_all(inflicting).await;
        tokio::time::sleep(AROUND).await;
        self.settle.settle().await;
        self.rounds += 1;
        for name in names {
            *self.inflicted.entry(name).or_default() += 1;
        }
    }

    /// Rounds of one to four faults, in random order, until the time is over: each once before any comes again.
    pub async fn soak(&mut self, time: Duration) {
        let began = Instant::now();
        let mut left: Vec<Fault> = Vec::new();
        while began.elapsed() < time && self.findings.all().is_empty() {
            if left.is_empty() {
                left = Fault::EVERY.to_vec();
                self.nemesis.chance.lock().shuffle(&mut left);
            }
            let wanted = 1 + self.nemesis.chance.lock().below(4);
            let mut faults: Vec<Fault> = Vec::new();
            left.retain(|fault| {
                let fits = (faults.len() as u64) < wanted && faults.iter().all(|other| other.target() != fault.target());
                if fits {
                    faults.push(*fault);
                }
                !fits
            });
            self.round(&faults).await;
            if self.rounds.is_multiple_of(EACH) {
                self.apart().await;
            }
        }
    }

    /// One of the cases that have a signal of their own, in turn.
    async fn apart(&mut self) {
        let (world, findings) = (Arc::clone(&self.settle.world), Arc::clone(&self.findings));
        let number = self.rounds / EACH;
        let apart = Apart { world, findings, seed: self.seed.wrapping_add(u64::from(number)) };
        let cases = ["raw topic deleted and made again", "changelog cut short", "disk of a process that serves full"];
        let name = cases[number as usize % cases.len()];
        self.findings.begin(name.to_owned());
        let ended = match number % 3 {
            0 => apart.a_topic_made_anew(number).await,
            1 => apart.a_changelog_cut_short(number).await,
            _ => apart.a_full_disk(number).await,
        };
        if let Err(why) = ended {
            self.findings.add(why);
        }
        self.findings.calm();
        *self.inflicted.entry(name.to_owned()).or_default() += 1;
    }

    /// Ends everything, and tells.
    ///
    /// # Panics
    /// When anything was found.
    pub async fn end(mut self) {
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(e) = ended
                && e.is_panic()
            {
                self.findings.add("a reader or the producer of this test panicked; what it said is above");
            }
        }
        self.settle.cluster.stop().await;
        let table = self.table();
        println!("{table}");
        let found = self.findings.all();
        if found.is_empty() {
            self.settle.world.remove();
        }
        let folder = self.settle.world.folder.display();
        assert!(found.is_empty(), "seed {}: {} findings; logs are in {folder}\n{}", self.seed, found.len(), found.join("\n"));
    }

    fn table(&self) -> String {
        let mut table = format!("\nseed {}, {} rounds in {:.0} s\n\n", self.seed, self.rounds, self.findings.seconds());
        for (fault, times) in &self.inflicted {
            writeln!(table, "{times:6}  {fault}").unwrap();
        }
        table.push_str("\nhow processes ended\n");
        for (how, times) in self.findings.ends() {
            writeln!(table, "{times:6}  {how}").unwrap();
        }
        let (acknowledged, indeterminate) = self.settle.ledger.counts();
        let count = |n: &std::sync::atomic::AtomicU64| n.load(Ordering::Relaxed);
        write!(
            table,
            "\n{acknowledged} records acknowledged, {indeterminate} of unknown fate; {} backfills; {} sequences of {} rows checked while \
             faults were in force, the slowest request took {} ms; {} findings",
            count(&self.settle.cluster.sealed),
            count(&self.findings.reads),
            count(&self.findings.rows),
            count(&self.findings.slowest),
            self.findings.all().len(),
        )
        .unwrap();
        table
    }
}
