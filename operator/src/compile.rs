//! Compiled definitions, remembered.

/// Cheap to clone; clones share what they remember.
#[derive(Debug, Clone, Default)]
pub struct Compiler {}
