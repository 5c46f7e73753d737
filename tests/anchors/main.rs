//! Every line that is commented on is one that git shows: on thousands of real commits, and on made-up changes of every
//! kind that git knows. Who says what git shows is not our parser but `oracle`, which counts lines.
//!
//!     CICDCTL_TEST_HISTORY=$(tests/anchors/history.py) cargo test --test anchors -- --nocapture
//!
//! Without that repository the commits are those of the repository that this file is in.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

mod check;
mod fuzz;
mod history;
mod oracle;
