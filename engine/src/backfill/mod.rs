//! From the raw log to history.
