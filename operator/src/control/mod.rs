//! How serving pods are asked and told: over mutual TLS, by certificates of our own authority.
//!
//! ```text
//! authority (Secret tress-ca) ─┬─▶ secret: tress-control of every namespace, for pods
//!                              ╰─▶ our own certificate, in memory ─▶ link ─▶ ControlService of each pod
//!                                                       poll (leader) ─▶ pods: what they said ─▶ controllers
//! ```
//! Certificates of pods are for servers only, and name their namespace: no pod can tell another what to do, nor pass for one elsewhere.

mod authority;
mod link;
mod pods;
mod poll;
mod secret;
mod store;
#[cfg(test)]
mod tests;

pub use self::authority::{Authorities, Leaf, Purpose};
pub use self::pods::{Pods, Pushed, Said};
pub use self::poll::poll;
pub use self::secret::secret;
pub use self::store::{CA, Store};

/// The protocol, as the engine publishes it.
#[allow(clippy::all, clippy::pedantic, missing_docs, reason = "generated")]
pub mod proto {
    tonic::include_proto!("tress.v1");
}

/// The Secret of a namespace with the certificate that its serving pods answer with.
pub const SECRET: &str = "tress-control";

/// The name that certificates of a namespace's pods have.
#[must_use]
pub fn server_name(namespace: &str) -> String {
    format!("{namespace}.control.tress.dev")
}
