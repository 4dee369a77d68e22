//! What people and the world do, and what the operator makes of it.

mod backfills;
mod chaos;
mod deletion;
mod deploy;
mod edits;
mod force;
mod hearing;
mod kills;
mod leaders;
mod paused;
mod platform;
mod rest;
mod sharing;
