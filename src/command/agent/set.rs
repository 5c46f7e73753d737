//! `cicdctl agent set`: limits of agents, in force at once and for good. The agent's file is edited with its comments
//! kept, its drop-in follows, and a unit that runs gets the new limits without a restart.

use anyhow::{Context, Result, bail};
use clap_complete::ArgValueCandidates;
use schemars::JsonSchema;
use serde::Serialize;
use toml_edit::DocumentMut;

use crate::cli::Changing;
use crate::command::complete;
use crate::config::{self, Agent, Limits, Percent, Size, Source, edit};
use crate::converge;
use crate::error::{Exit, Fail};
use crate::files;
use crate::host::Host;
use crate::install::Manifest;
use crate::systemd;
use crate::unit::dropin_name;

/// Change limits of agents, at once and for good
///
/// A unit that runs is not restarted; what was and what is now stands side by side.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cicdctl agent set myapp --memory 1G
  cicdctl agent set 'web-*' --cpu 20%")]
pub struct Args {
    /// Names of agents, or globs such as `web-*`
    #[arg(required = true, value_name = "NAME", add = ArgValueCandidates::new(complete::agents))]
    names: Vec<String>,
    #[command(flatten)]
    wanted: Wanted,
    #[command(flatten)]
    pub changing: Changing,
}

#[derive(Debug, Clone, Copy, clap::Args)]
#[group(required = true, multiple = true)]
struct Wanted {
    /// CPU time, 100% being one CPU
    #[arg(long, value_name = "SHARE")]
    cpu: Option<Percent>,
    /// Share of the CPU beside others that want it, too, 1 to 10000
    #[arg(long, value_name = "NUMBER")]
    cpu_weight: Option<u32>,
    /// Memory
    #[arg(long, value_name = "SIZE")]
    memory: Option<Size>,
    /// Swap
    #[arg(long, value_name = "SIZE")]
    swap: Option<Size>,
    /// Processes and threads
    #[arg(long, value_name = "NUMBER")]
    tasks: Option<u32>,
}

impl Wanted {
    /// Key below [limits] and value.
    fn pairs(&self) -> Vec<(&'static str, toml_edit::Value)> {
        let Wanted { cpu, cpu_weight, memory, swap, tasks } = self;
        [
            ("cpu", cpu.map(|cpu| cpu.to_string().into())),
            ("cpu_weight", cpu_weight.map(|weight| i64::from(weight).into())),
            ("memory", memory.map(|memory| memory.to_string().into())),
            ("swap", swap.map(|swap| swap.to_string().into())),
            ("tasks", tasks.map(|tasks| i64::from(tasks).into())),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect()
    }
}

/// What became of one agent, and what `--json` prints.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Row {
    agent: String,
    changes: Vec<Change>,
    /// The kernel has all of them now; absent where the unit does not run.
    in_force: Option<bool>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub struct Change {
    limit: &'static str,
    before: Option<String>,
    after: Option<String>,
}

pub async fn run(args: Args, host: &Host) -> Result<Exit> {
    let Some(mut manifest) = Manifest::load(&host.paths.manifest())? else {
        bail!(Fail::new("nothing is set up for this user yet").hint("run `cicdctl init` first"));
    };
    let config = host.config()?;
    let chosen = super::chosen(host, &config, &args.names)?;
    let _lock = if args.changing.dry_run { None } else { Some(converge::lock(host)?) };
    let pairs = args.wanted.pairs();
    let mut texts = Vec::new();
    let mut agents = host.agents(&config)?;
    let mut after: Vec<Agent> = Vec::new();
    for agent in &chosen {
        let path = host.paths.agent_file(&agent.name);
        let before = files::read(&path)?.unwrap_or_default();
        let text = with_limits(&before, &pairs).with_context(|| format!("could not edit `{}`", path.display()))?;
        let parsed = config::parse_agent(&agent.name, Source { path: &path, text: &text }, &config)?;
        if text != before {
            texts.push((path, before, text));
        }
        agents.retain(|other| other.name != agent.name);
        agents.push(parsed.clone());
        after.push(parsed);
    }
    let plan = converge::plan(host, &config, &agents, false)?;
    if let Some((path, _)) =
        plan.kept().find(|(path, _)| chosen.iter().any(|agent| path.ends_with(dropin_name(&agent.name))))
    {
        bail!(
            Fail::new(format!("`{}` was edited by hand, so the limits would not last", path.display()))
                .hint("`cicdctl apply --force` overwrites it; settings of your own belong into a drop-in beside it")
        );
    }
    let also: Vec<String> = texts
        .iter()
        .map(|(path, before, text)| {
            let diff = similar::TextDiff::from_lines(before, text);
            let diff = diff.unified_diff().context_radius(1).to_string();
            format!("update {}\n      {}", path.display(), diff.trim_end().replace('\n', "\n      "))
        })
        .collect();
    if !converge::agreed(host, &plan, &also, args.changing, converge::Question::None)? {
        return Ok(Exit::Done);
    }
    let manager = host.manager().await?;
    for (path, _, text) in &texts {
        files::write(path, text.as_bytes(), 0o600)?;
    }
    let services: Vec<String> = after.iter().map(|agent| agent.name.service()).collect();
    let states = manager.states(&services).await?;
    // Noted, so that after a kill in between the next `apply` brings them into force by a restart.
    let noted = manifest.restart.clone();
    manifest.restart.extend(states.iter().filter(|state| state.is_active()).map(|state| state.name.clone()));
    converge::apply(host, &plan, &mut manifest, &manager).await?;
    let running: Vec<(String, &Limits)> = after
        .iter()
        .zip(&states)
        .filter(|(_, state)| state.is_active())
        .map(|(agent, _)| (agent.name.service(), &agent.limits))
        .collect();
    manager.bring_into_force(&host.paths, &running).await?;
    manifest.restart = noted;
    manifest.save(&host.paths.manifest())?;
    let mut rows = Vec::new();
    for ((old, new), state) in chosen.iter().zip(&after).zip(states) {
        let group = state.control_group.filter(|_| running.iter().any(|(unit, _)| *unit == state.name));
        let asked = |name: &str| pairs.iter().any(|(key, _)| *key == name);
        let in_force = group.map(|group| {
            systemd::in_force(&group, &new.limits).into_iter().filter(|(name, _)| asked(name)).all(|(_, holds)| holds)
        });
        rows.push(Row { agent: new.name.to_string(), changes: changes(&old.limits, &new.limits, asked), in_force });
    }
    if host.ui.json {
        host.ui.data_json(&rows)?;
        return Ok(Exit::Done);
    }
    for row in &rows {
        host.ui.say(&row.in_words());
    }
    if rows.iter().any(|row| row.in_force == Some(false)) {
        host.ui.warn("the kernel does not have all of these limits; `cicdctl doctor` says why");
    }
    Ok(Exit::Done)
}

impl Row {
    /// Such as: `web: memory 512M → 1G, cpu 25% as before (in force)`.
    fn in_words(&self) -> String {
        let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "none".into());
        let changes: Vec<String> = self
            .changes
            .iter()
            .map(|Change { limit, before, after }| match before == after {
                true => format!("{limit} {} as before", or_none(after)),
                false => format!("{limit} {} → {}", or_none(before), or_none(after)),
            })
            .collect();
        let when = match self.in_force {
            Some(true) => "in force",
            Some(false) => "declared only",
            None => "from its next start",
        };
        format!("{}: {} ({when})", self.agent, changes.join(", "))
    }
}

