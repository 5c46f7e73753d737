//! `cicdctl config check` and `schema`: all that is wrong with the files, and what editors need to say it as you type.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use schemars::JsonSchema;
use serde::Serialize;

use crate::config::schema::{self, Of};
use crate::config::{self, Config, REPOSITORY_FILE, Source, variable};
use crate::error::{Exit, Fail};
use crate::files;
use crate::host::Host;
use crate::quantity::count;

/// Look for mistakes in the configuration: file, line, column, and what was probably meant
///
/// Without a file all that this user has are looked at, agents and skills among them. Status 1 if anything is wrong.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cicdctl config check
  cicdctl config check .cicd-toolkit.toml")]
pub struct CheckArgs {
    /// Another file: `.cicd-toolkit.toml` is one of a repository, one in a directory `agents` that of an agent
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
}

/// Print the JSON Schema of a configuration file, for editors
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  cicdctl config schema >~/.config/cicd-toolkit/config.schema.json

With `#:schema ./config.schema.json` as the first line of config.toml, editors with taplo tell of mistakes.")]
pub struct SchemaArgs {
    /// Which file
    #[arg(value_enum, default_value_t, value_name = "FILE")]
    of: Of,
}

/// A mistake, as `--json` has it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Mistake {
    file: PathBuf,
    /// With file, line and column where they are known.
    problem: String,
    hint: Option<String>,
}

impl Mistake {
    fn new(file: &Path, error: &anyhow::Error) -> Mistake {
        let problem = error.chain().map(ToString::to_string).collect::<Vec<_>>().join(": ");
        let hint = error.downcast_ref::<Fail>().and_then(|fail| fail.hint.clone());
        Mistake { file: file.to_owned(), problem, hint }
    }

    /// With the line of the file in which this word stands in quotation marks.
    fn at_word(self, word: &str) -> Mistake {
        let text = files::read(&self.file).ok().flatten().unwrap_or_default();
        let quoted = [format!("\"{word}\""), format!("'{word}'")];
        let line = text.lines().position(|line| quoted.iter().any(|word| line.contains(word)));
        let line = line.map_or(String::new(), |line| format!("{}:", line + 1));
        Mistake { problem: format!("{}:{line} {}", self.file.display(), self.problem), ..self }
    }
}

pub fn check(args: &CheckArgs, host: &Host) -> Result<Exit> {
    let (looked_at, mistakes) = if args.files.is_empty() { of_user(host)? } else { of_files(&args.files, host)? };
    if host.ui.json {
        host.ui.data_json(&mistakes)?;
    } else {
        for Mistake { problem, hint, .. } in &mistakes {
            host.ui.data(&crate::plain::visible(problem))?;
            if let Some(hint) = hint {
                host.ui.data(&format!("  hint: {}", crate::plain::visible(hint)))?;
            }
        }
        for file in ["config.yaml", "config.yml"].map(|name| host.paths.config_dir.join(name)) {
            if file.exists() && host.config_override().is_none() {
                host.ui.say(&format!(
                    "`{0}` was not looked at: it is read only where `--config` names it; `cicdctl config import {0}` takes \
                     its settings over",
                    file.display()
                ));
            }
        }
        if mistakes.is_empty() {
            host.ui.say(&format!("{} in order.", count(looked_at, "file")));
        }
    }
    Ok(if mistakes.is_empty() { Exit::Done } else { Exit::Failed })
}

/// All files of this user, and how many those are.
fn of_user(host: &Host) -> Result<(usize, Vec<Mistake>)> {
    let mut mistakes = Vec::new();
    // One that cannot be read is one mistake among others.
    let layers = host.layers().unwrap_or_else(|error| {
        mistakes.push(Mistake::new(&host.own_config(), &error));
        Vec::new()
    });
    let mut looked_at = layers.iter().filter(|(path, _)| !variable::is(path)).count();
    // Each alone, so that all of them are heard.
    for (path, text) in &layers {
        let source = Source { path, text };
        mistakes.extend(config::parse_config(&[source]).err().map(|error| Mistake::new(path, &error)));
    }
    for (name, meant) in variable::mistaken(host.variable_names()) {
        let error = Fail::configuration(format!("{name}: there is no such variable"));
        let error = error.hint(format!("did you mean `{meant}`?"));
        mistakes.push(Mistake::new(Path::new(&name), &error.into()));
    }
    // Together they may say what an administrator has locked.
    let user = match host.config() {
        Err(error) if mistakes.is_empty() => {
            mistakes.push(Mistake::new(&host.own_config(), &error));
            Config::default()
        }
        user => user.unwrap_or_default(),
    };
    let catalog = host.skills()?;
    let mut unknown_skills = |path: &Path, config: &Config| {
        for name in &config.review.skills {
            let missing = catalog.choose(std::slice::from_ref(name)).err();
            mistakes.extend(missing.map(|error| Mistake::new(path, &error).at_word(name)));
        }
    };
    unknown_skills(&host.own_config(), &user);
    let mut wrong = not_read(host)?;
    for name in host.agent_names()? {
        looked_at += 1;
        let name = match name {
            Ok(name) => name,
            Err(error) => {
                wrong.push(Mistake::new(&host.paths.agents_dir(), &error));
                continue;
            }
        };
        let path = host.paths.agent_file(&name);
        match host.agent(&name, &user) {
            Ok(Some(agent)) if agent.config.review.skills != user.review.skills => unknown_skills(&path, &agent.config),
            Ok(_) => {}
            Err(error) => wrong.push(Mistake::new(&path, &error)),
        }
    }
    mistakes.extend(wrong);
    Ok((looked_at, mistakes))
}

/// What looks as if it were read and is not.
fn not_read(host: &Host) -> Result<Vec<Mistake>> {
    let is_other = |name: &str| [".yaml", ".yml", ".conf", ".json"].iter().any(|end| name.ends_with(end));
    let mut found = Vec::new();
    for name in files::names(&host.paths.agents_dir())?.into_iter().filter(|name| is_other(name)) {
        let file = host.paths.agents_dir().join(name);
        let problem = format!("{}: this is not read: the file of an agent is NAME.toml", file.display());
        found.push(Mistake { file, problem, hint: None });
    }
    Ok(found)
}

fn of_files(files: &[PathBuf], host: &Host) -> Result<(usize, Vec<Mistake>)> {
    let mut mistakes = Vec::new();
    for path in files {
        let Some(text) = files::read(path)? else { bail!(Fail::new(format!("`{}` does not exist", path.display()))) };
        let source = Source { path, text: &text };
        let parent = path.canonicalize()?.parent().and_then(Path::file_name).map(ToOwned::to_owned);
        let parsed = if path.file_name().is_some_and(|name| name == REPOSITORY_FILE) {
            config::parse_repository(&text, &host.config()?).map(drop)
        } else if parent.is_some_and(|name| name == "agents") {
            match path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default().parse() {
                Ok(name) => config::parse_agent(&name, source, &host.config()?).map(drop),
                Err(problem) => Err(Fail::configuration(format!("`{}`: {problem}", path.display())).into()),
            }
        } else {
            config::parse_config(&[source]).map(drop)
        };
        mistakes.extend(parsed.err().map(|error| Mistake::new(path, &error)));
    }
    Ok((files.len(), mistakes))
}

pub fn schema(args: &SchemaArgs, host: &Host) -> Result<Exit> {
    host.ui.data_json(&schema::schema(args.of))?;
    Ok(Exit::Done)
}
