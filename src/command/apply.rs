//! `cicdctl apply`: makes the units match the configuration after either was edited.

use anyhow::{Result, bail};

use crate::cli::Changing;
use crate::config::{Agent, Limits};
use crate::converge;
use crate::error::{Exit, Fail};
use crate::host::Host;
use crate::install::Manifest;
use crate::systemd::{LIVE, Verb};
use crate::timer;
use crate::unit::plan::{Action, Plan};
use crate::unit::{GC_TIMER, PATTERNS, RUNNER_SOCKET};

/// Make the units match the configuration
///
/// Shows the difference first. A unit file that was edited by hand is left alone unless `--force` is given. Running
/// units whose files change are restarted; running reviews are waited for. Changed limits of an agent need no restart. An
/// agent that is to watch by now is started.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cicdctl apply --dry-run
  cicdctl apply --force           unit files that were edited, too")]
pub struct Args {
    /// Overwrite unit files that were edited by hand
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    pub changing: Changing,
}

pub async fn run(args: Args, host: &Host) -> Result<Exit> {
    let _lock = if args.changing.dry_run { None } else { Some(converge::lock(host)?) };
    let Some(mut manifest) = Manifest::load(&host.paths.manifest())? else {
        bail!(Fail::new("nothing is set up for this user yet").hint("run `cicdctl init`"));
    };
    let config = host.config()?;
    let agents = host.agents(&config)?;
    let plan = converge::plan(host, &config, &agents, args.force)?;
    let asleep = asleep(host, &agents).await?;
    let mut also = converge::unfinished(&manifest);
    also.extend(asleep.iter().map(|unit| format!("start {unit}, which is to watch")));
    // What the plan makes is started with it.
    let timer_due = !timer::is_made(&plan)
        && match host.manager().await {
            Ok(manager) => timer::is_due(&manager, &config).await,
            // Whatever is to be done fails with what is wrong.
            Err(_) => false,
        };
    also.extend(timer_due.then(|| timer::TO_START.to_owned()));
    if !converge::agreed(host, &plan, &also, args.changing, converge::Question::Yes)? {
        return Ok(Exit::Done);
    }
    if plan.is_empty() && also.is_empty() {
        host.ui.say("Nothing to change: the units match. What else is configured holds from the next job on.");
        return Ok(Exit::Done);
    }
    let manager = host.manager().await?;
    let active: Vec<String> = manager
        .states(&manager.loaded(&[PATTERNS[0], PATTERNS[1], GC_TIMER]).await?)
        .await?
        .into_iter()
        .filter(|state| state.is_active())
        .map(|state| state.name)
        .collect();
    let before = manifest.restart.clone();
    for unit in affected(&plan, &active) {
        if !manifest.restart.contains(&unit) {
            manifest.restart.push(unit);
        }
    }
    let (live, rest) = by_need(&plan);
    let needed = affected(&rest, &active);
    let mut live = affected(&live, &active);
    live.retain(|unit| !needed.contains(unit) && !before.contains(unit));
    converge::apply(host, &plan, &mut manifest, &manager).await?;
    if timer_due {
        timer::start(host, &mut manifest, &manager).await?;
    }
    let limits: Vec<(String, &Limits)> = agents
        .iter()
        .map(|agent| (agent.name.service(), &agent.limits))
        .filter(|(unit, _)| live.contains(unit))
        .collect();
    manager.bring_into_force(&host.paths, &limits).await?;
    // Noted until here, so that one that was killed meanwhile gets them by a restart.
    manifest.restart.retain(|unit| !live.contains(unit));
    manifest.save(&host.paths.manifest())?;
    let restarted = converge::restart(host, &mut manifest, &manager).await?;
    manager.change_one(Verb::Start, RUNNER_SOCKET).await?;
    for (unit, result) in manager.change(Verb::Start, &asleep).await? {
        result.map_err(|error| error.context(format!("could not start `{unit}`")))?;
    }
    host.ui.say(&format!(
        "Done: {} changed, {} restarted{}{}.",
        crate::quantity::count(plan.changed(), "file"),
        crate::quantity::count(restarted, "unit"),
        if live.is_empty() { String::new() } else { format!(", {} with new limits", live.len()) },
        if asleep.is_empty() { String::new() } else { format!(", {} started", asleep.len()) }
    ));
    Ok(Exit::Done)
}

