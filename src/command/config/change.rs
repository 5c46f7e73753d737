//! `cicdctl config set`, `unset`, `edit` and `import`: a file is changed only to what is valid, and keeps its comments.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use clap_complete::ArgValueCandidates;

use super::Whose;
use super::show::in_toml;
use crate::cli::Changing;
use crate::command::complete;
use crate::config::schema::Of;
use crate::config::{self, Source, edit};
use crate::converge;
use crate::error::{Exit, Fail};
use crate::files;
use crate::host::Host;
use crate::install::Manifest;

/// Set one key
///
/// Comments stay, and where the file has the key as a comment it takes that line. What would not be valid is refused, and
/// nothing is changed.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cicdctl config set review.engine claude
  cicdctl config set job.memory 4G --agent shop
  cicdctl config set review.exclude '[\"docs/**\", \"*.svg\"]'
  cicdctl config set environment.HTTPS_PROXY http://proxy.example:3128")]
pub struct SetArgs {
    /// Such as `job.memory`
    #[arg(value_name = "KEY", add = ArgValueCandidates::new(complete::keys))]
    key: String,
    /// As in TOML; a text needs no quotation marks
    #[arg(value_name = "VALUE", allow_hyphen_values = true)]
    value: String,
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    pub changing: Changing,
}

/// Take one key out, so that the default holds again, or what is set for all
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  cicdctl config unset job.memory")]
pub struct UnsetArgs {
    /// Such as `job.memory`
    #[arg(value_name = "KEY", add = ArgValueCandidates::new(complete::keys))]
    key: String,
    #[command(flatten)]
    whose: Whose,
    #[command(flatten)]
    pub changing: Changing,
}

/// Open the file in your editor, and keep what is valid
///
/// The editor is $VISUAL, $EDITOR or `editor`. What is not valid is not kept: it can be edited again, and is otherwise left
/// in a file beside that is named.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cicdctl config edit
  cicdctl config edit --agent myapp")]
pub struct EditArgs {
    #[command(flatten)]
    whose: Whose,
}

/// Take over the settings of a YAML file, as the deployment guide has it
///
/// They are set in config.toml, key by key; what it has besides stays.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  cicdctl config import ~/.config/cicd-toolkit/config.yaml")]
pub struct ImportArgs {
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    pub changing: Changing,
}

pub fn set(args: &SetArgs, host: &Host) -> Result<Exit> {
    args.whose.key(&args.key)?;
    let file = args.whose.file(host)?;
    let _lock = lock(host, args.changing)?;
    let before = toml_of(host, &args.whose, &file)?;
    let mut refused = None;
    for value in edit::meanings(&args.value) {
        let text = edit::set(before.text(), &args.key, value).with_context(|| not_edited(&file))?;
        match args.whose.check(host, &file, &text) {
            Ok(()) => return change(host, &args.whose, &before, &text, args.changing, Ask::No),
            Err(error) => edit::keep_the_telling(&mut refused, error),
        }
    }
    match refused {
        Some(error) => Err(error.context(format!("`{}` was not set; nothing was changed", args.key))),
        None => bail!("`{}` has no value", args.key),
    }
}

pub fn unset(args: &UnsetArgs, host: &Host) -> Result<Exit> {
    args.whose.key(&args.key)?;
    let file = args.whose.file(host)?;
    let _lock = lock(host, args.changing)?;
    let before = toml_of(host, &args.whose, &file)?;
    let Some(text) = edit::unset(before.text(), &args.key).with_context(|| not_edited(&file))? else {
        host.ui.say(&format!("`{}` is not set in `{}`.", args.key, file.display()));
        return Ok(Exit::Done);
    };
    args.whose.check(host, &file, &text).with_context(|| format!("`{}` stays", args.key))?;
    change(host, &args.whose, &before, &text, args.changing, Ask::No)
}

pub fn edit(args: &EditArgs, host: &Host) -> Result<Exit> {
    let file = args.whose.file(host)?;
    let before = text_of(host, &file)?;
    let mut draft = tempfile::Builder::new()
        .prefix("cicdctl-config-")
        .suffix(".toml")
        .tempfile()
        .context("could not make a file for the editor")?;
    std::io::Write::write_all(&mut draft, before.text().as_bytes())?;
    loop {
        open_editor(host, draft.path())?;
        let text = files::read(draft.path())?.unwrap_or_default();
        if text == before.text() {
            host.ui.say("Nothing was changed.");
            return Ok(Exit::Done);
        }
        let Err(error) = args.whose.check(host, &file, &text) else {
            let changing = Changing { yes: true, dry_run: false };
            // Only now: nobody is to wait for somebody's editor.
            let _lock = lock(host, changing)?;
            let kept = change(host, &args.whose, &before, &text, changing, Ask::No);
            if kept.is_err() {
                keep(draft, host)?;
            }
            return kept;
        };
        host.ui.error(&error);
        if !(host.ui.can_ask() && host.ui.confirm("Edit it again?", true)?) {
            keep(draft, host)?;
            bail!("`{}` is as it was", file.display());
        }
    }
}

fn keep(draft: tempfile::NamedTempFile, host: &Host) -> Result<()> {
    let (_, path) = draft.keep()?;
    host.ui.say(&format!("What you have written is in `{}`.", path.display()));
    Ok(())
}

