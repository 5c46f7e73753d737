//! A change that is read by several calls of Claude Code at once, played by a shell script: what each is given, how many
//! run, and what becomes of the review when some of them fail.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use cicdctl::diff::{Diff, FileDiff, FileStatus, Hunk, Line, LineKind};
use cicdctl::engine::{
    self, Bundle, ClaudeSpec, Deadlines, EngineError, EngineReport, EngineSpec, ErrorKind, Progress, Workplace,
};

/// Answers as Claude Code does. Each file of the change has a line `OWN name`; where `do/name` exists it is what the call
/// that reads this file does instead.
const CLAUDE: &str = r#"#!/bin/sh
case "$1" in
    --version) echo '2.1.330 (Claude Code)'; exit ;;
    --help) printf '  --restricted\n  --permission-prompts\n'; exit ;;
esac
cd ROOT
cat >prompt.$$
own=$(sed -n 's/^+OWN //p' prompt.$$ | tr '\n' ' ')
printf '%s|%s\n' "$own" "$*" >>calls
mkdir run/$$
ls run | wc -l >>peak
answer() {
    echo '{"type":"result","subtype":"success","is_error":false,"num_turns":2,"total_cost_usd":0.1,
        "usage":{"input_tokens":100,"output_tokens":10},"structured_output":{"summary":"Read '"$own"'.","findings":[]}}' |
        tr -d '\n'
}
for name in $own; do
    if [ -e do/$name ]; then . do/$name; exit; fi
done
sleep 0.3
answer
rmdir run/$$
"#;

const CRASH: &str = "kill -9 $$";
const HANG: &str = "sleep 300";
const QUOTA: &str = r#"echo '{"type":"result","subtype":"success","is_error":true,"api_error_status":429,"num_turns":1,"total_cost_usd":0,"result":"API Error: 429 slow down|1999999999"}'; exit 1"#;
const REFUSED: &str = r#"sleep 0.2; echo '{"type":"system","subtype":"api_retry","error_status":401,"error":"authentication_failed"}'; sleep 300"#;

struct Place {
    root: tempfile::TempDir,
    spec: ClaudeSpec,
    bundle: Bundle,
    notes: Vec<String>,
}

impl Place {
    /// A change of these files, each of a size that two make a chunk.
    fn new(paths: &[&str]) -> Place {
        let root = tempfile::tempdir().unwrap();
        for dir in ["checkout", "scratch", "home", "do", "run"] {
            fs::create_dir(root.path().join(dir)).unwrap();
        }
        let program = root.path().join("claude");
        fs::write(&program, CLAUDE.replace("ROOT", root.path().to_str().unwrap())).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
        let limit = Duration::from_secs(30);
        let spec = ClaudeSpec {
            program,
            version: None,
            model: None,
            max_turns: 5,
            max_budget_usd: 1.0,
            refute: false,
            chunk: 2500,
            parallel: 2,
            base_url: None,
            deadlines: Deadlines { first_byte: limit, idle: limit, total: limit },
        };
        let bundle = Bundle {
            version: 1,
            project: "acme/shop".into(),
            subject: "pull request 42".into(),
            base_sha: "b45e".into(),
            head_sha: "4ead".into(),
            instructions: String::new(),
            diff: Diff { files: paths.iter().map(|path| file(path)).collect() },
            others: vec!["Cargo.lock".into()],
            open: vec![],
            session: None,
        };
        Place { root, spec, bundle, notes: vec![] }
    }

    fn when(&self, name: &str, script: &str) {
        fs::write(self.root.path().join("do").join(name), script).unwrap();
    }

    async fn review(&mut self) -> Result<EngineReport, EngineError> {
        let place = |name: &str| self.root.path().join(name);
        let workplace = Workplace {
            checkout: place("checkout"),
            scratch: place("scratch"),
            engine_home: place("home"),
            api_key: Some("canary-4711".into()),
        };
        let notes = &mut self.notes;
        engine::run(&EngineSpec::Claude(self.spec.clone()), &self.bundle, &workplace, &mut |progress| {
            if let Progress::Note { text } = progress {
                notes.push(text);
            }
        })
        .await
    }

