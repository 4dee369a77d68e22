//! The newest rows of every entity.
