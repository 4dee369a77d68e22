//! Encryption of connections, by certificates in a mounted folder that are renewed while the process runs.
//!
//! ```text
//! tls.crt, tls.key (ca.crt) ─▶ files ─▶ certificates ── in force now ─▶ each new connection
//!            ╰── looked at again and again ──╯                          connections that are open keep theirs
//! ```

mod certificates;
mod files;
mod trust;

#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use certificates::{Certificates, Renewed};
pub use trust::Trust;

/// Where certificates are, and who may connect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// Holds `tls.crt` (the chain, own certificate first) and `tls.key`, PEM.
    pub folder: PathBuf,
    pub callers: Callers,
}

/// Who may connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Callers {
    Anyone,
    /// Who shows a certificate for clients that an authority in `ca.crt` of the same folder has signed. Old and new authority may
    /// both be in it.
    Certified,
}