    fn read(&self, name: &str) -> String {
        fs::read_to_string(self.root.path().join(name)).unwrap_or_default()
    }

    /// What each call has read, sorted, and what it could spend.
    fn calls(&self) -> Vec<(String, f64)> {
        let mut calls: Vec<(String, f64)> = self
            .read("calls")
            .lines()
            .map(|line| {
                let (own, args) = line.split_once('|').unwrap();
                let budget = args.split("--max-budget-usd ").nth(1).unwrap().split(' ').next().unwrap();
                assert!(args.contains("--restricted") && args.contains("--no-session-persistence"), "{args}");
                (own.trim().to_owned(), budget.parse().unwrap())
            })
            .collect();
        calls.sort_by(|a, b| a.0.cmp(&b.0));
        calls
    }
}

fn file(path: &str) -> FileDiff {
    let name = path.rsplit('/').next().unwrap();
    let line = |number, text: String| Line { kind: LineKind::Added, old: None, new: Some(number), text };
    FileDiff {
        path: path.into(),
        old_path: None,
        status: FileStatus::Added,
        old_mode: None,
        new_mode: Some("100644".into()),
        binary: false,
        size: None,
        unread: None,
        hunks: vec![Hunk {
            old_start: 0,
            old_lines: 0,
            new_start: 1,
            new_lines: 2,
            section: String::new(),
            lines: vec![line(1, format!("OWN {name}")), line(2, "x".repeat(1000))],
        }],
    }
}

/// Names of processes that work in this place, as all that the script starts do.
fn alive(root: &Path) -> Vec<String> {
    fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| {
            let process = entry.ok()?.path();
            let inside = fs::read_link(process.join("cwd")).ok()?.starts_with(root);
            inside.then(|| fs::read_to_string(process.join("comm")).unwrap_or_default())
        })
        .collect()
}

#[tokio::test]
async fn every_file_is_read_by_one_call_and_no_more_run_than_allowed() {
    let mut place = Place::new(&["src/a", "src/b", "web/c", "web/d", "web/e", "README"]);
    let report = place.review().await.unwrap();
    let read: Vec<String> = place.calls().into_iter().map(|(own, _)| own).collect();
    assert_eq!(read, ["README", "a b", "c d", "e"]);
    assert_eq!(place.read("peak").lines().max(), Some("2"));
    assert_eq!(place.notes, ["reads 6 files in 4 parts, 2 at once"]);
    assert_eq!((report.unseen.len(), report.drafts.len(), report.notes.len()), (0, 0, 0));
    assert_eq!(
        report.summary.as_deref(),
        Some(
            "`README`: Read README .\n\n`src/` (2 files): Read a b .\n\n`web/` (2 files): Read c d .\n\n`web/e`: Read e ."
        )
    );
    assert_eq!(
        (report.used.turns, report.used.input_tokens, report.used.output_tokens),
        (Some(8), Some(400), Some(40))
    );
    assert!((report.used.cost_usd.unwrap() - 0.4).abs() < 1e-9);

    // Each knows the names of the others, also of what nobody reads.
    let prompts: Vec<String> = fs::read_dir(place.root.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with("prompt."))
        .map(|name| place.read(&name))
        .collect();
    let prompt = prompts.iter().find(|prompt| prompt.contains("+OWN a\n")).unwrap();
    for other in ["\"web/c\"", "\"README\"", "\"Cargo.lock\""] {
        assert!(prompt.contains(other), "{other} is missing");
    }
    assert!(!prompt.contains("\"src/b\"") && !prompt.contains("+OWN c\n"));
}

#[tokio::test]
async fn one_budget_is_shared_and_what_is_not_spent_comes_back() {
    let mut place = Place::new(&["a", "b", "c", "d"]);
    (place.spec.chunk, place.spec.parallel) = (1, 1);
    place.review().await.unwrap();
    let shares: Vec<f64> = place.calls().into_iter().map(|(_, share)| share).collect();
    // A quarter of 1.0; a third of 0.9; half of 0.8; all of 0.7.
    for (share, expected) in shares.iter().zip([0.25, 0.3, 0.4, 0.7]) {
        assert!((share - expected).abs() < 0.01, "{shares:?}");
    }
    // Where it is used up, those that have not begun are not begun.
    let mut place = Place::new(&["a", "b", "c", "d"]);
    (place.spec.chunk, place.spec.parallel, place.spec.max_budget_usd) = (1, 1, 0.2);
    let report = place.review().await.unwrap();
    assert_eq!(place.calls().len(), 2);
    let unseen: Vec<&str> = report.unseen.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(unseen, ["c", "d"]);
    assert_eq!(report.unseen[0].reason, "the budget of this review was used up before its turn");
}

