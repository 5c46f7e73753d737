//! Why a unit of ours is not up, as far as it can be found out: what its process said of itself last, the configuration
//! that it could not read, the program that is not there, or the last error in its journal.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::agent::AgentName;
use crate::error::Exit;
use crate::host::Host;
use crate::runner::FAILED;
use crate::systemd::UnitState;
use crate::unit::escape::program_of;
use crate::{files, journal, plain, review};

/// systemd.exec(5): the program could not be started.
const EXEC: i32 = 203;
const MAX_TEXT: usize = 600;

/// The cause in words, beside what systemd says; `None` where nothing more is known.
pub fn cause(host: &Host, name: Option<&AgentName>, service: &UnitState) -> Option<String> {
    let status = service.exit_status.filter(|_| service.result.as_deref() != Some("signal"));
    let text = match status {
        Some(status) if status == i32::from(Exit::Configuration.code()) => configuration(host, name, service),
        Some(EXEC) => missing_program(service),
        _ => said(service).or_else(|| last_error(host, service)),
    };
    text.map(|text| plain::one_line(&text, MAX_TEXT))
}

/// What the process said of itself when it ended.
fn said(service: &UnitState) -> Option<String> {
    service.status_text.as_ref()?.strip_prefix(FAILED).map(str::to_owned)
}

/// The configuration as it is now, which may have been put right since.
fn configuration(host: &Host, name: Option<&AgentName>, service: &UnitState) -> Option<String> {
    let wrong = host.config().and_then(|config| name.map(|name| host.agent(name, &config)).transpose()).err();
    match (wrong, said(service)) {
        (Some(error), _) => Some(review::reason(&error)),
        // It may be about the store.
        (None, Some(said)) if said.contains(".toml") => Some(format!("{said} (it can be read now)")),
        (None, said @ Some(_)) => said,
        (None, None) => None,
    }
}

fn missing_program(service: &UnitState) -> Option<String> {
    let text = files::read(service.fragment.as_ref()?).ok().flatten()?;
    let program = PathBuf::from(program_of(&text)?);
    Some(match program.exists() {
        true => format!("`{}` cannot be run", program.display()),
        false => format!("the program `{}` does not exist", program.display()),
    })
}

/// The last line of the last start that is an error: of systemd's, or of the process itself.
fn last_error(host: &Host, service: &UnitState) -> Option<String> {
    if !journal::is_readable(host.uid) {
        return None;
    }
    let id = service.invocation.as_ref()?;
    let output = Command::new("journalctl")
        .args(["--quiet", "--no-pager", "--output=cat", "--lines=50"])
        .args([format!("_SYSTEMD_INVOCATION_ID={id}"), format!("_UID={}", host.uid)])
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.lines().rev().find_map(|line| line.strip_prefix("error: ")).map(str::to_owned)
}
