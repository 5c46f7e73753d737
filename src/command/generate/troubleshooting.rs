//! cicdctl-troubleshooting(7): what each check of `doctor` is about, what it looks like without it, and what to do.

use super::{DATE, escape};

/// The code of a check, what is wrong where it is not `ok`, and what to do. Words in backticks are commands and files.
pub const CODES: [(&str, &str, &str); 19] = [
    (
        "config",
        "A key or a value of a configuration file is wrong. The message has file, line and column. Units that need the file \
         are not started: they end with status 78, and systemd does not try again. A runner that is there already goes on, \
         and its jobs wait.",
        "Correct the line; `cicdctl config check` says all that is wrong at once. The jobs that wait go on by themselves, and \
         `cicdctl init` starts what has not started.",
    ),
    (
        "bus",
        "The user's systemd manager cannot be reached: there is no session of yours and no lingering. `sudo -u`, cron and \
         services open none.",
        "Log in by ssh, `su -` or `sudo -i`, or let root run `loginctl enable-linger USER`. Root can act for a user without \
         any of it: `cicdctl --user USER status`. Where XDG_RUNTIME_DIR is another user's, unset it.",
    ),
    (
        "linger",
        "Lingering is off: everything ends as soon as you log out, and nothing starts at boot.",
        "`cicdctl init`, or `loginctl enable-linger` (some hosts want root for it).",
    ),
    (
        "drift",
        "A unit file is not what the configuration asks for: it was edited by hand, or the configuration was changed and not \
         applied.",
        "`cicdctl apply --dry-run` shows the difference, `cicdctl apply` makes it so. Edits stay but with `--force`; what is to \
         stay for good belongs in a drop-in of yours (`systemctl --user edit UNIT`).",
    ),
    (
        "units",
        "A unit has failed, is not enabled or not loaded.",
        "`cicdctl status` names the cause and `cicdctl logs NAME` what led to it. `cicdctl init` mends the runner, `cicdctl agent \
         start NAME` an agent; both clear the count of starts that systemd gave up at (five in ten minutes).",
    ),
    (
        "socket",
        "Nobody answers at the runner's socket, or one of another version does.",
        "`cicdctl init`, or `cicdctl upgrade` for another version. A runner that hangs is ended by its watchdog within a minute; \
         `systemctl --user restart cicd-runner.service` does it now, and loses no job.",
    ),
    (
        "hardening",
        "A probe in a service of the runner's kind could do what the hardening forbids, or no such service starts. Mostly: \
         user namespaces are forbidden on this host, by a sysctl, by AppArmor or by a container around it.",
        "The remedy that is shown is for root, once. Without it `cicdctl config set hardening.level off` and `cicdctl apply` do \
         without, and `doctor` goes on to say so.",
    ),
    (
        "sandbox",
        "The same of the cage that an engine runs in. Without it nothing is reviewed.",
        "As for hardening. `cicdctl review --unsandboxed` goes without for one review of what you trust; the receipt says so.",
    ),
    (
        "delegation",
        "Limits are declared and nothing enforces them: the host delegates too few controllers to users, or has cgroups of \
         version 1.",
        "Let root run the line that is shown, which adds a drop-in to user@.service; `cicdctl init --system` does the same. It \
         holds once the user's manager has started anew.",
    ),
    (
        "engine",
        "The engine's program or its key is not there, or it is not what was pinned; then no review is made.",
        "`npm install -g @anthropic-ai/claude-code` and `cicdctl secret set anthropic-api-key`. After an update that you wanted: \
         `cicdctl engine check` shows what has changed, `cicdctl engine pin claude` takes it.",
    ),
    (
        "upgrade",
        "An upgrade was interrupted, or another cicdctl comes first on PATH.",
        "`cicdctl upgrade` brings it to its end; of two programs remove the one that is not meant.",
    ),
    (
        "skills",
        "A skill that is configured is not there, or a file of yours is not in order.",
        "`cicdctl skill check` says what and where, `cicdctl skill list` what there is.",
    ),
    (
        "forge",
        "The token (or the App) is missing, has ended, or may not do what an agent needs of its repository.",
        "`cicdctl secret set github-token`. A fine-grained token needs: contents read, pull requests write, commit statuses \
         write. Behind a proxy set HTTPS_PROXY in `[environment]`, and apply.",
    ),
    (
        "secrets",
        "Others could read a file of secrets, or a secret is in the environment, where each program of yours sees it.",
        "`cicdctl doctor --fix`, after `--fix --dry-run` if you like to see it first.",
    ),
    (
        "journal",
        "You cannot read the journal of your own services. The runner keeps a file of its own instead, which `cicdctl logs` \
         reads.",
        "Nothing has to be done. Members of the group `systemd-journal` can read it.",
    ),
    (
        "store",
        "`store.db` is damaged, or was written by a newer cicdctl.",
        "Install the newer one again. A damaged one: stop the units and move the file away, with `-wal` and `-shm`; queue, \
         findings and costs begin anew.",
    ),
    ("git", "There is no git, or it does not start.", "Install it: `apt install git` on Debian and Ubuntu."),
    (
        "disk",
        "Less is free than `[disk] min_free`, or than one job may take. Nothing new is begun until there is room, and nothing is \
         lost.",
        "`cicdctl gc --dry-run` shows what can go at once; `[disk]` says how long what is kept.",
    ),
    (
        "gc",
        "Its timer does not run, or the last collection failed.",
        "`cicdctl gc` says why; `cicdctl apply` starts the timer.",
    ),
];

