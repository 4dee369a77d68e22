//! What the engine would do in its pods, without data: jobs that leave their effect in a lake, serving pods that load what they are told.

mod control;
pub mod lake;
mod loading;
pub mod serving;
#[cfg(test)]
mod tests;
