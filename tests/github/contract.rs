//! The same publications with prism in between, which holds both sides to GitHub's own API description.
//!
//! Skipped, and saying so, unless CICDCTL_TEST_PRISM names the directory:
//!     CICDCTL_TEST_PRISM=$(tests/github/prism/install.sh) cargo test --test github

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use cicdctl::forge::{Forge, Mark, Polled, Publication, Reaction, Status, StatusState};
use cicdctl::review::Outcome;
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::fake::{Fake, Fault};
use crate::publish::{at, finding, review, three};
use crate::review::World;

fn prism() -> Option<PathBuf> {
    let dir = std::env::var_os("CICDCTL_TEST_PRISM");
    if dir.is_none() {
        eprintln!("skipped: CICDCTL_TEST_PRISM is not set (see tests/github/prism/install.sh)");
    }
    dir.map(PathBuf::from)
}

/// Prism before `fake`; it is ended when this is dropped.
struct Proxy {
    _process: tokio::process::Child,
    url: String,
    said: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    async fn start(prism: &Path, fake: &Fake) -> Proxy {
        // Nobody else is given a port that was just given back.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let mut process = tokio::process::Command::new("node")
            .arg(prism.join("node_modules/@stoplight/prism-cli/dist/index.js"))
            .args(["proxy", "--errors", "-h", "127.0.0.1", "-p", &port.to_string()])
            .arg(prism.join("description.json"))
            .arg(&fake.url)
            // "production" makes prism fork a second process.
            .env("NODE_ENV", "development")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(process.stdout.take().unwrap()).lines();
        let ready = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                if line.contains("Prism is listening") {
                    return;
                }
            }
            panic!("prism ended");
        };
        tokio::time::timeout(Duration::from_secs(120), ready).await.unwrap();
        let said = Arc::new(Mutex::new(Vec::new()));
        let heard = said.clone();
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                heard.lock().unwrap().push(line);
            }
        });
        Proxy { _process: process, url: format!("http://127.0.0.1:{port}/api/v3"), said }
    }

    /// What prism found wrong. A 422 is none of it: cut.mjs leaves that one out of the description, so that prism's own
    /// report is seen and not GitHub's example.
    fn violations(&self) -> Vec<String> {
        let said = self.said.lock().unwrap();
        let wrong = said.iter().filter(|line| line.to_lowercase().contains("violation"));
        wrong.filter(|line| !line.contains("Unable to match the returned status code")).cloned().collect()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("prism says:\n{}", self.said.lock().unwrap().join("\n"));
        }
    }
}

#[tokio::test]
async fn requests_and_answers_keep_to_githubs_description() {
    let Some(prism) = prism() else { return };
    let fake = Fake::start().await;
    let description = std::fs::read_to_string(prism.join("description.json")).unwrap();
    fake.complete_with(&serde_json::from_str(&description).unwrap());
    fake.state().files = vec![("a.rs".into(), Some(crate::publish::PATCH.into())), ("logo.png".into(), None)];
    let proxy = Proxy::start(&prism, &fake).await;
    let github = at(&proxy.url);

    let pull = github.pull_request(42).await.unwrap();
    assert_eq!(github.pull_request(42).await.unwrap(), pull);
    let status = Status { state: StatusState::Pending, description: "x".repeat(500), url: None };
    github.set_status(&pull.head_sha, &status, None).await.unwrap();
    // A leftover; a review; nothing new; comments singly; another summary.
    {
        let mut state = fake.state();
        let mut left = state.posted("<!-- cicdctl:review v1 x -->\nleft over", "pullrequestreview");
        left["state"] = "PENDING".into();
        state.reviews.push(left);
    }
    for _ in 0..2 {
        let done = github.publish(&pull, &three(&pull), 5).await.unwrap();
        assert!(matches!(done, Publication::Done(_)), "{done:?}");
    }
    fake.fault(Fault::new("POST", "/pulls/42/reviews", 422));
    let mut range = finding(4, 2);
    range.lines = range.lines.map(|lines| cicdctl::finding::Lines { end: 3, ..lines });
    range.suggestion = Some("a\nb".into());
    github.publish(&pull, &review(&pull, vec![range]), 5).await.unwrap();
    let status =
        Status { state: StatusState::Success, description: "ok".into(), url: Some("https://x.example".into()) };
    github.set_status(&pull.head_sha, &status, None).await.unwrap();
    // What is answered, who answers, and what a comment says at last.
    let threads = github.conversation(42).await.unwrap();
    assert_eq!(threads.len(), 3);
    github.permission("mary").await.unwrap();
    let fixed = Mark::Fixed { head: pull.head_sha.clone(), unchanged: false };
    for changed in [true, false] {
        let threads = github.conversation(42).await.unwrap();
        assert_eq!(github.mark_finding(&threads[0], &fixed).await, Ok(changed));
    }
    {
        let state = fake.state();
        assert_eq!((state.reviews.len(), state.review_comments.len(), state.issue_comments.len()), (1, 3, 1));
        assert_eq!((state.statuses.len(), state.not_modified > 0), (2, true));
    }
    assert_eq!(proxy.violations(), [""; 0]);
}

