//! Faults that take something away for good: each with a signal of its own, so that what is refused is refused for it alone.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use tress_engine::entity::Entity;
use tress_engine::log::Position;
use tress_engine::prepare;
use tress_engine::serve::{Client, Wanted};

use super::chance::Chance;
use super::cluster::{Serving, free};
use super::events::name;
use super::findings::Findings;
use super::ledger::{Ledger, Truth};
use super::process::{Ended, Launch, Process};
use super::readers::is_ready;
use super::settle::exact;
use super::world::{Prepared, World};

const PATIENCE: Duration = Duration::from_secs(90);
const CALL: Duration = Duration::from_secs(20);
/// Bytes of the disk of a process that serves, where it is small.
const DISK: &str = "size=8m";

/// What such a case needs.
#[derive(Debug)]
pub struct Apart {
    pub world: Arc<World>,
    pub findings: Arc<Findings>,
    pub seed: u64,
}

/// A signal of its own, with records.
struct Own {
    prepared: Prepared,
    ledger: Ledger,
    truth: Truth,
}

/// A process that ends with the case.
struct Kept {
    process: Arc<Process>,
    stop: CancellationToken,
    keeping: tokio::task::JoinHandle<()>,
}

impl Kept {
    async fn end(self) {
        self.stop.cancel();
        self.keeping.await.unwrap();
    }
}

impl Apart {
    /// The raw topic is deleted and made again, with more records than it had, while the stream is paused: stream and backfill refuse it
    /// with the reason, nothing of it is read, and readers keep what they had.
    pub async fn a_topic_made_anew(&self, number: u32) -> Result<(), String> {
        let own = self.own(&format!("anew{number}"), 40).await?;
        let (uid, topic) = (own.prepared.uid.as_str(), own.prepared.defined.topic.as_str());
        let stream = self.keep(&format!("{uid}-stream"), self.world.engine(&["stream", "--uid", uid]));
        let archive = self.world.engine(&["archive", "--connection", "main", "--topic", topic, "--interval", "1"]);
        let archive = self.keep(&format!("{uid}-archive"), archive);
        let (serving, served) = self.serve(&format!("anew{number}-serve"), &[&own.prepared], None).await;
        self.reads(&serving, &own).await?;
        let log = self.world.platform.log("main").unwrap();
        let id = log.id(topic).await.map_err(|e| e.to_string())?;
        stream.process.may_fail();
        archive.process.may_fail();
        stream.process.pause();
        log.delete(topic).await.map_err(|e| format!("delete the topic: {e}"))?;
        log.create(topic, 2).await.map_err(|e| format!("make the topic again: {e}"))?;
        if log.id(topic).await.map_err(|e| e.to_string())? == id {
            return Err("the topic that was made again has the same id".to_owned());
        }
        let other = Ledger::new(topic, log, Arc::clone(&self.findings), Chance::of(self.seed + 1));
        other.of_users(0..8);
        for _ in 0..120 {
            other.append().await;
        }
        stream.process.go_on();
        let refused = |process: &Process| process.last().is_some_and(|ended| ended.code == Some(2));
        if !stream.process.until(PATIENCE, refused).await {
            return Err(format!("the stream goes on with another topic of that name: {:?}", stream.process.last()));
        }
        self.told("the stream", stream.process.last().as_ref(), topic)?;
        for step in ["run", "plan"] {
            let folded = self.world.job(&["backfill", step, "--uid", uid]).await;
            if folded.code != Some(2) {
                return Err(format!("backfill {step} of another topic of that name ended with {:?}: {:?}", folded.code, folded.report));
            }
            self.told("the backfill", Some(&folded), topic)?;
        }
        self.reads(&serving, &own).await?;
        for process in [stream, archive, served] {
            process.end().await;
        }
        Ok(())
    }

    /// A reason has to name what it is about.
    fn told(&self, who: &str, ended: Option<&Ended>, about: &str) -> Result<(), String> {
        let reasons = ended.and_then(|ended| ended.report.as_ref()).map(|report| report.reasons.join("; ")).unwrap_or_default();
        self.findings.say(format!("{who} says: {reasons}"));
        if reasons.contains(about) { Ok(()) } else { Err(format!("{who} does not name {about}: {reasons}")) }
    }

