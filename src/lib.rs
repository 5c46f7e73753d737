//! cicdctl.
pub mod diff;
pub mod engine;
pub mod finding;
pub mod review;
