//! `cicdctl skill`: what engines are told to look for.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Subcommand;
use clap_complete::ArgValueCandidates;
use schemars::JsonSchema;
use serde::Serialize;

use crate::command::complete;
use crate::config::Config;
use crate::error::{Exit, Fail};
use crate::host::Host;
use crate::skill::{self, Catalog, Entry, Problem, Skill};
use crate::ui::{bold, dim, red};
use crate::{files, plain, quantity};

/// List, show, begin and check skills: what an engine is told to look for
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the skills that there are; those of `[review] skills` are marked
    ///
    /// Embedded ones, and those of ~/.config/cicd-toolkit/skills: NAME.md, or NAME/SKILL.md. One of these with the name
    /// of an embedded skill takes its place.
    #[command(after_help = "Example:
  cicdctl skill list")]
    List,
    /// Print a skill
    #[command(after_help = "Example:
  cicdctl skill show security-scanner")]
    Show {
        /// Its name
        #[arg(add = ArgValueCandidates::new(complete::skills))]
        name: String,
    },
    /// Begin a skill of your own
    ///
    /// Writes a commented file into ~/.config/cicd-toolkit/skills, or the text of the embedded skill where NAME is one,
    /// to be changed there.
    #[command(after_help = "Example:
  cicdctl skill new our-rules")]
    New {
        /// Its name: lower-case letters, digits and `-`
        name: String,
    },
    /// Check skills, and that the configured ones are there
    ///
    /// Exits with status 1 if something is wrong, and says all of it.
    #[command(after_help = "Examples:
  cicdctl skill check
  cicdctl skill check our-rules.md")]
    Check {
        /// Files to check [default: all skills of this host]
        files: Vec<PathBuf>,
    },
}

/// A skill, as `--json` has it.
#[derive(Serialize, JsonSchema)]
pub struct Row<'a> {
    name: &'a str,
    /// `embedded` or `host`
    origin: &'static str,
    replaces_embedded: bool,
    file: Option<&'a Path>,
    /// It is in `[review] skills` of the user's configuration.
    selected: bool,
    /// Absent where something is wrong with it.
    skill: Option<&'a Skill>,
    problems: &'a [Problem],
}

impl<'a> Row<'a> {
    fn new(name: &'a str, entry: &'a Entry, config: &Config) -> Row<'a> {
        Row {
            name,
            origin: if entry.file.is_some() { "host" } else { "embedded" },
            replaces_embedded: entry.replaces_embedded,
            file: entry.file.as_deref(),
            selected: config.review.skills.iter().any(|selected| selected == name),
            skill: entry.skill.as_ref().ok(),
            problems: entry.skill.as_ref().err().map_or(&[], Vec::as_slice),
        }
    }
}

pub fn run(command: Command, host: &Host) -> Result<Exit> {
    match command {
        Command::List => list(host),
        Command::Show { name } => show(host, &name),
        Command::New { name } => new(host, &name),
        Command::Check { files } if files.is_empty() => check_all(host),
        Command::Check { files } => check_files(host, &files),
    }
}

fn list(host: &Host) -> Result<Exit> {
    let (catalog, config) = (host.skills()?, host.config()?);
    let rows: Vec<Row<'_>> = catalog.entries().map(|(name, entry)| Row::new(name, entry, &config)).collect();
    if host.ui.json {
        host.ui.data_json(&rows)?;
        return Ok(Exit::Done);
    }
    let width = rows.iter().map(|row| row.name.chars().count()).max().unwrap_or(0);
    for row in &rows {
        let mark = if row.selected { '*' } else { ' ' };
        let name = host.ui.paint(&format!("{:width$}", plain::visible(row.name)), bold());
        let origin = match (row.origin, row.replaces_embedded) {
            ("host", true) => "host, in place of the embedded one: ",
            ("host", false) => "host: ",
            _ => "",
        };
        let text = match row.skill {
            Some(skill) => plain::one_line(&skill.description, 200),
            None => {
                let wrong = quantity::count(row.problems.len(), "problem");
                host.ui.paint(&format!("{wrong}; `cicdctl skill check`"), red())
            }
        };
        host.ui.data(&format!("{mark} {name}  {}{text}", host.ui.paint(origin, dim())))?;
    }
    host.ui.say("* is in `[review] skills`; `cicdctl review --skill NAME` takes another for one review.");
    Ok(Exit::Done)
}