    /// The changelog lost what no base covers: a process that starts then says so of these features, and answers for others.
    pub async fn a_changelog_cut_short(&self, number: u32) -> Result<(), String> {
        let (lost, sound) = (self.own(&format!("lost{number}"), 60).await?, self.own(&format!("sound{number}"), 60).await?);
        let streams = [&lost, &sound].map(|own| {
            let uid = own.prepared.uid.as_str();
            self.keep(&format!("{uid}-stream"), self.world.engine(&["stream", "--uid", uid]))
        });
        let (first, first_kept) = self.serve(&format!("lost{number}-first"), &[&lost.prepared, &sound.prepared], None).await;
        self.reads(&first, &lost).await?;
        self.reads(&first, &sound).await?;
        for stream in streams {
            stream.end().await;
        }
        let own_log = self.world.platform.own_log();
        let changelog = prepare::topics(&self.world.platform, &lost.prepared.uid).await.map_err(|e| e.to_string())?.changelog;
        let ends = own_log.ends(&changelog).await.map_err(|e| e.to_string())?;
        let before: Vec<Position> = (0..).zip(&ends).map(|(partition, ends)| Position { partition, offset: ends.end }).collect();
        own_log.trim(&changelog, &before).await.map_err(|e| format!("cut the changelog short: {e}"))?;
        let (second, second_kept) = self.serve(&format!("lost{number}-second"), &[&lost.prepared, &sound.prepared], None).await;
        self.reads(&second, &sound).await?;
        let began = Instant::now();
        let reason = loop {
            let client = client(&second).await?;
            let feature = format!("{}/all", lost.prepared.defined.namespace);
            match client.get(&feature, &Entity::String(name(0)), &Wanted::default()).await {
                Ok(reply) => return Err(format!("a lost changelog reads as {} rows", reply.rows.num_rows())),
                Err(e) if e.to_string().contains("changelog") => break e.to_string(),
                Err(e) if began.elapsed() > PATIENCE => return Err(format!("the reason is not told: {e}")),
                Err(_) => tokio::time::sleep(Duration::from_millis(200)).await,
            }
        };
        self.findings.say(format!("the process that serves says: {reason}"));
        // Who was there before has it all.
        self.reads(&first, &lost).await?;
        first_kept.end().await;
        second_kept.end().await;
        Ok(())
    }

