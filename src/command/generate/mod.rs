//! `cicdctl generate`: man pages and completions from the command tree. Hidden; a test keeps the files in the
//! repository true.

mod pages;
mod settings;
pub mod troubleshooting;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::CommandFactory;

use super::complete;
use crate::cli::Cli;
use crate::error::Exit;
use crate::files;

/// Of the newest release, as the pages bear it.
const DATE: &str = "2026-11-27";

#[derive(Debug, clap::Args)]
pub struct Args {
    /// Directory that holds `man` and `completions`
    dir: PathBuf,
}

pub fn run(args: &Args) -> Result<Exit> {
    for (path, bytes) in generated()? {
        let path = args.dir.join(path);
        files::make_dir(path.parent().unwrap_or(Path::new(".")), 0o755)?;
        files::write(&path, &bytes, 0o644)?;
    }
    Ok(Exit::Done)
}

/// Every generated file: path and content.
pub fn generated() -> Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut found = Vec::new();
    for (shell, name) in [("bash", "cicdctl.bash"), ("zsh", "_cicdctl"), ("fish", "cicdctl.fish")] {
        found.push((Path::new("completions").join(name), complete::script(shell)?));
    }
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    pages::of_commands(&command, &[], &mut found)?;
    found.push((Path::new("man").join("cicd-toolkit.toml.5"), settings::page().into_bytes()));
    found.push((Path::new("man").join("cicdctl-troubleshooting.7"), troubleshooting::page().into_bytes()));
    Ok(found)
}

/// As text of roff(7).
fn escape(text: &str) -> String {
    let text = text.replace('\\', "\\e").replace('-', "\\-").replace('\'', "\\(aq");
    if text.starts_with('.') { format!("\\&{text}") } else { text }
}
