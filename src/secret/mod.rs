//! The user's secrets: what engines and the publisher need to know and nobody else may see.
//!
//! A [`Vault`] keeps them below `credentials/` (0700/0600): encrypted by the host's systemd where that can do it for
//! users (`NAME.cred`), as plain files (`NAME`) where it cannot. [`text`] makes a value of what people hand over,
//! [`creds`] speaks to `systemd-creds`, [`environment`] reads the other place, files of environment.d, and [`redact`]
//! keeps values out of texts.

pub mod creds;
pub mod environment;
pub mod exposure;
pub mod handover;
pub mod net;
pub mod redact;
pub mod scrub;
pub mod text;
mod vault;

use std::fmt;

use anyhow::{Result, bail};

use crate::cage::API_KEY;
use crate::config::nearest_of;
use crate::error::Fail;
use crate::forge::github::{APP_KEY, TOKEN, TOKEN_VARIABLES};

pub use redact::Redactor;
pub use vault::{Kept, Memory, Stamp, Stored, Vault, close};

/// Names that mean something, each with the variable that holds the same where the environment is used.
pub const KNOWN: [(&str, Option<&str>); 3] =
    [(API_KEY.0, Some(API_KEY.1)), (TOKEN, Some(TOKEN_VARIABLES[1])), (APP_KEY, None)];

/// Variables that hold a secret of ours, or of what we start, wherever they come from.
pub const VARIABLES: [&str; 6] =
    [API_KEY.1, TOKEN_VARIABLES[0], TOKEN_VARIABLES[1], "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN", "GH_TOKEN"];

/// A value. It has no way into a text but [`Value::reveal`].
#[derive(Clone, PartialEq, Eq)]
pub struct Value(String);

impl Value {
    pub fn new(text: impl Into<String>) -> Value {
        Value(text.into())
    }

    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Value(redacted)")
    }
}

/// Whether a name may be that of a secret: it becomes that of a file.
pub fn check_name(name: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
        bail!(Fail::usage(format!(
            "`{}` cannot be the name of a secret: lower-case letters, digits and `-`",
            name.escape_debug()
        )));
    }
    Ok(())
}

pub fn is_known(name: &str) -> bool {
    KNOWN.iter().any(|(known, _)| *known == name)
}

/// The known name that was probably meant.
pub fn nearest(name: &str) -> Option<String> {
    nearest_of(name, KNOWN.iter().map(|(known, _)| *known))
}

/// The variable that holds the secret in the environment.
pub fn variable_of(name: &str) -> Option<&'static str> {
    KNOWN.iter().find(|(known, _)| *known == name).and_then(|(_, variable)| *variable)
}

/// The secret that a variable holds.
pub fn name_of(variable: &str) -> Option<&'static str> {
    match variable {
        // It is asked first, but says the same.
        _ if variable == TOKEN_VARIABLES[0] => Some(TOKEN),
        _ => KNOWN.iter().find(|(_, known)| *known == Some(variable)).map(|(name, _)| *name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_not_shown() {
        assert_eq!(format!("{:?}", Value::new("canary")), "Value(redacted)");
    }

    #[test]
    fn names_and_variables_belong_together() {
        assert_eq!(variable_of("anthropic-api-key"), Some("ANTHROPIC_API_KEY"));
        assert_eq!(variable_of("github-app-key"), None);
        assert_eq!(name_of("GITHUB_TOKEN"), Some("github-token"));
        assert_eq!(name_of("CICD_GITHUB_TOKEN"), Some("github-token"));
        assert_eq!(name_of("PATH"), None);
        assert_eq!(nearest("anthropic-key").as_deref(), Some("anthropic-api-key"));
        assert_eq!(nearest("github_token").as_deref(), Some("github-token"));
        assert_eq!(nearest("x"), None);
    }
}
