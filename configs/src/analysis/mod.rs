//! Warnings: what is allowed and probably not meant.

use crate::compile::Outcome;
use crate::definition::Object;

/// Adds warnings to every definition that compiled.
pub(crate) fn warn(_definitions: &[Object], _outcome: &mut Outcome) {}
