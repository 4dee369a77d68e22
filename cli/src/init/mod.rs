//! From a sample of events to definitions: what the fields are, which of them matter, and the text that says so.
//!
//! ```text
//! file ─▶ sample (flat records) ─▶ infer (a type per field) ─▶ guess (entity, time, identity) ─▶ text (YAML with reasons)
//! ```

pub mod guess;
pub mod infer;
pub mod name;
pub mod sample;
pub mod text;

#[cfg(test)]
mod tests;
