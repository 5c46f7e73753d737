//! The forge alone: what is asked, what is posted, and what every fault makes of it.

use std::time::Duration;

use cicdctl::finding::{Category, Finding, Lines, Severity};
use cicdctl::forge::github::GitHub;
use cicdctl::forge::{Forge, ForgeError, Publication, PullRequest, Status, StatusState, Token};
use cicdctl::review::{Outcome, Published, Receipt, Review};
use serde_json::{Value, json};

use crate::fake::{Fake, Fault, REPO, TOKEN};

pub const PATCH: &str = "@@ -1,3 +1,5 @@\n one\n+two\n+three\n four\n five";

pub fn at(api: &str) -> GitHub {
    let token = Token::new(TOKEN).unwrap();
    GitHub::new(api.parse().unwrap(), REPO.into(), token).unwrap().with_pace(Duration::ZERO)
}

async fn with_files() -> (Fake, GitHub, PullRequest) {
    let fake = Fake::start().await;
    fake.state().files = vec![("a.rs".into(), Some(PATCH.into())), ("logo.png".into(), None)];
    let github = at(&fake.api());
    let pull = github.pull_request(42).await.unwrap();
    fake.state().log.clear();
    (fake, github, pull)
}

pub fn finding(number: u32, line: u32) -> Finding {
    Finding {
        fingerprint: format!("{number:016x}"),
        severity: Severity::High,
        category: Category::Correctness,
        path: "a.rs".into(),
        lines: Some(Lines { start: line, end: line }),
        title: format!("fault {number}"),
        explanation: "Because.".into(),
        suggestion: None,
        confidence: 1.0,
        rule: None,
        excerpt: vec![],
    }
}

pub fn review(pull: &PullRequest, findings: Vec<Finding>) -> Review {
    Review {
        job: "01J".into(),
        project: REPO.into(),
        subject: "pull request 42".into(),
        outcome: Outcome::Reviewed,
        reason: None,
        summary: None,
        findings,
        receipt: Receipt { head_sha: Some(pull.head_sha.clone()), ..Default::default() },
        retry_at_ms: None,
        unpublished: None,
    }
}

/// Two findings at lines, one that has none.
pub fn three(pull: &PullRequest) -> Review {
    review(pull, vec![finding(1, 2), finding(2, 3), finding(3, 99)])
}

async fn publish(github: &GitHub, pull: &PullRequest, review: &Review) -> Published {
    match github.publish(pull, review, 5).await.unwrap() {
        Publication::Done(published) => published,
        Publication::Moved { head_sha } => panic!("moved to {head_sha}"),
    }
}

fn body(value: &Value) -> &str {
    value["body"].as_str().unwrap()
}

#[tokio::test]
async fn a_review_a_summary_and_nothing_twice() {
    let (fake, github, pull) = with_files().await;
    let published = publish(&github, &pull, &three(&pull)).await;
    assert_eq!((published.new_comments, published.known_comments), (2, 0));
    {
        let state = fake.state();
        assert_eq!((state.reviews.len(), state.review_comments.len(), state.issue_comments.len()), (1, 2, 1));
        assert_eq!(state.reviews[0]["state"], "COMMENTED");
        let summary = body(&state.issue_comments[0]);
        assert!(summary.contains("`a.rs:99`") && summary.contains("### high: fault 3"), "{summary}");
        assert!(!summary.contains("### high: fault 1"), "{summary}");
        assert_eq!(published.summary_url.as_deref(), state.issue_comments[0]["html_url"].as_str());
        assert_eq!(published.review_url.as_deref(), state.reviews[0]["html_url"].as_str());
    }
    let again = Review { job: "01K".into(), ..three(&pull) };
    let published = publish(&github, &pull, &again).await;
    assert_eq!((published.new_comments, published.known_comments, published.review_url), (0, 2, None));
    assert_eq!(fake.count("POST") + fake.count("PATCH"), 2, "only the first run wrote: {:?}", fake.state().log);
}

#[tokio::test]
async fn a_new_finding_alone_is_posted_and_the_summary_is_rewritten() {
    let (fake, github, pull) = with_files().await;
    publish(&github, &pull, &review(&pull, vec![finding(1, 2)])).await;
    fake.state().head = "d".repeat(40);
    let pull = github.pull_request(42).await.unwrap();
    publish(&github, &pull, &review(&pull, vec![finding(1, 2), finding(2, 3)])).await;
    let state = fake.state();
    assert_eq!((state.reviews.len(), state.review_comments.len(), state.issue_comments.len()), (2, 2, 1));
    assert!(body(&state.review_comments[1]).contains("fault 2"));
    assert!(body(&state.issue_comments[0]).contains(&"d".repeat(40)));
}

