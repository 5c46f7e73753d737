//! One pull request, reviewed again and again: what is remembered of findings, and what of that is seen at the forge.

use cicdctl::api::ReviewRequest;
use cicdctl::review::ledger::{Dismissal, Row, State};
use cicdctl::review::{Outcome, Review};
use cicdctl::store::{Ask, Store, Wanted};
use serde_json::{Value, json};

use crate::fake::{Fault, REPO};
use crate::review::{World, body, posted};

const VERIFY: &str = "    return requests.get(url, verify=False)";
const SYSTEM: &str = "    os.system(cmd)";
const EVAL: &str = "    return eval(text)";
const OPEN: &str = "    return open(path).read()";

/// A world whose engine says what the file `answer` has, and which remembers.
async fn world() -> World {
    let mut world = World::new().await.with_engine("cat >/dev/null; cat \"$(dirname \"$0\")/answer\"");
    let path = world.dir.path().join("user/.local/state/cicd-toolkit/store.db");
    world.store = Some(Store::open(&path).unwrap());
    world
}

fn file(lines: &[&str]) -> String {
    let [verify, system, eval, open] = lines else { panic!() };
    format!(
        "import os\nimport requests\n\n\ndef fetch(url):\n{verify}\n\n\ndef run(cmd):\n{system}\n\n\n\
         def load(text):\n{eval}\n\n\ndef read(path):\n{open}\n"
    )
}

impl World {
    /// The engine will find these: each is a line of the file, and a title.
    fn finds(&self, text: &str, found: &[(&str, &str)]) {
        let findings: Vec<Value> = found
            .iter()
            .map(|(line, title)| {
                let number = text.lines().position(|one| one == *line).unwrap() + 1;
                json!({
                    "path": "a.py", "start_line": number, "severity": "high", "category": "security",
                    "title": title, "explanation": "Because.",
                })
            })
            .collect();
        std::fs::write(self.dir.path().join("answer"), json!({ "findings": findings }).to_string()).unwrap();
    }

    async fn round(&self, text: &str, found: &[(&str, &str)]) -> Review {
        self.push(text);
        self.finds(text, found);
        self.fake.state().log.clear();
        let review = self.post().await;
        assert_eq!((review.outcome, &review.reason), (Outcome::Reviewed, &None));
        assert_eq!(review.receipt.notes, [""; 0]);
        review
    }

    /// Comments at lines, in the order of their posting: whether the finding stands, and its title.
    fn comments(&self) -> Vec<String> {
        let state = self.fake.state();
        let ours = state.review_comments.iter().filter(|comment| comment["in_reply_to_id"].is_null());
        let shown = |comment: &Value| {
            let text = body(comment);
            let title = text.lines().find_map(|line| line.strip_prefix("**high: ")).unwrap().trim_end_matches("**");
            match text.lines().nth(1).unwrap() {
                said if said.starts_with("Fixed in ") => format!("{said} {title}"),
                said if said.starts_with("**high: ") => title.to_owned(),
                said => panic!("{said}"),
            }
        };
        ours.map(shown).collect()
    }

    /// How many reviews with comments there are, and how often the last round has changed a comment at a line.
    fn writes(&self) -> (usize, usize) {
        let reviews = self.fake.state().reviews.len();
        assert_eq!(self.fake.count("POST /repos/acme/shop/pulls/42/comments"), 0);
        (reviews, self.fake.count("PATCH /repos/acme/shop/pulls/comments/"))
    }

    fn comment(&self, title: &str) -> u64 {
        let state = self.fake.state();
        let found = state.review_comments.iter().find(|comment| body(comment).contains(&format!("**high: {title}**")));
        found.unwrap()["id"].as_u64().unwrap()
    }

    fn text_of(&self, id: u64) -> String {
        let state = self.fake.state();
        body(state.review_comments.iter().find(|comment| comment["id"] == id).unwrap()).to_owned()
    }

    fn summary(&self) -> String {
        let state = self.fake.state();
        assert_eq!(state.issue_comments.len(), 1);
        body(&state.issue_comments[0]).to_owned()
    }

    async fn rows(&self) -> Vec<Row> {
        self.store.as_ref().unwrap().findings(Wanted::default()).await.unwrap()
    }
}

