//! Workflows of GitHub Actions: who may run what with which rights.

use crate::finding::{Category, Severity};

use super::source::{At, Lang};
use super::{Check, Hit, Rule, RuleInfo, Scope, pattern};

const WORKFLOW: Scope = Scope::code(&[Lang::Workflow]);

pub(super) static RULES: &[Rule] = &[
    Rule {
        info: RuleInfo {
            id: "actions-script-injection",
            title: "Text from outside becomes part of a script",
            severity: Severity::High,
            category: Category::Security,
            confidence: 0.9,
            explanation: "The expression is put into the script before the shell sees it, so whoever writes the title, body or \
                          branch name runs commands with the rights of the job. Put it into `env:` and use \"$NAME\" in \
                          the script.",
        },
        scope: WORKFLOW,
        check: Check::Line(&["github.event.", "github.head_ref"], script_injection),
    },
    Rule {
        info: RuleInfo {
            id: "actions-untrusted-checkout",
            title: "Code of a fork runs with the rights of the repository",
            severity: Severity::High,
            category: Category::Security,
            confidence: 0.85,
            explanation: "`pull_request_target` and `workflow_run` have secrets and a token that can write; with the head of \
                          the pull request checked out, its build scripts have them too. Use `pull_request`, or never run \
                          what was checked out.",
        },
        scope: WORKFLOW,
        check: Check::File(|subject| {
            let privileged = pattern!(
                r"^\s*(?:on:\s*)?[\[\s,-]*(?:pull_request_target|workflow_run)\b|^on:\s*\[.*\bpull_request_target\b"
            );
            let head = pattern!(
                r"^\s*(?:ref|repository):\s*.*(?:github\.event\.pull_request\.head\.|github\.head_ref|github\.event\.workflow_run\.head_|refs/pull/)|\bgh\s+pr\s+checkout\b"
            );
            let trigger = subject.lines().find(|line| privileged.is_match(line.text))?;
            let checkout = subject.lines().find(|line| head.is_match(line.text))?;
            if !trigger.added && !checkout.added {
                return None;
            }
            let line = if checkout.added { checkout } else { trigger };
            Some(Hit::lines(line.number, line.number))
        }),
    },
    Rule {
        info: RuleInfo {
            id: "actions-branch-pin",
            title: "Action follows a branch",
            severity: Severity::Medium,
            category: Category::Security,
            confidence: 0.85,
            explanation: "Whatever is pushed to that branch runs in the next job, with its secrets. Name a commit, or at \
                          least a tag.",
        },
        scope: WORKFLOW,
        check: Check::Line(&["uses:"], |at| {
            let branch = pattern!(
                r#"^\s*(?:-\s+)?uses:\s*["']?([\w.-]+/[\w./-]+@(?:master|main|develop|dev|trunk|HEAD|latest))["']?\s*$"#
            );
            let action = branch.first(at.code())?;
            // these tell their users to name the branch
            let asked_for = ["dtolnay/rust-toolchain@", "google/oss-fuzz/"];
            (!asked_for.iter().any(|start| action.starts_with(start))).then(|| Hit::shown(action))
        }),
    },
    Rule {
        info: RuleInfo {
            id: "actions-write-all",
            title: "Job has every permission",
            severity: Severity::Medium,
            category: Category::Security,
            confidence: 0.9,
            explanation: "Each step, third-party actions included, can push code, publish releases and change issues. Start \
                          with `contents: read`, and add what a job needs.",
        },
        scope: WORKFLOW,
        check: Check::Line(&["write-all"], |at| {
            Hit::when(pattern!(r#"^\s*permissions:\s*["']?write-all\b"#).is_match(at.code()))
        }),
    },
    Rule {
        info: RuleInfo {
            id: "actions-unsecure-commands",
            title: "Log lines may set variables",
            severity: Severity::High,
            category: Category::Security,
            confidence: 0.9,
            explanation: "With this switch any text that a step prints can set variables and PATH of the steps behind it \
                          (CVE-2020-15228). Remove it and write to $GITHUB_ENV and $GITHUB_PATH.",
        },
        scope: WORKFLOW,
        check: Check::Line(&["actions_allow_unsecure_commands"], |at| {
            let on = pattern!(r#"\bACTIONS_ALLOW_UNSECURE_COMMANDS["']?\s*[:=]\s*["']?(?:true|1)\b"#);
            Hit::when(on.is_match(at.code()))
        }),
    },
    Rule {
        info: RuleInfo {
            id: "actions-all-secrets",
            title: "All secrets are handed to a step or workflow",
            severity: Severity::Medium,
            category: Category::Security,
            confidence: 0.85,
            explanation: "`toJSON(secrets)` gives every secret of the repository and the organisation to whatever runs here, \
                          needed or not. Name the secrets that are needed.",
        },
        scope: WORKFLOW,
        check: Check::Line(&["tojson("], |at| {
            Hit::when(pattern!(r"(?i)\$\{\{\s*tojson\(\s*secrets\s*\)\s*\}\}").is_match(at.code()))
        }),
    },
];

/// An expression that outsiders fill in, in a script. Where the hunk does not show the key that the line belongs to,
/// a line that reads `key: ${{ … }}` is taken for a setting.
fn script_injection(at: &At<'_>) -> Option<Hit> {
    let outside = pattern!(
        r"\$\{\{[^}]*\bgithub\.(?:head_ref\b|event\.(?:(?:issue|pull_request|discussion)\.(?:title|body)\b|(?:comment|review|review_comment)\.body\b|pull_request\.head\.(?:ref|label|repo\.default_branch)\b|workflow_run\.(?:head_branch|display_title|head_commit\.(?:message|author))\b|(?:head_commit|commits\S*)\.(?:message|author\.(?:name|email))\b|pages\S*\.page_name\b))[^}]*\}\}"
    );
    // in a condition it is a value, and so it is in the arguments of these functions
    let text = at.text();
    let harmless =
        pattern!(r"\$\{\{\s*(?:contains|startsWith|endsWith)\(|^\s*(?:-\s+)?(?:if|name|group|run-name|concurrency):");
    if !outside.is_match(text) || harmless.is_match(text) || at.code().trim().is_empty() {
        return None;
    }
    let script = pattern!(r"^\s*(?:-\s+)?(?:run|script):");
    if script.is_match(text) {
        return Some(Hit::default());
    }
    let indent = |text: &str| text.len() - text.trim_start().len();
    let own = indent(text);
    let parent = at.before().find(|line| !line.text().trim().is_empty() && indent(line.text()) < own);
    let in_script = match &parent {
        Some(parent) if pattern!(r"^\s*(?:-\s+)?[\w-]+:").is_match(parent.text()) => script.is_match(parent.text()),
        _ => !pattern!(r"^\s*(?:-\s+)?[\w.-]+:\s").is_match(text),
    };
    // a line that the shell nests deeper, as in `if … then`
    let nested = || {
        let mut least = own;
        at.before().any(|line| {
            let outer = !line.text().trim().is_empty() && indent(line.text()) < least;
            if outer {
                least = indent(line.text());
            }
            outer && pattern!(r"^\s*(?:-\s+)?(?:run|script):\s*[|>]").is_match(line.text())
        })
    };
    Hit::when(in_script || nested())
}

#[cfg(test)]
pub(super) fn cases() -> Vec<super::Case> {
    use super::{fires, quiet};

    let path = ".github/workflows/ci.yml";
    vec![
        fires("actions-script-injection", path, "      - run: echo \"${{ github.event.pull_request.title }}\""),
        fires(
            "actions-script-injection",
            path,
            "      - run: |\n          make\n          echo ${{ github.head_ref }}\n",
        ),
        fires(
            "actions-script-injection",
            path,
            "      - run: |\n          if true; then\n            git switch ${{ github.head_ref }}\n          fi\n",
        ),
        fires(
            "actions-script-injection",
            path,
            "        with:\n          script: |\n            log(`${{ github.event.comment.body }}`)\n",
        ),
        quiet(
            "actions-script-injection",
            path,
            "      - env:\n          TITLE: ${{ github.event.pull_request.title }}\n        run: echo \"$TITLE\"\n",
        ),
        quiet("actions-script-injection", path, "      - run: echo ${{ github.event.pull_request.number }}"),
        quiet("actions-script-injection", path, "        if: ${{ github.head_ref == 'main' }}"),
        quiet("actions-script-injection", path, "concurrency:\n  group: ci-${{ github.head_ref || github.run_id }}\n"),
        quiet("actions-script-injection", path, "        with:\n          ref: ${{ github.head_ref }}\n"),
        quiet("actions-script-injection", "docs/a.yml", "      - run: echo ${{ github.head_ref }}"),
        fires(
            "actions-untrusted-checkout",
            path,
            "on: pull_request_target\njobs:\n  a:\n    steps:\n      - uses: actions/checkout@v4\n        with:\n          ref: ${{ github.event.pull_request.head.sha }}\n",
        ),
        fires(
            "actions-untrusted-checkout",
            path,
            "on:\n  pull_request_target:\njobs:\n  a:\n    steps:\n      - run: gh pr checkout 1\n",
        ),
        quiet(
            "actions-untrusted-checkout",
            path,
            "on: pull_request\njobs:\n  a:\n    steps:\n      - uses: actions/checkout@v4\n        with:\n          ref: ${{ github.event.pull_request.head.sha }}\n",
        ),
        quiet(
            "actions-untrusted-checkout",
            path,
            "on: pull_request_target\njobs:\n  a:\n    steps:\n      - uses: actions/labeler@v5\n",
        ),
        fires("actions-branch-pin", path, "      - uses: acme/deploy@master"),
        fires("actions-branch-pin", path, "        uses: acme/flows/.github/workflows/a.yml@main # ours"),
        quiet("actions-branch-pin", path, "      - uses: actions/checkout@v4"),
        quiet("actions-branch-pin", path, "      - uses: dtolnay/rust-toolchain@stable"),
        quiet("actions-branch-pin", path, "      - uses: dtolnay/rust-toolchain@master"),
        quiet("actions-branch-pin", path, "      - uses: ./.github/actions/main"),
        quiet("actions-branch-pin", path, "      # - uses: acme/deploy@master"),
        fires("actions-write-all", path, "permissions: write-all"),
        quiet("actions-write-all", path, "permissions: read-all"),
        fires("actions-unsecure-commands", path, "      ACTIONS_ALLOW_UNSECURE_COMMANDS: true"),
        quiet("actions-unsecure-commands", path, "      ACTIONS_ALLOW_UNSECURE_COMMANDS: false"),
        fires("actions-all-secrets", path, "          SECRETS: ${{ toJSON(secrets) }}"),
        quiet("actions-all-secrets", path, "          MATRIX: ${{ toJSON(matrix) }}"),
    ]
}

#[cfg(test)]
mod tests {
    use crate::diff::Diff;
    use crate::engine::rules::review;

    #[test]
    fn a_checkout_that_was_there_counts_once_the_trigger_is_added() {
        let review = |trigger: &str, checkout: &str| {
            let old = [trigger, checkout].iter().filter(|marker| **marker == " ").count();
            let text = format!(
                "diff --git a/.github/workflows/a.yml b/.github/workflows/a.yml\n\
                 --- a/.github/workflows/a.yml\n+++ b/.github/workflows/a.yml\n@@ -1,{old} +1,2 @@\n\
                 {trigger}on: pull_request_target\n\
                 {checkout}          ref: ${{{{ github.event.pull_request.head.sha }}}}\n"
            );
            review(&Diff::parse(text.as_bytes()).expect("a diff"))
                .iter()
                .map(|draft| draft.start_line)
                .collect::<Vec<_>>()
        };
        assert_eq!(review("+", " "), [Some(1)]);
        assert_eq!(review(" ", "+"), [Some(2)]);
        assert_eq!(review(" ", " "), []);
    }
}