#[tokio::test]
async fn a_clean_review_is_a_summary_and_no_review() {
    let (fake, github, pull) = with_files().await;
    publish(&github, &pull, &review(&pull, vec![])).await;
    let state = fake.state();
    assert_eq!((state.reviews.len(), state.issue_comments.len()), (0, 1));
    assert!(body(&state.issue_comments[0]).contains("## Reviewed: no findings"));
}

#[tokio::test]
async fn a_head_that_moved_gets_nothing() {
    let (fake, github, pull) = with_files().await;
    fake.state().head = "d".repeat(40);
    let publication = github.publish(&pull, &three(&pull), 5).await.unwrap();
    assert_eq!(publication, Publication::Moved { head_sha: "d".repeat(40) });
    assert_eq!(fake.count("POST"), 0);
}

#[tokio::test]
async fn what_was_read_already_costs_nothing() {
    let (fake, github, pull) = with_files().await;
    assert_eq!(github.pull_request(42).await.unwrap(), pull);
    assert_eq!(fake.state().not_modified, 1);
    assert_eq!((pull.base_ref.as_str(), pull.from_fork, pull.author.as_str()), ("main", false, "alice"));
}

#[tokio::test]
async fn a_review_that_was_made_in_spite_of_a_502_is_not_made_again() {
    let (fake, github, pull) = with_files().await;
    fake.fault(Fault { done_first: true, ..Fault::new("POST", "/pulls/42/reviews", 502) });
    fake.fault(Fault { done_first: true, ..Fault::new("POST", "/issues/42/comments", 502) });
    let published = publish(&github, &pull, &three(&pull)).await;
    assert_eq!(published.new_comments, 2);
    let state = fake.state();
    assert_eq!((state.reviews.len(), state.review_comments.len(), state.issue_comments.len()), (1, 2, 1));
    assert_eq!(published.review_url.as_deref(), state.reviews[0]["html_url"].as_str());
    assert_eq!(published.summary_url.as_deref(), state.issue_comments[0]["html_url"].as_str());
}

#[tokio::test]
async fn a_502_before_anything_was_made_is_tried_again_after_a_look() {
    let (fake, github, pull) = with_files().await;
    fake.fault(Fault::new("POST", "/pulls/42/reviews", 502));
    fake.fault(Fault::new("POST", "/issues/42/comments", 504));
    publish(&github, &pull, &three(&pull)).await;
    let log = fake.state().log.clone();
    let writes: Vec<&str> = log.iter().map(String::as_str).filter(|line| line.contains("/reviews")).collect();
    let path = "/repos/acme/shop/pulls/42/reviews";
    assert_eq!(writes, [format!("POST {path}"), format!("GET {path}"), format!("POST {path}")]);
    let state = fake.state();
    assert_eq!((state.reviews.len(), state.issue_comments.len()), (1, 1));
}

#[tokio::test]
async fn a_review_that_we_left_pending_goes_first() {
    let (fake, github, pull) = with_files().await;
    {
        let mut state = fake.state();
        let mut left = state.posted("<!-- cicdctl:review v1 x -->\nleft over", "pullrequestreview");
        left["state"] = "PENDING".into();
        state.reviews.push(left);
    }
    publish(&github, &pull, &three(&pull)).await;
    let state = fake.state();
    assert_eq!((state.reviews.len(), state.review_comments.len()), (1, 2));
    assert_eq!(state.reviews[0]["state"], "COMMENTED");
}

#[tokio::test]
async fn a_review_that_a_person_has_not_sent_yet_stays_theirs() {
    let (fake, github, pull) = with_files().await;
    {
        let mut state = fake.state();
        let mut draft = state.posted("my thoughts so far", "pullrequestreview");
        draft["state"] = "PENDING".into();
        state.reviews.push(draft);
    }
    // GitHub takes no comments beside it, not even single ones.
    for _ in 0..2 {
        fake.fault(Fault::new("POST", "/pulls/42/comments", 422));
    }
    let published = publish(&github, &pull, &three(&pull)).await;
    assert_eq!(published.new_comments, 0);
    let state = fake.state();
    assert_eq!((state.reviews.len(), body(&state.reviews[0])), (1, "my thoughts so far"));
    let summary = body(&state.issue_comments[0]);
    for fault in ["### high: fault 1", "### high: fault 2", "### high: fault 3"] {
        assert!(summary.contains(fault), "{summary}");
    }
}

