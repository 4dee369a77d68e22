//! The life of `tress dev`: start, work, drain.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use anyhow::Context;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tress_engine::node::{Listen, Node};

use super::admin::Admin;
use super::feed::Feed;
use super::fields::Fields;
use super::input::{From, Input};
use super::reload::{Watch, reload};
use super::{AtEnd, report};
use crate::definitions::Workspace;
use crate::exit::{Outcome, usage};
use crate::say;
use crate::session::address::{Address, new_token};

/// What to run.
#[derive(Debug, Clone)]
pub struct Settings {
    pub dir: PathBuf,
    pub inputs: Vec<Input>,
    pub http: SocketAddr,
    pub grpc: SocketAddr,
    /// Whether it ends when the inputs do.
    pub at_end: AtEnd,
    pub watch_entity: Option<String>,
}

/// Runs until it is told to stop or, with [`AtEnd::Stop`], until all inputs can be read in sequences.
///
/// # Errors
/// When the node cannot be opened or cannot go on.
pub async fn run(settings: Settings) -> anyhow::Result<Outcome> {
    for input in &settings.inputs {
        if let From::File(path) = &input.from
            && !path.is_file()
        {
            return Err(usage(format!("--input {}: there is no file {}", input.topic, path.display())));
        }
    }
    let workspace = Workspace::load(std::slice::from_ref(&settings.dir))?;
    if !workspace.must_be_sound()? {
        return Ok(Outcome::Invalid);
    }
    if workspace.objects().is_empty() {
        return Err(usage(format!(
            "{} holds no definitions: write a first one with `tress init signal --dir {0}`",
            settings.dir.display()
        )));
    }
    check_topics(&settings.inputs, &workspace)?;
    let node = crate::session::open(&settings.dir, Listen { http: settings.http, grpc: settings.grpc }).await?;
    let stop = CancellationToken::new();
    let worked = work(&settings, &workspace, &node, &stop).await;
    Address::forget(&settings.dir);
    stop.cancel();
    say!("stopping: what was read is being written");
    node.shutdown().await?;
    worked.map(|()| Outcome::Done)
}

async fn work(settings: &Settings, workspace: &Workspace, node: &Arc<Node>, stop: &CancellationToken) -> anyhow::Result<()> {
    // Before the definitions are made to run: a change made meanwhile is seen.
    let mut watch = Watch::new(&settings.dir)?;
    let mut interrupted = Interrupts::new()?;
    let admin = Admin::bind().await?;
    let listening = node.listening().context("the node does not listen")?;
    let address =
        Address { pid: std::process::id(), http: listening.http, grpc: listening.grpc, admin: admin.address()?, token: new_token()? };
    let mut tasks = JoinSet::new();
    tasks.spawn(admin.run(Arc::clone(node), address.token.clone(), stop.clone()));

    let started = tokio::select! {
        started = reload(&settings.dir, node) => started?,
        () = interrupted.next() => return Ok(()),
    };
    address.record(&settings.dir)?;
    say!("serving at http://{} (gRPC at {}); state in {}", address.http, address.grpc, settings.dir.join(".tress").display());
    for (served, _) in node.features().await {
        let name = &served.feature.plan().name;
        say!("  curl http://{}/v1/sequences/{}/{}/ENTITY", address.http, name.namespace, name.name);
    }

    let current = started.as_ref().unwrap_or(workspace);
    let mut declared: Vec<(String, Fields)> = Vec::new();
    let mut counters = report::Counters::new();
    let mut feeds = Vec::new();
    for input in &settings.inputs {
        let appended = Arc::new(AtomicU64::new(0));
        counters.push((format!("{} → {}", input.shown(), input.topic), Arc::clone(&appended)));
        let fields = Fields::default();
        declared.push((input.topic.clone(), fields.clone()));
        let feed = Feed { input: input.clone(), node: Arc::clone(node), fields, at_end: settings.at_end, appended, stop: stop.clone() };
        feeds.push(feed);
    }
    declare(&declared, current);
    let mut feeds: JoinSet<anyhow::Result<()>> = feeds.into_iter().map(Feed::run).collect();
    tasks.spawn(report::throughput(Arc::clone(node), counters.clone(), stop.clone()));
    if let Some(entity) = settings.watch_entity.clone() {
        tasks.spawn(report::watch_entity(Arc::clone(node), entity, stop.clone()));
    }

    let ended = loop {
        tokio::select! {
            () = interrupted.next() => break Ok(()),
            Some(()) = watch.next() => {
                if let Some(workspace) = reload(&settings.dir, node).await? {
                    declare(&declared, &workspace);
                }
            }
            Some(fed) = feeds.join_next() => {
                match (fed.context("an input ended badly").flatten(), settings.at_end) {
                    (Err(e), AtEnd::Stop) => break Err(e),
                    (Err(e), AtEnd::Wait) => say!("an input ended, and everything else goes on: {e:#}"),
                    (Ok(()), _) => {}
                }
                if feeds.is_empty() && settings.at_end == AtEnd::Stop {
                    break drained(node, &counters).await;
                }
            }
            () = std::future::ready(()), if settings.inputs.is_empty() && settings.at_end == AtEnd::Stop => break drained(node, &counters).await,
        }
    };
    stop.cancel();
    while feeds.join_next().await.is_some() {}
    while tasks.join_next().await.is_some() {}
    ended
}

/// Tells the inputs of each topic what its signals declare.
fn declare(inputs: &[(String, Fields)], workspace: &Workspace) {
    for (topic, fields) in inputs {
        fields.declare(topic, workspace.compiled().filter_map(|(_, c)| c.plan.as_signal()));
    }
}

/// Waits until everything that was appended can be read.
async fn drained(node: &Node, counters: &report::Counters) -> anyhow::Result<()> {
    node.settle().await?;
    for (name, counter) in counters {
        let records = counter.load(std::sync::atomic::Ordering::Relaxed);
        say!("{name}: {} records in, and all can be read", crate::render::rows::grouped(records));
    }
    Ok(())
}

/// An input into a topic that no signal reads is a mistake in one of the two.
fn check_topics(inputs: &[Input], workspace: &Workspace) -> anyhow::Result<()> {
    let mut topics: Vec<&str> = workspace.compiled().filter_map(|(_, c)| Some(c.plan.as_signal()?.source.stream.topic.as_str())).collect();
    topics.sort_unstable();
    topics.dedup();
    match inputs.iter().find(|input| !topics.contains(&input.topic.as_str())) {
        Some(input) => Err(usage(format!("--input: no signal reads topic \"{}\"; these are read: {}", input.topic, topics.join(", ")))),
        None => Ok(()),
    }
}

/// Ctrl-C, and the signal that services are stopped with.
struct Interrupts {
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Interrupts {
    fn new() -> anyhow::Result<Self> {
        Ok(Self {
            #[cfg(unix)]
            terminate: tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()).context("listen for signals")?,
        })
    }

    async fn next(&mut self) {
        #[cfg(unix)]
        tokio::select! {
            _ = tokio::signal::ctrl_c() => {}
            _ = self.terminate.recv() => {}
        }
        #[cfg(not(unix))]
        let _ = tokio::signal::ctrl_c().await;
    }
}
