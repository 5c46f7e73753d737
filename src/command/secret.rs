//! `cicdctl secret`: what engines and the publisher need to know and nobody else may see. A value is never shown again.

use std::io::{IsTerminal, Read};

use anyhow::{Result, bail};
use clap::Subcommand;
use clap_complete::ArgValueCandidates;

use crate::command::complete;
use crate::config::SecretsIn;
use crate::error::{Exit, Fail};
use crate::forge::github::{APP_KEY, app};
use crate::host::Host;
use crate::quantity;
use crate::secret::{self, Kept, Value, exposure, text};
use crate::store::{now_ms, version};

/// Manage secrets: the key of an engine's API, the token of the forge
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Store a secret, read from the terminal or from standard input
    ///
    /// `anthropic-api-key` is the key of the engine `claude`; its cage gets it by `LoadCredential=`.
    /// `github-token` is read by the process that publishes reviews, and by nobody else; it needs read access to
    /// metadata and contents, and write access to pull requests and commit statuses. `github-app-key` is the key of a
    /// GitHub App, a file in PEM: `cicdctl secret set github-app-key <KEY.pem`.
    ///
    /// The value is kept encrypted where systemd can do that for users (256 and later), and otherwise in a file that
    /// only this user can read. The next job and the next call of the forge use it; nothing has to be restarted.
    #[command(after_help = "Examples:
  cicdctl secret set anthropic-api-key          asks for it
  cicdctl secret set github-token <token.txt")]
    Set {
        /// Name of the secret
        #[arg(add = ArgValueCandidates::new(complete::known_secrets))]
        name: String,
        /// Keep it as a plain file, also where it could be encrypted: for a home directory that several hosts share
        #[arg(long)]
        plain: bool,
        /// Check the value and say where it would be kept
        #[arg(long)]
        dry_run: bool,
    },
    /// List the secrets that are stored, and how each is kept
    ///
    /// `encrypted`: by systemd, for this user on this host. `plain`: a file that only this user can read.
    /// `environment.d`: a variable that every program of this user can see.
    #[command(after_help = "Example:
  cicdctl secret list")]
    List,
    /// Remove a secret
    #[command(after_help = "Example:
  cicdctl secret remove github-token")]
    Remove {
        /// Name of the secret
        #[arg(add = ArgValueCandidates::new(complete::secrets))]
        name: String,
        /// Say what would be removed
        #[arg(long)]
        dry_run: bool,
    },
}

pub async fn run(command: Command, host: &Host) -> Result<Exit> {
    match command {
        Command::Set { name, plain, dry_run } => {
            set(host, &name, plain, dry_run).await?;
            forget_expiry(host, &name, dry_run).await;
        }
        Command::List => list(host)?,
        Command::Remove { name, dry_run } => {
            remove(host, &name, dry_run).await?;
            forget_expiry(host, &name, dry_run).await;
        }
    }
    Ok(Exit::Done)
}

/// Until when the next one is good is said with its first use; until then nobody is to be warned of the last one.
async fn forget_expiry(host: &Host, name: &str, dry_run: bool) {
    if dry_run {
        return;
    }
    let done = async {
        match version::open_as_it_is(&host.paths.store())? {
            Some(store) => store.note_expiry(name, None).await,
            None => Ok(()),
        }
    };
    if let Err(error) = done.await {
        host.ui.warn(&format!("`status` may go on to speak of the end of the credential that was there: {error:#}"));
    }
}

