//! What `status` says of hardening: nothing is tried for it, the last probe is remembered.

use schemars::JsonSchema;
use serde::Serialize;

use crate::config::{Config, Level};
use crate::host::Host;
use crate::probe::memory::{Memory, Under};
use crate::probe::{self, Standing};
use crate::systemd::UnitState;

#[derive(Debug, Serialize, JsonSchema)]
pub struct Hardening {
    level: Level,
    /// `None` where no probe has looked at what is there now.
    services: Option<Standing>,
    cages: Option<Standing>,
}

/// What is remembered of these services, and of the cages that would be made.
pub fn hardening(host: &Host, config: &Config, systemd: &str, services: &[&UnitState]) -> Hardening {
    let memory = Memory::load(host, Under::now(systemd));
    let loaded = services.iter().filter(|state| state.load == "loaded");
    let found = loaded.map(|state| memory.standing(state.hardening.as_deref()?).cloned());
    let major = systemd.split(|c: char| !c.is_ascii_digit()).next().and_then(|digits| digits.parse().ok());
    let cages = major.and_then(|major| memory.standing(&probe::cage_digest(host, config, major)).cloned());
    Hardening { level: config.hardening.level, services: worst(found), cages }
}

/// Not known is worse than known to be open: it may be either. Of no service at all nothing is known.
fn worst(found: impl Iterator<Item = Option<Standing>>) -> Option<Standing> {
    let mut all = found.collect::<Option<Vec<Standing>>>()?;
    let rank = |standing: &Standing| match standing {
        Standing::DeclaredOnly(_) => 0,
        Standing::Off => 1,
        Standing::Enforced => 2,
    };
    all.sort_by_key(rank);
    all.into_iter().next()
}

impl Hardening {
    /// Such as `services enforced (standard), cages not probed; `cicdctl doctor``.
    pub fn line(&self) -> String {
        let Hardening { level, services, cages } = self;
        let words = |standing: &Option<Standing>| match standing {
            Some(standing) => standing.in_words(),
            None => "not probed".into(),
        };
        let help = match (services, cages) {
            (None, _) | (_, None) => ": `cicdctl doctor` does",
            (Some(Standing::DeclaredOnly(_)), _) | (_, Some(Standing::DeclaredOnly(_))) => {
                ": `cicdctl doctor` has the remedy"
            }
            _ => "",
        };
        format!("services {} ({}), cages {}{help}", words(services), level.as_str(), words(cages))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_what_holds_what_does_not_and_what_was_not_tried() {
        let line = |services, cages| Hardening { level: Level::Standard, services, cages }.line();
        let open = Standing::DeclaredOnly(vec!["mount".into()]);
        assert_eq!(
            line(Some(Standing::Enforced), Some(Standing::Enforced)),
            "services enforced (standard), cages enforced"
        );
        assert_eq!(
            line(Some(open), Some(Standing::Enforced)),
            "services declared only: it can mount (standard), cages enforced: `cicdctl doctor` has the remedy"
        );
        assert_eq!(
            line(Some(Standing::Enforced), None),
            "services enforced (standard), cages not probed: `cicdctl doctor` does"
        );
    }

    #[test]
    fn several_services_are_as_good_as_the_worst_of_them() {
        let open = Standing::DeclaredOnly(vec!["mount".into()]);
        assert_eq!(worst([Some(Standing::Enforced), Some(open.clone())].into_iter()), Some(open.clone()));
        assert_eq!(worst([Some(open), None].into_iter()), None);
        assert_eq!(worst(std::iter::empty()), None);
        assert_eq!(worst([Some(Standing::Enforced)].into_iter()), Some(Standing::Enforced));
    }
}