/// As git and crontab do it: the variable may hold arguments, too.
fn open_editor(host: &Host, file: &Path) -> Result<()> {
    let named = host.variable("VISUAL").or_else(|| host.variable("EDITOR"));
    let editor = match named {
        Some(editor) => editor.to_owned(),
        None => ["editor", "nano", "vi"]
            .into_iter()
            .find(|name| host.find_program(name).is_some())
            .context(Fail::new("no editor was found").hint("name one in the variable EDITOR"))?
            .to_owned(),
    };
    let status = Command::new("/bin/sh")
        .args(["-c", &format!("{editor} \"$1\""), "sh"])
        .arg(file)
        .status()
        .with_context(|| format!("could not start the editor `{editor}`"))?;
    if !status.success() {
        bail!("the editor `{editor}` ended with {status}; nothing was changed");
    }
    Ok(())
}

pub fn import(args: &ImportArgs, host: &Host) -> Result<Exit> {
    let Some(yaml) = files::read(&args.file)? else {
        bail!(Fail::new(format!("`{}` does not exist", args.file.display())));
    };
    let source = Source { path: &args.file, text: &yaml };
    config::parse_config(&[source])?;
    let whose = Whose { agent: None };
    let file = whose.file(host)?;
    let _lock = lock(host, args.changing)?;
    let before = toml_of(host, &whose, &file)?;
    let mut text = before.text().to_owned();
    for (key, value) in leaves("", &config::from_text(source, Of::User)?) {
        let value = in_toml(value).parse().with_context(|| format!("`{key}` cannot be written in TOML"))?;
        text = edit::set(&text, &key, value).with_context(|| not_edited(&file))?;
    }
    whose.check(host, &file, &text)?;
    change(host, &whose, &before, &text, args.changing, Ask::Yes)
}

/// Dotted keys with what is no table.
fn leaves<'a>(prefix: &str, table: &'a toml::Table) -> Vec<(String, &'a toml::Value)> {
    let of = |(name, value): (&String, &'a toml::Value)| {
        let key = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        match value {
            toml::Value::Table(below) => leaves(&key, below),
            value => vec![(key, value)],
        }
    };
    table.iter().flat_map(of).collect()
}

/// A file before it is changed.
struct Before {
    file: PathBuf,
    /// `None`: it is not there yet.
    old: Option<String>,
}

impl Before {
    /// What is edited: of a file that is not there the one that `init` would write.
    fn text(&self) -> &str {
        self.old.as_deref().unwrap_or(config::starter())
    }
}

fn text_of(host: &Host, file: &Path) -> Result<Before> {
    if !host.paths.config_dir.is_dir() && file.starts_with(&host.paths.config_dir) {
        bail!(Fail::new("nothing is set up for this user yet").hint("run `cicdctl init` first"));
    }
    Ok(Before { file: file.to_owned(), old: files::read(file)? })
}

/// As [`text_of`], of a file that is to be edited key by key: what is no TOML cannot be.
fn toml_of(host: &Host, whose: &Whose, file: &Path) -> Result<Before> {
    let before = text_of(host, file)?;
    config::from_text::<toml::Table>(Source { path: file, text: before.text() }, whose.of())?;
    Ok(before)
}

fn lock(host: &Host, changing: Changing) -> Result<Option<std::fs::File>> {
    if changing.dry_run { Ok(None) } else { converge::lock(host).map(Some) }
}

fn not_edited(file: &Path) -> String {
    format!("could not edit `{}`", file.display())
}

#[derive(Clone, Copy, PartialEq)]
enum Ask {
    Yes,
    No,
}

/// Shows the difference, writes the file, and says what is to be done for it to hold.
fn change(host: &Host, whose: &Whose, before: &Before, text: &str, changing: Changing, ask: Ask) -> Result<Exit> {
    let Before { file, old } = before;
    if old.as_deref() == Some(text) {
        host.ui.say("Nothing to change: it says so already.");
        return Ok(Exit::Done);
    }
    let diff = similar::TextDiff::from_lines(before.text(), text);
    let diff: Vec<String> = diff
        .iter_all_changes()
        .filter(|line| line.tag() != similar::ChangeTag::Equal)
        .map(|line| format!("  {}{}", line.tag(), line.value().trim_end()))
        .collect();
    let shown = format!("{}:\n{}", file.display(), diff.join("\n"));
    if changing.dry_run {
        host.ui.data(&shown)?;
        return Ok(Exit::Done);
    }
    host.ui.say(&shown);
    if ask == Ask::Yes && !host.ui.confirm("Go on?", true)? {
        bail!(Fail::new("stopped; nothing was changed"));
    }
    match old {
        Some(old) => files::replace(file, old, text.as_bytes(), 0o600)?,
        None => files::create(file, text.as_bytes(), 0o600)?,
    }
    follow_up(host, whose)
}

fn follow_up(host: &Host, whose: &Whose) -> Result<Exit> {
    if Manifest::load(&host.paths.manifest())?.is_none() {
        return Ok(Exit::Done);
    }
    // Whatever else is wrong is for `config check` to say: this file was changed.
    let plan = host.config().and_then(|config| converge::plan(host, &config, &host.agents(&config)?, false));
    match plan {
        Ok(plan) if plan.is_empty() => host.ui.say("It holds from the next job on."),
        Ok(_) => host.ui.say("`cicdctl apply` makes the units follow."),
        Err(_) if whose.agent.is_none() => host.ui.warn("something else is wrong; `cicdctl config check` says what"),
        Err(error) => return Err(error),
    }
    Ok(Exit::Done)
}
