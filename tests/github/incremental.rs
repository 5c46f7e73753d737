//! One pull request over several pushes: what is read again, what is known from before, and what is carried over.

use cicdctl::api::ReviewRequest;
use cicdctl::config::EngineName;
use cicdctl::review::{Coverage, Outcome, Review};
use cicdctl::store::Store;
use serde_json::Value;

use crate::review::World;

/// Finds each added line with BUG in it, and writes down what it was given.
const ENGINE: &str = r#"#!/usr/bin/env python3
import json, sys
bundle = json.load(sys.stdin)
with open("ROOT/bundles", "a") as log:
    log.write(json.dumps(bundle) + "\n")
found = [
    {"path": file["path"], "start_line": line["new"], "severity": "high", "category": "correctness",
     "title": line["text"].strip(" #"), "explanation": "It is wrong."}
    for file in bundle["diff"]["files"] for hunk in file["hunks"] for line in hunk["lines"]
    if line["kind"] == "added" and "BUG" in line["text"]
]
print(json.dumps({"findings": found, "summary": "Read %d." % len(bundle["diff"]["files"])}))
"#;

/// As Claude Code, and writes down how it was called.
const CLAUDE: &str = r#"#!/bin/sh
case "$1" in
    --version) echo '2.1.330 (Claude Code)'; exit ;;
    --help) printf '  --restricted\n  --permission-prompts\n  --system-prompt-snapshot\n'; exit ;;
esac
echo "$*" >>ROOT/calls
cat >ROOT/prompt.$$
cp ROOT/prompt.$$ ROOT/prompt
if [ -e ROOT/fails ] && grep -q '^+.*FAILS' ROOT/prompt.$$; then kill -9 $$; fi
printf '%s' '{"type":"result","subtype":"success","is_error":false,"num_turns":1,"total_cost_usd":0.1,'
echo '"structured_output":{"summary":"s","findings":[]}}'
"#;

struct Pull {
    world: World,
}

impl Pull {
    async fn new() -> Pull {
        let mut world = World::new().await;
        world.fake.state().git_root = Some(world.path("root"));
        let program = world.program("engine", ENGINE);
        world.config.review.engine = EngineName::Command;
        world.config.engine.command.argv = vec![program.to_str().unwrap().into()];
        world.store = Some(Store::open(&world.path("store.db")).unwrap());
        Pull { world }
    }

    fn with_claude(mut self) -> Pull {
        self.world.config.review.engine = EngineName::Claude;
        self.world.config.engine.claude.program = Some(self.world.program("claude", CLAUDE));
        self
    }

    fn write(&self, files: &[(&str, &str)]) {
        for (path, text) in files {
            std::fs::write(self.world.work().join(path), text).unwrap();
        }
    }

    fn commit(&self, files: &[(&str, &str)]) {
        self.write(files);
        let work = self.world.work();
        self.world.git(&work, &["add", "-A"]);
        self.world.git(&work, &["commit", "-q", "--allow-empty", "-m", "change"]);
    }

    /// What is committed becomes the head of the pull request.
    fn push(&self) {
        let work = self.world.work();
        self.world.git(&work, &["push", "-q", "origin", "+HEAD:refs/pull/42/head"]);
        let mut state = self.world.fake.state();
        state.head = self.world.git(&work, &["rev-parse", "HEAD"]).trim().to_owned();
        state.base = self.world.git(&work, &["rev-parse", "origin/main"]).trim().to_owned();
    }

    async fn review(&self, full: bool) -> Review {
        self.world.stored_job(ReviewRequest { pr: Some(42), full, ..Default::default() }).await
    }

    /// The bundle of each call of the engine.
    fn bundles(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.world.path("bundles")).unwrap_or_default();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn last_read(&self) -> Vec<String> {
        let bundles = self.bundles();
        let files = bundles.last().unwrap()["diff"]["files"].as_array().unwrap();
        files.iter().map(|file| file["path"].as_str().unwrap().to_owned()).collect()
    }
}

/// `path`, how it was covered, and by which job where that is another.
fn covered(review: &Review) -> Vec<String> {
    let files = review.receipt.files.iter().map(|file| match &file.coverage {
        Coverage::Seen => format!("{} seen", file.path),
        Coverage::Known { job } => format!("{} {job}", file.path),
        other => format!("{} {other:?}", file.path),
    });
    files.collect()
}

fn found(review: &Review) -> Vec<String> {
    let place = |lines: Option<cicdctl::finding::Lines>| lines.map_or(0, |lines| lines.start);
    let mut found: Vec<String> = review
        .findings
        .iter()
        .map(|finding| format!("{}:{} {}", finding.path, place(finding.lines), finding.title))
        .collect();
    found.sort();
    found
}

