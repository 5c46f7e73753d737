//! The Claude Code CLI as an engine, without a terminal and with as little trust as it allows.
//!
//! Facts that shape this file, measured on 2.1.330:
//! - A plain `claude -p` runs the hooks of the repository's own `.claude/settings.json` and sends the API key to the
//!   server named there. `--setting-sources ''` and `--restricted` each stop that; both are given, on every call.
//! - `@path` anywhere in a prompt, so anywhere in a diff, is replaced by that file; a variable turns that off.
//! - `--tools` says which tools exist; `--allowedTools Read` would allow the whole file system and is not used. In
//!   `dontAsk` the file tools stay inside the working directory.
//! - `--max-turns 0` means no limit.
//!
//! [`prompt`] writes what it reads, [`stream`] understands what it writes, [`refute`] decides what a second look is given
//! and what comes of it, and this file starts it. A change that is too large for one call is cut by [`chunks`] and read by
//! several in [`parallel`]; one that is not goes on with the conversation of its pull request in [`session`].

mod chunks;
mod parallel;
mod prompt;
mod refute;
mod session;
pub mod stream;

use std::ffi::OsString;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use super::process::{self, End, Ended, OUTPUT_CAP, Program};
use super::{
    Bundle, ClaudeSpec, Deadlines, EngineError, EngineReport, PATH, Progress, Workplace, failed, with_last_words,
};
use crate::diff::Diff;
use crate::finding::{Category, Severity};
use crate::quantity::count;
use crate::review::EngineUsed;
use crate::secret::Redactor;
use refute::Suspect;
use session::{Keep, Trouble};
use stream::Stream;

/// Flags that older versions lack, and what is lost without them. The others are accepted by all versions since 2.1.197,
/// some without being named in the help (`--max-turns`).
const OPTIONAL: [(&str, Option<&str>, &str); 2] = [
    ("--restricted", None, "its own confinement to the checkout"),
    ("--permission-prompts", Some("none"), "its denial of whatever would ask"),
];

/// With less than this left, in US dollars and in time, a second look would only be begun.
const WORTH_A_LOOK: (f64, Duration) = (0.05, Duration::from_secs(30));

/// For `--version` and `--help`, which take some hundredths of a second.
const PROBE_LIMIT: Duration = Duration::from_secs(20);

impl ClaudeSpec {
    /// How many calls read `diff` at the same time.
    pub fn calls_at_once(&self, diff: &Diff) -> usize {
        chunks::pack(&diff.files, self.chunk).len().clamp(1, self.parallel.max(1))
    }
}

pub async fn run(
    spec: &ClaudeSpec,
    bundle: &Bundle,
    workplace: &Workplace,
    redactor: &Redactor,
    events: &mut dyn FnMut(Progress),
) -> Result<EngineReport, EngineError> {
    if !(spec.max_budget_usd > 0.0 && spec.max_budget_usd.is_finite()) {
        return Err(failed(format!("a budget of ${} leaves nothing to review with", spec.max_budget_usd)));
    }
    let began = Instant::now();
    let probe = Probe::of(spec, workplace, redactor).await?;
    let call = Call { spec, workplace, redactor, probe: &probe, instructions: None, began };
    let mut started = false;
    // Each call says that it has started.
    let mut events = |progress| {
        let again = matches!(progress, Progress::Started { .. }) && std::mem::replace(&mut started, true);
        if !again {
            events(progress);
        }
    };
    first_and_second_look(call, bundle, &mut events).await.map_err(|error| match &error.used {
        Some(_) => error,
        None => error.having_used(used_nothing(&probe)),
    })
}

async fn first_and_second_look(
    mut call: Call<'_>,
    bundle: &Bundle,
    events: &mut dyn FnMut(Progress),
) -> Result<EngineReport, EngineError> {
    let Call { spec, workplace, probe, .. } = call;
    check_pin(spec.version.as_deref(), probe.version.as_deref())?;
    if !bundle.instructions.trim().is_empty() {
        let file = workplace.scratch.join("instructions.txt");
        std::fs::write(&file, &bundle.instructions)
            .map_err(|error| failed(format!("could not write `{}`: {error}", file.display())))?;
        call.instructions = Some(file);
    }
    let chunks = chunks::pack(&bundle.diff.files, spec.chunk);
    let (mut report, spent) = match chunks.len() {
        0 | 1 => {
            let report = session::review(&call, bundle, events).await?;
            let spent = report.used.cost_usd.unwrap_or(spec.max_budget_usd);
            (report, spent)
        }
        _ => parallel::review(&call, bundle, &chunks, events).await?,
    };
    report.notes.extend(
        probe
            .missing
            .iter()
            .map(|(flag, loss)| format!("this version of Claude Code has no `{flag}`: reviewed without {loss}")),
    );
    if spec.refute {
        second_look(&call, bundle, &mut report, spec.max_budget_usd - spent, events).await;
    }
    Ok(report)
}

