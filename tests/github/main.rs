//! Publishing, against a GitHub that fails.
#![expect(clippy::unwrap_used, reason = "tests")]

mod fake;
mod publish;
