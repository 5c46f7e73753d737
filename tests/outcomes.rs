//! What becomes of a review when its engine fails, in each way that is known: recordings of Claude Code, and a fake that
//! misbehaves. Each goes the whole way, through the runner, a child process and the judgement, to an outcome; the test
//! prints the table. Only a true success is `reviewed`.
//!
//!     cargo test --test outcomes -- --nocapture
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

mod support;

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cicdctl::api::ReviewRequest;
use cicdctl::config::EngineName;
use cicdctl::review::Outcome;
use cicdctl::review::Outcome::{Deferred, Failed, Partial, Reviewed};
use serde_json::{Value, json};
use support::{Place, commit, git};

const TRANSCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/claude/transcripts");

/// Recordings of an answer in the form that was asked for.
const SUCCESSES: [&str; 6] = [
    "success-structured",
    "success-structured-partial",
    "success-json",
    "structured-retry",
    "resume-1-first",
    "resume-2-second",
];
/// Recordings of a quota that is used up, or of overload that lasts.
const DEFERRED: [&str; 4] = ["err-400-credit", "err-429", "err-429-retry-after-long", "err-529"];

/// How an engine behaves, and what is to come of it.
struct Scenario {
    name: String,
    engine: EngineName,
    /// For a shell, in the checkout. `$good` is a file with a whole success in it, `$half` with the first half of it.
    script: String,
    expected: Outcome,
    /// What the reason, or a note of the receipt, must say.
    words: &'static str,
}

fn scenario(engine: EngineName, name: &str, script: &str, expected: Outcome, words: &'static str) -> Scenario {
    let engine_name = engine.as_str();
    Scenario { name: format!("{engine_name}-{name}"), engine, script: script.to_owned(), expected, words }
}

/// The same for both engines.
fn broken(engine: EngineName) -> Vec<Scenario> {
    let after_term = "trap 'cat $good; exit 0' TERM; while :; do sleep 0.1; done";
    let grandchild = "(setsid sh -c 'sleep 3; cat $0' $good &) ; exit 0";
    let kills_keeper = "cat $half; kill -9 $PPID; sleep 1";
    [
        ("good", "cat $good", Reviewed, ""),
        ("good-and-noise-on-stderr", "cat $good; echo oops >&2", Reviewed, ""),
        ("good-and-a-daemon-left-behind", "setsid sleep 30 >/dev/null 2>&1 & cat $good", Reviewed, ""),
        ("nothing", "exit 0", Failed, "wrote no"),
        ("an-empty-line", "echo", Failed, ""),
        ("truncated", "cat $half", Failed, ""),
        ("garbage", "head -c 3000000 /dev/urandom", Failed, ""),
        ("a-line-of-300-MB", "head -c 300000000 /dev/zero | tr '\\0' x", Failed, "wrote more than"),
        ("1-GB", "yes $(head -c 100000 /dev/zero | tr '\\0' x) | head -c 1000000000", Failed, "wrote more than"),
        ("hangs-at-once", "sleep 300", Failed, "wrote nothing in the first"),
        ("hangs-half-way", "cat $half; sleep 300", Failed, "wrote nothing more for"),
        ("hangs-after-the-answer", "cat $good; sleep 300", Failed, "wrote nothing more for"),
        ("drips-for-ever", "while :; do echo; sleep 0.2; done", Failed, "not done after"),
        ("ignores-TERM", "trap '' TERM; while :; do sleep 1; done", Failed, "wrote nothing in the first"),
        ("succeeds-after-TERM", after_term, Failed, "wrote nothing in the first"),
        ("closes-its-output-and-hangs", "exec >&- 2>&-; sleep 300", Failed, ""),
        ("forks-twice-and-answers-later", grandchild, Failed, ""),
        ("success-and-exit-2", "cat $good; exit 2", Failed, ""),
        ("success-and-exit-255", "cat $good; exit 255", Failed, ""),
        ("killed-after-a-success", "cat $good; kill -9 $$", Failed, "SIGKILL"),
        ("segfault-after-a-success", "cat $good; ulimit -c 0; kill -SEGV $$", Failed, "SIGSEGV"),
        ("kills-its-keeper", kills_keeper, Failed, ""),
    ]
    .into_iter()
    .map(|(name, script, expected, words)| scenario(engine, name, script, expected, words))
    .collect()
}

