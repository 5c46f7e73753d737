//! `cicdctl doctor`: every precondition tested, not assumed; each with its cause and the exact remedy.

mod disk;
mod engine;
mod forge;
pub mod probe;
mod secrets;
mod upgrade;

use anyhow::Result;
use schemars::JsonSchema;
use serde::Serialize;

use crate::api::client::Client;
use crate::config::Config;
use crate::converge;
use crate::error::{Exit, Fail};
use crate::host::Host;
use crate::journal;
use crate::store::Store;
use crate::systemd::{self, Linger, Manager};
use crate::ui::{dim, green, red, yellow};
use crate::unit::{RUNNER_SERVICE, RUNNER_SOCKET};

/// Check everything the runner needs
///
/// Exits with status 1 if a check fails; a warning does not.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cicdctl doctor
  cicdctl doctor --fix
  cicdctl doctor --json")]
pub struct Args {
    /// Mend what can be mended without a doubt: modes of secrets, and secrets that are in the environment
    #[arg(long)]
    fix: bool,
    /// Answer the question of `--fix` with yes
    #[arg(short, long, requires = "fix")]
    pub yes: bool,
    /// Show what `--fix` would do and do nothing
    #[arg(long, requires = "fix")]
    dry_run: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Ok,
    Warning,
    Failure,
}

/// One check. The code is stable: the troubleshooting texts go by it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Check {
    code: &'static str,
    verdict: Verdict,
    /// What was found.
    found: String,
    /// What to do about it.
    remedy: Option<String>,
}

fn ok(code: &'static str, found: impl Into<String>) -> Check {
    Check { code, verdict: Verdict::Ok, found: found.into(), remedy: None }
}

