//! When a schedule is due in its time zone. After a downtime it is caught up once, however often it was missed.

pub use tress_configs::schedule::due::{Due, due};
