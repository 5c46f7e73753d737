//! The engines that are in use: whether their programs are there, start, and are what was pinned.

use super::{Check, failure, ok, warning};
use crate::cage::API_KEY;
use crate::command::engine::{Use, uses};
use crate::config::{Config, EngineName};
use crate::engine::pin::{self, Standing, Wanted};
use crate::host::Host;

pub(super) async fn checks(host: &Host, config: &Config) -> Vec<Check> {
    let used = match uses(host, config) {
        Ok(used) => used,
        Err(error) => {
            return vec![failure("engine", format!("{error:#}"), "`cicdctl engine pin` writes the pins anew")];
        }
    };
    let mut checks = Vec::new();
    for Use { engine, wanted, .. } in used.into_iter().filter(|used| !used.by.is_empty()) {
        checks.push(match (engine, wanted) {
            (EngineName::Rules, _) => ok("engine", "rules (built in)"),
            (_, Some(wanted)) => program(host, &wanted).await,
            (EngineName::Claude, None) => failure(
                "engine",
                "the engine is `claude` and its program was not found",
                "`npm install -g @anthropic-ai/claude-code`, or set `[engine.claude] program`",
            ),
            (EngineName::Command, None) => failure(
                "engine",
                "the engine is `command` and no command is set",
                "set `[engine.command] argv` in the configuration",
            ),
        });
    }
    checks
}

/// A program that has changed since it was pinned is not run.
async fn program(host: &Host, wanted: &Wanted) -> Check {
    let (name, path) = (wanted.engine.as_str(), wanted.program.display());
    if !wanted.program.is_file() {
        let remedy = match wanted.engine {
            EngineName::Claude => "install it anew, or correct `[engine.claude] program`",
            _ => "correct `[engine.command] argv` in the configuration",
        };
        return failure("engine", format!("the engine's program `{path}` does not exist"), remedy);
    }
    let pinned = match host.paths.pins().standing(wanted) {
        Ok(Standing::Pinned(pin)) => Some(pin),
        Ok(Standing::Unpinned(_)) => None,
        Ok(Standing::Changed(changed)) => {
            return failure(
                "engine",
                format!("{name} is not what was pinned, and no review is made: {}", pin::in_words(&changed)),
                format!("find out who changed it; `cicdctl engine pin {name}` pins it as it is now"),
            );
        }
        Err(error) => return failure("engine", format!("{error:#}"), "`cicdctl engine pin` writes the pins anew"),
    };
    let mut found = format!("{name}: {path}");
    if wanted.engine == EngineName::Claude {
        match pin::version(&wanted.program).await {
            Ok(version) => found = format!("claude {version} at {path}"),
            Err(error) => return failure("engine", format!("{error:#}"), "install it anew"),
        }
        if host.vault().list().is_ok_and(|all| all.iter().any(|stored| stored.name == API_KEY.0)) {
            found.push_str(", with a key");
        } else {
            found.push_str(", without a stored key");
            return warning("engine", found, format!("`cicdctl secret set {}`", API_KEY.0));
        }
    }
    match pinned {
        Some(pin) => ok("engine", format!("{found}, pinned ({})", pin::short(&pin.sha256))),
        None => warning(
            "engine",
            format!("{found}, not pinned: whatever is there when a job begins is started"),
            format!("`cicdctl engine pin {name}`"),
        ),
    }
}