#[tokio::test]
async fn a_call_that_fails_costs_exactly_its_files() {
    let mut place = Place::new(&["src/a", "src/b", "web/c", "web/d", "zoo/e"]);
    place.when("c", CRASH);
    place.when("e", QUOTA);
    let report = place.review().await.unwrap();
    let unseen: Vec<String> = report.unseen.iter().map(|file| format!("{}: {}", file.path, file.reason)).collect();
    let crash = "Claude Code was killed by SIGKILL and wrote no event";
    let quota = "quota or overload: API Error: 429 slow down|1999999999";
    assert_eq!(unseen, [format!("web/c: {crash}"), format!("web/d: {crash}"), format!("zoo/e: {quota}")]);
    assert_eq!(report.summary.as_deref(), Some("`src/` (2 files): Read a b ."));
    assert_eq!(report.used.cost_usd, Some(0.1));
}

#[tokio::test]
async fn where_all_fail_it_is_an_error_of_their_kind() {
    let mut place = Place::new(&["src/a", "src/b", "web/c"]);
    place.when("a", QUOTA);
    place.when("c", QUOTA);
    let error = place.review().await.unwrap_err();
    assert!(matches!(error.kind, ErrorKind::Deferred { retry_after: Some(1..) }), "{error:?}");
    place.when("c", CRASH);
    let error = place.review().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Failed);
    assert!(error.cause.starts_with("none of 2 calls brought a review: Claude Code was killed"), "{error}");
}

#[tokio::test]
async fn a_refused_key_ends_all_calls_at_once() {
    let mut place = Place::new(&["src/a", "src/b", "web/c", "web/d"]);
    place.when("a", HANG);
    place.when("c", REFUSED);
    let before = Instant::now();
    let error = place.review().await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Unauthenticated);
    assert!(before.elapsed() < Duration::from_secs(15), "{:?}", before.elapsed());
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(alive(place.root.path()), [""; 0]);
}

#[tokio::test]
async fn one_deadline_holds_for_all() {
    let mut place = Place::new(&["src/a", "src/b", "web/c", "web/d", "zoo/e"]);
    place.spec.deadlines.total = Duration::from_secs(2);
    place.when("a", HANG);
    place.when("c", HANG);
    place.when("e", "answer");
    place.spec.parallel = 3;
    let report = place.review().await.unwrap();
    let unseen: Vec<&str> = report.unseen.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(unseen, ["src/a", "src/b", "web/c", "web/d"]);
    assert!(report.unseen[0].reason.contains("and was ended"), "{:?}", report.unseen);

    // What has not begun by then is not begun.
    place.spec.parallel = 1;
    let error = place.review().await.unwrap_err();
    assert!(error.cause.contains("and was ended") && error.cause.ends_with("; the others failed otherwise"), "{error}");
}

#[tokio::test]
async fn a_review_that_is_given_up_leaves_no_call_behind() {
    let mut place = Place::new(&["src/a", "src/b", "web/c", "web/d"]);
    place.when("a", HANG);
    place.when("c", HANG);
    let root = place.root.path().to_owned();
    let given_up = tokio::time::timeout(Duration::from_secs(2), async {
        tokio::join!(place.review(), async {
            tokio::time::sleep(Duration::from_millis(1500)).await;
            assert!(alive(&root).len() >= 4, "two shells and what they wait for: {:?}", alive(&root));
        })
    });
    assert!(given_up.await.is_err());
    assert_eq!(fs::read_to_string(root.join("peak")).unwrap().lines().count(), 2, "both had begun");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(alive(&root), [""; 0]);
}
