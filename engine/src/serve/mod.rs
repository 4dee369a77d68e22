//! Serving: many features, each in several revisions, read over gRPC and HTTP.
//!
//! ```text
//! gRPC ─▶ wire ─┐                 route (which revision) ┐                          ┌▶ encode ─▶ wire ─▶ gRPC
//!               ├▶ request (ask) ─▶ reader ──────────────┼▶ read ─▶ answer ─▶ profile ┤
//! HTTP ─────────┘                 registry (loaded) ─────┘                          └▶ json ─▶ HTTP
//!                                 admission (bytes)
//! ```
//!
//! [`Registry`] and [`Routes`] are told what is loaded and what is live; [`Reader`] answers; [`Server`] listens.

mod admission;
pub(crate) mod client;
mod decode;
mod describe;
mod encode;
mod grpc;
mod http;
mod json;
pub(crate) mod listen;
mod nearest;
mod pins;
mod profile;
mod reader;
pub(crate) mod readiness;
mod refusal;
mod registry;
mod request;
mod route;
mod schema;
mod server;
pub mod tls;
pub(crate) mod wire;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod tests;

pub use admission::{Admission, Budgets};
pub use client::{BatchReply, Client, Reply};
pub use decode::decode;
pub use describe::{About, Description, RevisionDescription, StateName};
pub use encode::{Encoder, decode_dictionaries, encode_ipc};
pub(crate) use http::expose;
pub use json::{profile as profile_to_json, rows_to_json};
pub use pins::{Pin, Pins};
pub use profile::{Completeness, Degradation, EntityProfile, Profile};
pub use reader::{Outcome, Outcomes, Reader};
pub use refusal::{Code, Refusal};
pub use registry::{Registry, Revision, State};
pub use request::{Ask, Choice, Wanted};
pub use route::{
    Absent, Applied, Pinned, Polled, ROUTE_VERSION, Refused, Route, RouteFile, Routes, Table, Watch, follow, parse_name,
    write as write_routes,
};
pub use schema::{digest, plain};
pub use server::{Addresses, Server, Settings};

/// The protocols, generated from `proto/tress/v1`.
#[allow(clippy::all, clippy::pedantic, missing_docs, reason = "generated")]
pub mod proto {
    tonic::include_proto!("tress.v1");

    /// The descriptors of the protocol, for reflection.
    pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/tress.v1.bin"));
}
