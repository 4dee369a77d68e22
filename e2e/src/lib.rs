//! Tress on real Kubernetes. Tests only: see tests/.