/// Lets a second run try to refute the grave findings of the first, for what is left of the budget (US dollars). Whatever
/// goes wrong with it, the review stands.
async fn second_look(
    call: &Call<'_>,
    bundle: &Bundle,
    report: &mut EngineReport,
    budget: f64,
    events: &mut dyn FnMut(Progress),
) {
    let drafts = report.drafts.clone();
    let suspects = refute::suspects(&drafts, &bundle.diff);
    if suspects.is_empty() {
        return;
    }
    let findings = count(suspects.len(), "grave finding");
    let left_out = if budget < WORTH_A_LOOK.0 {
        Some(format!("${:.2} of ${:.2} are left", budget.max(0.0), call.spec.max_budget_usd))
    } else if call.time_left() < WORTH_A_LOOK.1 {
        Some(format!("{}s of its time are left", call.time_left().as_secs()))
    } else {
        None
    };
    if let Some(why) = left_out {
        report.notes.push(format!("no second look at {findings}: {why}"));
        return;
    }
    events(Progress::Note { text: format!("takes a second look at {findings}") });
    match verdicts(call, bundle, &suspects, budget, events).await {
        Ok((answer, used)) => {
            add(&mut report.used, &used);
            match refute::decide(&suspects, &answer) {
                Ok(decision) => report.notes.extend(decision.apply(&mut report.drafts)),
                Err(reason) => report.notes.push(format!("the second look failed: {reason}; the findings stand")),
            }
        }
        Err(error) => {
            report.notes.push(format!("the second look failed: {error}; the findings stand"));
            if let Some(used) = error.used {
                let unpriced = parallel::is_unpriced(&used);
                add(&mut report.used, &used);
                // Half a price is none: who counts the money is to know that.
                if let Some(first) = report.used.cost_usd.take_if(|_| unpriced) {
                    report.notes.push(format!(
                        "what the second look cost is not known: at most ${budget:.2}, besides ${first:.4} of the first"
                    ));
                }
            }
        }
    }
}

