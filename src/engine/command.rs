//! Any program as an engine: the bundle as JSON on its standard input, findings on its standard output.
//!
//! It may answer with `{"findings": [draft, …], "summary"?: text, "incomplete"?: text}`, with a bare list of drafts, or
//! with a SARIF log (an object that has `runs`). It sees PATH, HOME, TMPDIR, LANG, CICD_CHECKOUT, CICD_BASE_SHA and
//! CICD_HEAD_SHA, and runs in the checkout.
//!
//! | exit status | meaning |
//! |---|---|
//! | 0 | done; findings may be none |
//! | 1 | what linters say when they found something: done, provided there is a finding; a failure otherwise |
//! | 75 | EX_TEMPFAIL: try again later |
//! | 77 | EX_NOPERM: credentials are missing or refused |
//! | any other, or a signal | a failure, whatever was written |

use std::ops::ControlFlow;
use std::path::Path;

use serde_json::Value;

use super::process::{self, End, Program};
use super::{Bundle, CommandSpec, EngineError, EngineReport, PATH, Workplace, drafts, failed, sarif, with_last_words};
use crate::review::EngineUsed;
use crate::secret::Redactor;

/// More than this on standard output is no list of findings. It is held in memory until the end, which counts for the
/// cage's limit.
const OUTPUT_CAP: usize = 32 << 20;

pub async fn run(
    spec: &CommandSpec,
    bundle: &Bundle,
    workplace: &Workplace,
    redactor: &Redactor,
) -> Result<EngineReport, EngineError> {
    let Some((program, args)) = spec.argv.split_first() else {
        return Err(failed("the engine's command is empty"));
    };
    let Workplace { checkout, scratch, engine_home: _, api_key: _ } = workplace;
    let stdin = serde_json::to_vec(bundle).map_err(|error| failed(format!("could not write the bundle: {error}")))?;
    let mut stdout = Vec::new();
    let ended = process::run(
        Program {
            path: program.into(),
            args: args.iter().map(Into::into).collect(),
            env: vec![
                ("PATH".into(), PATH.into()),
                ("HOME".into(), scratch.into()),
                ("TMPDIR".into(), scratch.into()),
                ("LANG".into(), "C.UTF-8".into()),
                ("CICD_CHECKOUT".into(), checkout.into()),
                ("CICD_BASE_SHA".into(), bundle.base_sha.clone().into()),
                ("CICD_HEAD_SHA".into(), bundle.head_sha.clone().into()),
            ],
            cwd: checkout.clone(),
            stdin,
            deadlines: spec.deadlines,
            output_cap: OUTPUT_CAP,
        },
        &mut |line| {
            stdout.extend_from_slice(line);
            stdout.push(b'\n');
            ControlFlow::Continue(())
        },
    )
    .await
    .map_err(|error| failed(error.to_string()))?;
    outcome(program, ended.end, &stdout, &redactor.text(&ended.stderr), checkout)
}

/// What the end of the program and its output mean.
pub fn outcome(
    program: &str,
    end: End,
    stdout: &[u8],
    stderr: &str,
    checkout: &Path,
) -> Result<EngineReport, EngineError> {
    let cause = |text: &str| with_last_words(format!("`{program}` {text}"), stderr);
    match end {
        End::Exited(0 | 1) => {}
        End::Exited(75) => {
            return Err(EngineError::deferred(cause("asks to be tried again later (exit status 75)"), None));
        }
        End::Exited(77) => {
            return Err(EngineError::unauthenticated(cause("has no valid credentials (exit status 77)")));
        }
        _ => return Err(failed(cause(&end.to_string()))),
    }

    let text = str::from_utf8(stdout).map_err(|_| failed(cause("wrote something that is not UTF-8")))?;
    if text.trim().is_empty() {
        return Err(failed(cause(&format!("{end} and wrote nothing"))));
    }
    let answer = match serde_json::from_str(text) {
        Ok(answer) => read(answer, text, checkout),
        Err(error) => Err(format!("wrote something that is not JSON: {error}")),
    };
    let report = answer.map_err(|reason| failed(cause(&reason)))?;
    if end == End::Exited(1) && report.drafts.is_empty() {
        return Err(failed(cause("ended with exit status 1 and without a finding")));
    }
    Ok(report)
}