fn titles(review: &Review) -> Vec<&str> {
    review.findings.iter().map(|finding| finding.title.as_str()).collect()
}

#[tokio::test]
async fn ten_rounds_of_one_pull_request() {
    let world = world().await;
    world.fake.state().writers = vec!["mary".into(), "max".into()];

    // 1: new findings.
    let text = file(&[VERIFY, SYSTEM, EVAL, OPEN]);
    let all = [(VERIFY, "certificates are not checked"), (SYSTEM, "command injection"), (EVAL, "eval of input")];
    let review = world.round(&text, &all).await;
    assert_eq!((review.findings.len(), review.receipt.dismissed, review.receipt.fixed), (3, 0, 0));
    let mut expected =
        vec!["certificates are not checked".to_owned(), "command injection".into(), "eval of input".into()];
    assert_eq!((world.comments(), world.writes()), (expected.clone(), (1, 0)));
    let (verify, system, eval) =
        (world.comment(&expected[0]), world.comment(&expected[1]), world.comment(&expected[2]));
    let original = world.text_of(system);

    // 2: the same, further down.
    let text = format!("\"\"\"Fetches.\"\"\"\n\n{}", file(&[VERIFY, SYSTEM, EVAL, OPEN]));
    let review = world.round(&text, &all).await;
    assert_eq!((review.findings.len(), world.comments(), world.writes()), (3, expected.clone(), (1, 0)));

    // 3: in other words, and one more.
    let more = [
        (VERIFY, "anybody can sit between client and server"),
        (SYSTEM, "the shell gets untrusted words"),
        (EVAL, "eval of input"),
        (OPEN, "file is never closed"),
    ];
    let review = world.round(&text, &more).await;
    expected.push("file is never closed".into());
    assert_eq!((review.findings.len(), world.comments(), world.writes()), (4, expected.clone(), (2, 0)));
    let open = world.comment("file is never closed");

    // 4: a maintainer answers to one, a contributor to another.
    world.fake.state().reply(verify, "mary", "False positive: this is a test server with its own certificate.");
    world.fake.state().reply(system, "carl", "This is not a bug, please ignore it.");
    let review = world.round(&text, &more).await;
    assert_eq!(titles(&review), ["the shell gets untrusted words", "eval of input", "file is never closed"]);
    assert_eq!((review.receipt.dismissed, world.comments(), world.writes()), (1, expected.clone(), (2, 0)));
    assert!(world.summary().contains(" · 1 dismissed before · "), "{}", world.summary());

    // 5: a maintainer resolves one, a contributor another; what was dismissed is said in other words still.
    world.fake.state().resolved = vec![(eval, "max".into()), (open, "carl".into())];
    let reworded = [
        (VERIFY, "TLS verification is switched off"),
        (SYSTEM, "the shell gets untrusted words"),
        (EVAL, "arbitrary code may run"),
        (OPEN, "file is never closed"),
    ];
    let review = world.round(&text, &reworded).await;
    assert_eq!(titles(&review), ["the shell gets untrusted words", "file is never closed"]);
    assert_eq!((review.receipt.dismissed, world.comments(), world.writes()), (2, expected.clone(), (2, 0)));

    // 6: one is mended.
    const MENDED: &str = "    subprocess.run([cmd], check=True)";
    let text = format!("\"\"\"Fetches.\"\"\"\n\n{}", file(&[VERIFY, MENDED, EVAL, OPEN]));
    let [verify_too, _, eval_too, open_too] = reworded;
    let review = world.round(&text, &[verify_too, eval_too, open_too]).await;
    assert_eq!((titles(&review), review.receipt.dismissed, review.receipt.fixed), (vec!["file is never closed"], 2, 1));
    let head = world.fake.state().head.clone();
    let fixed = [&expected[0], &format!("Fixed in {}. command injection", &head[..10]), &expected[2], &expected[3]];
    assert_eq!((world.comments(), world.writes()), (fixed.map(String::clone).into(), (2, 1)));
    assert!(world.text_of(system).starts_with(original.lines().next().unwrap()));
    assert!(world.summary().contains(" · 2 dismissed before, 1 fixed since the last review · "), "{}", world.summary());
    let (status, said) = world.statuses().pop().unwrap();
    assert_eq!(status, "success");
    assert_eq!(said, "1 finding (1 high); 2 dismissed before, 1 fixed since the last review; 1 file seen");
    // The same head once more changes nothing.
    let summary = world.summary();
    world.fake.state().log.clear();
    assert_eq!(world.post().await.receipt.fixed, 1);
    assert_eq!((world.summary(), world.writes()), (summary, (2, 0)));

    // 7: it is back, in other words.
    let text = format!("\"\"\"Fetches.\"\"\"\n\n{}", file(&[VERIFY, SYSTEM, EVAL, OPEN]));
    let back = [verify_too, (SYSTEM, "shell command from a parameter"), eval_too, open_too];
    let review = world.round(&text, &back).await;
    assert_eq!(titles(&review), ["shell command from a parameter", "file is never closed"]);
    assert_eq!((review.receipt.dismissed, review.receipt.fixed), (2, 0));
    assert_eq!((world.comments(), world.writes(), world.text_of(system)), (expected.clone(), (2, 1), original));

    // 8: the line of a dismissed one changes: it is a new finding.
    const LATER: &str = "    return requests.get(url, timeout=3, verify=False)";
    let text = format!("\"\"\"Fetches.\"\"\"\n\n{}", file(&[LATER, SYSTEM, EVAL, OPEN]));
    let changed = [(LATER, verify_too.1), back[1], back[2], back[3]];
    let review = world.round(&text, &changed).await;
    assert_eq!(titles(&review), [verify_too.1, "shell command from a parameter", "file is never closed"]);
    expected.push(verify_too.1.into());
    assert_eq!((review.receipt.dismissed, world.comments(), world.writes()), (1, expected.clone(), (3, 0)));

    // 9: one that a maintainer has dismissed is restored on the host; the old resolution does not count twice.
    let row = world.rows().await.into_iter().find(|row| row.finding.title == eval_too.1).unwrap();
    assert_eq!((row.state, row.dismissal.unwrap().by.as_str()), (State::Dismissed, "max"));
    let restored = world.cicdctl(&["finding", "restore", &row.fingerprint, "--repo", REPO], &[]).await;
    assert!(restored.status.success(), "{}", String::from_utf8_lossy(&restored.stderr));
    let review = world.round(&text, &changed).await;
    assert_eq!((review.findings.len(), review.receipt.dismissed), (4, 0));
    assert_eq!((world.comments(), world.writes()), (expected.clone(), (3, 0)));

    // 10: those who may not and those who agree dismiss nothing; all lines move, all words change.
    let fresh = world.comment(verify_too.1);
    world.fake.state().reply(fresh, "mary", "Good catch, will fix.");
    world.fake.state().reply(system, "alice", "I am the author, and this is by design.");
    world.fake.state().reply(open, "helper[bot]", "false positive");
    world.fake.state().resolved.push((system, Value::Null));
    let text = format!("# moved\n{text}");
    let last = [
        (LATER, "the peer may be anyone"),
        (SYSTEM, "os.system with an argument of others"),
        (EVAL, "text is run as code"),
        (OPEN, "handle leaks"),
    ];
    let review = world.round(&text, &last).await;
    assert_eq!((review.findings.len(), review.receipt.dismissed, review.receipt.fixed), (4, 0, 0));
    assert_eq!((world.comments(), world.writes()), (expected, (3, 0)));

    let states: Vec<State> = world.rows().await.into_iter().map(|row| row.state).collect();
    assert_eq!(states.iter().filter(|state| **state == State::Open).count(), 4);
    assert_eq!(states.iter().filter(|state| **state == State::Dismissed).count(), 1);
    assert_eq!(states.len(), 5);
}