#[tokio::test]
async fn only_what_has_changed_is_read_again() {
    let pull = Pull::new().await;
    pull.commit(&[("b.py", "# BUG b\nb = 1\n"), ("c.py", "# BUG c\n")]);
    pull.push();
    let first = pull.review(false).await;
    assert_eq!((first.outcome, &first.reason), (Outcome::Reviewed, &None));
    assert_eq!(covered(&first), ["a.py seen", "b.py seen", "c.py seen"]);
    assert_eq!(found(&first), ["b.py:1 BUG b", "c.py:1 BUG c"]);
    assert_eq!((pull.bundles()[0].get("open"), pull.bundles()[0].get("others")), (None, None));

    // A push to one file: it alone is read, with what was found in it; the rest is carried over.
    pull.commit(&[("c.py", "c = 0\n# BUG c\n# BUG d\n")]);
    pull.push();
    let second = pull.review(false).await;
    assert_eq!(second.outcome, Outcome::Reviewed);
    assert_eq!(covered(&second), [format!("a.py {}", first.job), format!("b.py {}", first.job), "c.py seen".into()]);
    assert_eq!(found(&second), ["b.py:1 BUG b", "c.py:2 BUG c", "c.py:3 BUG d"]);
    assert_eq!(pull.last_read(), ["c.py"]);
    let bundle = pull.bundles().pop().unwrap();
    assert_eq!((&bundle["open"][0]["title"], &bundle["open"][0]["path"]), (&"BUG c".into(), &"c.py".into()));
    assert_eq!(bundle["others"], serde_json::json!(["a.py", "b.py"]));
    assert_eq!(bundle["open"].as_array().unwrap().len(), 1);
    let fingerprint = |review: &Review, title: &str| {
        review.findings.iter().find(|finding| finding.title == title).unwrap().fingerprint.clone()
    };
    assert_eq!(fingerprint(&first, "BUG b"), fingerprint(&second, "BUG b"));

    // Nothing new but a message: no engine, and each file names the job that truly saw it.
    pull.commit(&[]);
    pull.push();
    let third = pull.review(false).await;
    assert_eq!((third.outcome, &third.receipt.engine, &third.receipt.reviewed_by), (Outcome::Reviewed, &None, &None));
    let by = [("a.py", &first), ("b.py", &first), ("c.py", &second)].map(|(path, by)| format!("{path} {}", by.job));
    assert_eq!(covered(&third), by);
    assert_eq!((found(&third), third.summary.as_deref()), (found(&second), Some("Read 1.")));
    assert_eq!(pull.bundles().len(), 2);

    // Whoever asks for all of it gets all of it.
    let full = pull.review(true).await;
    assert_eq!(covered(&full), ["a.py seen", "b.py seen", "c.py seen"]);
    assert_eq!(pull.bundles().len(), 3);
    assert!(pull.bundles()[2].get("open").is_none());
}

#[tokio::test]
async fn a_rebase_costs_only_what_it_has_changed() {
    let pull = Pull::new().await;
    let work = pull.world.work();
    let git = |args: &[&str]| pull.world.git(&work, args);
    // The base gets a file whose end the pull request changes, and another that it will not touch.
    git(&["checkout", "-q", "-B", "main", "origin/main"]);
    let body: String = (0..20).map(|number| format!("line{number} = {number}\n")).collect();
    pull.commit(&[("long.py", &body), ("x.py", "x = 1\ny = 2\nz = 3\n")]);
    git(&["push", "-q", "origin", "main"]);
    pull.commit(&[("long.py", &format!("{body}# BUG at the end\n")), ("x.py", "x = 1\ny = 9\nz = 3\n")]);
    pull.push();
    let first = pull.review(false).await;
    assert_eq!(found(&first), ["long.py:21 BUG at the end"]);

    // Meanwhile on the base: lines above, far from what the pull request changes, and right beside it in the other.
    let change = git(&["rev-parse", "HEAD"]).trim().to_owned();
    git(&["checkout", "-q", "-B", "main", "origin/main"]);
    pull.commit(&[("long.py", &format!("# one\n# two\n{body}")), ("x.py", "x = 0\ny = 2\nz = 3\n")]);
    git(&["push", "-q", "origin", "main"]);
    git(&["fetch", "-q", "origin"]);
    pull.commit(&[("long.py", &format!("# one\n# two\n{body}# BUG at the end\n")), ("x.py", "x = 0\ny = 9\nz = 3\n")]);
    assert_ne!(git(&["rev-parse", "HEAD"]).trim(), change);
    pull.push();
    let second = pull.review(false).await;
    assert_eq!(covered(&second), [format!("long.py {}", first.job), "x.py seen".into()]);
    assert_eq!(found(&second), ["long.py:23 BUG at the end"]);
    assert_eq!(second.findings[0].fingerprint, first.findings[0].fingerprint);
    assert_eq!(second.findings[0].excerpt[0].number, 23);
    assert_eq!(pull.last_read(), ["x.py"]);
}

