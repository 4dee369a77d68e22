//! Brings what is declared in Kubernetes to run.

fn main() {}
