//! One file for each command: what it is (its module comment), its arguments, and what it does.

pub mod agent;
pub mod apply;
pub mod as_user;
mod cause;
pub mod config;
mod confinement;
pub mod cost;
pub mod doctor;
pub mod engine;
pub mod finding;
pub mod gc;
pub mod generate;
pub mod init;
pub mod job;
pub mod logs;
pub mod metrics;
mod progress;
pub mod review;
pub mod run;
pub mod secret;
pub mod skill;
pub mod status;
pub mod top;
pub mod uninstall;
pub mod upgrade;
mod why;
pub mod workflow;
