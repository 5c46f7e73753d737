//! Pull requests, against a GitHub that remembers, refuses and fails as the real one does.
#![expect(clippy::unwrap_used, reason = "tests")]

mod fake;
mod publish;
mod review;