#[tokio::test]
async fn what_is_not_comparable_is_read_in_full() {
    let mut pull = Pull::new().await;
    pull.commit(&[("b.py", "b = 1\n")]);
    pull.push();
    pull.review(false).await;

    // On other terms nothing is known.
    pull.world.config.review.instructions = "Look twice.".into();
    pull.commit(&[("b.py", "b = 2\n")]);
    pull.push();
    let other_terms = pull.review(false).await;
    assert_eq!(covered(&other_terms), ["a.py seen", "b.py seen"]);

    // Nor where the earlier commits are gone: a clone of its own that never had them, and a new mirror.
    std::fs::remove_dir_all(pull.world.path("cache")).unwrap();
    pull.commit(&[("b.py", "b = 3\n")]);
    let work = pull.world.work();
    let tree = pull.world.git(&work, &["rev-parse", "HEAD^{tree}"]).trim().to_owned();
    let new = pull.world.git(&work, &["commit-tree", "-p", "origin/main", "-m", "squashed", &tree]);
    pull.world.git(&work, &["reset", "-q", "--hard", new.trim()]);
    pull.push();
    pull.world.git(&pull.world.path("root/acme/shop.git"), &["gc", "-q", "--prune=now"]);
    let gone = pull.review(false).await;
    assert_eq!(covered(&gone), ["a.py seen", "b.py seen"]);
    let note = format!("read in full: the commits that job {} has reviewed are gone", other_terms.job);
    assert_eq!(gone.receipt.notes, [note]);
}

#[tokio::test]
async fn reviews_by_claude_are_one_conversation_and_a_failed_call_is_made_up_for() {
    let mut pull = Pull::new().await.with_claude();
    let calls = |pull: &Pull| -> Vec<String> {
        std::fs::read_to_string(pull.world.path("calls")).unwrap().lines().map(str::to_owned).collect()
    };
    pull.commit(&[("b.py", "b = 1\n")]);
    pull.push();
    let first = pull.review(false).await;
    let begun = first.receipt.engine.clone().unwrap().session.unwrap();
    assert!(calls(&pull)[0].contains(&format!("--session-id {}", begun.id)));

    pull.commit(&[("b.py", "b = 2\n")]);
    pull.push();
    let second = pull.review(false).await;
    assert_eq!(covered(&second), [format!("a.py {}", first.job), "b.py seen".into()]);
    assert!(calls(&pull)[1].contains(&format!("--resume {} --system-prompt-snapshot off", begun.id)));
    let resumed = second.receipt.engine.clone().unwrap().session.unwrap();
    assert_eq!((resumed.id, resumed.resumes), (begun.id.clone(), 1));
    let prompt = std::fs::read_to_string(pull.world.path("prompt")).unwrap();
    assert!(prompt.contains(&format!("up to {}", first.receipt.head_sha.unwrap())), "{prompt}");

    // In full it is a conversation of its own, and what comes next goes on with that.
    let full = pull.review(true).await.receipt.engine.unwrap().session.unwrap();
    assert!(full.id != begun.id && full.resumes == 0);
    pull.commit(&[("b.py", "b = 3\n")]);
    pull.push();
    pull.review(false).await;
    assert!(calls(&pull)[3].contains(&format!("--resume {}", full.id)));

    // Several calls keep none. Of one that fails the files are named, and they alone are read the next time.
    pull.world.config.review.chunk = cicdctl::config::Size(4 << 10);
    let long = |word: &str| format!("# {word} {}\n", "x".repeat(3000));
    pull.commit(&[("b.py", &long("b")), ("c.py", &long("FAILS"))]);
    pull.push();
    std::fs::write(pull.world.path("fails"), "").unwrap();
    let partial = pull.review(false).await;
    assert_eq!(partial.outcome, Outcome::Partial);
    let reason = partial.reason.clone().unwrap();
    assert!(reason.starts_with("1 of 3 files was not seen: `c.py` (Claude Code was killed by SIGKILL"), "{reason}");
    assert!(calls(&pull)[4..].iter().all(|call| call.contains("--no-session-persistence")));
    std::fs::remove_file(pull.world.path("fails")).unwrap();
    let before = calls(&pull).len();
    let again = pull.review(false).await;
    assert_eq!(again.outcome, Outcome::Reviewed);
    assert_eq!(covered(&again), [format!("a.py {}", partial.job), format!("b.py {}", partial.job), "c.py seen".into()]);
    assert_eq!(calls(&pull).len(), before + 1);
}
