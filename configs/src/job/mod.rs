//! What jobs of the engine and whoever starts them say to one another. Versioned: the two may be of different releases.

mod demanded;
mod report;

pub use demanded::{Demanded, NotDemands};
pub use report::{BaseMade, Facts, HistoryIs, MAX_BYTES, NotAReport, Outcome, PlanIs, Report, Role};