/// What no check is about.
const SYMPTOMS: [(&str, &str); 7] = [
    (
        "A job waits and nothing happens",
        "`cicdctl job show ID` and `cicdctl status` say what for: an agent that is paused or draining (`cicdctl agent resume`), a \
         quota (it has a time), the disk, a configuration that is wrong.",
    ),
    (
        "A review is `partial`",
        "It lists the files that nobody has seen, with the reason: too large (`review.max_diff`), a spent budget, an engine that \
         ended early.",
    ),
    (
        "A review is `deferred`",
        "The engine or the forge has no quota now. It goes on by itself at the time that is shown.",
    ),
    (
        "Nothing is published",
        "`[review] post` is off and `--post` was not given; or the head has moved meanwhile, and the newer one is reviewed. \
         `cicdctl job list --why 42` tells what became of each request for a pull request.",
    ),
    (
        "A pull request is not reviewed at all",
        "`cicdctl job list --why 42` says so: drafts, bots, forks and labels are matters of `[trigger]`. With nothing there, nobody \
         has asked: the agent does not watch (`watch.interval`), or CI did not.",
    ),
    (
        "A unit ends with 203, 217 or 226",
        "Of systemd: the program is not where the unit says (203), the user cannot be had (217), the sandbox cannot be made (226). \
         `cicdctl doctor` has the remedy for the last; `cicdctl init` writes units for where the program is now.",
    ),
    (
        "The machine is slow while reviews run",
        "`cicdctl top` shows who takes what; `cicdctl agent set NAME --cpu 25% --memory 512M` holds at once.",
    ),
];

pub fn page() -> String {
    let mut text = format!(
        ".TH CICDCTL\\-TROUBLESHOOTING 7 {DATE} \"cicdctl {}\" cicdctl\n.SH NAME\ncicdctl\\-troubleshooting \\- what the checks of \
         cicdctl doctor are about, and what to do\n.SH DESCRIPTION\n{}\n.SH \"CHECKS BY THEIR CODE\"\n",
        crate::version(),
        words(
            "`cicdctl doctor` looks at everything that is needed, each under a code that stays what it is. With `--json` the code \
             is a field. What is wrong is shown with its remedy; here is what it means."
        )
    );
    for (code, wrong, remedy) in CODES {
        text.push_str(&format!(".SS {code}\n{}\n.PP\n{}\n", words(wrong), words(remedy)));
    }
    text.push_str(".SH \"WHAT NO CHECK IS ABOUT\"\n");
    for (symptom, remedy) in SYMPTOMS {
        text.push_str(&format!(".SS \"{}\"\n{}\n", words(symptom), words(remedy)));
    }
    text.push_str(
        ".SH \"SEE ALSO\"\n.BR cicdctl\\-doctor (1),\n.BR cicdctl\\-status (1),\n.BR cicdctl\\-logs (1),\n.BR \
         cicd\\-toolkit.toml (5)\n",
    );
    text
}

/// Sentences on lines of their own; what is in backticks is bold.
fn words(text: &str) -> String {
    let mut shown = String::new();
    for (index, part) in text.split('`').enumerate() {
        match index % 2 {
            0 => shown.push_str(&escape(part)),
            _ => shown.push_str(&format!("\\fB{}\\fR", escape(part))),
        }
    }
    shown.replace(". ", ".\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_code_is_in_the_readme_too() {
        let readme = include_str!("../../../README.md");
        for (code, ..) in CODES {
            assert!(readme.lines().any(|line| line.starts_with("| ") && line.contains(&format!("`{code}`"))), "{code}");
        }
    }
}
