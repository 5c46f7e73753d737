//! `cicdctl engine`: which programs read the changes, and whether they are still those that somebody has looked at.

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Subcommand;
use schemars::JsonSchema;
use serde::Serialize;

use crate::cli::Changing;
use crate::config::{Config, EngineName};
use crate::converge::{self, Question};
use crate::engine::pin::{self, Pin, Standing, Wanted};
use crate::error::{Exit, Fail};
use crate::host::Host;
use crate::plain;
use crate::quantity::{count, list as listed};
use crate::ui::{bold, dim, green, red, yellow};
use crate::unit::plan::Plan;

/// List, show, pin and check engines: the programs that read a change
#[derive(Debug, Subcommand)]
pub enum Command {
    /// List the engines that there are, who uses them, and whether they are pinned
    #[command(after_help = "Example:
  cicdctl engine list")]
    List,
    /// Show what is known of an engine's program, and what its pin covers
    #[command(after_help = "Example:
  cicdctl engine show claude")]
    Show {
        /// Its name: rules, claude or command
        #[arg(value_enum)]
        engine: EngineName,
    },
    /// Pin the program of an engine as it is now: path, version and hash
    ///
    /// From then on no other program is started in its place: the job ends as failed, and says what has changed. The
    /// hash covers the program's file; of a script also its interpreter and the npm package that it is in; of `command`
    /// also each file that its command line names by an absolute path. The program is asked for its version. Without a
    /// name all engines are pinned that are in use.
    Pin(PinArgs),
    /// Forget the pins of an engine: any program may be in its place again
    #[command(after_help = "Example:
  cicdctl engine unpin claude")]
    Unpin {
        /// Its name: claude or command [default: all]
        #[arg(value_enum)]
        engine: Option<EngineName>,
        #[command(flatten)]
        changing: Changing,
    },
    /// Compare the pinned programs with what is there now
    ///
    /// Exits with status 1 if something has changed, and says what. A program that has changed is not run.
    #[command(after_help = "Example:
  cicdctl engine check")]
    Check {
        /// Its name: claude or command [default: all that are pinned or in use]
        #[arg(value_enum)]
        engine: Option<EngineName>,
    },
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  cicdctl engine pin claude")]
pub struct PinArgs {
    /// Its name: claude or command [default: all that are in use]
    #[arg(value_enum)]
    engine: Option<EngineName>,
    #[command(flatten)]
    changing: Changing,
}

impl Command {
    pub fn yes(&self) -> bool {
        match self {
            Command::Pin(PinArgs { changing, .. }) | Command::Unpin { changing, .. } => changing.yes,
            _ => false,
        }
    }
}

pub async fn run(command: Command, host: &Host) -> Result<Exit> {
    match command {
        Command::List => list(host).await,
        Command::Show { engine } => show(host, engine).await,
        Command::Pin(args) => make(host, &args).await,
        Command::Unpin { engine, changing } => unpin(host, engine, changing),
        Command::Check { engine } => check(host, engine).await,
    }
}

/// An engine as the configuration has it for somebody.
#[derive(Debug, Clone, PartialEq)]
pub struct Use {
    pub engine: EngineName,
    /// Its program; `None` for the rules, which have none, and where none was found.
    pub wanted: Option<Wanted>,
    /// `runner`, and the names of agents; nobody where it is only configured or installed.
    pub by: Vec<String>,
}

/// The engines that the runner and the agents use, each program once; then those that could be.
pub fn uses(host: &Host, config: &Config) -> Result<Vec<Use>> {
    let mut found: Vec<Use> = Vec::new();
    let mut add = |engine: EngineName, wanted: Option<Wanted>, by: Option<String>| {
        let index = found.iter().position(|used| used.engine == engine && used.wanted == wanted).unwrap_or_else(|| {
            found.push(Use { engine, wanted, by: Vec::new() });
            found.len() - 1
        });
        found[index].by.extend(by);
    };
    add(config.review.engine, wanted(host, config.review.engine, config)?, Some("runner".into()));
    for agent in host.agents(config)? {
        let engine = agent.config.review.engine;
        add(engine, wanted(host, engine, &agent.config)?, Some(agent.name.to_string()));
    }
    for engine in [EngineName::Rules, EngineName::Claude, EngineName::Command] {
        let wanted = wanted(host, engine, config)?;
        if engine == EngineName::Rules || wanted.is_some() {
            add(engine, wanted, None);
        }
    }
    Ok(found)
}

/// The program that a configuration means: the one that it names, the one that is pinned, the one that is found.
fn wanted(host: &Host, engine: EngineName, config: &Config) -> Result<Option<Wanted>> {
    Ok(match engine {
        EngineName::Rules => None,
        EngineName::Command => Wanted::command(&config.engine.command.argv),
        EngineName::Claude => {
            let program = match &config.engine.claude.program {
                None => host.paths.pins().program(engine)?.or_else(|| host.find_program("claude")),
                named => named.clone(),
            };
            program.as_deref().map(Wanted::claude)
        }
    })
}

/// A program that is to be pinned is looked for as the units do, and not where it was pinned.
fn wanted_anew(host: &Host, engine: EngineName, config: &Config) -> Result<Option<Wanted>> {
    if engine != EngineName::Claude || config.engine.claude.program.is_some() {
        return wanted(host, engine, config);
    }
    let places = host.places()?;
    let path = places.environment.iter().find(|(name, _)| name == "PATH").map(|(_, value)| value.as_str());
    let of_units = path.and_then(|path| host.find_program_in(path, "claude"));
    if let (Some(of_units), Some(ours)) = (&of_units, host.find_program("claude"))
        && of_units.canonicalize().ok() != ours.canonicalize().ok()
    {
        host.ui.warn(&format!(
            "runner and agents find `{}`, and you `{}`; `[engine.claude] program` says which is meant",
            of_units.display(),
            ours.display()
        ));
    }
    Ok(of_units.or_else(|| host.find_program("claude")).as_deref().map(Wanted::claude))
}

/// One engine, as `--json` has it.
#[derive(Serialize, JsonSchema)]
pub struct Row {
    engine: EngineName,
    used_by: Vec<String>,
    program: Option<PathBuf>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    argv: Vec<String>,
    /// As pinned, or as the program says where none is pinned.
    version: Option<String>,
    /// `built-in`, `missing`, `unpinned`, `pinned` or `changed`
    state: &'static str,
    /// What has changed, in words.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    changed: Vec<String>,
    sha256: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pin: Option<Pin>,
}

impl Row {
    /// Runs nothing but a `claude` that nobody has pinned, to ask for its version.
    async fn of(host: &Host, used: Use) -> Result<Row> {
        let Use { engine, wanted, by: used_by } = used;
        let mut row = Row {
            engine,
            used_by,
            program: wanted.as_ref().map(|wanted| wanted.program.clone()),
            argv: wanted.as_ref().map(|wanted| wanted.argv.clone()).unwrap_or_default(),
            version: None,
            state: if engine == EngineName::Rules { "built-in" } else { "missing" },
            changed: Vec::new(),
            sha256: None,
            pin: None,
        };
        if engine == EngineName::Rules {
            row.version = Some(crate::version().to_owned());
        }
        let Some(wanted) = wanted else { return Ok(row) };
        match host.paths.pins().standing(&wanted)? {
            Standing::Unpinned(sha256) => {
                let there = wanted.program.is_file();
                row.state = if there { "unpinned" } else { "missing" };
                row.sha256 = sha256;
                if there && engine == EngineName::Claude {
                    row.version = pin::version(&wanted.program).await.ok();
                }
            }
            Standing::Pinned(pin) => {
                (row.state, row.version, row.sha256) = ("pinned", pin.version.clone(), Some(pin.sha256.clone()));
                row.pin = Some(*pin);
            }
            Standing::Changed(changed) => (row.state, row.changed) = ("changed", changed),
        }
        Ok(row)
    }

