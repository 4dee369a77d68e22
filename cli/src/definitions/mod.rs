//! The definitions of a folder: found, read, compiled.

mod choose;
mod files;
mod workspace;

pub use choose::choose;
pub use files::is_definition;
pub use workspace::Workspace;
