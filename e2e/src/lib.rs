//! Tress on real Kubernetes. Tests only: see tests/. Here is what more than one of them begins with.

pub mod apiserver;
