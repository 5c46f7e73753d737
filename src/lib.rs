//! cicdctl: one binary with two lives. As a command line it puts systemd user units in place and talks to them; as
//! the hidden `run` it is what those units start. The map, in reading order:
//!
//! - [`cli`] → [`command`]: the command tree, and a file for each command. They use [`host`] (environment, paths,
//!   configuration), [`ui`] (the one writer to the terminal) and [`error`] (message, cause, hint, exit status).
//! - [`config`], [`agent`], [`globs`]: what the user wants, as text ⇄ types. Pure.
//! - [`converge`]: configuration → [`unit`] (the files that should be; pure) → plan → files → [`systemd`] (D-Bus).
//!   [`install`] remembers what was made, so that it can be taken back; [`timer`] has one unit run by itself.
//! - [`runner`]: the life of the daemon: socket, HTTP routes, workers. It keeps jobs in the [`store`] and speaks the
//!   types of [`api`], as does the command line.
//! - [`review`]: one review from request to receipt, with [`git`], [`diff`], the plan, the judgement and what is
//!   remembered of earlier findings.
//! - [`forge`]: pull requests at GitHub: what is read of them, and how a review gets there.
//! - [`cage`]: the transient unit (or child process) in which an [`engine`] works.
//! - [`probe`]: what limits and hardening of a unit are worth, tried from inside; [`cgroup`] is where limits are read.
//! - [`skill`]: what an engine is told to look for. Pure; [`host`] reads the files.
//! - [`disk`]: room on the disk, what of it is ours, and what is given back (`cicdctl gc`, its timer, a full disk).
//! - [`secret`]: keys and tokens: where they are kept, how they get to who needs them, and how they stay out of texts.
//! - [`money`]: amounts, caps, and what an engine may be given.
//! - [`metrics`]: what Prometheus sees; [`trace`]: a job, as OpenTelemetry sees it.
//! - [`task`] keeps long work off the thread that answers.
//! - [`finding`], [`report`]: what comes out, and how it reads; [`plain`] and [`quantity`] are text for people.

pub mod agent;
pub mod api;
pub mod cage;
pub mod cgroup;
pub mod cli;
pub mod command;
pub mod config;
pub mod converge;
pub mod diff;
pub mod disk;
pub mod engine;
pub mod error;
pub mod files;
pub mod finding;
pub mod forge;
pub mod git;
pub mod globs;
pub mod host;
pub mod host_wide;
pub mod install;
pub mod journal;
pub mod metrics;
pub mod money;
pub mod plain;
pub mod probe;
pub mod quantity;
pub mod report;
pub mod review;
pub mod runner;
pub mod secret;
pub mod skill;
pub mod store;
pub mod systemd;
pub mod task;
pub mod timer;
pub mod trace;
pub mod ui;
pub mod unit;

/// The version of this program. Each copy of it in the machine code would be one that does not change with the others where
/// the tests make another version of a built program.
pub fn version() -> &'static str {
    std::hint::black_box(env!("CARGO_PKG_VERSION"))
}