    fn described(&self, host: &Host) -> String {
        let style = match self.state {
            "pinned" | "built-in" => green(),
            "changed" | "missing" => red(),
            _ => yellow(),
        };
        let name = host.ui.paint(&format!("{:8}", self.engine.as_str()), bold());
        let state = host.ui.paint(&format!("{:9}", self.state), style);
        let mut words: Vec<String> = Vec::new();
        words.extend(self.program.as_ref().map(|program| plain::visible(&program.display().to_string())));
        words.extend(self.version.clone());
        words.extend(self.sha256.as_deref().map(pin::short));
        let users = match &self.used_by[..] {
            [] => "not in use".to_owned(),
            users => format!("used by {}", listed(users, 5)),
        };
        format!("{name}  {state}  {}  {}", words.join("  "), host.ui.paint(&users, dim()))
    }
}

async fn rows(host: &Host) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    for used in uses(host, &host.config()?)? {
        rows.push(Row::of(host, used).await?);
    }
    Ok(rows)
}

async fn list(host: &Host) -> Result<Exit> {
    let rows = rows(host).await?;
    if host.ui.json {
        host.ui.data_json(&rows)?;
        return Ok(Exit::Done);
    }
    for row in &rows {
        host.ui.data(&row.described(host))?;
        for changed in row.changed.iter().take(3) {
            host.ui.data(&format!("          {}", host.ui.paint(&plain::visible(changed), red())))?;
        }
    }
    Ok(Exit::Done)
}

