//! `cicdctl generate`: man pages and completions from the command tree. Hidden; a test keeps the files in the
//! repository true.

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;
use crate::error::Exit;
use crate::files;

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
    for (shell, name) in [(Shell::Bash, "cicdctl.bash"), (Shell::Zsh, "_cicdctl"), (Shell::Fish, "cicdctl.fish")] {
        let mut text = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "cicdctl", &mut text);
        found.push((Path::new("completions").join(name), text));
    }
    let mut command = Cli::command();
    command.build();
    pages(&command, &mut found)?;
    Ok(found)
}

fn pages(command: &clap::Command, found: &mut Vec<(PathBuf, Vec<u8>)>) -> Result<()> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let page =
        clap_mangen::Man::new(command.clone()).title(name.to_uppercase()).section("1").manual("cicdctl").date("");
    let mut text = Vec::new();
    page.render(&mut text)?;
    found.push((Path::new("man").join(format!("{name}.1")), text));
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set() && sub.get_name() != "help") {
        pages(sub, found)?;
    }
    Ok(())
}