/// A report, or what the program did instead.
fn read(answer: Value, text: &str, checkout: &Path) -> Result<EngineReport, String> {
    let (found, summary, incomplete) = match answer {
        Value::Array(findings) => (drafts::read(findings, checkout), None, None),
        Value::Object(answer) if answer.contains_key("runs") => {
            let found = sarif::drafts_from_sarif(text)
                .map_err(|error| format!("wrote SARIF that cannot be used: {error:#}"))?;
            (drafts::check_all(found.drafts, checkout), None, found.incomplete)
        }
        Value::Object(mut answer) => {
            let Some(Value::Array(findings)) = answer.remove("findings") else {
                return Err("wrote JSON with neither a list `findings` nor `runs` (SARIF)".to_owned());
            };
            let summary = words(answer.remove("summary"), "summary")?;
            let incomplete = words(answer.remove("incomplete"), "incomplete")?;
            (drafts::read(findings, checkout), summary, incomplete)
        }
        _ => return Err("wrote JSON that is neither an object nor a list".to_owned()),
    };
    let (drafts, note) = found.map_err(|error| format!("wrote findings that cannot be used: {error}"))?;
    Ok(EngineReport {
        used: EngineUsed { name: "command".to_owned(), ..EngineUsed::default() },
        summary,
        drafts,
        notes: note.into_iter().collect(),
        incomplete,
        unseen: Vec::new(),
    })
}