fn changes(before: &Limits, after: &Limits, asked: impl Fn(&str) -> bool) -> Vec<Change> {
    fn text<T: ToString>(value: &Option<T>) -> Option<String> {
        value.as_ref().map(T::to_string)
    }
    let of = |limits: &Limits| {
        let Limits { cpu, cpu_weight, memory, swap, tasks, open_files: _ } = limits;
        [
            ("cpu", text(cpu)),
            ("cpu_weight", text(cpu_weight)),
            ("memory", text(memory)),
            ("swap", text(swap)),
            ("tasks", text(tasks)),
        ]
    };
    of(before)
        .into_iter()
        .zip(of(after))
        .filter(|((limit, _), _)| asked(limit))
        .map(|((limit, before), (_, after))| Change { limit, before, after })
        .collect()
}

/// The agent's file with these keys below [limits]; all else stays as it is, comments and all.
fn with_limits(text: &str, pairs: &[(&'static str, toml_edit::Value)]) -> Result<String> {
    let mut document: DocumentMut = text.parse()?;
    for (key, new) in pairs {
        edit::put(&mut document, &format!("limits.{key}"), new.clone())?;
    }
    Ok(document.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(text: &str) -> String {
        let wanted = Wanted {
            cpu: Some(Percent(50)),
            cpu_weight: None,
            memory: Some(Size(1 << 30)),
            swap: None,
            tasks: Some(99),
        };
        with_limits(text, &wanted.pairs()).unwrap()
    }

    #[test]
    fn comments_order_and_all_other_keys_stay() {
        let text = "# mine\npath = \"/p\"   # there\n\n[limits] # careful\nmemory = \"512M\" # was too little\n# last\n\n[watch]\ninterval = \"60s\"\n";
        assert_eq!(
            set(text),
            "# mine\npath = \"/p\"   # there\n\n[limits] # careful\nmemory = \"1G\" # was too little\ncpu = \"50%\"\ntasks = 99\n# last\n\n[watch]\ninterval = \"60s\"\n"
        );
    }

    #[test]
    fn a_file_without_limits_gets_them_and_one_with_a_line_of_them_keeps_its_form() {
        assert_eq!(set("path = \"/p\"\n"), "path = \"/p\"\n\n[limits]\ncpu = \"50%\"\nmemory = \"1G\"\ntasks = 99\n");
        let inline = set("limits = { memory = \"2G\" }\n");
        assert_eq!(inline, "limits = { memory = \"1G\" , cpu = \"50%\", tasks = 99 }\n");
        let dotted = set("limits.memory = \"2G\"\n[review]\npost = true\n");
        assert!(dotted.starts_with("limits.memory = \"1G\"\nlimits.cpu = \"50%\"\n"), "{dotted}");
    }
}
