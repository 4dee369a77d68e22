//! How serving pods are asked and told: over mutual TLS, by certificates of our own authority.
//!
//! ```text
//! authority (Secret tress-ca) ─┬─▶ secret: tress-control of every namespace, for pods       poll ─▶ said
//!                              ╰─▶ our own certificate, in memory ─▶ client ─▶ ControlService of each pod
//! ```

mod pods;
mod secret;

pub use self::pods::{Pods, Pushed, Said};
pub use self::secret::secret;

/// The protocol, as the engine publishes it.
#[allow(clippy::all, clippy::pedantic, missing_docs, reason = "generated")]
pub mod proto {
    tonic::include_proto!("tress.v1");
}

/// The Secret of a namespace with the certificate that its serving pods answer with.
pub const SECRET: &str = "tress-control";
