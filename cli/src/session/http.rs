//! Reading over HTTP.

use anyhow::{Context, anyhow};
use serde_json::Value;

use crate::exit::usage;

/// Gets JSON.
///
/// # Errors
/// What the server refuses, with the field and the remedy; a request that is wrong ends with code 2.
pub fn get(url: &str) -> anyhow::Result<Value> {
    let agent: ureq::Agent = ureq::Agent::config_builder().http_status_as_error(false).build().into();
    let server = url.split('/').take(3).collect::<Vec<_>>().join("/");
    let mut reply = agent.get(url).call().with_context(|| format!("ask {server}: is `tress dev` running there?"))?;
    let status = reply.status();
    // The server bounds its replies.
    let text = reply.body_mut().with_config().limit(u64::MAX).read_to_string().with_context(|| format!("read the answer of {server}"))?;
    let body: Value =
        serde_json::from_str(&text).map_err(|_| anyhow!("{server} does not answer as a server of Tress does (status {status})"))?;
    if status.is_success() {
        return Ok(body);
    }
    let said = |key: &str| body["error"][key].as_str().unwrap_or_default();
    let field = if said("field").is_empty() { String::new() } else { format!("{}: ", said("field")) };
    let help = if said("help").is_empty() { String::new() } else { format!("; {}", said("help")) };
    let message = format!("{field}{}{help} ({})", said("message"), said("code"));
    Err(if status.is_client_error() { usage(message) } else { anyhow!(message) })
}

/// Text as it may stand in a path or a query.
pub fn encoded(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'~');
    text.bytes().map(|b| if plain(b) { char::from(b).to_string() } else { format!("%{b:02X}") }).collect()
}
