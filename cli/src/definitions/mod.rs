//! The definitions of a folder: found, read, compiled.

mod files;
mod workspace;

pub use files::is_definition;
pub use workspace::{Workspace, choose};
