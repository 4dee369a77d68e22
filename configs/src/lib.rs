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

pub mod column;
pub mod definition;
pub mod duration;
pub mod expression;
pub mod issue;
pub mod name;
pub mod plan;

pub use issue::{Issue, IssueCode, Position};
pub use plan::{FeaturePlan, Plan, SignalPlan};
