//! What a signal and a sequence are, and nothing about where they run.
//!
//! ```text
//! YAML ─▶ source ─▶ structure ─▶ definition ─▶ compile ─▶ plan ─▶ digest
//!         (text,     (shape, by   (typed         │  │
//!          lines)     schema)      objects)      │  └─ expression (SQL → typed, printed SQL)
//!                                                ├─ compatibility (plan against plan)
//!                                                └─ analysis (warnings, cost)
//! ```
//!
//! Everything here is pure: no Kubernetes, no Kafka, no files, no clock.

pub mod analysis;
pub mod column;
pub mod compatibility;
pub mod compile;
pub mod definition;
pub mod duration;
pub mod expression;
pub mod issue;
pub mod job;
pub mod lint;
pub mod name;
pub mod nearest;
pub mod path;
pub mod plan;
pub mod platform;
pub mod quantity;
pub mod reference;
pub mod route;
pub mod schedule;
pub mod schema;
mod scope;
pub mod source;
mod structure;
pub mod test_file;
pub mod yaml;

pub use compile::{Compiled, Pins, compile};
pub use issue::{Issue, IssueCode, Position};
pub use plan::{FeaturePlan, Plan, SignalPlan};