/// What only Claude Code can do wrong: recordings, and events that contradict each other.
fn of_claude(dir: &Path) -> Vec<Scenario> {
    let index: Value =
        serde_json::from_str(&std::fs::read_to_string(format!("{TRANSCRIPTS}/index.json")).unwrap()).unwrap();
    let mut all: Vec<Scenario> = Vec::new();
    for run in index["runs"].as_array().unwrap() {
        let name = run["name"].as_str().unwrap();
        let file = run["stdout_file"].as_str().map_or("/dev/null".to_owned(), |file| format!("{TRANSCRIPTS}/{file}"));
        let stderr = dir.join(format!("{name}.stderr"));
        std::fs::write(&stderr, run["stderr"].as_str().unwrap()).unwrap();
        let script = format!("cat {file}; cat {} >&2; exit {}", stderr.display(), run["exit_code"]);
        let expected = match name {
            _ if SUCCESSES.contains(&name) => Reviewed,
            _ if DEFERRED.contains(&name) => Deferred,
            _ => Failed,
        };
        all.push(scenario(EngineName::Claude, &format!("recorded-{name}"), &script, expected, ""));
    }

    let good = std::fs::read_to_string(format!("{TRANSCRIPTS}/success-structured.jsonl")).unwrap();
    let (before, last) = good.trim_end().rsplit_once('\n').unwrap();
    let last: Value = serde_json::from_str(last).unwrap();
    assert_eq!(last["type"], "result");
    let mut changed = |name: &str, lines: &[Value], expected, words| {
        let file = dir.join(format!("{name}.jsonl"));
        let mut text = format!("{before}\n");
        lines.iter().for_each(|line| writeln!(text, "{line}").unwrap());
        std::fs::write(&file, text).unwrap();
        all.push(scenario(EngineName::Claude, name, &format!("cat {}", file.display()), expected, words));
    };
    let with = |pairs: &[(&str, Value)]| {
        let mut result = last.clone();
        pairs.iter().for_each(|(key, value)| result[*key] = value.clone());
        result
    };
    let finding = |path: &str, severity: &str| {
        json!({"path": path, "start_line": 2, "severity": severity, "category": "other", "title": "t", "explanation": "e",
               "confidence": 1})
    };
    let answer = |findings: Value| with(&[("structured_output", json!({"summary": "s", "findings": findings}))]);
    changed("a-success-that-is-an-error", &[with(&[("is_error", json!(true))])], Failed, "");
    changed("an-error-with-an-answer", &[with(&[("subtype", json!("error_during_execution"))])], Failed, "");
    changed("no-answer", &[with(&[("structured_output", Value::Null)])], Failed, "");
    changed("an-answer-without-findings", &[with(&[("structured_output", json!({"summary": "s"}))])], Failed, "");
    changed("an-answer-of-another-form", &[answer(json!("none"))], Failed, "");
    changed("a-list-for-an-answer", &[with(&[("structured_output", json!([]))])], Failed, "");
    changed("only-malformed-findings", &[answer(json!([finding("src/main.rs", "blocker"), 7]))], Failed, "malformed");
    let good_and_bad = json!([finding("src/main.rs", "low"), finding("src/main.rs", "blocker")]);
    changed("a-malformed-finding-among-good-ones", &[answer(good_and_bad)], Reviewed, "malformed and dropped");
    changed(
        "findings-outside-the-repository",
        &[answer(json!([finding("../../etc/passwd", "high")]))],
        Failed,
        "no path",
    );
    let outside = json!([finding("README", "high"), finding("src/main.rs", "low")]);
    changed("findings-outside-the-change", &[answer(outside)], Reviewed, "not a file of this change");
    changed("a-success-then-an-error", &[last.clone(), with(&[("is_error", json!(true))])], Failed, "");
    changed("a-result-and-nothing-else", &[], Failed, "");
    all
}

