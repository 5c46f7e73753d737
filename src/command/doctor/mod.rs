//! `cicdctl doctor`: every precondition tested, not assumed; each with its cause and the exact remedy.

mod disk;
mod forge;

use std::path::Path;

use anyhow::Result;
use serde::Serialize;
use zbus::wire::Variant;

use crate::api::client::Client;
use crate::config::{Config, EngineName};
use crate::converge;
use crate::error::Exit;
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
pub struct Args {}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Verdict {
    Ok,
    Warning,
    Failure,
}

/// One check. The code is stable: the troubleshooting texts go by it.
#[derive(Debug, Serialize)]
struct Check {
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

pub async fn run(_: Args, host: &Host) -> Result<Exit> {
    let checks = checks(host).await;
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
            checks.push(failure(
                "config",
                format!("{error:#}"),
                format!("correct the file at the place named; `{}`", host.paths.config_file().display()),
            ));
            Config::default()
        }
    };
    let agents = host.agents(&config).map(drop);
    if let (true, Err(error)) = (checks.iter().all(|check| check.verdict == Verdict::Ok), &agents) {
        checks.push(failure("config", format!("{error:#}"), "correct the file at the place named"));
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
    checks.push(delegation(&manager).await);
    checks.push(sandbox(host, &manager).await);
    checks.push(store(host).await);
    checks.extend(of_configuration(host, &config, is_known).await);
    checks.push(journal_check(host));
    checks.push(git());
    checks.push(disk::check(host, &config));
    checks.push(disk::gc(host, &manager, &config).await);
    checks
}

/// What the configuration names.
async fn of_configuration(host: &Host, config: &Config, is_known: bool) -> Vec<Check> {
    if !is_known {
        return ["engine", "skills", "forge"].map(unknown).into();
    }
    let mut checks = vec![engine(host, config), skills(host, config)];
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
        Ok(Ok(info)) if info.version == env!("CARGO_PKG_VERSION") => {
            ok("socket", format!("the runner {} answers", info.version))
        }
        Ok(Ok(info)) => warning(
            "socket",
            format!("the runner is version {}, this is {}", info.version, env!("CARGO_PKG_VERSION")),
            "`systemctl --user restart cicd-runner.service`",
        ),
        Ok(Err(error)) => failure("socket", format!("{error:#}"), "`cicdctl init`"),
        Err(_) => failure(
            "socket",
            "the runner does not answer within 30 s",
            "`cicdctl logs runner`, then `systemctl --user restart cicd-runner.service`",
        ),
    }
}

async fn delegation(manager: &Manager) -> Check {
    let group = manager.control_group().await.unwrap_or_default();
    let read = |root: &str| std::fs::read_to_string(format!("{root}{group}/cgroup.controllers")).ok();
    let controllers = read("/sys/fs/cgroup").or_else(|| read("/sys/fs/cgroup/unified")).unwrap_or_default();
    let missing: Vec<&str> = ["cpu", "memory", "pids"]
        .into_iter()
        .filter(|name| !controllers.split_whitespace().any(|known| known == *name))
        .collect();
    if missing.is_empty() {
        return ok("delegation", "cpu, memory and pids are delegated: limits are enforced");
    }
    let found = format!(
        "limits of {} are declared only: the user manager is not given {}",
        missing.join(", "),
        if missing.len() == 1 { "this controller" } else { "these controllers" }
    );
    if Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        warning(
            "delegation",
            found,
            "as root: `mkdir -p /etc/systemd/system/user@.service.d && printf '[Service]\\nDelegate=cpu memory pids\\n' > /etc/systemd/system/user@.service.d/delegate.conf && systemctl daemon-reload`, then log in anew",
        )
    } else {
        warning(
            "delegation",
            found,
            "the host uses the legacy cgroup hierarchy; boot with `systemd.unified_cgroup_hierarchy=1`",
        )
    }
}

/// Starts a unit with a sandbox, as the cages are, and looks whether it could be had.
async fn sandbox(host: &Host, manager: &Manager) -> Check {
    let name = format!("cicd-job-doctor-{}.service", std::process::id());
    let program = host.program.display().to_string();
    let properties: Vec<(&str, Variant<'_>)> = vec![
        ("Type", "exec".into()),
        ("Description", "cicdctl doctor: can the sandbox be had?".into()),
        ("ExecStart", vec![(program.clone(), vec![program, "--version".to_owned()], false)].into()),
        ("PrivateUsers", true.into()),
        ("ProtectSystem", "strict".into()),
        ("ProtectHome", "read-only".into()),
        ("PrivateTmp", true.into()),
        ("StandardOutput", "null".into()),
    ];
    let started = manager.start_transient(&name, &properties).await;
    let state = manager.state(&name).await.unwrap_or_default();
    manager.reset_failed(&name).await;
    match started {
        Ok(()) if !state.is_failed() => ok("sandbox", "a unit with a user namespace of its own starts"),
        _ => failure(
            "sandbox",
            format!("a unit with a user namespace of its own does not start: {}", state.failure()),
            "unprivileged user namespaces are forbidden; as root `sysctl kernel.unprivileged_userns_clone=1 user.max_user_namespaces=15000`, \
             on Ubuntu `sysctl kernel.apparmor_restrict_unprivileged_userns=0`; or `[hardening] level = \"off\"` and `cicdctl review --unsandboxed`",
        ),
    }
}

fn engine(host: &Host, config: &Config) -> Check {
    match config.review.engine {
        EngineName::Rules => ok("engine", "rules (built in)"),
        EngineName::Command => match config.engine.command.argv.first() {
            Some(program) if Path::new(program).is_file() => ok("engine", format!("command: {program}")),
            Some(program) => failure(
                "engine",
                format!("the engine's program `{program}` does not exist"),
                "correct `[engine.command] argv` in the configuration",
            ),
            None => failure(
                "engine",
                "the engine is `command` and no command is set",
                "set `[engine.command] argv` in the configuration",
            ),
        },
        EngineName::Claude => {
            let program = config.engine.claude.program.clone().or_else(|| host.find_program("claude"));
            let Some(program) = program.filter(|program| program.is_file()) else {
                return failure(
                    "engine",
                    "the engine is `claude` and its program was not found",
                    "`npm install -g @anthropic-ai/claude-code`, or set `[engine.claude] program`",
                );
            };
            let version = std::process::Command::new(&program)
                .arg("--version")
                .env_clear()
                .env("HOME", "/nonexistent")
                .env("PATH", "/usr/bin:/bin")
                .output();
            let version = match version {
                Ok(output) if output.status.success() => String::from_utf8_lossy(&output.stdout).trim().to_owned(),
                Ok(output) => {
                    return failure(
                        "engine",
                        format!("`{} --version` ended with {}", program.display(), output.status),
                        "install it anew",
                    );
                }
                Err(error) => {
                    return failure(
                        "engine",
                        format!("`{}` does not start: {error}", program.display()),
                        "install it anew",
                    );
                }
            };
            let key = host.paths.credentials_dir().join(crate::cage::API_KEY.0).exists();
            if key {
                ok("engine", format!("claude {version} at {}, with a key", program.display()))
            } else {
                warning(
                    "engine",
                    format!("claude {version} at {}, without a stored key", program.display()),
                    format!("`cicdctl secret set {}`", crate::cage::API_KEY.0),
                )
            }
        }
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
