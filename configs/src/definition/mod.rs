//! What users write: typed, with nothing resolved and no default filled in.

mod feature;
mod object;
mod signal;

pub use feature::*;
pub use object::*;
pub use signal::*;
