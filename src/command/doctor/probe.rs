//! Limits and hardening, tried from inside of units with the properties of ours.

use anyhow::Result;

use super::{Check, failure, ok, warning};
use crate::cgroup;
use crate::config::{Config, Level};
use crate::host::Host;
use crate::plain;
use crate::probe::memory::{Memory, Under};
use crate::probe::remedy::{self, Namespaces};
use crate::probe::{self, Answer, Attempt, Confined, Exceeded, Got, LimitProof, Refusal, Standing};
use crate::quantity::count;
use crate::review;
use crate::systemd::{Manager, UnitState};
use crate::unit::RUNNER_SERVICE;

/// Three checks: `hardening` of the services, `sandbox` of the cages, and `delegation`, on which the limits of both hang.
pub(super) async fn checks(host: &Host, manager: &Manager, config: &Config) -> Vec<Check> {
    let unknown = |code, error: &anyhow::Error| failure(code, review::reason(error), "`journalctl --user -n 50`");
    let version = match manager.version().await {
        Ok(version) => version,
        Err(error) => return vec![unknown("hardening", &error)],
    };
    let mut memory = Memory::load(host, Under::now(&version));
    let exceeded = probe::limits(host, manager).await;
    let (exceeded, none) = match exceeded {
        Ok(Ok(exceeded)) => (exceeded, None),
        Ok(Err(refusal)) => (Exceeded::default(), Some(refusal.cause)),
        Err(error) => (Exceeded::default(), Some(review::reason(&error))),
    };
    memory.note_limits(exceeded);
    let mut proofs = Vec::new();
    let mut checks = Vec::new();
    match services(host, manager, config, exceeded, &mut memory).await {
        Ok((check, limits)) => {
            checks.push(check);
            proofs.push(("services", limits));
        }
        Err(error) => checks.push(unknown("hardening", &error)),
    }
    match cage(host, manager, config, exceeded, &mut memory).await {
        Ok((check, limits)) => {
            checks.push(check);
            proofs.push(("cages", limits));
        }
        Err(error) => checks.push(unknown("sandbox", &error)),
    }
    checks.push(limits(host, manager, &proofs, none).await);
    if let Err(error) = memory.save(host) {
        host.ui.warn(&format!("`status` will not know of this: {}", review::reason(&error)));
    }
    checks
}

/// Each way in which the loaded services are confined, once.
async fn services(
    host: &Host,
    manager: &Manager,
    config: &Config,
    exceeded: Exceeded,
    memory: &mut Memory,
) -> Result<(Check, Vec<LimitProof>)> {
    let mut names = vec![RUNNER_SERVICE.to_owned()];
    names.extend(host.agents(config).unwrap_or_default().iter().map(|agent| agent.name.service()));
    let states = manager.states(&names).await?;
    let mut loaded: Vec<&UnitState> = states.iter().filter(|state| state.load == "loaded").collect();
    let number = loaded.len();
    loaded.dedup_by(|a, b| a.hardening == b.hardening && a.limits() == b.limits());
    let level = config.hardening.level;
    let mut standings = Vec::new();
    let mut proofs: Vec<LimitProof> = Vec::new();
    for unit in &loaded {
        let (answer, declared) = match probe::service(host, manager, &unit.name).await? {
            Ok(answer) => answer,
            Err(refusal) => {
                return Ok((refused("hardening", &format!("{} does not start", unit.name), &refusal), proofs));
            }
        };
        tell(host, &unit.name, &answer);
        let standing = probe::verdict(Confined::Service(level), &answer);
        memory.note(unit.hardening.clone().unwrap_or_default(), standing.clone());
        standings.push((unit.name.as_str(), standing, answer.attempts.len()));
        merge(&mut proofs, probe::limit_proofs(declared, &answer, exceeded));
    }
    let open = standings.iter().find(|(_, standing, _)| matches!(standing, Standing::DeclaredOnly(_)));
    let check = match (open, standings.first()) {
        (_, None) => ok("hardening", "not tried, as there is no unit yet; `cicdctl init`"),
        (_, Some((_, Standing::Off, _))) => {
            ok("hardening", format!("off in {}, as the configuration wants it", count(number, "service")))
        }
        (Some((unit, standing, _)), _) => warning(
            "hardening",
            format!("{unit}, {}: {}", level.as_str(), standing.in_words()),
            format!(
                "`cicdctl apply --force` writes the unit anew; a drop-in that takes hardening away is shown by \
                 `systemctl --user cat {unit}`, each attempt by `cicdctl doctor -v`"
            ),
        ),
        (None, Some((_, _, attempts))) => ok(
            "hardening",
            format!("{} of {}: enforced ({attempts} attempts from inside)", level.as_str(), count(number, "service")),
        ),
    };
    Ok((check, proofs))
}

