//! A process that is killed at any step and started again on the same folder loses nothing and doubles nothing; files that were
//! damaged are named, never read past; a full disk stops input and nothing else.

mod child;
mod damage;
mod full;
mod model;
mod race;
mod rounds;
mod scenario;
mod steps;