    /// The disk of a process that serves is full when a new base comes: reads go on, and the base is shown when there is room.
    pub async fn a_full_disk(&self, number: u32) -> Result<(), String> {
        let own = self.own(&format!("full{number}"), 150).await?;
        let uid = own.prepared.uid.clone();
        let stream = self.keep(&format!("{uid}-stream"), self.world.engine(&["stream", "--uid", &uid]));
        let (serving, kept) = self.serve(&format!("full{number}-serve"), &[&own.prepared], Some(DISK)).await;
        self.reads(&serving, &own).await?;
        let pid = kept.process.pid().ok_or("it does not run")?;
        let ballast = format!("/proc/{pid}/root{}/full{number}-serve/ballast", self.world.folder.display());
        fill(&ballast)?;
        let topic = own.prepared.defined.topic.clone();
        let demands = own.prepared.demands.display().to_string();
        let archive = self
            .keep(&format!("{uid}-archive"), self.world.engine(&["archive", "--connection", "main", "--topic", &topic, "--interval", "1"]));
        let began = Instant::now();
        loop {
            let folded = self.world.job(&["backfill", "run", "--uid", &uid, "--demands", &demands]).await;
            match folded.report.and_then(|report| report.facts) {
                Some(tress_configs::job::Facts::Sealed { .. }) => break,
                _ if began.elapsed() > PATIENCE => return Err(format!("no backfill was sealed: {:?}", folded.code)),
                _ => tokio::time::sleep(Duration::from_millis(300)).await,
            }
        }
        // Long enough for the base to be announced and to be tried.
        for _ in 0..10 {
            self.reads(&serving, &own).await?;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        if history_through(&serving, &own).await?.is_some() {
            return Err("a base was shown from a disk that is full: nothing was tried".to_owned());
        }
        std::fs::remove_file(&ballast).map_err(|e| format!("remove the ballast: {e}"))?;
        let began = Instant::now();
        while history_through(&serving, &own).await?.is_none() {
            if began.elapsed() > PATIENCE {
                return Err("there is room again, and the base is not shown".to_owned());
            }
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
        self.reads(&serving, &own).await?;
        for process in [stream, archive, kept] {
            process.end().await;
        }
        Ok(())
    }

    /// A signal with a topic and records of its own.
    async fn own(&self, namespace: &str, appends: u32) -> Result<Own, String> {
        let prepared = self.world.prepare(namespace, namespace, 2).await;
        let log = self.world.platform.log("main").unwrap();
        let ledger = Ledger::new(namespace, log, Arc::clone(&self.findings), Chance::of(self.seed));
        ledger.of_users(0..8);
        for _ in 0..appends {
            ledger.append().await;
        }
        let truth = ledger.truth().await?;
        Ok(Own { prepared, ledger, truth })
    }

    fn keep(&self, name: &str, launch: Launch) -> Kept {
        let process = Arc::new(Process::new(name, self.world.logs(), Arc::clone(&self.findings)));
        let (kept, stop) = (Arc::clone(&process), CancellationToken::new());
        let stopped = stop.clone();
        Kept { process, stop, keeping: tokio::spawn(async move { kept.keep(launch, stopped).await }) }
    }

    /// A process that serves these; `disk`: its state is on a file system of this size, which is gone with it.
    async fn serve(&self, name: &str, prepared: &[&Prepared], disk: Option<&str>) -> (Serving, Kept) {
        let routes = self.world.routes(name, prepared).await;
        let ports = free(2);
        let mut launch = self.world.serve(name, &routes, (ports[0], ports[1]));
        if let Some(size) = disk {
            let state = self.world.folder.join(name);
            std::fs::create_dir_all(&state).unwrap();
            let script = r#"mount -t tmpfs -o "$0" tmpfs "$1" && shift && exec "$@""#;
            let mut arguments: Vec<String> = ["-m", "sh", "-c", script, size].map(str::to_owned).to_vec();
            // Root may mount; others may in a namespace of their own.
            if !std::process::Command::new("unshare").args(["-m", "true"]).output().is_ok_and(|o| o.status.success()) {
                arguments[0] = "-Urm".to_owned();
            }
            arguments.extend([state.display().to_string(), launch.program.display().to_string()]);
            arguments.append(&mut launch.arguments);
            launch = Launch { program: "unshare".into(), arguments, ..launch };
        }
        let kept = self.keep(name, launch);
        (Serving { process: Arc::clone(&kept.process), grpc: ports[0], http: ports[1] }, kept)
    }

    /// Waits until every sequence is that of the model.
    async fn reads(&self, serving: &Serving, own: &Own) -> Result<(), String> {
        let began = Instant::now();
        loop {
            let read = async {
                if !is_ready(serving).await {
                    return Err("not ready".to_owned());
                }
                exact(&client(serving).await?, &own.prepared.defined.namespace, &own.truth.model).await
            };
            match read.await {
                Ok(()) => return Ok(()),
                Err(why) if began.elapsed() > PATIENCE => {
                    return Err(format!("{} of topic {}: {why}", serving.process.name, own.ledger.topic));
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(150)).await,
            }
        }
    }
}

async fn client(serving: &Serving) -> Result<Client, String> {
    Client::connect(&format!("http://{}", serving.grpc), CALL).await.map_err(|e| e.to_string())
}

/// How far the history behind the base that is shown reaches.
async fn history_through(serving: &Serving, own: &Own) -> Result<Option<i64>, String> {
    let feature = format!("{}/all", own.prepared.defined.namespace);
    let reply = client(serving).await?.get(&feature, &Entity::String(name(0)), &Wanted::default()).await.map_err(|e| e.to_string())?;
    Ok(reply.profile.least.history_through)
}

/// Takes all the room that is left.
fn fill(ballast: &str) -> Result<(), String> {
    let mut file = std::fs::File::create(ballast).map_err(|e| format!("{ballast}: {e}"))?;
    for size in [1 << 16, 1 << 12, 1] {
        while file.write_all(&vec![0; size]).is_ok() {}
    }
    Ok(())
}