async fn cage(
    host: &Host,
    manager: &Manager,
    config: &Config,
    exceeded: Exceeded,
    memory: &mut Memory,
) -> Result<(Check, Vec<LimitProof>)> {
    let systemd = manager.major_version().await?;
    let (answer, declared) = match probe::cage(host, manager, config).await? {
        Ok(answer) => answer,
        Err(refusal) => return Ok((refused("sandbox", "a cage does not start", &refusal), Vec::new())),
    };
    tell(host, "cage", &answer);
    let network = config.review.engine != crate::config::EngineName::Rules;
    let standing = probe::verdict(Confined::Cage { systemd, network }, &answer);
    memory.note(probe::cage_digest(host, config, systemd), standing.clone());
    let proofs = probe::limit_proofs(declared, &answer, exceeded);
    let attempts = answer.attempts.len();
    Ok(match &standing {
        Standing::Enforced => (ok("sandbox", format!("of a cage: enforced ({attempts} attempts from inside)")), proofs),
        _ => (
            failure(
                "sandbox",
                format!("of a cage: {}", standing.in_words()),
                "`cicdctl doctor -v` shows each attempt; until it is put right review only what you trust",
            ),
            proofs,
        ),
    })
}

/// The worse of two proofs of the same limit.
fn merge(all: &mut Vec<LimitProof>, more: Vec<LimitProof>) {
    for proof in more {
        match all.iter_mut().find(|other| other.name == proof.name) {
            Some(_) if proof.is_enforced => {}
            Some(other) => *other = proof,
            None => all.push(proof),
        }
    }
}

fn refused(code: &'static str, what: &str, refusal: &Refusal) -> Check {
    let remedy = Namespaces::of_host().remedy();
    let remedy = match code {
        "hardening" => format!("{remedy}; or `[hardening] level = \"off\"`, then `cicdctl apply`"),
        _ => format!("{remedy}; or `cicdctl review --unsandboxed`, for what you trust"),
    };
    failure(code, format!("{what}: {}", refusal.cause), remedy)
}

/// `doctor -v`: each attempt, and what came of it.
fn tell(host: &Host, of: &str, answer: &Answer) {
    for Attempt { what, on, got } in &answer.attempts {
        let (word, detail) = match got {
            Got::Refused(by) => ("refused", by),
            Got::Allowed(got) => ("ALLOWED", got),
        };
        host.ui.detail(&format!(
            "{of}: {word} {:50} {}: {}",
            what.as_str(),
            plain::visible(on),
            plain::visible(detail)
        ));
    }
}

async fn limits(
    host: &Host,
    manager: &Manager,
    proofs: &[(&str, Vec<LimitProof>)],
    not_tried: Option<String>,
) -> Check {
    let controllers = controllers(manager).await;
    let missing = remedy::missing(&controllers, &["cpu", "memory", "pids"]);
    let mut texts = in_words(proofs);
    if let Some(cause) = not_tried {
        texts.push(format!("going beyond them could not be tried: {cause}"));
    }
    let all = proofs.iter().flat_map(|(_, proofs)| proofs).all(|proof| proof.is_enforced);
    if missing.is_empty() && all && !texts.is_empty() {
        return ok("delegation", format!("limits of {}", texts.join("; of ")));
    }
    let mut found = format!("limits of {}", texts.join("; of "));
    if !missing.is_empty() {
        found.push_str(&format!("; the user manager is not given {}", missing.join(", ")));
    }
    warning("delegation", found, remedy::controllers(&missing, remedy::Around::look(), host.uid))
}

/// What limits are worth, of each that has some; those of which the same is to be said are said together.
fn in_words(proofs: &[(&str, Vec<LimitProof>)]) -> Vec<String> {
    let mut texts: Vec<(String, String)> = Vec::new();
    for (of, proofs) in proofs.iter().filter(|(_, proofs)| !proofs.is_empty()) {
        // Where the host has no such files, one reason is enough, and it stands behind.
        let nothing = proofs.iter().all(|proof| !proof.is_enforced && proof.seen.starts_with("there is no "));
        let words = if nothing {
            format!("{} declared only", proofs.iter().map(|proof| proof.name).collect::<Vec<_>>().join(", "))
        } else {
            let word = |proof: &LimitProof| match proof.is_enforced {
                true => format!("{} enforced", proof.name),
                false => format!("{} declared only ({})", proof.name, proof.seen),
            };
            proofs.iter().map(word).collect::<Vec<_>>().join(", ")
        };
        match texts.last_mut() {
            Some((before, same)) if nothing && *same == words => *before = format!("{before} and {of}"),
            _ => texts.push(((*of).to_owned(), words)),
        }
    }
    texts.into_iter().map(|(of, words)| format!("{of}: {words}")).collect()
}

