//! cicd-toolkit.toml(5), from the schema that the files are held to.

use serde_json::Value;

use super::{DATE, escape};
use crate::config::schema::{Of, choices, schema};

/// What stands before the keys.
const HEAD: &str = r#".SH NAME
cicd\-toolkit.toml \- configuration of cicdctl: of a user, of an agent, of a repository
.SH SYNOPSIS
.nf
/opt/cicd\-toolkit/configs/config.toml
/etc/cicd\-toolkit/config.toml
~/.config/cicd\-toolkit/config.toml
~/.config/cicd\-toolkit/agents/NAME.toml
\&.cicd\-toolkit.toml
.fi
.SH DESCRIPTION
The files are TOML. The first two are the host's, the third is the user's; each is laid over the ones before it, key by
key. The file of an agent is laid over all three, for this agent alone. The file of a repository is read from the tip of
the base branch, where the host allows it, and may say less than the others.
.PP
A key that does not exist, and a value that is out of range, is an error with file, line and column, and nothing that
depends on the file is begun.
.BR cicdctl\-config\-check (1)
says all of them,
.BR cicdctl\-config\-show (1)
what holds and where it comes from. A setting holds from the next job on; for those in units
.BR cicdctl\-apply (1)
follows.
.PP
Sizes are bytes with the units K, M, G and T, powers of 1024: \fI512M\fR. Times are numbers with ms, s, m, h and d:
\fI90s\fR, \fI1h 30m\fR. Shares of CPU time are percent of one CPU: \fI25%\fR.
"#;

const TAIL: &str = r#".SH ENVIRONMENT
Each key of the tables [job], [review], [trigger], [policy], [engine], [forge] and [budget] has a variable, whose value
is above all files but a repository's: \fBCICD_JOB_MEMORY\fR is job.memory, \fBCICD_ENGINE_CLAUDE_MODEL\fR is
engine.claude.model. A list is written with commas, or as in TOML. What is empty is not set, and what an administrator
has locked stays locked.
.PP
A variable holds for the process that has it. A runner has those of [environment];
.BR cicdctl\-review (1)
asks the runner for CICD_REVIEW_ENGINE, CICD_REVIEW_SKILLS and CICD_REVIEW_POST of the shell that it is called in, and
says which others the runner does not see. What units are made of, such as limits, is in files only.
.SH EXAMPLES
.nf
[review]
engine = "claude"
skills = ["code\-reviewer", "security\-scanner"]

[engine.claude]
max_budget_usd = 1.0

[[paths]]
match = ["vendor/**"]
exclude = true
.fi
.SH "SEE ALSO"
.BR cicdctl (1),
.BR cicdctl\-config (1),
.BR systemd.resource\-control (5)
"#;

pub fn page() -> String {
    let mut text = format!(".TH CICD\\-TOOLKIT.TOML 5 {DATE} \"cicdctl {}\" cicdctl\n{HEAD}", crate::version());
    let user = schema(Of::User);
    section(&mut text, "KEYS OF CONFIG.TOML", &user, &Value::Null);
    section(&mut text, "KEYS OF AGENTS/NAME.TOML", &schema(Of::Agent), &user);
    section(&mut text, "KEYS OF .CICD-TOOLKIT.TOML", &schema(Of::Repository), &user);
    text.push_str(TAIL);
    text
}

/// All keys of a file. Of those that the user's has, too, the names alone.
fn section(text: &mut String, heading: &str, schema: &Value, known: &Value) {
    text.push_str(&format!(".SH \"{}\"\n", escape(heading)));
    let mut same = Vec::new();
    keys(text, "", schema, known, &mut same);
    if !same.is_empty() {
        text.push_str(&format!(".PP\nAs in the user's file: {}.\n", same.join(", ")).replace('\'', "\\(aq"));
    }
}

fn keys(text: &mut String, prefix: &str, schema: &Value, known: &Value, same: &mut Vec<String>) {
    let Some(properties) = schema["properties"].as_object() else {
        let name = format!("\\fB{}\\fR", escape(prefix));
        if schema == known {
            same.push(name);
        } else {
            text.push_str(&format!(".TP\n{name}{}\n{}\n", default(schema), meaning(schema, known)));
        }
        return;
    };
    // Those of a table before the tables in it.
    let (tables, plain): (Vec<_>, Vec<_>) = properties.iter().partition(|(_, below)| below["properties"].is_object());
    if !prefix.is_empty() && schema != known && !plain.is_empty() {
        text.push_str(&format!(".SS \"[{}]\"\n", escape(prefix)));
        if schema["description"].is_string() {
            text.push_str(&format!("{}\n", meaning(schema, &Value::Null)));
        }
    }
    for (name, below) in plain.into_iter().chain(tables) {
        let name = if prefix.is_empty() { name.clone() } else { format!("{prefix}.{name}") };
        let leaf = name.rsplit('.').next().unwrap_or(&name);
        keys(text, &name, below, &known["properties"][leaf], same);
    }
}

fn default(schema: &Value) -> String {
    match &schema["default"] {
        Value::Null => String::new(),
        value => format!(" = {}", escape(&value.to_string())),
    }
}

/// What the user's file says of the same key, or else what it says of itself.
fn meaning(schema: &Value, known: &Value) -> String {
    let mut parts = Vec::new();
    if let Some(text) = known["description"].as_str().or(schema["description"].as_str()) {
        parts.push(text.replace("\n\n", "\n").replace('\n', " "));
    }
    let values = choices(schema);
    if !values.is_empty() {
        parts.push(format!("One of {}.", values.join(", ")));
    }
    if schema["type"] == "array" && !choices(&schema["items"]).is_empty() {
        parts.push(format!("Of {}.", choices(&schema["items"]).join(", ")));
    }
    let range = match (schema["minimum"].as_f64(), schema["maximum"].as_f64()) {
        (Some(least), Some(most)) => format!("{least} to {most}."),
        (Some(least), None) if least > 0.0 => format!("At least {least}."),
        _ => String::new(),
    };
    parts.extend(Some(range).filter(|range| !range.is_empty()));
    if parts.is_empty() {
        parts.extend(schema["type"].as_str().map(|kind| format!("A value of type {kind}.")));
    }
    escape(&parts.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema::keys;

    #[test]
    fn every_key_is_there() {
        let page = page();
        for of in [Of::User, Of::Agent, Of::Repository] {
            for key in keys(of) {
                assert!(page.contains(&format!("\\fB{}\\fR", escape(&key.name))), "{}", key.name);
            }
        }
        assert!(page.contains("\\fBjob.timeout\\fR = \"20m\""), "{page}");
        assert!(page.contains("One of rules, claude, command."), "{page}");
    }
}
