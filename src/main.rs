//! Arguments and environment in, exit code out; nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    ExitCode::from(cicdctl::cli::main(std::env::args_os().collect(), cicdctl::cli::environment(std::env::vars_os())))
}