async fn set(host: &Host, name: &str, plain: bool, dry_run: bool) -> Result<()> {
    secret::check_name(name)?;
    if !secret::is_known(name) {
        let meant = secret::nearest(name).map_or(String::new(), |known| format!("; is `{known}` meant?"));
        host.ui.warn(&format!("nothing here asks for a secret `{name}`{meant}"));
    }
    // A value that is stored must not wait for a configuration that is wrong.
    let place = host.config().map(|config| config.secrets).unwrap_or_default();
    let variable = secret::variable_of(name).filter(|_| place == SecretsIn::Environment && !plain);
    let value = read_value(name)?;
    let vault = host.vault();
    if dry_run {
        let file = variable.map_or(host.paths.credentials_dir().join(name), |_| host.paths.environment_file());
        host.ui.data(&format!("would store `{name}` at {}", file.display()))?;
        return Ok(());
    }
    if let Some(variable) = variable {
        exposure::set_variable(host, variable, Some(value)).await?;
        // It would be used before the variable.
        vault.remove(name)?;
        host.ui.say(&format!(
            "stored `{name}` as {variable} in {}, for every program of yours; the next job uses it",
            host.paths.environment_file().display()
        ));
        return Ok(());
    }
    let (kept, why_not) = vault.store(name, &value, plain)?;
    host.ui.say(&format!(
        "stored `{name}`{}; the next job uses it",
        match kept {
            Kept::Encrypted => ", encrypted",
            _ => "",
        }
    ));
    if let Some(why) = why_not {
        host.ui.detail(&format!("in a plain file that only you can read; it is not encrypted: {why}"));
    }
    if vault.list()?.iter().any(|stored| stored.name == name && stored.kept == Kept::Environment) {
        host.ui.warn(&format!(
            "`{}` has one, too, which every program of yours can see; `cicdctl doctor` says what to do",
            host.paths.environment_file().display()
        ));
    }
    Ok(())
}

fn list(host: &Host) -> Result<()> {
    let stored = host.vault().list()?;
    if host.ui.json {
        return host.ui.data_json(&stored);
    }
    if stored.is_empty() {
        host.ui.say("There are no secrets.");
        return Ok(());
    }
    let width = stored.iter().map(|one| one.name.len()).max().unwrap_or(0);
    let lines = stored.iter().map(|one| {
        let age = u64::try_from(now_ms().saturating_sub(one.changed_ms)).unwrap_or(0);
        format!(
            "{:width$}  {:13}  {:>8}  {} ago",
            one.name,
            one.kept.as_str(),
            quantity::bytes(one.bytes),
            quantity::duration(age)
        )
    });
    host.ui.data(&lines.collect::<Vec<_>>().join("\n"))
}

async fn remove(host: &Host, name: &str, dry_run: bool) -> Result<()> {
    secret::check_name(name)?;
    let vault = host.vault();
    let stored: Vec<_> = vault.list()?.into_iter().filter(|stored| stored.name == name).collect();
    if stored.is_empty() {
        bail!(Fail::new(format!("there is no secret `{name}`")).hint("`cicdctl secret list` shows the names"));
    }
    if dry_run {
        let files: Vec<String> =
            stored.iter().map(|stored| format!("would remove `{name}` from {}", stored.file.display())).collect();
        return host.ui.data(&files.join("\n"));
    }
    if stored.iter().any(|stored| stored.kept == Kept::Environment) {
        for variable in secret::VARIABLES.iter().filter(|variable| secret::name_of(variable) == Some(name)) {
            if vault.variable(variable)?.is_some() {
                exposure::set_variable(host, variable, None).await?;
            }
        }
    }
    vault.remove(name)?;
    host.ui.say(&format!("removed `{name}`"));
    Ok(())
}

fn read_value(name: &str) -> Result<Value> {
    let bytes = if std::io::stdin().is_terminal() {
        if name == APP_KEY {
            // A prompt would take its first line, and the shell the others.
            bail!(
                Fail::usage(format!("`{name}` has several lines and cannot be typed"))
                    .hint(format!("hand the file over: `cicdctl secret set {name} <KEY.pem`"))
            );
        }
        dialoguer::Password::new().with_prompt(format!("Value of {name}")).interact()?.into_bytes()
    } else {
        let mut bytes = Vec::new();
        std::io::stdin().take(text::MAX as u64 + 1).read_to_end(&mut bytes)?;
        bytes
    };
    let value = text::value(name, &bytes).map_err(Fail::usage)?;
    if name == APP_KEY {
        app::check_key(value.reveal()).map_err(|why| Fail::usage(format!("the value is of no use: {why}")))?;
    }
    Ok(value)
}
