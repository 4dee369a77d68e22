//! Reading a sequence: merge and assemble, one pure function for serving, datasets and comparisons.
//!
//! ```text
//! parts of signal a ─ merge, resolve ─┐
//! parts of signal b ─ merge, resolve ─┴▶ as_of, window ▶ since, until ▶ where ▶ length ▶ deduplicate ▶ first N ▶ view ▶ project
//! ```

mod feature;
mod query;

pub use feature::Feature;
pub use query::{Coverage, MAX_LIMIT, Order, Query, Sequence};
