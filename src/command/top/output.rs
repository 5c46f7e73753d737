//! Other commands of this program: what they print, line by line, or what became of them.

use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::host::Host;
use crate::plain;

/// A command whose output is looked at while it runs; it ends with this.
pub struct Output {
    lines: Option<Lines<BufReader<ChildStdout>>>,
    found: Vec<String>,
    _child: Child,
}

/// Lines that are taken at once, so that a flood of them is drawn now and then only.
const AT_ONCE: usize = 500;

impl Output {
    pub fn start(host: &Host, arguments: &[String]) -> Result<Output> {
        let mut command = command(host, arguments);
        // Both in the order in which they come.
        let (reader, writer) = std::io::pipe()?;
        command.stdout(writer.try_clone()?).stderr(writer);
        let child = command.spawn().context("could not start `cicdctl`")?;
        drop(command);
        let stdout = ChildStdout::from_std(std::process::ChildStdout::from(std::os::fd::OwnedFd::from(reader)))?;
        Ok(Output { lines: Some(BufReader::new(stdout).lines()), found: Vec::new(), _child: child })
    }

    /// What comes next; never, where nothing more does. Nothing is lost where this is given up in between.
    pub async fn lines(output: &mut Option<Output>) -> Vec<String> {
        let Some(Output { lines: Some(lines), found, .. }) = output else { return std::future::pending().await };
        if found.is_empty() {
            match lines.next_line().await {
                Ok(Some(line)) => found.push(plain::visible(&line)),
                // It has ended, or what it prints is no text.
                Ok(None) | Err(_) => {
                    if let Some(output) = output {
                        output.lines = None;
                    }
                    return vec![String::new(), "(that was all)".into()];
                }
            }
        }
        while found.len() < AT_ONCE {
            match tokio::time::timeout(Duration::from_millis(5), lines.next_line()).await {
                Ok(Ok(Some(line))) => found.push(plain::visible(&line)),
                _ => break,
            }
        }
        std::mem::take(found)
    }
}

/// Runs a command to its end; the error is what it said.
pub async fn run(host: &Host, arguments: &[String]) -> Result<(), String> {
    let ran = command(host, arguments).stdout(Stdio::null()).stderr(Stdio::piped()).output().await;
    match ran {
        Ok(ran) if ran.status.success() => Ok(()),
        Ok(ran) => {
            let said = String::from_utf8_lossy(&ran.stderr);
            let first = said.lines().find(|line| line.starts_with("error:")).or_else(|| said.lines().next());
            Err(plain::one_line(first.unwrap_or("it failed"), 300))
        }
        Err(error) => Err(format!("could not start `cicdctl`: {error}")),
    }
}

fn command(host: &Host, arguments: &[String]) -> Command {
    let mut command = Command::new(&host.program);
    command.args(arguments).stdin(Stdio::null()).kill_on_drop(true);
    if let Some(file) = host.config_override() {
        command.arg("--config").arg(file);
    }
    command
}
