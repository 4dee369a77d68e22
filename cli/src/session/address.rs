//! Where the `tress dev` of a folder is found: `.tress/dev.json`, and the token that changes need.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::state;

/// A running `tress dev`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Address {
    pub pid: u32,
    pub http: SocketAddr,
    pub grpc: SocketAddr,
    /// What changes something, and asks for the token.
    pub admin: SocketAddr,
    #[serde(skip)]
    pub token: String,
}

const PROBE: Duration = Duration::from_millis(500);

impl Address {
    /// The one that runs in `dir`; `None` = none does.
    ///
    /// # Errors
    /// When its record is damaged or may not be read.
    pub fn of(dir: &Path) -> anyhow::Result<Option<Self>> {
        let path = file(dir);
        let text = match fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e).with_context(|| format!("read {}", path.display())),
        };
        let mut address: Self = serde_json::from_slice(&text)
            .with_context(|| format!("read {}: it is damaged; stop `tress dev` if it runs, and remove the file", path.display()))?;
        // Whoever was killed left its record behind.
        if TcpStream::connect_timeout(&address.admin, PROBE).is_err() {
            return Ok(None);
        }
        let secret = token_file(dir);
        address.token = fs::read_to_string(&secret).with_context(|| format!("read {}", secret.display()))?;
        Ok(Some(address))
    }

    /// Records this process, with a new token that only its user can read.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn record(&self, dir: &Path) -> anyhow::Result<()> {
        let secret = token_file(dir);
        let _absent = fs::remove_file(&secret);
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let mut out = options.open(&secret).with_context(|| format!("write {}", secret.display()))?;
        out.write_all(self.token.as_bytes()).with_context(|| format!("write {}", secret.display()))?;
        let path = file(dir);
        let next = path.with_extension("json.next");
        fs::write(&next, serde_json::to_vec_pretty(self)?).with_context(|| format!("write {}", path.display()))?;
        fs::rename(&next, &path).with_context(|| format!("write {}", path.display()))
    }

    /// Removes the record of a process that ends.
    pub fn forget(dir: &Path) {
        for path in [file(dir), token_file(dir)] {
            if let Err(e) = fs::remove_file(&path)
                && e.kind() != ErrorKind::NotFound
            {
                tracing::warn!(path = %path.display(), error = %e, "could not be removed");
            }
        }
    }
}

/// 32 bytes of the system's randomness, as hexadecimal digits.
///
/// # Errors
/// When the system has none.
pub fn new_token() -> anyhow::Result<String> {
    let mut bytes = [0u8; 32];
    fs::File::open("/dev/urandom").and_then(|mut f| f.read_exact(&mut bytes)).context("read /dev/urandom")?;
    Ok(bytes.iter().map(|b| format!("{b:02x}")).collect())
}

fn file(dir: &Path) -> PathBuf {
    state(dir).join("dev.json")
}

fn token_file(dir: &Path) -> PathBuf {
    state(dir).join("admin-token")
}
