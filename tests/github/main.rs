//! Pull requests, against a GitHub that remembers, refuses and fails as the real one does.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

mod contract;
mod crash;
mod doctor;
mod fake;
mod incremental;
mod money;
mod policy;
mod publish;
mod review;
mod rounds;
#[path = "../support/mod.rs"]
mod support;
mod watch;
mod workflow;