/// Services of agents that are to watch and have left, as they had nothing to do before. One that somebody stopped stays
/// stopped.
async fn asleep(host: &Host, agents: &[Agent]) -> Result<Vec<String>> {
    let mut asleep = Vec::new();
    let watching: Vec<&Agent> = agents.iter().filter(|agent| agent.watches().is_some()).collect();
    if watching.is_empty() {
        return Ok(asleep);
    }
    let manager = host.manager().await?;
    for agent in watching {
        let (service, socket) = (agent.name.service(), agent.name.socket());
        if manager.state(&socket).await?.is_active() && !manager.state(&service).await?.is_active() {
            asleep.push(service);
        }
    }
    Ok(asleep)
}

/// What changes nothing but limits that a running unit can be given, and the rest.
fn by_need(plan: &Plan) -> (Plan, Plan) {
    let is_live = |line: &str| {
        let key = line.split_once('=').map_or(line, |(key, _)| key);
        // The digest of the header changes with the rest.
        line.starts_with('#') || LIVE.iter().any(|(directive, _)| *directive == key)
    };
    let (live, rest) = plan.changes.iter().cloned().partition(|change| match &change.action {
        Action::Update { old } if change.file.path.ends_with("50-cicdctl.conf") => {
            similar::TextDiff::from_lines(old.as_str(), &change.file.text)
                .iter_all_changes()
                .filter(|line| line.tag() != similar::ChangeTag::Equal)
                .all(|line| is_live(line.value()))
        }
        _ => false,
    });
    (Plan { changes: live }, Plan { changes: rest })
}

/// The active units that a changed file is about.
fn affected(plan: &Plan, active: &[String]) -> Vec<String> {
    let is_about = |unit: &String| {
        plan.changes.iter().any(|change| {
            let path = change.file.path.to_string_lossy();
            let template = unit.split_once('@').map(|(name, rest)| (name, rest.rsplit('.').next().unwrap_or_default()));
            // The manager gives what is there to whatever it starts from now on.
            let is_environment = path.contains("/environment.d/") && unit.ends_with(".service");
            is_environment
                || path.ends_with(&format!("/{unit}"))
                || path.contains(&format!("/{unit}.d/"))
                || template.is_some_and(|(name, kind)| path.ends_with(&format!("/{name}@.{kind}")))
        })
    };
    active.iter().filter(|unit| is_about(unit)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::unit::UnitFile;
    use crate::unit::plan::Change;

    #[test]
    fn a_template_affects_its_instances_and_a_drop_in_its_own() {
        let change = |path: &str| Change {
            file: UnitFile { path: path.into(), text: String::new(), mode: 0o644 },
            action: Action::Create,
        };
        let active = ["cicd-runner.service", "cicd-agent@a.service", "cicd-agent@b.service", "cicd-agent@b.socket"]
            .map(str::to_owned);
        let plan = Plan { changes: vec![change("/u/cicd-agent@.service")] };
        assert_eq!(affected(&plan, &active), ["cicd-agent@a.service", "cicd-agent@b.service"]);
        let plan = Plan { changes: vec![change("/u/cicd-agent@b.service.d/50-cicdctl.conf")] };
        assert_eq!(affected(&plan, &active), ["cicd-agent@b.service"]);
        let plan = Plan { changes: vec![change("/u/cicd-runner.service")] };
        assert_eq!(affected(&plan, &active), ["cicd-runner.service"]);
        let plan = Plan { changes: vec![change("/c/environment.d/cicd-toolkit.conf")] };
        assert_eq!(affected(&plan, &active), ["cicd-runner.service", "cicd-agent@a.service", "cicd-agent@b.service"]);
    }

    #[test]
    fn limits_of_a_drop_in_need_no_restart_and_all_else_does() {
        let text = |lines: &str| crate::unit::plan::with_header(&format!("[Service]\n{lines}"), "cicdctl apply");
        let update = |path: &str, old: &str, new: &str| Change {
            file: UnitFile { path: path.into(), text: text(new), mode: 0o644 },
            action: Action::Update { old: text(old) },
        };
        let dropin = "/u/cicd-agent@b.service.d/50-cicdctl.conf";
        let count = |change: Change| {
            let (live, rest) = by_need(&Plan { changes: vec![change] });
            (live.changes.len(), rest.changes.len())
        };
        let (old, new) = ("CPUQuota=25%\nMemoryMax=1G\nLimitNOFILE=1\n", "CPUQuota=50%\nMemoryMax=2G\nLimitNOFILE=1\n");
        assert_eq!(count(update(dropin, old, new)), (1, 0));
        assert_eq!(count(update(dropin, old, &new.replace("NOFILE=1", "NOFILE=2"))), (0, 1));
        assert_eq!(count(update(dropin, old, &format!("{new}ReadWritePaths=-/x\n"))), (0, 1));
        assert_eq!(count(update("/u/cicd-agent@.service", old, new)), (0, 1));
    }
}
