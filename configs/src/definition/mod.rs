//! What users write: typed, with nothing resolved and no default filled in.

mod enrichment;
mod feature;
mod object;
mod runtime;
mod signal;

pub use enrichment::*;
pub use feature::*;
pub use object::*;
pub use runtime::*;
pub use signal::*;