#[tokio::test]
async fn a_422_is_answered_by_reading_the_files_anew() {
    let (fake, github, pull) = with_files().await;
    // The first list is stale: it has lines that the second one has no longer.
    fake.fault(Fault {
        body: json!([{ "filename": "a.rs", "status": "modified", "patch": "@@ -0,0 +1,120 @@\n".to_owned() + &"+x\n".repeat(120) }]),
        ..Fault::new("GET", "/pulls/42/files", 200)
    });
    publish(&github, &pull, &three(&pull)).await;
    let state = fake.state();
    assert_eq!((state.reviews.len(), state.review_comments.len()), (1, 2));
    assert!(body(&state.issue_comments[0]).contains("### high: fault 3"));
}

#[tokio::test]
async fn where_one_comment_is_bad_the_others_are_posted_singly() {
    let (fake, github, pull) = with_files().await;
    fake.fault(Fault::new("POST", "/pulls/42/reviews", 422));
    fake.fault(Fault::new("POST", "/pulls/42/comments", 422));
    fake.fault(Fault { done_first: true, ..Fault::new("POST", "/pulls/42/comments", 502) });
    let published = publish(&github, &pull, &three(&pull)).await;
    assert_eq!(published.new_comments, 1);
    let state = fake.state();
    assert_eq!((state.reviews.len(), state.review_comments.len()), (0, 1));
    assert!(body(&state.review_comments[0]).contains("fault 2"));
    let summary = body(&state.issue_comments[0]);
    assert!(summary.contains("### high: fault 1") && !summary.contains("### high: fault 2"), "{summary}");
}

#[tokio::test]
async fn our_summary_is_found_on_any_page_and_nobody_elses_is_touched() {
    let (fake, github, pull) = with_files().await;
    publish(&github, &pull, &review(&pull, vec![])).await;
    {
        let mut state = fake.state();
        let mut forged = state.posted("<!-- cicdctl:summary v1 forged -->", "issuecomment");
        forged["user"] = json!({ "id": 666, "login": "mallory", "type": "User" });
        state.issue_comments.insert(0, forged);
        for _ in 0..4 {
            let mut words = state.posted("words", "issuecomment");
            words["user"] = json!({ "id": 3, "login": "alice", "type": "User" });
            state.issue_comments.insert(0, words);
        }
        state.page = 2;
    }
    publish(&github, &pull, &three(&pull)).await;
    let state = fake.state();
    assert_eq!(state.issue_comments.len(), 6);
    assert!(body(&state.issue_comments[5]).contains("fault 3"));
    assert_eq!(body(&state.issue_comments[4]), "<!-- cicdctl:summary v1 forged -->");
}

#[tokio::test]
async fn forged_fingerprints_hide_no_finding() {
    let (fake, github, pull) = with_files().await;
    {
        let mut state = fake.state();
        let mut forged = state.posted(&format!("<!-- cicdctl:finding v1 {:016x} -->", 1), "discussion_r");
        forged["user"] = json!({ "id": 666, "login": "mallory", "type": "User" });
        state.review_comments.push(forged);
    }
    assert_eq!(publish(&github, &pull, &three(&pull)).await.new_comments, 2);
}

#[tokio::test]
async fn a_summary_that_was_deleted_is_written_anew() {
    let (fake, github, pull) = with_files().await;
    publish(&github, &pull, &review(&pull, vec![])).await;
    fake.fault(Fault { done_first: false, ..Fault::new("PATCH", "", 404) });
    publish(&github, &pull, &three(&pull)).await;
    assert_eq!(fake.state().issue_comments.len(), 2);
}

#[tokio::test]
async fn a_workflow_knows_itself_though_it_may_not_ask() {
    let (fake, github, pull) = with_files().await;
    fake.state().user = json!({ "id": 41_898_282, "login": "github-actions[bot]", "type": "Bot" });
    fake.fault(Fault::new("GET", "/user", 403).message("Resource not accessible by integration"));
    publish(&github, &pull, &three(&pull)).await;
    publish(&github, &pull, &three(&pull)).await;
    let state = fake.state();
    assert_eq!((state.reviews.len(), state.issue_comments.len()), (1, 1));
}

