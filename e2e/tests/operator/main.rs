//! The operator, as the program that it is, before a real API server. What else a cluster has is played: Deployments get pods, jobs run
//! and report, serving pods load what they are told; each as slowly, as badly and as forgetfully as a seed has it (SEED=N).
//!
//! ```text
//! tress-operator ─▶ proxy (sees, refuses, loses, kills) ─▶ kube-apiserver + etcd ◀─ play (controllers, node) ─ engine (jobs, pods)
//!                                                                 └─▶ store ─▶ invariants, over all that ever was
//! ```

#![expect(clippy::unwrap_used, reason = "helpers of tests: what cannot be had fails the test")]

mod definitions;
mod engine;
mod fate;
mod invariants;
mod kinds;
mod play;
mod process;
mod proxy;
mod store;
mod tests;
mod world;