/// A text that may be absent; `incomplete` must not get lost by being something else.
fn words(value: Option<Value>, key: &str) -> Result<Option<String>, String> {
    match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text).filter(|text| !text.trim().is_empty())),
        Some(_) => Err(format!("wrote JSON whose `{key}` is no text")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::tests::{bundle, workplace};
    use crate::engine::{Deadlines, ErrorKind};
    use std::time::Duration;

    const FINDING: &str =
        r#"{"path":"src/a.rs","start_line":2,"severity":"high","category":"security","title":"t","explanation":"e"}"#;

    fn after(code: i32, stdout: &str) -> Result<EngineReport, EngineError> {
        outcome("lint", End::Exited(code), stdout.as_bytes(), "", Path::new("/repo"))
    }

    fn cause(end: Result<EngineReport, EngineError>) -> String {
        match end {
            Err(EngineError { kind: ErrorKind::Failed, cause, .. }) => cause,
            other => panic!("not a failure: {other:?}"),
        }
    }

    #[test]
    fn takes_an_object_a_list_and_sarif() {
        let report =
            after(0, &format!(r#"{{"findings":[{FINDING}],"summary":"s","incomplete":"b.rs not read","more":1}}"#))
                .unwrap();
        assert_eq!(report.drafts[0].path, "src/a.rs");
        assert_eq!(report.summary.as_deref(), Some("s"));
        assert_eq!(report.incomplete.as_deref(), Some("b.rs not read"));

        assert_eq!(after(0, &format!("[{FINDING},{FINDING}]")).unwrap().drafts.len(), 2);
        assert_eq!(after(0, "[]\n").unwrap().drafts, []);

        let log = r#"{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"lint"}},"results":[{"ruleId":"r1","level":"error",
            "message":{"text":"Bad thing\nbecause"},"locations":[{"physicalLocation":{"artifactLocation":
            {"uri":"src/a.rs"},"region":{"startLine":3}}}]}]}]}"#;
        let report = after(1, log).unwrap();
        assert_eq!(report.drafts[0].rule.as_deref(), Some("r1"));
        assert_eq!((report.drafts[0].title.as_str(), report.drafts[0].start_line), ("Bad thing", Some(3)));
    }

    #[test]
    fn sarif_of_a_tool_that_failed_is_incomplete() {
        let log = r#"{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"lint"}},"invocations":[{"executionSuccessful":false}],"results":[]}]}"#;
        assert!(after(0, log).unwrap().incomplete.is_some());
        let log = r#"{"version":"2.1.0","runs":[{"tool":{"driver":{"name":"lint"}},"invocations":[{"executionSuccessful":true}],"results":[]}]}"#;
        assert_eq!(after(0, log).unwrap().incomplete, None);
    }

    #[test]
    fn exit_status_1_needs_a_finding() {
        assert_eq!(after(1, &format!("[{FINDING}]")).unwrap().drafts.len(), 1);
        assert_eq!(cause(after(1, "[]")), "`lint` ended with exit status 1 and without a finding");
    }

    #[test]
    fn no_other_exit_status_is_a_pass() {
        for code in [2, 3, 64, 70, 74, 76, 78, 101, 126, 127, 137, 143] {
            assert!(cause(after(code, &format!("[{FINDING}]"))).ends_with(&format!("exit status {code}")));
        }
        assert_eq!(after(75, "[]").unwrap_err().kind, ErrorKind::Deferred { retry_after: None });
        assert_eq!(after(77, "[]").unwrap_err().kind, ErrorKind::Unauthenticated);
    }

    #[test]
    fn no_garbage_is_a_pass() {
        for (garbage, expected) in [
            ("", "wrote nothing"),
            (" \n\n", "wrote nothing"),
            ("all good", "not JSON"),
            ("{\"findings\":[", "not JSON"),
            ("[] []", "not JSON"),
            ("{}", "neither"),
            ("null", "neither"),
            ("true", "neither"),
            (r#"{"findings":{}}"#, "neither"),
            (r#"{"findings":null}"#, "neither"),
            (r#"{"findings":[],"incomplete":true}"#, "`incomplete` is no text"),
            (r#"{"findings":[{"path":"a"}]}"#, "malformed"),
            (r#"{"runs":7}"#, "SARIF"),
            (r#"{"runs":[{"results":[{}]}]}"#, "SARIF"),
        ] {
            let cause = cause(after(0, garbage));
            assert!(cause.contains(expected), "{garbage}: {cause}");
        }
    }

    fn spec(script: &str) -> CommandSpec {
        let limit = Duration::from_secs(20);
        CommandSpec {
            argv: vec!["/bin/sh".into(), "-c".into(), script.into()],
            deadlines: Deadlines { first_byte: limit, idle: limit, total: limit },
        }
    }

    #[tokio::test]
    async fn the_program_gets_the_bundle_and_a_small_environment() {
        let place = workplace();
        let script = r#"
            grep -q '"project":"acme/shop"' || exit 9
            test "$PWD" = "$CICD_CHECKOUT" && test "$HOME" = "$TMPDIR" || exit 8
            env | cut -d= -f1 | grep -vE '^(PATH|HOME|TMPDIR|LANG|CICD_CHECKOUT|CICD_BASE_SHA|CICD_HEAD_SHA|PWD|OLDPWD|SHLVL|_)$' && exit 7
            printf '{"findings":[],"summary":"%s..%s"}' "$CICD_BASE_SHA" "$CICD_HEAD_SHA""#;
        let report = run(&spec(script), &bundle(), &place.workplace, &Redactor::new(None)).await.unwrap();
        assert_eq!(report.summary.as_deref(), Some("b45e..4ead"));
    }

    #[tokio::test]
    async fn last_words_are_told_without_the_key() {
        let place = workplace();
        let redactor = Redactor::new([("key", "canary-4711")]);
        let end = run(&spec("echo 'refused: canary-4711' >&2; exit 2"), &bundle(), &place.workplace, &redactor).await;
        assert_eq!(cause(end), "`/bin/sh` ended with exit status 2: refused: [redacted key]");
    }
}
