//! cicdctl.

pub mod diff;
pub mod engine;
pub mod finding;
pub mod plain;
pub mod quantity;
pub mod report;
pub mod review;
