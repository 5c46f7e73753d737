//! An agent: the runner of one project. Pure.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Longest name: the unit name `cicd-agent@NAME.service` has 255 bytes at most, and the socket's path 107.
const MAX_LEN: usize = 48;

/// The name of an agent, fit to be the instance of a unit and the name of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct AgentName(String);

impl AgentName {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    // Nothing that a name may hold needs systemd's escaping to come back from `%i` as it is.
    pub fn service(&self) -> String {
        format!("cicd-agent@{}.service", self.0)
    }

    pub fn socket(&self) -> String {
        format!("cicd-agent@{}.socket", self.0)
    }

    /// The agent of a unit such as `cicd-agent@myapp.service`.
    pub fn of_unit(unit: &str) -> Option<AgentName> {
        unit.strip_prefix("cicd-agent@")?.rsplit_once('.')?.0.parse().ok()
    }
}

impl FromStr for AgentName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let problem = if text.is_empty() {
            "it is empty".to_owned()
        } else if text.len() > MAX_LEN {
            format!("it has {} characters", text.chars().count())
        } else if let Some(c) = text.chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))) {
            format!("`{}` may not stand in it", c.escape_debug())
        } else if !text.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            "it begins with neither a letter nor a digit".to_owned()
        } else {
            return Ok(AgentName(text.to_owned()));
        };
        let shown: String = text.chars().take(40).flat_map(char::escape_debug).collect();
        let dots = if text.chars().count() > 40 { "…" } else { "" };
        Err(format!(
            "`{shown}{dots}` cannot be the name of an agent: {problem} \
             (up to {MAX_LEN} letters, digits, `-`, `_` and `.`, beginning with a letter or digit)"
        ))
    }
}

impl TryFrom<String> for AgentName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<AgentName> for String {
    fn from(name: AgentName) -> String {
        name.0
    }
}

impl fmt::Display for AgentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_names_pass_and_become_units() {
        for name in ["myapp", "project-a", "a", "web_2.0", "A1"] {
            let name: AgentName = name.parse().unwrap();
            assert_eq!(AgentName::of_unit(&name.service()), Some(name.clone()));
            assert_eq!(AgentName::of_unit(&name.socket()), Some(name));
        }
    }

    #[test]
    fn bad_names_are_refused_with_the_reason() {
        for (name, reason) in [
            ("", "empty"),
            ("../x", "`/` may not"),
            ("a@b", "`@` may not"),
            ("a b", "` ` may not"),
            ("-a", "begins with"),
            (".a", "begins with"),
            ("a\nb", "`\\n` may not"),
            ("ä", "`ä` may not"),
            ("%i", "`%` may not"),
            (&"x".repeat(300), "300 characters"),
        ] {
            let error = name.parse::<AgentName>().unwrap_err();
            assert!(error.contains(reason), "{name}: {error}");
            assert!(error.len() < 250, "{error}");
        }
    }
}