/// A review by a job of the store, as the runner has it.
async fn by_job(world: &World) -> Review {
    let store = world.store.as_ref().unwrap();
    let request = ReviewRequest { path: Some(world.work()), ..posted() };
    let ask = Ask { request: request.clone(), pull: Some(format!("{REPO}#42")), ..Ask::default() };
    let job = store.accept(ask).await.unwrap().job;
    store.claim(None).await.unwrap().unwrap();
    let review = world.review_as(&job.id, request).await;
    store.finish(&job.id, review.clone()).await.unwrap();
    review
}

#[tokio::test]
async fn a_review_that_is_used_again_obeys_what_was_said_since() {
    let world = world().await;
    world.fake.state().writers = vec!["mary".into()];
    let text = file(&[VERIFY, SYSTEM, EVAL, OPEN]);
    world.push(&text);
    world.finds(&text, &[(VERIFY, "certificates are not checked"), (EVAL, "eval of input")]);
    let first = by_job(&world).await;
    assert_eq!((first.outcome, first.findings.len()), (Outcome::Reviewed, 2));
    // No engine is asked any more.
    std::fs::remove_file(world.dir.path().join("answer")).unwrap();

    let eval = world.comment("eval of input");
    world.fake.state().reply(eval, "mary", "That is what it is for.");
    let second = by_job(&world).await;
    assert_eq!((second.outcome, second.receipt.reviewed_by.as_ref()), (Outcome::Reviewed, Some(&first.job)));
    assert_eq!((titles(&second), second.receipt.dismissed), (vec!["certificates are not checked"], 1));
    assert!(!world.summary().contains("eval of input"), "{}", world.summary());

    let third = by_job(&world).await;
    assert_eq!((third.findings.len(), third.receipt.dismissed), (1, 1));
    let name = world.rows().await.into_iter().find(|row| row.state == State::Dismissed).unwrap().fingerprint;
    world.store.as_ref().unwrap().settle_findings(vec![name], Wanted::default(), None).await.unwrap();
    let fourth = by_job(&world).await;
    assert_eq!((fourth.findings.len(), fourth.receipt.dismissed), (2, 0));
    assert!(world.summary().contains("eval of input"));
    assert_eq!((world.comments().len(), world.writes()), (2, (1, 0)));
}

