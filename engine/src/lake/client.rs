//! What clients of object stores have in common: how long they are patient, and secrets in files.

use std::path::Path;
use std::time::Duration;

use object_store::{ClientOptions, RetryConfig};
use url::Url;

use crate::error::{Context, Error, Result};

/// A request is tried for this long: what is asked for above tries again by itself.
pub fn patience() -> RetryConfig {
    RetryConfig { max_retries: 4, retry_timeout: Duration::from_secs(20), ..RetryConfig::default() }
}

/// Of a store at `endpoint`; without encryption only where its address says so.
pub fn options(endpoint: Option<&Url>) -> ClientOptions {
    ClientOptions::new()
        .with_allow_http(endpoint.is_some_and(|e| e.scheme() == "http"))
        .with_connect_timeout(Duration::from_secs(5))
        .with_timeout(Duration::from_secs(60))
}

/// The address of a store without the slash at its end.
pub fn base(endpoint: &Url) -> String {
    endpoint.as_str().trim_end_matches('/').to_owned()
}

/// What a file of a mounted secret holds.
///
/// # Errors
/// `NotFound` when it is not mounted; `Invalid` when it is empty.
pub fn secret(file: &Path) -> Result<String> {
    let text = std::fs::read_to_string(file).context(|| format!("read {}; is the secret mounted?", file.display()))?;
    let text = text.trim();
    if text.is_empty() { Err(Error::invalid(format!("read {}: it is empty", file.display()))) } else { Ok(text.to_owned()) }
}
