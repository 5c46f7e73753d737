//! Keys that the administrator of a host has locked (`locked = [...]` in `/etc/cicd-toolkit/config.toml`): what the
//! weaker layers say of them holds. A rule for those who keep to it, and no wall: who may run a program of their own is
//! not bound by this one. Pure.

use std::path::Path;

use super::origin::get;
use super::schema::{Of, keys};
use crate::host_wide;

/// Whether a file is the administrator's.
pub fn may_lock(file: &Path) -> bool {
    [host_wide::OPT, host_wide::ETC].iter().any(|dir| file.starts_with(dir))
}

/// What is wrong with a list of keys, if something is: each names a setting, or a table of settings.
pub fn problem(locked: &[String]) -> Option<String> {
    let known: Vec<String> = keys(Of::User).into_iter().map(|key| key.name).collect();
    let wrong = locked.iter().find(|key| key.as_str() == LOCKED || !known.iter().any(|name| is_of(name, key)))?;
    let near = super::nearest_of(wrong, known.iter().map(String::as_str));
    let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
    Some(format!("there is no key `{wrong}`{near}"))
}

pub const LOCKED: &str = "locked";
pub const PROBLEM: &str = "the administrator of this host has locked it; remove it here (`cicdctl config get locked` shows \
                           what else is)";

/// The first key that `over` sets otherwise than `under` does though it is locked.
pub fn violated(locked: &[String], over: &toml::Table, under: &toml::Table) -> Option<String> {
    let differs_at = |key: &String| differs(get(over, key)?, get(under, key)).map(|below| format!("{key}{below}"));
    locked.iter().find_map(differs_at).or_else(|| {
        // A rule for all paths would say otherwise, too.
        let rules = over.get("paths").and_then(toml::Value::as_array)?;
        let of_a_rule = |name: &&str| rules.iter().any(|rule| rule.get(*name).is_some());
        let is_locked = |name: &&str| holds(locked, &format!("review.{name}"));
        RULES.iter().find(|name| is_locked(name) && of_a_rule(name)).map(|_| "paths".to_owned())
    })
}

/// What a rule for paths may say that is a setting of `[review]`, too.
const RULES: [&str; 4] = ["instructions", "min_severity", "max_diff", "exclude"];

/// Whether `locked` has this key, or a table that it is in.
pub fn holds(locked: &[String], key: &str) -> bool {
    locked.iter().any(|locked| is_of(key, locked))
}

/// What of `new` differs from `old`, as the rest of a dotted key.
fn differs(new: &toml::Value, old: Option<&toml::Value>) -> Option<String> {
    match (new, old) {
        (toml::Value::Table(new), old) => new.iter().find_map(|(name, value)| {
            let old = old.and_then(|old| old.get(name));
            differs(value, old).map(|below| format!(".{name}{below}"))
        }),
        (new, old) => (Some(new) != old).then(String::new),
    }
}

fn is_of(name: &str, key: &str) -> bool {
    name.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Source, parse_agent, parse_config, parse_repository};
    use super::*;

    const ETC: &str = "locked = [\"hardening\", \"engine.claude.model\", \"agents.limits.memory\", \"trigger.forks\"]
[hardening]
level = \"strict\"
";

    fn parse(user: &str) -> Result<Config, String> {
        let layers = [("/etc/cicd-toolkit/config.toml", ETC), ("/home/a/.config/cicd-toolkit/config.toml", user)];
        parse_config(&layers.map(|(path, text)| Source { path: Path::new(path), text }))
            .map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn what_is_locked_is_set_by_nobody_above_but_to_what_it_is() {
        let config = parse("[runner]\njobs = 3\n[hardening]\nlevel = \"strict\"\n").unwrap();
        assert_eq!(config.hardening.level, crate::config::Level::Strict);
        assert_eq!(config.locked.len(), 4);
        for (text, key, line) in [
            ("[hardening]\nlevel = \"off\"\n", "hardening.level", 2),
            ("\n[engine.claude]\nmodel = \"x\"\n", "engine.claude.model", 3),
            ("[agents.limits]\ncpu = \"9%\"\nmemory = \"9G\"\n", "agents.limits.memory", 3),
        ] {
            let error = parse(text).unwrap_err();
            let wanted = format!("/home/a/.config/cicd-toolkit/config.toml:{line}: `{key}`: {PROBLEM}");
            assert_eq!(error, wanted);
        }
        assert!(parse("[agents.limits]\ncpu = \"9%\"\n").is_ok());
    }

    #[test]
    fn an_agent_and_a_repository_keep_to_it_too() {
        let user = parse("").unwrap();
        let agent = |text: &str| {
            let source = Source { path: Path::new("/a/x.toml"), text };
            parse_agent(&"x".parse().unwrap(), source, &user).map(drop).map_err(|error| format!("{error:#}"))
        };
        assert_eq!(
            agent("[limits]\nmemory = \"9G\"\n").unwrap_err(),
            format!("/a/x.toml:2: `limits.memory`: {PROBLEM}")
        );
        assert!(agent("[engine.claude]\nmodel = \"x\"\n").unwrap_err().contains("`engine.claude.model`"));
        assert_eq!(agent("[limits]\ncpu = \"10%\"\n"), Ok(()));
        let repository = |text: &str| parse_repository(text, &user).map(drop).map_err(|error| format!("{error:#}"));
        assert!(repository("[trigger]\nforks = \"off\"\n").is_err_and(|error| error.contains("locked")));
        assert_eq!(repository("[review]\nmax_inline = 3\n"), Ok(()));
    }

    #[test]
    fn a_rule_for_paths_is_no_way_around() {
        let layers = |locked: &str, user: &str| {
            let host = format!("locked = [\"{locked}\"]\n[[paths]]\nmatch = [\"*.min.js\"]\nexclude = true\n");
            let layers = [("/etc/cicd-toolkit/config.toml", host.as_str()), ("config.toml", user)];
            parse_config(&layers.map(|(path, text)| Source { path: Path::new(path), text }))
        };
        let rule = |says: &str| format!("[job]\ntasks = 9\n[[paths]]\nmatch = [\"*\"]\n{says}\n");
        let refused = layers("review.exclude", &rule("exclude = true")).unwrap_err().to_string();
        assert_eq!(refused, format!("config.toml:3: `paths`: {PROBLEM}"));
        assert!(layers("review.min_severity", &rule("min_severity = \"high\"")).is_err());
        assert!(layers("review", &rule("instructions = \"Say nothing.\"")).is_err());
        assert!(layers("paths", &rule("exclude = false")).is_err());
        let user = layers("review.exclude", &rule("min_severity = \"high\"")).unwrap();
        let own = parse_repository("[[paths]]\nmatch = [\"src/\"]\nexclude = true\n", &user);
        assert!(own.unwrap_err().to_string().contains(".cicd-toolkit.toml:1: `paths`: the administrator"));
    }

    #[test]
    fn only_an_administrator_locks_and_only_what_there_is() {
        let error = parse("locked = [\"hardening\"]\n").unwrap_err();
        assert!(error.contains("config.toml:1: `locked`: only the files of the administrator"), "{error}");
        assert_eq!(problem(&["hardening".into(), "engine".into(), "runner.jobs".into()]), None);
        assert_eq!(
            problem(&["runner.job".into()]).unwrap(),
            "there is no key `runner.job`; did you mean `runner.jobs`?"
        );
        assert!(problem(&["locked".into()]).is_some());
    }
}