#[tokio::test]
async fn what_was_restored_comes_back_though_its_file_is_not_read_again() {
    let world = world().await;
    let text = file(&[VERIFY, SYSTEM, EVAL, OPEN]);
    world.push(&text);
    world.finds(&text, &[(VERIFY, "certificates are not checked"), (EVAL, "eval of input")]);
    assert_eq!(by_job(&world).await.findings.len(), 2);
    let store = world.store.as_ref().unwrap();
    let row = world.rows().await.into_iter().find(|row| row.finding.title == "eval of input").unwrap();
    let name = vec![row.fingerprint];
    let dismissal = Some(Dismissal { by: "mary".into(), why: None, at_ms: 1 });
    store.settle_findings(name.clone(), Wanted::default(), dismissal).await.unwrap();
    std::fs::remove_file(world.dir.path().join("answer")).unwrap();

    for (dismissed, findings) in [(true, 1), (false, 2)] {
        if !dismissed {
            store.settle_findings(name.clone(), Wanted::default(), None).await.unwrap();
        }
        // Another head with the same files: none of them is read.
        world.push(&text);
        let review = by_job(&world).await;
        assert_eq!((review.outcome, &review.reason), (Outcome::Reviewed, &None));
        assert_eq!((review.receipt.seen(), review.findings.len()), (0, findings), "{:?}", review.receipt);
        assert_eq!((world.comments().len(), world.writes()), (2, (1, 0)));
    }
    assert!(world.rows().await.iter().all(|row| row.state == State::Open && row.engine == "command"));
}

#[tokio::test]
async fn what_was_dismissed_in_another_pull_request_is_not_posted() {
    let world = world().await;
    let text = file(&[VERIFY, SYSTEM, EVAL, OPEN]);
    world.round(&text, &[(VERIFY, "certificates are not checked")]).await;
    let store = world.store.as_ref().unwrap();
    let row = world.rows().await.remove(0);
    let dismissal = Some(Dismissal { by: "mary".into(), why: None, at_ms: 1 });
    let name = vec![row.fingerprint.clone()];
    store.settle_findings(name.clone(), Wanted::default(), dismissal).await.unwrap();
    let mut elsewhere = world.rows().await.remove(0);
    elsewhere.pull = 7;
    store.record_findings(vec![cicdctl::review::ledger::Entry { row: elsewhere, was: None }]).await.unwrap();
    // Taken back here alone, as if it had never been seen here.
    store.settle_findings(name, Wanted { pull: Some(42), ..Wanted::default() }, None).await.unwrap();
    let review = world.round(&text, &[(VERIFY, "certificates are not checked")]).await;
    assert_eq!((review.findings.len(), review.receipt.dismissed), (0, 1));
}

