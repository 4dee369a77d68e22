//! From the raw log to history: *work plan → tasks → seal → base*.
//!
//! ```text
//! raw log ─ survey ─▶ work plan n ─▶ tasks (slice ─▶ pipeline ─▶ sort ─▶ one file per bucket) ─▶ seal (one commit) ─▶ base
//! ```
//!
//! Every step may be repeated by anyone, and all who do it write the same. Nothing that readers see changes before the seal.

mod archived_topic;
mod compact;
mod cut;
mod external_log;
mod plan;
mod raw_log;
mod report;
mod run;
mod seal;
mod tables;
mod task;
mod template;

pub use archived_topic::ArchivedTopic;
pub use cut::{Cut, Position};
pub use external_log::ExternalFiles;
pub use plan::{Buckets, ConsumedFile, Mode, Slice, WorkPlan, covered_through, in_effect, unfinished};
pub use raw_log::{Ask, RawLog, Survey, TASK_RECORDS};
pub use report::Report;
pub use run::{Backfill, Outcome, Progress};
pub use seal::{Sealed, abandon, seal};
pub use tables::{TableVersion, Tables};
pub use task::{Counts, TaskManifest, Work, manifests};

#[cfg(test)]
mod archive_tests;
#[cfg(test)]
mod external_tests;
#[cfg(test)]
pub(crate) mod fixture;
#[cfg(test)]
mod seal_tests;