async fn verdicts(
    call: &Call<'_>,
    bundle: &Bundle,
    suspects: &[Suspect<'_>],
    budget: f64,
    events: &mut dyn FnMut(Progress),
) -> Result<(Value, EngineUsed), EngineError> {
    let prompt = prompt::refute(bundle, suspects)?;
    let (stream, ended) = call.make(prompt, budget, &refute::schema(), Keep::Nothing, events).await?;
    stream.plain_outcome(ended.end, &ended.stderr, now())
}

/// Counts what another run has used; what is not known counts as nothing.
fn add(used: &mut EngineUsed, more: &EngineUsed) {
    fn sum<T: std::ops::Add<Output = T>>(a: Option<T>, b: Option<T>) -> Option<T> {
        match (a, b) {
            (Some(a), Some(b)) => Some(a + b),
            (a, b) => a.or(b),
        }
    }
    used.turns = sum(used.turns, more.turns);
    used.input_tokens = sum(used.input_tokens, more.input_tokens);
    used.output_tokens = sum(used.output_tokens, more.output_tokens);
    used.cost_usd = sum(used.cost_usd, more.cost_usd);
}

/// An error of the last of several runs.
fn also_used(error: EngineError, more: EngineUsed) -> EngineError {
    let used = match error.used.as_deref().cloned() {
        Some(mut used) => {
            add(&mut used, &more);
            used
        }
        None => more,
    };
    error.having_used(used)
}

fn used_nothing(probe: &Probe) -> EngineUsed {
    EngineUsed { name: "claude".to_owned(), version: probe.version.clone(), ..EngineUsed::default() }
}

/// Before anything is paid.
fn check_pin(pinned: Option<&str>, found: Option<&str>) -> Result<(), EngineError> {
    match (pinned, found) {
        (Some(pinned), found) if found != Some(pinned) => Err(failed(format!(
            "Claude Code is {}, and only {pinned} is to be used: install that one \
             (`npm install -g @anthropic-ai/claude-code@{pinned}`), or change `[engine.claude] version` or the pin (`cicdctl engine pin claude`)",
            found.unwrap_or("of an unknown version")
        ))),
        _ => Ok(()),
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// What all calls of one review have in common.
struct Call<'a> {
    spec: &'a ClaudeSpec,
    workplace: &'a Workplace,
    redactor: &'a Redactor,
    probe: &'a Probe,
    /// A file of instructions for the system prompt.
    instructions: Option<PathBuf>,
    began: Instant,
}

impl Call<'_> {
    /// The deadline holds for all calls together: soon after it the cage is ended, and with it what was found.
    fn time_left(&self) -> Duration {
        let left = self.spec.deadlines.total.saturating_sub(self.began.elapsed());
        // Whole seconds read better in a message.
        Duration::from_secs(left.as_secs_f64().ceil() as u64)
    }

    /// Asks for a review; an error here means that nothing was asked.
    async fn look(
        &self,
        prompt: String,
        budget_usd: f64,
        keep: Keep,
        events: &mut dyn FnMut(Progress),
    ) -> Result<Look, EngineError> {
        let (stream, ended) = self.make(prompt, budget_usd, &schema(), keep, events).await?;
        let trouble = stream.trouble(ended.end, &ended.stderr).filter(|trouble| match keep {
            Keep::Nothing => false,
            Keep::Begin(_) => *trouble == Trouble::Taken,
            Keep::Resume(_) => *trouble != Trouble::Taken,
        });
        Ok(Look { end: stream.outcome(ended.end, &ended.stderr, now()), trouble })
    }

    /// Runs Claude Code once; what it wrote to standard error is cleaned of the key.
    async fn make(
        &self,
        prompt: String,
        budget_usd: f64,
        schema: &Value,
        keep: Keep,
        events: &mut dyn FnMut(Progress),
    ) -> Result<(Stream, Ended), EngineError> {
        let Call { spec, workplace, redactor, probe, instructions, .. } = self;
        let mut stream = Stream::new(&workplace.checkout, probe.version.clone());
        let ended = process::run(
            Program {
                path: spec.program.clone(),
                args: arguments(spec, probe, instructions.as_deref(), budget_usd, schema, keep),
                env: environment(spec, workplace),
                cwd: workplace.checkout.clone(),
                stdin: prompt.into_bytes(),
                deadlines: Deadlines { total: self.time_left(), ..spec.deadlines },
                output_cap: OUTPUT_CAP,
            },
            &mut |line| stream.line(line, events),
        )
        .await
        .map_err(|error| failed(error.to_string()))?;
        Ok((stream, Ended { stderr: redactor.text(&ended.stderr), ..ended }))
    }
}

/// What came of one call for a review.
struct Look {
    end: Result<EngineReport, EngineError>,
    /// Where it came to nothing for its session.
    trouble: Option<Trouble>,
}

impl Look {
    fn used(self) -> EngineUsed {
        match self.end {
            Ok(report) => report.used,
            Err(error) => error.used.map(|used| *used).unwrap_or_default(),
        }
    }
}

/// What the installed program can do, by its own account.
struct Probe {
    version: Option<String>,
    /// It can be told not to send the system prompt of a session's first call again.
    takes_new_instructions: bool,
    present: Vec<OsString>,
    missing: Vec<(&'static str, &'static str)>,
}

impl Probe {
    async fn of(spec: &ClaudeSpec, workplace: &Workplace, redactor: &Redactor) -> Result<Self, EngineError> {
        let (version, help) =
            tokio::join!(ask(spec, workplace, redactor, "--version"), ask(spec, workplace, redactor, "--help"));
        Ok(Self::read(&version?, &help?))
    }

    fn read(version: &str, help: &str) -> Self {
        // At the start of a line stands the option itself; elsewhere it is only mentioned.
        let knows = |flag: &str| help.lines().any(|line| line.split_whitespace().next() == Some(flag));
        let mut probe = Probe {
            takes_new_instructions: knows("--system-prompt-snapshot"),
            // "2.1.330 (Claude Code)"
            version: version.split_whitespace().next().map(str::to_owned),
            present: Vec::new(),
            missing: Vec::new(),
        };
        for (flag, value, loss) in OPTIONAL {
            if knows(flag) {
                probe.present.push(flag.into());
                probe.present.extend(value.map(OsString::from));
            } else {
                probe.missing.push((flag, loss));
            }
        }
        probe
    }
}

/// What the program prints for one of the flags that only print; without the key.
async fn ask(spec: &ClaudeSpec, workplace: &Workplace, redactor: &Redactor, flag: &str) -> Result<String, EngineError> {
    let without_key = Workplace { api_key: None, ..workplace.clone() };
    let mut output = Vec::new();
    let ended = process::run(
        Program {
            path: spec.program.clone(),
            args: vec![flag.into()],
            env: environment(spec, &without_key),
            cwd: workplace.scratch.clone(),
            stdin: Vec::new(),
            deadlines: Deadlines { first_byte: PROBE_LIMIT, idle: PROBE_LIMIT, total: PROBE_LIMIT },
            output_cap: 1024 * 1024,
        },
        &mut |line| {
            output.extend_from_slice(line);
            output.push(b'\n');
            ControlFlow::Continue(())
        },
    )
    .await
    .map_err(|error| failed(error.to_string()))?;
    if ended.end != End::Exited(0) {
        let cause = format!("`{} {flag}` {}", spec.program.display(), ended.end);
        return Err(failed(with_last_words(cause, &redactor.text(&ended.stderr))));
    }
    Ok(String::from_utf8_lossy(&output).into_owned())
}

fn arguments(
    spec: &ClaudeSpec,
    probe: &Probe,
    instructions: Option<&Path>,
    budget_usd: f64,
    schema: &Value,
    keep: Keep,
) -> Vec<OsString> {
    let mut args: Vec<OsString> = vec!["-p".into()];
    args.extend(probe.present.iter().cloned());
    let mut add = |flags: &[&str]| args.extend(flags.iter().map(OsString::from));
    add(&["--setting-sources", "", "--strict-mcp-config", "--disable-slash-commands"]);
    add(&["--tools", "Read,Grep,Glob", "--disallowedTools", "Read(./.git/**)"]);
    add(&["--permission-mode", "dontAsk"]);
    match keep {
        Keep::Nothing => add(&["--no-session-persistence"]),
        Keep::Begin(id) => add(&["--session-id", &id.to_string()]),
        Keep::Resume(id) => {
            add(&["--resume", &id.to_string()]);
            // Without it the old instructions are sent; those are the same, as a session ends with its terms.
            if probe.takes_new_instructions {
                add(&["--system-prompt-snapshot", "off"]);
            }
        }
    }
    // Partial messages are skipped by the parser; without them nothing is written while a long answer streams, and
    // the idle deadline could not tell that from a hang.
    add(&["--output-format", "stream-json", "--verbose", "--include-partial-messages"]);
    add(&["--max-turns", &spec.max_turns.max(1).to_string()]);
    add(&["--max-budget-usd", &budget_usd.to_string()]);
    add(&["--json-schema", &schema.to_string()]);
    if let Some(model) = &spec.model {
        add(&["--model", model]);
    }
    if let Some(instructions) = instructions {
        args.extend(["--append-system-prompt-file".into(), instructions.into()]);
    }
    args
}

/// The whole environment of Claude Code.
fn environment(spec: &ClaudeSpec, workplace: &Workplace) -> Vec<(OsString, OsString)> {
    let Workplace { checkout: _, scratch, engine_home, api_key } = workplace;
    let mut env: Vec<(OsString, OsString)> = vec![
        ("PATH".into(), PATH.into()),
        ("HOME".into(), engine_home.into()),
        ("CLAUDE_CONFIG_DIR".into(), engine_home.join("claude").into()),
        ("TMPDIR".into(), scratch.into()),
    ];
    let fixed = [
        ("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"),
        ("DISABLE_AUTOUPDATER", "1"),
        ("CLAUDE_CODE_DISABLE_FILE_MENTIONS", "1"),
        // About 8 s of waiting in all; what lasts longer is for the queue to wait for.
        ("CLAUDE_CODE_MAX_RETRIES", "4"),
        ("API_TIMEOUT_MS", "120000"),
        ("CLAUDE_BYTE_STREAM_IDLE_TIMEOUT_MS", "90000"),
        ("CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK", "1"),
    ];
    env.extend(fixed.map(|(name, value)| (name.into(), value.into())));
    if let Some(key) = api_key {
        env.push(("ANTHROPIC_API_KEY".into(), key.trim().into()));
    }
    if let Some(url) = &spec.base_url {
        env.push(("ANTHROPIC_BASE_URL".into(), url.into()));
    }
    env
}

/// What an answer must look like: draft-07 without `$schema`, as Claude Code's validator refuses newer drafts and unknown
/// keywords. The same as `Draft`, but for `rule`, which is not the model's to name.
pub fn schema() -> Value {
    let line = json!({"type": ["integer", "null"], "minimum": 1});
    json!({
        "type": "object",
        "properties": {
            "summary": {"type": "string"},
            "findings": {
                "type": "array",
                "items": {
                    "type": "object",
                    "properties": {
                        "path": {"type": "string", "minLength": 1},
                        "start_line": line,
                        "end_line": line,
                        "severity": {"type": "string", "enum": Severity::ALL.map(Severity::as_str)},
                        "category": {"type": "string", "enum": Category::ALL.map(Category::as_str)},
                        "title": {"type": "string", "minLength": 1},
                        "explanation": {"type": "string"},
                        "suggestion": {"type": ["string", "null"]},
                        "confidence": {"type": "number", "minimum": 0, "maximum": 1}
                    },
                    "required": ["path", "severity", "category", "title", "explanation", "confidence"],
                    "additionalProperties": false
                }
            }
        },
        "required": ["summary", "findings"],
        "additionalProperties": false
    })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::engine::ErrorKind;
    use crate::engine::tests::{bundle, workplace};
    use crate::finding::Draft;

    fn spec() -> ClaudeSpec {
        let limit = Duration::from_secs(20);
        ClaudeSpec {
            program: "/opt/claude".into(),
            version: None,
            refute: true,
            chunk: 120 << 10,
            parallel: 3,
            model: Some("claude-sonnet-5-5".to_owned()),
            max_turns: 30,
            max_budget_usd: 2.0,
            base_url: Some("http://127.0.0.1:1".to_owned()),
            deadlines: Deadlines { first_byte: limit, idle: limit, total: limit },
        }
    }

    const HELP: &str = "Options:\n  --restricted      Restricted mode\n  --permission-prompts <target>  Who\n  --system-prompt-snapshot <on|off>  Record\n  --other  see --restricted\n";

    fn joined(args: &[OsString]) -> String {
        args.iter().map(|arg| format!("[{}]", arg.to_string_lossy())).collect()
    }

    #[test]
    fn every_call_has_the_safe_flags() {
        let probe = Probe::read("2.1.330 (Claude Code)\n", HELP);
        assert_eq!(probe.version.as_deref(), Some("2.1.330"));
        let file = Path::new("/scratch/instructions.txt");
        let args = |keep| joined(&arguments(&spec(), &probe, Some(file), 1.5, &schema(), keep));
        let unkept = args(Keep::Nothing);
        assert_eq!(
            unkept,
            format!(
                "[-p][--restricted][--permission-prompts][none][--setting-sources][][--strict-mcp-config]\
                 [--disable-slash-commands][--tools][Read,Grep,Glob][--disallowedTools][Read(./.git/**)]\
                 [--permission-mode][dontAsk][--no-session-persistence][--output-format][stream-json][--verbose][--include-partial-messages]\
                 [--max-turns][30][--max-budget-usd][1.5][--json-schema][{}][--model][claude-sonnet-5-5]\
                 [--append-system-prompt-file][/scratch/instructions.txt]",
                schema()
            )
        );
        // A session changes nothing but itself.
        let id = Uuid::from_u128(7);
        for (keep, flags) in [
            (Keep::Begin(id), format!("[--session-id][{id}]")),
            (Keep::Resume(id), format!("[--resume][{id}][--system-prompt-snapshot][off]")),
        ] {
            assert_eq!(args(keep), unkept.replace("[--no-session-persistence]", &flags));
        }
    }

    #[test]
    fn an_older_version_gets_what_it_knows() {
        let probe = Probe::read("2.1.197 (Claude Code)", "  --other  see --restricted\n");
        assert_eq!(
            probe.missing.iter().map(|(flag, _)| *flag).collect::<Vec<_>>(),
            ["--restricted", "--permission-prompts"]
        );
        let mut spec = spec();
        spec.model = None;
        spec.max_turns = 0;
        let args = joined(&arguments(&spec, &probe, None, 2.0, &schema(), Keep::Resume(Uuid::from_u128(7))));
        assert!(args.starts_with("[-p][--setting-sources][][--strict-mcp-config]"), "{args}");
        assert!(args.contains("[--max-turns][1]"), "0 would be no limit: {args}");
        for absent in [
            "--restricted",
            "--permission-prompts",
            "--model",
            "--append-system-prompt-file",
            "--system-prompt-snapshot",
        ] {
            assert!(!args.contains(&format!("[{absent}]")), "{args}");
        }
    }

    #[test]
    fn the_schema_asks_for_what_a_draft_is() {
        let mut finding = json!({});
        for (name, property) in schema()["properties"]["findings"]["items"]["properties"].as_object().unwrap() {
            finding[name] = match (name.as_str(), &property["enum"][0]) {
                (_, Value::String(first)) => json!(first),
                ("start_line" | "end_line", _) => json!(1),
                ("confidence", _) => json!(0.5),
                _ => json!("text"),
            };
        }
        let draft: Draft = serde_json::from_value(finding.clone()).unwrap();
        assert_eq!(draft.rule, None);
        // And nothing that a draft has is left out, but for `rule`.
        let mut all = serde_json::to_value(&draft).unwrap();
        all.as_object_mut().unwrap().remove("rule");
        assert_eq!(all, finding);
    }

    #[test]
    fn the_schema_is_one_that_claude_code_accepts() {
        let text = schema().to_string();
        assert!(!text.contains("$schema"));
        // Each variant is in the list; a new one would have to be added to ALL.
        for severity in Severity::ALL {
            assert!(text.contains(&format!("\"{severity}\"")));
        }
    }

    #[test]
    fn the_environment_holds_the_key_only_where_there_is_one() {
        let mut place = workplace().workplace;
        let names = |place: &Workplace| {
            let env = environment(&spec(), place);
            env.into_iter().map(|(name, _)| name.into_string().unwrap()).collect::<Vec<_>>()
        };
        let without = [
            "PATH",
            "HOME",
            "CLAUDE_CONFIG_DIR",
            "TMPDIR",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC",
            "DISABLE_AUTOUPDATER",
            "CLAUDE_CODE_DISABLE_FILE_MENTIONS",
            "CLAUDE_CODE_MAX_RETRIES",
            "API_TIMEOUT_MS",
            "CLAUDE_BYTE_STREAM_IDLE_TIMEOUT_MS",
            "CLAUDE_CODE_DISABLE_NONSTREAMING_FALLBACK",
            "ANTHROPIC_BASE_URL",
        ];
        assert_eq!(names(&place), without);
        place.api_key = Some("key\n".to_owned());
        assert!(environment(&spec(), &place).contains(&("ANTHROPIC_API_KEY".into(), "key".into())));
    }

    async fn fails(spec: &ClaudeSpec) -> String {
        let place = workplace();
        let end = run(spec, &bundle(), &place.workplace, &Redactor::new(None), &mut |_| ()).await;
        match end {
            Err(EngineError { kind: ErrorKind::Failed, cause, .. }) => cause,
            other => panic!("not a failure: {other:?}"),
        }
    }

    #[tokio::test]
    async fn a_program_that_is_not_claude_code_is_named() {
        let mut spec = spec();
        assert!(fails(&spec).await.starts_with("could not start `/opt/claude` in `"));
        spec.program = "/bin/false".into();
        assert_eq!(fails(&spec).await, "`/bin/false --version` ended with exit status 1");
        // Prints its help, exits with 0 and answers nothing.
        spec.program = "/bin/true".into();
        let cause = fails(&spec).await;
        assert_eq!(cause, "Claude Code ended with exit status 0 and wrote no event");
    }

    #[test]
    fn a_pinned_version_is_the_only_one() {
        assert!(check_pin(None, None).is_ok() && check_pin(None, Some("2.1.197")).is_ok());
        assert!(check_pin(Some("2.1.330"), Some("2.1.330")).is_ok());
        let error = check_pin(Some("2.1.330"), Some("2.1.197")).unwrap_err().to_string();
        assert!(error.starts_with("Claude Code is 2.1.197, and only 2.1.330 is to be used: install"), "{error}");
        assert!(check_pin(Some("2.1.330"), None).is_err());
    }

    #[tokio::test]
    async fn no_budget_is_no_review() {
        for budget in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let mut spec = spec();
            spec.max_budget_usd = budget;
            assert!(fails(&spec).await.contains("leaves nothing to review with"));
        }
    }
}
