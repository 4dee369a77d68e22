//! The node of a folder: opened here, or the one that `tress dev` runs there.
//!
//! ```text
//! command ─▶ Session ─┬─ nobody runs: opens the node itself ─▶ perform(operation)
//!                     └─ `tress dev` runs: admin HTTP ───────▶ perform(operation)
//! ```

pub mod address;
pub mod dataset;
pub mod everyone;
pub mod http;
pub mod letters;
pub mod operation;
pub mod remote;
pub mod status;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use serde_json::Value;
use tokio::runtime::Runtime;
use tress_engine::ErrorKind;
use tress_engine::clock::SystemClock;
use tress_engine::node::{Listen, Node, Progress, Settings};

use crate::exit::usage;
use address::Address;
use operation::Operation;

/// Where the state of a folder of definitions is.
pub fn state(dir: &Path) -> PathBuf {
    dir.join(".tress")
}

/// How a node of a folder is opened.
pub fn settings(dir: &Path, listen: Listen) -> Settings {
    Settings { state: state(dir), tables: dir.to_owned(), clock: Arc::new(SystemClock), listen: Some(listen) }
}

/// Any free ports of this machine.
pub fn any_port() -> Listen {
    let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    Listen { http: any, grpc: any }
}

/// The threads that a node runs on.
///
/// # Errors
/// When the system gives none.
pub fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build().context("start threads")
}

/// A node to work with.
#[derive(Debug)]
pub enum Session {
    Local { runtime: Runtime, node: Arc<Node> },
    Remote(Address),
}

impl Session {
    /// Goes through `tress dev` if it runs in `dir`, else opens the state that is there.
    ///
    /// # Errors
    /// When there is no state, or it cannot be opened.
    pub fn open(dir: &Path) -> anyhow::Result<Self> {
        if let Some(address) = Address::of(dir)? {
            return Ok(Self::Remote(address));
        }
        if !state(dir).is_dir() {
            return Err(usage(format!("nothing was run in {} yet: start `tress dev {0}`", dir.display())));
        }
        let runtime = runtime()?;
        let node = runtime.block_on(open(dir, any_port()))?;
        Ok(Self::Local { runtime, node })
    }

    /// The base of the addresses where sequences are read, `http://127.0.0.1:7070`.
    ///
    /// # Errors
    /// When the node does not listen.
    pub fn http(&self) -> anyhow::Result<String> {
        match self {
            Self::Local { node, .. } => Ok(format!("http://{}", node.listening().context("the node does not listen")?.http)),
            Self::Remote(address) => Ok(format!("http://{}", address.http)),
        }
    }

    /// The same over gRPC.
    ///
    /// # Errors
    /// When the node does not listen.
    pub fn grpc(&self) -> anyhow::Result<String> {
        match self {
            Self::Local { node, .. } => Ok(format!("http://{}", node.listening().context("the node does not listen")?.grpc)),
            Self::Remote(address) => Ok(format!("http://{}", address.grpc)),
        }
    }

    /// Does something; `progress` is told how far it is.
    ///
    /// # Errors
    /// Why it could not be done.
    pub fn perform(&self, operation: &Operation, progress: &(dyn Fn(Progress) + Sync)) -> anyhow::Result<Value> {
        match self {
            Self::Local { runtime, node } => Ok(runtime.block_on(operation::perform(node, operation, progress))?),
            Self::Remote(address) => remote::perform(address, operation, progress),
        }
    }

    /// Ends what was opened here.
    ///
    /// # Errors
    /// When the last writes fail.
    pub fn close(self) -> anyhow::Result<()> {
        match self {
            Self::Local { runtime, node } => Ok(runtime.block_on(node.shutdown())?),
            Self::Remote(_) => Ok(()),
        }
    }
}

/// Opens the node of a folder.
///
/// # Errors
/// With the remedy, when another process has it open.
pub async fn open(dir: &Path, listen: Listen) -> anyhow::Result<Arc<Node>> {
    let ignored = state(dir).join(".gitignore");
    if !ignored.exists() {
        std::fs::create_dir_all(state(dir)).with_context(|| format!("make folder {}", state(dir).display()))?;
        std::fs::write(&ignored, "*\n").with_context(|| format!("write {}", ignored.display()))?;
    }
    Node::open(settings(dir, listen)).await.map_err(|e| match e.kind() {
        ErrorKind::Conflict => anyhow::Error::new(e)
            .context(format!("another process runs in {}, or is just starting there: wait until it serves, or stop it", dir.display())),
        _ => e.into(),
    })
}
