//! Operations through the admin address of a running `tress dev`.
//!
//! The answer is lines of JSON: any number of `{"progress": …}`, then `{"done": …}` or `{"error": …}`.

use std::io::{BufRead, BufReader};

use anyhow::{Context, anyhow};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tress_engine::node::Progress;
use tress_engine::{Error, ErrorKind};

use super::address::Address;
use super::operation::Operation;

/// A line of the answer.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Line {
    Progress { tasks_done: usize, tasks: usize, rows: u64 },
    Done(Value),
    Error { invalid: bool, message: String },
}

/// As [`super::Session::perform`].
pub fn perform(address: &Address, operation: &Operation, progress: &(dyn Fn(Progress) + Sync)) -> anyhow::Result<Value> {
    let url = format!("http://{}/v1/operations", address.admin);
    let reply = ureq::post(&url)
        .header("authorization", &format!("Bearer {}", address.token))
        .send_json(operation)
        .with_context(|| format!("ask the `tress dev` of process {}", address.pid))?;
    for line in BufReader::new(reply.into_body().into_reader()).lines() {
        let line = line.context("read the answer of `tress dev`")?;
        match serde_json::from_str(&line).context("read the answer of `tress dev`: it is of another version")? {
            Line::Progress { tasks_done, tasks, rows } => progress(Progress { tasks_done, tasks, rows }),
            Line::Done(value) => return Ok(value),
            Line::Error { invalid, message } => {
                let kind = if invalid { ErrorKind::Invalid } else { ErrorKind::Unavailable };
                return Err(Error::new(kind, message).into());
            }
        }
    }
    Err(anyhow!("`tress dev` ended before it answered: look at its output, then try again"))
}