fn warning(code: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Check {
    Check { code, verdict: Verdict::Warning, found: found.into(), remedy: Some(remedy.into()) }
}

fn failure(code: &'static str, found: impl Into<String>, remedy: impl Into<String>) -> Check {
    Check { code, verdict: Verdict::Failure, found: found.into(), remedy: Some(remedy.into()) }
}

pub async fn run(args: Args, host: &Host) -> Result<Exit> {
    if args.fix {
        secrets::fix(host, args.dry_run).await?;
        if args.dry_run {
            return Ok(Exit::Done);
        }
    }
    // An answer of a forge or an engine may say back what it was told.
    let redactor = host.vault().redactor();
    let checks: Vec<Check> = checks(host)
        .await
        .into_iter()
        .map(|check| Check {
            found: redactor.text(&check.found),
            remedy: check.remedy.map(|remedy| redactor.text(&remedy)),
            ..check
        })
        .collect();
    if host.ui.json {
        host.ui.data_json(&checks)?;
    } else {
        for check in &checks {
            let (word, style) = match check.verdict {
                Verdict::Ok => ("ok", green()),
                Verdict::Warning => ("warning", yellow().bold()),
                Verdict::Failure => ("FAILED", red().bold()),
            };
            host.ui.data(&format!(
                "{} {:12} {}",
                host.ui.paint(&format!("{word:8}"), style),
                check.code,
                check.found
            ))?;
            if let Some(remedy) = &check.remedy {
                host.ui.data(&host.ui.paint(&format!("{:8} {:12} -> {remedy}", "", ""), dim()))?;
            }
        }
    }
    let failed = checks.iter().filter(|check| check.verdict == Verdict::Failure).count();
    if failed > 0 {
        host.ui.say(&format!("{} failed.", crate::quantity::count(failed, "check")));
        return Ok(Exit::Failed);
    }
    Ok(Exit::Done)
}

async fn checks(host: &Host) -> Vec<Check> {
    let mut checks = Vec::new();
    let config = match host.config() {
        Ok(config) => {
            checks.push(ok(
                "config",
                if host.paths.config_file().exists() {
                    host.paths.config_file().display().to_string()
                } else {
                    "defaults; there is no file".into()
                },
            ));
            config
        }
        Err(error) => {
            checks.push(failure("config", format!("{error:#}"), correction(&error)));
            Config::default()
        }
    };
    let agents = host.agents(&config).map(drop);
    if let (true, Err(error)) = (checks.iter().all(|check| check.verdict == Verdict::Ok), &agents) {
        checks.push(failure("config", format!("{error:#}"), correction(error)));
    }
    // Defaults tell nothing of what is wanted; and the forge that they name is perhaps not that of the token.
    let is_known = checks.iter().all(|check| check.verdict == Verdict::Ok);
    let manager = match host.manager().await {
        Ok(manager) => manager,
        Err(error) => {
            checks.push(failure(
                "bus",
                format!("{error:#}"),
                format!("log in by ssh or on the console, or let root run `loginctl enable-linger {}`", host.user),
            ));
            checks.push(store(host).await);
            checks.extend(secrets::checks(host, &config, None).await);
            checks.extend(of_configuration(host, &config, is_known).await);
            return checks;
        }
    };
    let version = manager.version().await.unwrap_or_default();
    checks.push(ok("bus", format!("the user manager answers (systemd {version})")));
    checks.push(match systemd::linger(&host.user) {
        Linger::On => ok("linger", "on: units run with nobody logged in"),
        Linger::Off => failure(
            "linger",
            "off: everything ends at logout",
            format!("`cicdctl init`, or as root `loginctl enable-linger {}`", host.user),
        ),
    });
    checks.push(if is_known { drift(host, &config) } else { unknown("drift") });
    checks.push(units(host, &manager, &config).await);
    checks.push(socket(host).await);
    checks.extend(probe::checks(host, &manager, &config).await);
    checks.push(store(host).await);
    checks.extend(secrets::checks(host, &config, Some(&manager)).await);
    checks.extend(of_configuration(host, &config, is_known).await);
    checks.push(journal_check(host));
    checks.extend(upgrade::checks(host).await);
    checks.push(git());
    checks.push(disk::check(host, &config));
    checks.push(disk::gc(host, &manager, &config).await);
    checks
}

/// What was probably meant, where that is known.
fn correction(error: &anyhow::Error) -> String {
    let hint = error.chain().find_map(|cause| cause.downcast_ref::<Fail>()?.hint.clone());
    let meant = hint.map_or(String::new(), |hint| format!(": {hint}"));
    format!("correct the file at the place named{meant}")
}

/// What the configuration names.
async fn of_configuration(host: &Host, config: &Config, is_known: bool) -> Vec<Check> {
    if !is_known {
        return ["engine", "skills", "forge"].map(unknown).into();
    }
    let mut checks = engine::checks(host, config).await;
    checks.push(skills(host, config));
    checks.extend(forge::checks(host, config).await);
    checks
}

fn unknown(code: &'static str) -> Check {
    warning(code, "not checked, as the configuration is wrong", "correct that first")
}

async fn store(host: &Host) -> Check {
    let path = host.paths.store();
    if !path.exists() {
        return ok("store", "not there yet");
    }
    let found = match Store::open(&path) {
        Ok(store) => store.check_whole().await,
        Err(error) => Err(error),
    };
    match found {
        Ok(()) => ok("store", path.display().to_string()),
        Err(error) => failure(
            "store",
            format!("{error:#}"),
            format!(
                "one of a newer cicdctl: install that again; a damaged one: stop the units and move `{}`, `-wal` and \
                 `-shm` away (queue, findings and costs begin anew)",
                path.display()
            ),
        ),
    }
}

fn drift(host: &Host, config: &Config) -> Check {
    let plan = host.agents(config).and_then(|agents| converge::plan(host, config, &agents, false));
    match plan {
        Err(error) => failure("drift", format!("{error:#}"), "correct the file named"),
        Ok(plan) => {
            let kept: Vec<String> = plan.kept().map(|(path, _)| path.display().to_string()).collect();
            if !kept.is_empty() {
                return warning(
                    "drift",
                    format!("edited by hand: {}", kept.join(", ")),
                    "`cicdctl apply --dry-run` shows the difference, `--force` overwrites it",
                );
            }
            if plan.is_empty() {
                ok("drift", "the units are as the configuration wants them")
            } else {
                warning(
                    "drift",
                    format!(
                        "{} not as the configuration wants",
                        crate::quantity::count(plan.changes.len(), "unit file")
                    ),
                    "`cicdctl apply`",
                )
            }
        }
    }
}

async fn units(host: &Host, manager: &Manager, config: &Config) -> Check {
    let mut wrong = Vec::new();
    let mut names = vec![RUNNER_SERVICE.to_owned(), RUNNER_SOCKET.to_owned()];
    for agent in host.agents(config).unwrap_or_default() {
        names.extend([agent.name.service(), agent.name.socket()]);
    }
    for name in &names {
        match manager.state(name).await {
            Ok(state) if state.load != "loaded" => wrong.push(format!("{name} is {}", state.load)),
            Ok(state) if state.is_failed() => wrong.push(format!("{name} failed: {}", state.failure())),
            Ok(state) if name.ends_with(".socket") && !state.is_active() => {
                wrong.push(format!("{name} does not listen"));
            }
            Ok(_) if !manager.is_enabled(name).await => {
                wrong.push(format!("{name} is not enabled: it will not be there after a reboot"));
            }
            Ok(_) => {}
            Err(error) => wrong.push(format!("{name}: {error:#}")),
        }
    }
    if wrong.is_empty() {
        ok("units", format!("{} loaded, enabled and well", crate::quantity::count(names.len(), "unit")))
    } else {
        failure(
            "units",
            wrong.join("; "),
            "`cicdctl init` for the runner, `cicdctl agent start NAME` for an agent; `cicdctl logs` says why one failed",
        )
    }
}

async fn socket(host: &Host) -> Check {
    let client = Client::new(host.paths.runner_socket());
    match tokio::time::timeout(std::time::Duration::from_secs(30), client.info()).await {
        Ok(Ok(info)) if info.version == crate::version() => {
            ok("socket", format!("the runner {} answers", info.version))
        }
        Ok(Ok(info)) => warning(
            "socket",
            format!("the runner is version {}, this is {}", info.version, crate::version()),
            "`cicdctl upgrade`",
        ),
        Ok(Err(error)) => failure("socket", format!("{error:#}"), "`cicdctl init`"),
        Err(_) => failure(
            "socket",
            "the runner does not answer within 30 s",
            "`cicdctl logs runner`, then `systemctl --user restart cicd-runner.service`",
        ),
    }
}

/// Whether those that are configured can be had. One that nobody has chosen harms no review, and is no failure.
fn skills(host: &Host, config: &Config) -> Check {
    let catalog = match host.skills() {
        Ok(catalog) => catalog,
        Err(error) => return failure("skills", format!("{error:#}"), "make the directory readable"),
    };
    let agents = host.agents(config).unwrap_or_default();
    for names in agents.iter().map(|agent| &agent.config.review.skills).chain([&config.review.skills]) {
        if let Err(error) = catalog.choose(names) {
            return failure("skills", crate::review::reason(&error), "`cicdctl skill check` says all that is wrong");
        }
    }
    let faulty: Vec<&str> = catalog.entries().filter(|(_, entry)| entry.skill.is_err()).map(|(name, _)| name).collect();
    match faulty[..] {
        [] if config.review.skills.is_empty() => ok("skills", "none in use"),
        [] => ok("skills", format!("in use: {}", config.review.skills.join(", "))),
        _ => warning(
            "skills",
            format!("not in order: {}", crate::plain::visible(&faulty.join(", "))),
            "`cicdctl skill check` says what is wrong",
        ),
    }
}

fn journal_check(host: &Host) -> Check {
    if journal::is_readable(host.uid) {
        ok("journal", "this user can read its messages")
    } else {
        warning(
            "journal",
            format!("this user cannot read its messages; they are kept in `{}`, too", host.paths.log_file().display()),
            format!(
                "as root: `mkdir -p /var/log/journal && journalctl --flush`, or `usermod -aG systemd-journal {}`",
                host.user
            ),
        )
    }
}

fn git() -> Check {
    match std::process::Command::new("git").arg("--version").output() {
        Ok(output) if output.status.success() => ok("git", String::from_utf8_lossy(&output.stdout).trim().to_owned()),
        _ => failure("git", "git does not start", "install it (Debian, Ubuntu: `apt install git`)"),
    }
}