#[tokio::test]
async fn a_review_that_is_not_published_marks_nothing() {
    let world = world().await;
    let text = file(&[VERIFY, SYSTEM, EVAL, OPEN]);
    world.push(&text);
    world.finds(&text, &[(VERIFY, "certificates are not checked")]);
    world.fake.fault(Fault::new("POST", "/pulls/42/reviews", 403));
    assert_eq!(world.post().await.outcome, Outcome::Failed);
    assert_eq!(world.rows().await, []);
    let head = world.fake.state().head.clone();
    world.fake.state().moves = Some((1, "d".repeat(40)));
    assert_eq!(world.post().await.outcome, Outcome::Superseded);
    assert_eq!(world.rows().await, []);
    (world.fake.state().head, world.fake.state().moves) = (head, None);
}

#[tokio::test]
async fn a_conversation_that_cannot_be_read_is_a_note_and_a_rate_limit_defers() {
    let world = world().await;
    world.fake.state().writers = vec!["mary".into()];
    let text = file(&[VERIFY, SYSTEM, EVAL, OPEN]);
    let found = [(VERIFY, "certificates are not checked")];
    world.round(&text, &found).await;
    let comment = world.comment("certificates are not checked");
    world.fake.state().reply(comment, "mary", "false positive");

    for (path, note) in [
        ("/pulls/42/comments", "what was answered to earlier findings could not be read: "),
        (
            "/collaborators/mary/permission",
            "what `mary` may do could not be found out, so their answers do not count: ",
        ),
    ] {
        world.fake.fault(Fault::new("GET", path, 403));
        let review = world.post().await;
        assert_eq!((review.outcome, review.findings.len()), (Outcome::Reviewed, 1), "{path}");
        assert!(review.receipt.notes[0].starts_with(note), "{:?}", review.receipt.notes);

        world.fake.fault(Fault::new("GET", path, 403).header("retry-after", "60"));
        let review = world.post().await;
        assert_eq!(review.outcome, Outcome::Deferred, "{path}");
        assert!(review.retry_at_ms.is_some());
    }
    // It was not taken for heard.
    let review = world.post().await;
    assert_eq!((review.findings.len(), review.receipt.dismissed), (0, 1));
}

#[tokio::test]
async fn a_comment_that_cannot_be_changed_is_a_note_and_is_changed_the_next_time() {
    let world = world().await;
    let text = file(&[VERIFY, SYSTEM, EVAL, OPEN]);
    world.round(&text, &[(EVAL, "eval of input")]).await;
    let id: &'static str = Box::leak(format!("/pulls/comments/{}", world.comment("eval of input")).into_boxed_str());
    let mended = file(&[VERIFY, SYSTEM, "    return json.loads(text)", OPEN]);
    world.push(&mended);
    world.finds(&mended, &[]);
    world.fake.fault(Fault::new("PATCH", id, 403));
    let review = world.post().await;
    assert_eq!((review.outcome, review.receipt.fixed), (Outcome::Reviewed, 1));
    assert!(review.receipt.notes[0].starts_with("1 comment could not be made to show what became of the finding: "));
    assert_eq!(world.comments(), ["eval of input"]);
    let review = world.post().await;
    assert_eq!(review.receipt.notes, [""; 0]);
    let head = world.fake.state().head.clone();
    assert_eq!(world.comments(), [format!("Fixed in {}. eval of input", &head[..10])]);
}

#[tokio::test]
async fn without_a_store_a_maintainer_is_heard_all_the_same() {
    let mut world = world().await;
    world.store = None;
    world.fake.state().writers = vec!["mary".into()];
    let text = file(&[VERIFY, SYSTEM, EVAL, OPEN]);
    let found = [(VERIFY, "certificates are not checked")];
    world.round(&text, &found).await;
    let comment = world.comment("certificates are not checked");
    world.fake.state().reply(comment, "mary", "false positive");
    for _ in 0..2 {
        let review = world.post().await;
        assert_eq!((review.findings.len(), review.receipt.dismissed), (0, 1));
    }
}