fn show(host: &Host, name: &str) -> Result<Exit> {
    let catalog = host.skills()?;
    let entry = catalog.entry(name)?;
    if host.ui.json {
        host.ui.data_json(&Row::new(name, entry, &host.config()?))?;
        return Ok(Exit::Done);
    }
    if entry.skill.is_err() {
        return told(host, entry.fails(name));
    }
    host.ui.detail(&match &entry.file {
        Some(file) => file.display().to_string(),
        None => "embedded".to_owned(),
    });
    host.ui.data(&entry.text)?;
    Ok(Exit::Done)
}

fn new(host: &Host, name: &str) -> Result<Exit> {
    skill::check_name(name).map_err(Fail::usage)?;
    let dir = host.paths.skills_dir();
    let file = dir.join(format!("{name}.md"));
    for there in [&file, &dir.join(name).join(skill::INNER_FILE)] {
        if there.symlink_metadata().is_ok() {
            bail!(
                Fail::new(format!("the skill `{name}` is there already: `{}`", there.display()))
                    .hint("edit it, then run `cicdctl skill check`")
            );
        }
    }
    files::make_dir(&dir, 0o700)?;
    let text = match skill::embedded_text(name) {
        Some(text) => {
            host.ui.say(&format!("`{name}` is embedded; this is a copy, which takes its place from now on"));
            text.to_owned()
        }
        None => skill::starter(name),
    };
    files::write(&file, text.as_bytes(), 0o644)?;
    host.ui.data(&file.display().to_string())?;
    host.ui.say(&format!(
        "Edit it, then: `cicdctl skill check`, `cicdctl review --skill {name}`. `[review] skills` in the configuration \
         makes it the rule."
    ));
    Ok(Exit::Done)
}

/// Every skill, and every place of the configuration that names some.
fn check_all(host: &Host) -> Result<Exit> {
    let catalog = host.skills()?;
    let mut fails: Vec<Fail> = catalog.entries().flat_map(|(name, entry)| entry.fails(name)).collect();
    let config = host.config()?;
    fails.extend(missing(&catalog, "the configuration", &config.review.skills));
    for agent in host.agents(&config)?.into_iter().filter(|agent| agent.config.review.skills != config.review.skills) {
        fails.extend(missing(&catalog, &format!("agent `{}`", agent.name), &agent.config.review.skills));
    }
    if fails.is_empty() {
        host.ui.say(&format!("{} in order.", quantity::count(catalog.entries().count(), "skill")));
    }
    told(host, fails)
}

/// The names of `[review] skills` that are not there.
fn missing(catalog: &Catalog, whose: &str, names: &[String]) -> Vec<Fail> {
    let unknown = names.iter().filter_map(|name| catalog.entry(name).err());
    unknown
        .map(|error| {
            let hint = error.downcast_ref::<Fail>().and_then(|fail| fail.hint.clone()).unwrap_or_default();
            Fail::configuration(format!("`[review] skills` of {whose}: {error}")).hint(hint)
        })
        .collect()
}

/// Largest file that is looked at, in bytes; far smaller ones are skills.
const MAX_FILE: u64 = 1 << 20;

fn check_files(host: &Host, files: &[PathBuf]) -> Result<Exit> {
    let mut fails = Vec::new();
    for path in files {
        let text =
            files::read_untrusted(path, MAX_FILE)?.with_context(|| format!("there is no file `{}`", path.display()))?;
        let name = name_of(path)?;
        let problems = skill::parse(&name, &text).err().unwrap_or_default();
        fails.extend(problems.iter().map(|problem| problem.fail(path)));
    }
    if fails.is_empty() {
        host.ui.say(&format!("{} in order.", quantity::count(files.len(), "skill")));
    }
    told(host, fails)
}

/// `NAME.md`, or `NAME/SKILL.md`.
fn name_of(path: &Path) -> Result<String> {
    let path = std::path::absolute(path).with_context(|| format!("could not find `{}`", path.display()))?;
    let named = match path.file_name() {
        Some(file) if file == skill::INNER_FILE => path.parent().and_then(Path::file_name),
        _ => path.file_stem(),
    };
    Ok(named.unwrap_or_default().to_string_lossy().into_owned())
}

fn told(host: &Host, fails: Vec<Fail>) -> Result<Exit> {
    let exit = if fails.is_empty() { Exit::Done } else { Exit::Failed };
    if host.ui.json {
        let problems: Vec<String> = fails.iter().map(ToString::to_string).collect();
        host.ui.data_json(&problems)?;
        return Ok(exit);
    }
    for fail in fails {
        host.ui.error(&fail.into());
    }
    Ok(exit)
}