async fn controllers(manager: &Manager) -> Vec<String> {
    let group = manager.control_group().await.unwrap_or_default();
    let text = cgroup::read(&group, "cgroup.controllers").unwrap_or_default();
    text.split_whitespace().map(str::to_owned).collect()
}

/// One line for `agent add`: what the unit of a new agent is worth. It is added all the same where a host has no
/// controllers; where it has no user namespaces, its unit has not started.
pub async fn of_agent(host: &Host, manager: &Manager, unit: &str, level: Level) -> Result<String> {
    let version = manager.version().await?;
    let mut memory = Memory::load(host, Under::now(&version));
    let exceeded = match memory.limits() {
        Some(exceeded) => exceeded,
        None => probe::limits(host, manager).await?.unwrap_or_default(),
    };
    memory.note_limits(exceeded);
    let (answer, declared) = match probe::service(host, manager, unit).await? {
        Ok(answer) => answer,
        Err(refusal) => return Ok(format!("not proved: {}; `cicdctl doctor` says more", refusal.cause)),
    };
    let standing = probe::verdict(Confined::Service(level), &answer);
    let state = manager.state(unit).await?;
    memory.note(state.hardening.unwrap_or_default(), standing.clone());
    memory.save(host)?;
    let limits = probe::limit_proofs(declared, &answer, exceeded);
    Ok(in_one_line(&standing, &limits))
}

fn in_one_line(standing: &Standing, limits: &[LimitProof]) -> String {
    let open: Vec<&str> = limits.iter().filter(|proof| !proof.is_enforced).map(|proof| proof.name).collect();
    match (standing, &open[..]) {
        (Standing::Enforced, []) => "enforced".into(),
        (Standing::Enforced, open) => {
            format!("hardening enforced; {} declared only: `cicdctl doctor` has the remedy", open.join(", "))
        }
        (Standing::Off, []) => "limits enforced; hardening is off".into(),
        (Standing::Off, open) => {
            format!("hardening is off; {} declared only: `cicdctl doctor` has the remedy", open.join(", "))
        }
        (standing, []) => format!("limits enforced; hardening {}", standing.in_words()),
        (standing, open) => format!("{} declared only; hardening {}", open.join(", "), standing.in_words()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proof(name: &'static str, is_enforced: bool) -> LimitProof {
        LimitProof { name, is_enforced, seen: String::new() }
    }

    #[test]
    fn one_line_says_what_holds_and_what_does_not() {
        let line = |standing, limits: &[LimitProof]| in_one_line(&standing, limits);
        let good = [proof("memory", true), proof("cpu", true)];
        let bad = [proof("memory", true), proof("cpu", false)];
        assert_eq!(line(Standing::Enforced, &good), "enforced");
        assert_eq!(
            line(Standing::Enforced, &bad),
            "hardening enforced; cpu declared only: `cicdctl doctor` has the remedy"
        );
        assert_eq!(line(Standing::Off, &good), "limits enforced; hardening is off");
        let open = Standing::DeclaredOnly(vec!["mount".into()]);
        assert_eq!(line(open.clone(), &good), "limits enforced; hardening declared only: it can mount");
        assert_eq!(line(open, &bad), "cpu declared only; hardening declared only: it can mount");
    }

    #[test]
    fn what_is_the_same_is_said_once() {
        let missing = |name| LimitProof { seen: format!("there is no {name}.max"), ..proof(name, false) };
        let none = vec![missing("memory"), missing("cpu")];
        let some = vec![proof("memory", true), missing("cpu")];
        assert_eq!(
            in_words(&[("services", none.clone()), ("cages", none.clone())]),
            ["services and cages: memory, cpu declared only"]
        );
        assert_eq!(
            in_words(&[("services", none), ("cages", some)]),
            ["services: memory, cpu declared only", "cages: memory enforced, cpu declared only (there is no cpu.max)"]
        );
    }

    #[test]
    fn a_limit_is_as_good_as_the_worst_of_all_services() {
        let mut all = vec![proof("memory", true), proof("cpu", false)];
        merge(&mut all, vec![proof("memory", false), proof("cpu", true), proof("tasks", true)]);
        assert_eq!(all, [proof("memory", false), proof("cpu", false), proof("tasks", true)]);
    }
}