async fn show(host: &Host, engine: EngineName) -> Result<Exit> {
    let rows: Vec<Row> = rows(host).await?.into_iter().filter(|row| row.engine == engine).collect();
    if rows.is_empty() {
        return Err(not_there(engine).into());
    }
    if host.ui.json {
        host.ui.data_json(&rows)?;
        return Ok(Exit::Done);
    }
    for row in &rows {
        host.ui.data(&row.described(host))?;
        for changed in &row.changed {
            host.ui.data(&format!("  changed      {}", plain::visible(changed)))?;
        }
        if let Some(pin) = &row.pin {
            host.ui.data(&detail(pin))?;
        }
    }
    Ok(Exit::Done)
}

/// What a pin says, a line for each thing.
fn detail(pin: &Pin) -> String {
    let visible = |path: &std::path::Path| plain::visible(&path.display().to_string());
    let mut text = format!("  program      {}\n", visible(&pin.program));
    if pin.argv.len() > 1 {
        text.push_str(&format!("  arguments    {}\n", plain::visible(&pin.argv[1..].join(" "))));
    }
    if let Some(version) = &pin.version {
        text.push_str(&format!("  version      {version}\n"));
    }
    text.push_str(&format!("  sha256       {}\n", pin.sha256));
    for interpreter in &pin.interpreters {
        let version = interpreter.version.as_deref().map_or(String::new(), |version| format!(" ({version})"));
        text.push_str(&format!("  interpreter  {}{version}\n", visible(&interpreter.program)));
    }
    for package in &pin.packages {
        text.push_str(&format!("  package      {}\n", visible(package)));
    }
    text.push_str(&format!("  covers       {}\n", count(pin.files.len(), "file")));
    text
}

fn not_there(engine: EngineName) -> Fail {
    match engine {
        EngineName::Claude => Fail::new("the engine `claude` was not found")
            .hint("`npm install -g @anthropic-ai/claude-code`, or name it: `[engine.claude] program = \"/…/claude\"`"),
        _ => Fail::new(format!("the engine `{}` has no program", engine.as_str()))
            .hint("name it: `[engine.command] argv = [\"/usr/local/bin/my-linter\", \"--sarif\"]`"),
    }
}

/// A script that is no npm package mostly starts something else.
fn what_is_not_covered(pin: &Pin) -> Option<String> {
    let is_wrapper = !pin.interpreters.is_empty() && pin.packages.is_empty();
    is_wrapper.then(|| {
        format!("`{}` is a script: what it starts or loads itself is not covered by its hash", pin.program.display())
    })
}