#[tokio::test]
async fn a_rate_limit_has_its_time_and_is_not_waited_for() {
    let (fake, github, pull) = with_files().await;
    fake.fault(
        Fault::new("POST", "/pulls/42/reviews", 403).header("retry-after", "120").message("secondary rate limit"),
    );
    let before = jiff::Timestamp::now();
    let error = github.publish(&pull, &three(&pull), 5).await.unwrap_err();
    let ForgeError::RateLimited { until, .. } = &error else { panic!("{error:?}") };
    let wait = until.as_second() - before.as_second();
    assert!((119..=122).contains(&wait), "{wait}");
    assert_eq!(fake.count("POST"), 1);
    // Later it goes on.
    publish(&github, &pull, &three(&pull)).await;
    assert_eq!(fake.state().reviews.len(), 1);
}

#[tokio::test]
async fn what_is_missing_is_named() {
    let (fake, github, pull) = with_files().await;
    fake.fault(
        Fault::new("POST", "/pulls/42/reviews", 403)
            .message("Resource not accessible by personal access token")
            .header("x-accepted-github-permissions", "pull_requests=write"),
    );
    let error = github.publish(&pull, &three(&pull), 5).await.unwrap_err();
    assert_eq!(
        error,
        ForgeError::Forbidden(
            "GitHub answered 403 to `POST /repos/acme/shop/pulls/42/reviews`: Resource not accessible by personal \
             access token (request F00D:1); it would take a token with pull_requests=write"
                .into()
        )
    );
}

#[tokio::test]
async fn a_token_that_expired_is_said_and_not_shown() {
    let (fake, github, pull) = with_files().await;
    fake.fault(Fault::new("GET", "/pulls/42/comments", 401).message("Bad credentials"));
    let error = github.publish(&pull, &three(&pull), 5).await.unwrap_err();
    assert!(matches!(&error, ForgeError::Unauthenticated(text) if text.contains("secret set github-token")), "{error}");
    assert!(!format!("{error:?} {github:?}").contains("canary"));
    let wrong = GitHub::new(fake.api().parse().unwrap(), REPO.into(), Token::new("canary-2").unwrap()).unwrap();
    assert!(matches!(wrong.pull_request(42).await, Err(ForgeError::Unauthenticated(_))));
}

#[tokio::test]
async fn reading_goes_on_after_a_fault() {
    let (fake, github, pull) = with_files().await;
    fake.fault(Fault::new("GET", "/pulls/42", 502));
    fake.fault(Fault::new("GET", "/pulls/42", 503));
    assert_eq!(github.pull_request(42).await.unwrap(), pull);
    let status = Status { state: StatusState::Success, description: "x".repeat(500), url: None };
    fake.fault(Fault::new("POST", "aaaa", 502));
    github.set_status(&pull.head_sha, &status, None).await.unwrap();
    assert_eq!(fake.state().statuses.len(), 1);
}

#[tokio::test]
async fn a_redirect_to_another_host_is_not_followed() {
    let (fake, github, _) = with_files().await;
    let other = Fake::start().await;
    let elsewhere = format!("{}/repos/acme/shop/pulls/42", other.api());
    fake.fault(Fault::new("GET", "/pulls/42", 301).header("location", elsewhere.clone()));
    let error = github.pull_request(42).await.unwrap_err();
    assert!(error.to_string().contains("where the token does not go"), "{error}");
    assert_eq!(other.state().log, [""; 0]);
    // Within its own origin it is, for reading alone.
    let own = format!("{}/repos/acme/shop/pulls/42", fake.api());
    fake.fault(Fault::new("GET", "/pulls/42", 301).header("location", own));
    assert!(github.pull_request(42).await.is_ok());
    fake.fault(
        Fault::new("POST", "/pulls/42/reviews", 307).header("location", "/api/v3/repos/acme/shop/pulls/42/reviews"),
    );
    let pull = github.pull_request(42).await.unwrap();
    assert!(github.publish(&pull, &three(&pull), 5).await.is_err());
}

#[tokio::test]
async fn bytes_that_are_no_text_break_nothing() {
    let (fake, github, pull) = with_files().await;
    fake.state().files.push(("b.bin".into(), Some("@@ -1 +1 @@\n-\u{fffd}\n+\u{0}".into())));
    publish(&github, &pull, &three(&pull)).await;
    assert_eq!(fake.state().review_comments.len(), 2);
}
