//! The route as a process follows it: from a file or a push to what is in force.

mod file;
mod table;
mod watch;

pub use file::write;
pub use table::{Absent, Applied, Refused, Routes, Table};
pub use tress_configs::route::{Chosen, Pinned, ROUTE_VERSION, Route, RouteFile, parse_name};
pub use watch::{Polled, Watch, follow};

#[cfg(test)]
mod tests;
