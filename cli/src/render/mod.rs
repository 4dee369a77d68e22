//! What people see: colours, tables, values, issues with their source lines.

pub mod issues;
pub mod rows;
pub mod sequence;
mod style;
mod table;
pub mod tree;
pub mod value;

pub use style::Style;
pub use table::{Align, Table};
