//! The definitions of a folder: found, read, compiled.

mod files;
mod workspace;

pub use files::{find, is_definition};
pub use workspace::Workspace;
