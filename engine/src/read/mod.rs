//! Reading a sequence: merge and assemble, one pure function for serving, datasets and comparisons.
//!
//! ```text
//! parts of signal a ─ merge, resolve ─┐
//! parts of signal b ─ merge, resolve ─┴▶ as_of, window ▶ since, until ▶ where ▶ length ▶ deduplicate ▶ first N ▶ view ▶ project
//! ```

mod assemble;
mod condition;
mod feature;
mod gather;
pub(crate) mod key;
mod query;
mod resolve;
mod rows_of_signal;
mod source;
mod view;

pub use assemble::{Outcome, assemble};
pub use condition::Condition;
pub use feature::Feature;
pub use query::{Coverage, MAX_LIMIT, Order, Query, Sequence};
pub use resolve::{Bounds, Pick, Resolved, Span};
pub use source::{Index, Part, Source};
