//! The Kubernetes API of Tress: what people declare, what the operator records, and the schemas that an API server holds both to.
//!
//! ```text
//! configs' types ─┐
//!                 ├─▶ schema (structural, bounded, rules) ─▶ generate ─▶ crds/yaml, docs/reference/crds.md
//! kinds here     ─┘
//!   definition   SignalDefinition, SequenceFeature            by people
//!   backfill     Backfill                                     by people or the operator
//!   revision     SignalRevision, SequenceRevision             by the operator
//!   rollout      SequenceRollout                              by the operator; people set its intent
//!   condition    what all of them say about themselves
//! ```

pub mod backfill;
mod bound;
pub mod condition;
pub mod definition;
pub mod generate;
mod reference;
pub mod revision;
pub mod rollout;
pub mod schema;

pub use backfill::Backfill;
pub use definition::{SequenceFeature, SignalDefinition};
pub use revision::{SequenceRevision, SignalRevision};
pub use rollout::SequenceRollout;

/// The group of all kinds.
pub const GROUP: &str = "tress.dev";
/// Their only version.
pub const VERSION: &str = "v1alpha1";