/// From the request to what stands at the forge, with all that may come in between.
#[tokio::test]
async fn whole_reviews_keep_to_githubs_description() {
    let Some(prism) = prism() else { return };
    let mut world = World::new().await;
    let fake = world.fake.clone();
    let description = std::fs::read_to_string(prism.join("description.json")).unwrap();
    fake.complete_with(&serde_json::from_str(&description).unwrap());
    let proxy = Proxy::start(&prism, &fake).await;
    world.github = at(&proxy.url);
    let counts = || {
        let state = fake.state();
        (state.reviews.len(), state.review_comments.len(), state.issue_comments.len())
    };

    // A 502 after the review was made.
    fake.fault(Fault { done_first: true, ..Fault::new("POST", "/pulls/42/reviews", 502) });
    let first = world.post().await;
    assert_eq!((first.outcome, first.findings.len(), counts()), (Outcome::Reviewed, 1, (1, 1, 1)));
    assert_eq!(world.states(), ["pending", "success"]);
    let again = world.post().await;
    assert_eq!((again.outcome, counts()), (Outcome::Reviewed, (1, 1, 1)), "a second run changes nothing");
    assert!(fake.state().not_modified > 0, "304");

    let second = "import requests\n\n\ndef fetch(url):\n    requests.get(url, verify=False)\n    return eval(url)\n";
    fake.fault(Fault::new("POST", "/pulls/42/reviews", 422));
    world.push(second);
    let next = world.post().await;
    assert_eq!((next.outcome, counts().2), (Outcome::Reviewed, 1), "{:?}", next.reason);
    assert!(counts().1 > 1, "what the batch refused was posted singly");

    // A head that moves before the first write, a limit, and a token that has expired.
    let standing = counts();
    world.push(&format!("{second}# moved\n"));
    fake.state().moves = Some((1, "c".repeat(40)));
    let moved = world.post().await;
    assert_eq!((moved.outcome, counts()), (Outcome::Superseded, standing), "{:?}", moved.reason);
    fake.state().moves = None;
    world.push(&format!("{second}# limited\n"));
    fake.fault(Fault::new("GET", "/pulls/42", 403).header("retry-after", "3600"));
    let limited = world.post().await;
    assert_eq!(limited.outcome, Outcome::Deferred);
    assert!(limited.retry_at_ms.is_some());
    fake.fault(Fault::new("GET", "/pulls/42", 401).message("Bad credentials"));
    let expired = world.post().await;
    assert_eq!((expired.outcome, counts()), (Outcome::Failed, standing), "{:?}", expired.reason);

    // What an agent asks that watches.
    let Polled::Changed { etag, .. } = world.github.open_pull_requests(None).await.unwrap() else {
        panic!("nothing was there")
    };
    let unchanged = world.github.open_pull_requests(etag.as_deref()).await.unwrap();
    assert!(matches!(unchanged, Polled::Unchanged), "{unchanged:?}");
    let summary = world.github.comments(42, None).await.unwrap().remove(0);
    world.github.react(summary.id, Reaction::Eyes).await.unwrap();
    assert_eq!(proxy.violations(), [""; 0]);
}
