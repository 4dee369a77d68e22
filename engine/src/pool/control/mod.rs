//! What those who run a serving process ask of it and tell it: its own port, and nobody without a certificate.
//!
//! Callers show a certificate for clients that an authority of `ca.crt` has signed. Certificates of pods are for servers only, so that
//! no pod can speak to another.

mod client;
mod server;
mod service;
mod status;
mod wire;

#[cfg(test)]
mod tests;

pub use client::Client;
pub use server::{Server, Settings};