async fn make(host: &Host, args: &PinArgs) -> Result<Exit> {
    if args.engine == Some(EngineName::Rules) {
        bail!(Fail::usage("the engine `rules` is built in: it is what `cicdctl` itself is"));
    }
    let config = host.config()?;
    let mut wanted: Vec<Wanted> = Vec::new();
    let mut add = |found: Option<Wanted>| wanted.extend(found.filter(|found| !wanted.contains(found)));
    let scopes = host.agents(&config)?.into_iter().map(|agent| agent.config);
    for scope in std::iter::once(config.clone()).chain(scopes) {
        let engine = scope.review.engine;
        if engine != EngineName::Rules && args.engine.is_none_or(|only| only == engine) {
            let found = wanted_anew(host, engine, &scope)?;
            if found.is_none() {
                return Err(not_there(engine).into());
            }
            add(found);
        }
    }
    if let (true, Some(engine)) = (wanted.is_empty(), args.engine) {
        // It may be pinned before it is put to use.
        wanted.extend(wanted_anew(host, engine, &config)?);
        if wanted.is_empty() {
            return Err(not_there(engine).into());
        }
    }
    if wanted.is_empty() {
        host.ui.say("Nothing to pin: all reviews are made by the rules that are built in.");
        return Ok(Exit::Done);
    }
    let pins = host.paths.pins();
    // One that cannot be read is what this command writes anew.
    let before = pins.load().unwrap_or_default();
    let mut made = Vec::new();
    for wanted in &wanted {
        made.push(pins.make(wanted).await?);
    }
    let same = |pin: &Pin| before.iter().any(|old| old == pin);
    let of_engine = |engine: EngineName| made.iter().any(|pin| pin.engine == engine);
    let mut lines = Vec::new();
    let mut replaces = false;
    let gone: Vec<&Pin> = before
        .iter()
        .filter(|old| of_engine(old.engine) && !made.iter().any(|pin| pin.program == old.program))
        .collect();
    for pin in &made {
        let is_known = same(pin);
        let of_same = |old: &&&Pin| old.engine == pin.engine;
        let old = before.iter().find(|old| old.engine == pin.engine && old.program == pin.program);
        let old = old.or_else(|| gone.iter().find(of_same).copied());
        let what = match old {
            _ if is_known => "pinned as it is",
            Some(_) => "pin in place of what is pinned",
            None => "pin",
        };
        replaces |= !is_known && old.is_some();
        lines.push(format!("{what}: {}", pin.engine.as_str()));
        lines.extend(detail(pin).lines().map(str::to_owned));
        if let Some(old) = old.filter(|old| !is_known && old.program == pin.program) {
            lines.push(format!("  changed      {}", pin::in_words(&pin::differences(old, pin))));
        }
    }
    lines.extend(gone.iter().map(|old| format!("forget {}: {}", old.engine.as_str(), old.program.display())));
    for pin in &made {
        if let Some(text) = what_is_not_covered(pin) {
            host.ui.warn(&text);
        }
        if let (EngineName::Claude, Some(wanted)) = (pin.engine, &config.engine.claude.version)
            && pin.version.as_ref() != Some(wanted)
        {
            host.ui.warn(&format!("`[engine.claude] version` is {wanted}, and no review is made until it is this one"));
        }
    }
    let question = if replaces { Question::Yes } else { Question::None };
    if !converge::agreed(host, &Plan::default(), &lines, args.changing, question)? {
        return Ok(Exit::Done);
    }
    if made.iter().all(same) && before.iter().filter(|old| of_engine(old.engine)).count() == made.len() {
        host.ui.say("Nothing to change: pinned, and as they were.");
        return Ok(Exit::Done);
    }
    let mut all: Vec<Pin> = before.iter().filter(|old| !of_engine(old.engine)).cloned().collect();
    all.extend(made.iter().cloned());
    pins.save(all)?;
    for pin in &made {
        host.ui.say(&format!(
            "pinned `{}`: {}{}, {}, {}",
            pin.engine.as_str(),
            pin.program.display(),
            pin.version.as_deref().map_or(String::new(), |version| format!(" {version}")),
            pin::short(&pin.sha256),
            count(pin.files.len(), "file")
        ));
    }
    host.ui.say(&format!("  pins  {}", pins.file.display()));
    host.ui.say("Next: `cicdctl engine check` compares; each job does before its engine starts.");
    Ok(Exit::Done)
}