/// What only a program can do wrong that is an engine by our own protocol.
fn of_command() -> Vec<Scenario> {
    let finding =
        r#"{"path":"src/main.rs","start_line":2,"severity":"low","category":"other","title":"t","explanation":"e"}"#;
    let says = |text: &str| format!("cat <<'END'\n{text}\nEND");
    let sarif = |successful: bool| {
        says(&format!(
            r#"{{"version":"2.1.0","runs":[{{"tool":{{"driver":{{"name":"x"}}}},"results":[],
                "invocations":[{{"executionSuccessful":{successful}}}]}}]}}"#
        ))
    };
    [
        ("a-list", says("[]"), Reviewed, ""),
        ("sarif", sarif(true), Reviewed, ""),
        ("sarif-that-failed", sarif(false), Partial, ""),
        ("findings-and-exit-1", format!("{}; exit 1", "cat $good"), Reviewed, ""),
        ("no-findings-and-exit-1", format!("{}\nexit 1", says(r#"{"findings":[]}"#)), Failed, "without a finding"),
        ("exit-75", "cat $good; exit 75".to_owned(), Deferred, "tried again later"),
        ("exit-77", "cat $good; exit 77".to_owned(), Failed, "no valid credentials"),
        ("two-answers", "cat $good; cat $good".to_owned(), Failed, "not JSON"),
        ("incomplete", says(r#"{"findings":[],"incomplete":"half of it"}"#), Partial, "half of it"),
        ("incomplete-of-another-form", says(r#"{"findings":[],"incomplete":true}"#), Failed, "is no text"),
        ("findings-of-another-form", says(r#"{"findings":{}}"#), Failed, "neither"),
        ("a-number", says("42"), Failed, "neither"),
        ("null", says("null"), Failed, "neither"),
        ("words", says("looks good to me"), Failed, "not JSON"),
        ("latin-1", "printf '{\"findings\":[],\"summary\":\"\\344\"}'".to_owned(), Failed, "not UTF-8"),
        ("only-malformed-findings", says(r#"{"findings":[{"path":"src/main.rs"}]}"#), Failed, "malformed"),
        (
            "findings-outside-the-change",
            says(&format!("[{}]", finding.replace("src/main.rs", "x"))),
            Reviewed,
            "not a file",
        ),
        ("a-deep-answer", "head -c 5000000 /dev/zero | tr '\\0' '['".to_owned(), Failed, "not JSON"),
        ("removes-its-own-result", "cat $good; rm -rf \"$TMPDIR/../out\"".to_owned(), Failed, ""),
    ]
    .into_iter()
    .map(|(name, script, expected, words)| scenario(EngineName::Command, name, &script, expected, words))
    .collect()
}

fn executable(path: &Path, text: &str) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::write(path, text).unwrap();
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// The two engines. Which scenario they play stands in the checkout.
fn engines(dir: &Path, scenarios: &[Scenario]) -> (PathBuf, PathBuf) {
    let good = format!("{TRANSCRIPTS}/success-structured.jsonl");
    let whole = std::fs::read(&good).unwrap();
    std::fs::write(dir.join("half.jsonl"), &whole[..whole.len() / 2]).unwrap();
    let finding =
        r#"{"path":"src/main.rs","start_line":2,"severity":"high","category":"other","title":"t","explanation":"e"}"#;
    std::fs::write(dir.join("good.json"), format!(r#"{{"summary":"s","findings":[{finding}]}}"#)).unwrap();
    std::fs::write(dir.join("half.json"), &finding[..60]).unwrap();
    for scenario in scenarios {
        std::fs::write(dir.join(format!("{}.sh", scenario.name)), &scenario.script).unwrap();
    }
    let (claude, command) = (dir.join("claude"), dir.join("command"));
    let here = dir.display();
    executable(
        &claude,
        &format!(
            "#!/bin/sh\ncase $1 in\n--version) echo '2.1.330 (Claude Code)'; exit ;;\n\
             --help) echo '--restricted --permission-prompts <target>'; exit ;;\nesac\n\
             cat >/dev/null\ngood={good} half={here}/half.jsonl\n. {here}/$(cat scenario).sh\n"
        ),
    );
    executable(
        &command,
        &format!(
            "#!/bin/sh\ncat >/dev/null\ngood={here}/good.json half={here}/half.json\n. {here}/$(cat scenario).sh\n"
        ),
    );
    (claude, command)
}

#[tokio::test]
async fn only_a_true_success_is_reviewed() {
    let place = Place::new();
    let dir = place.path("engines");
    std::fs::create_dir(&dir).unwrap();
    let mut scenarios = broken(EngineName::Claude);
    scenarios.extend(broken(EngineName::Command));
    scenarios.extend(of_claude(&dir));
    scenarios.extend(of_command());
    let (claude, command) = engines(&dir, &scenarios);
    place.config(&format!(
        "[runner]\njobs = 8\n[job]\nfirst_output = \"6s\"\nidle_output = \"6s\"\ntimeout = \"15s\"\n\
         [review]\nrefute = false\n[engine.claude]\nprogram = {claude:?}\n[engine.command]\nargv = [{command:?}]\n"
    ));
    let repo = place.path("repo");
    std::fs::create_dir_all(repo.join("src")).unwrap();
    git(&repo, &["init", "-q", "-b", "main"]);
    commit(&repo, "README", "hello\n");

    let runner = place.runner();
    let client = runner.client();
    let mut jobs = Vec::new();
    for scenario in &scenarios {
        std::fs::write(repo.join("src/main.rs"), format!("fn main() {{\n    // {}\n}}\n", scenario.name)).unwrap();
        commit(&repo, "scenario", &scenario.name);
        let head = String::from_utf8(
            std::process::Command::new("git").arg("-C").arg(&repo).args(["rev-parse", "HEAD"]).output().unwrap().stdout,
        );
        let request = ReviewRequest {
            path: Some(repo.clone()),
            range: Some(head.unwrap().trim().to_owned()),
            engine: Some(scenario.engine),
            ..Default::default()
        };
        jobs.push(client.review(&request).await.unwrap().id);
    }

    let (mut table, mut wrong) = (String::new(), String::new());
    for (scenario, id) in scenarios.iter().zip(&jobs) {
        let Scenario { name, expected, words, .. } = scenario;
        let ended = client.follow(id, false, &mut |_| {}).await.unwrap();
        let review = ended.review.unwrap_or_else(|| panic!("{name}: no review"));
        let reason = review.reason.clone().unwrap_or_default();
        let shown: String = reason.chars().filter(|c| !c.is_control()).take(100).collect();
        writeln!(table, "{name:48} {:9} {shown}", review.outcome.as_str()).unwrap();
        let said = format!("{reason}\n{}", review.receipt.notes.join("\n"));
        if review.outcome != *expected || !said.contains(words) {
            writeln!(wrong, "{name}: {} instead of {expected}, {words:?} in {said:?}", review.outcome).unwrap();
        }
        if review.outcome == Reviewed {
            assert!(review.receipt.missed().count() == 0 && review.receipt.seen() == 2, "{name}: {review:?}");
        } else {
            assert!(!reason.is_empty(), "{name}: no reason");
        }
    }
    eprintln!("{table}{} scenarios", scenarios.len());
    assert!(wrong.is_empty(), "{wrong}");
    runner.stop().await;
    assert_eq!(std::fs::read_dir(place.path("state/workspace")).unwrap().count(), 0, "a job's directory is left");
    let left = || processes_of(&dir).len();
    let began = Instant::now();
    while left() > 0 && began.elapsed() < Duration::from_secs(10) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    assert_eq!(processes_of(&dir), [""; 0], "an engine is left");
}

/// Command lines of processes that play a scenario.
fn processes_of(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").unwrap();
    let lines = entries.filter_map(|entry| std::fs::read(entry.ok()?.path().join("cmdline")).ok());
    lines
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(dir.to_str().unwrap()))
        .collect()
}
