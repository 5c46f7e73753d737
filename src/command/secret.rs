//! `cicdctl secret`: what engines and the publisher need to know and nobody else may see. A value is never shown again.

use std::io::{IsTerminal, Read};

use anyhow::{Result, bail};
use clap::Subcommand;

use crate::error::{Exit, Fail};
use crate::files;
use crate::host::Host;

/// Manage secrets: the key of an engine's API, the token of the forge
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Store a secret, read from the terminal or from standard input
    ///
    /// `anthropic-api-key` is the key of the engine `claude`; its cage gets it by `LoadCredential=`.
    /// `github-token` is read by the process that publishes reviews, and by nobody else; it needs read access to
    /// metadata and contents, and write access to pull requests and commit statuses.
    Set {
        /// Name of the secret
        name: String,
    },
    /// List the names of the secrets that are stored
    List,
    /// Remove a secret
    Remove {
        /// Name of the secret
        name: String,
    },
}

/// Longest value, in bytes.
const MAX_VALUE: u64 = 64 << 10;

pub fn run(command: Command, host: &Host) -> Result<Exit> {
    let dir = host.paths.credentials_dir();
    match command {
        Command::Set { name } => {
            check(&name)?;
            let value = read_value(&name)?;
            files::make_dir(&dir, 0o700)?;
            files::write(&dir.join(&name), value.as_bytes(), 0o600)?;
            host.ui.say(&format!("stored `{name}`; the next job uses it"));
        }
        Command::List => {
            let names = files::names(&dir)?;
            if host.ui.json {
                host.ui.data_json(&names)?;
            } else if names.is_empty() {
                host.ui.say("There are no secrets.");
            } else {
                host.ui.data(&names.join("\n"))?;
            }
        }
        Command::Remove { name } => {
            check(&name)?;
            if !dir.join(&name).exists() {
                bail!(Fail::new(format!("there is no secret `{name}`")).hint("`cicdctl secret list` shows the names"));
            }
            files::remove(&dir.join(&name))?;
            host.ui.say(&format!("removed `{name}`"));
        }
    }
    Ok(Exit::Done)
}

fn check(name: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        bail!(Fail::usage(format!(
            "`{}` cannot be the name of a secret: lower-case letters, digits and `-`",
            name.escape_debug()
        )));
    }
    Ok(())
}

/// Without the newline that every way of handing it over adds.
fn read_value(name: &str) -> Result<String> {
    let value = if std::io::stdin().is_terminal() {
        dialoguer::Password::new().with_prompt(format!("Value of {name}")).interact()?
    } else {
        let mut text = String::new();
        std::io::stdin().take(MAX_VALUE + 1).read_to_string(&mut text)?;
        if text.len() as u64 > MAX_VALUE {
            bail!(Fail::usage(format!("the value is longer than {} KiB", MAX_VALUE >> 10)));
        }
        text
    };
    let value = value.trim_end_matches(['\r', '\n']).to_owned();
    if value.is_empty() || value.chars().any(char::is_control) {
        bail!(Fail::usage("the value is empty or has a control character in it"));
    }
    Ok(value)
}