fn unpin(host: &Host, engine: Option<EngineName>, changing: Changing) -> Result<Exit> {
    let pins = host.paths.pins();
    let all = pins.load()?;
    let (gone, kept): (Vec<Pin>, Vec<Pin>) =
        all.into_iter().partition(|pin| engine.is_none_or(|engine| pin.engine == engine));
    if gone.is_empty() {
        host.ui.say("Nothing to forget: it is not pinned.");
        return Ok(Exit::Done);
    }
    let lines: Vec<String> =
        gone.iter().map(|pin| format!("forget {}: {}", pin.engine.as_str(), pin.program.display())).collect();
    if !converge::agreed(host, &Plan::default(), &lines, changing, Question::No)? {
        return Ok(Exit::Done);
    }
    pins.save(kept)?;
    host.ui.say(&format!("forgot {}; any program may be in its place again", count(gone.len(), "pin")));
    Ok(Exit::Done)
}

/// One comparison, as `--json` has it.
#[derive(Serialize, JsonSchema)]
pub struct Compared {
    engine: EngineName,
    program: PathBuf,
    /// `pinned`, `unpinned` or `changed`
    state: &'static str,
    changed: Vec<String>,
}

async fn check(host: &Host, engine: Option<EngineName>) -> Result<Exit> {
    let pins = host.paths.pins();
    let pinned = pins.load()?;
    let mut wanted: Vec<Wanted> = Vec::new();
    for used in uses(host, &host.config()?)?.into_iter().filter(|used| !used.by.is_empty()) {
        wanted.extend(used.wanted);
    }
    for pin in &pinned {
        let same = |wanted: &&Wanted| {
            wanted.engine == pin.engine
                && wanted.argv == pin.argv
                && wanted.program.canonicalize().ok().as_ref() == Some(&pin.program)
        };
        if !wanted.iter().any(|wanted| same(&wanted)) {
            wanted.push(Wanted { engine: pin.engine, program: pin.program.clone(), argv: pin.argv.clone() });
        }
    }
    let mut found = Vec::new();
    for wanted in wanted.into_iter().filter(|wanted| engine.is_none_or(|engine| wanted.engine == engine)) {
        let (state, changed) = match pins.standing(&wanted)? {
            Standing::Unpinned(_) => ("unpinned", Vec::new()),
            Standing::Changed(changed) => ("changed", changed),
            // Its files are the same, so it may be asked. A wrapper may start something else by now.
            Standing::Pinned(pin) => match says_another_version(&pin).await {
                None => ("pinned", Vec::new()),
                Some(what) => ("changed", vec![what]),
            },
        };
        found.push(Compared { engine: wanted.engine, program: wanted.program, state, changed });
    }
    let wrong = found.iter().filter(|compared| compared.state == "changed").count();
    if host.ui.json {
        host.ui.data_json(&found)?;
    } else {
        for Compared { engine, program, state, changed } in &found {
            let (word, style) = match *state {
                "pinned" => ("ok", green()),
                "changed" => ("CHANGED", red().bold()),
                other => (other, yellow()),
            };
            let line = format!(
                "{} {:8} {}",
                host.ui.paint(&format!("{word:8}"), style),
                engine.as_str(),
                plain::visible(&program.display().to_string())
            );
            host.ui.data(&line)?;
            for what in changed {
                host.ui.data(&format!("                  {}", plain::visible(what)))?;
            }
        }
        if found.is_empty() {
            host.ui.say("Nothing to check: all reviews are made by the rules that are built in.");
        }
    }
    if wrong > 0 {
        return Err(Fail::new(format!("{} not as pinned; its jobs fail", count(wrong, "program")))
            .hint("find out who changed it; then `cicdctl engine pin` pins what is there now")
            .into());
    }
    Ok(Exit::Done)
}

/// What a program whose files are as pinned says of itself, where that has changed.
async fn says_another_version(pin: &Pin) -> Option<String> {
    let pinned = pin.version.as_deref()?;
    let found = match pin::version(&pin.program).await {
        Ok(text) if pin.engine == EngineName::Claude => text.split_whitespace().next().unwrap_or_default().to_owned(),
        Ok(text) => text,
        Err(error) => return Some(format!("it says no version any more: {error:#}")),
    };
    (found != pinned)
        .then(|| format!("it says that it is {found}, and pinned is {pinned}, though no covered file has changed"))
}
