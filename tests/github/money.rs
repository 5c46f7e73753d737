//! Caps on money as the readers of a pull request see them.

use cicdctl::api::ReviewRequest;
use cicdctl::config::EngineName;
use cicdctl::money::{Cap, Usd};
use cicdctl::review::{Outcome, Review};
use cicdctl::store::{Ask, Store};

use crate::fake::REPO;
use crate::review::{World, body, posted};

/// A world whose engine costs what the lines of `script` say.
pub async fn world(script: &[&str]) -> World {
    let mut world = World::new().await;
    let dir = world.dir.path().join("engine");
    std::fs::create_dir_all(&dir).unwrap();
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/claude/costed"), dir.join("claude")).unwrap();
    std::fs::write(dir.join("script"), script.join("\n") + "\n").unwrap();
    world.config.review.engine = EngineName::Claude;
    world.config.engine.claude.program = Some(dir.join("claude"));
    world.store = Some(Store::open(&world.dir.path().join("store.db")).unwrap());
    world
}

pub fn budgets(world: &World) -> Vec<String> {
    let text = std::fs::read_to_string(world.dir.path().join("engine/calls")).unwrap_or_default();
    text.lines().map(|line| line.split(' ').nth(1).unwrap().to_owned()).collect()
}

fn summaries(world: &World) -> Vec<String> {
    world.fake.state().issue_comments.iter().map(|comment| body(comment).to_owned()).collect()
}

fn all_missed(review: &Review, why: &str) -> bool {
    review.receipt.seen() == 0 && review.receipt.missed().all(|file| format!("{file:?}").contains(why))
}

const SECOND: &str = "import requests\n\n\ndef fetch(url):\n    return requests.get(url, verify=False)\n\n\nX = 1\n";

#[tokio::test]
async fn a_cap_of_a_pull_request_is_said_above_the_findings_and_goes_when_it_is_raised() {
    let mut world = world(&["cost 0.95"]).await;
    world.config.budget.pull = Cap::dollars(1);
    let first = world.post().await;
    assert_eq!((first.outcome, first.findings.len(), &first.reason), (Outcome::Reviewed, 1, &None));
    let found = summaries(&world);
    assert!(found[0].contains("No certificate is checked"), "{}", found[0]);

    world.push(SECOND);
    let second = world.post().await;
    let reason = "the cap of $1.00 for one pull request leaves too little for a review ($0.0500 of it); `[budget] pull` in \
                  config.toml or the agent's file says how much it is";
    assert_eq!((second.outcome, second.reason.as_deref()), (Outcome::Partial, Some(reason)));
    assert!(all_missed(&second, "the cap of $1.00"), "{:?}", second.receipt.files);
    assert_eq!(second.retry_at_ms, None);
    assert_eq!(budgets(&world), ["1"], "no second call was made");
    let (state, text) = world.statuses().pop().unwrap();
    assert_eq!(state, "pending");
    assert!(
        text.starts_with("not wholly reviewed (partial): the cap of $1.00 for one pull request leaves too little"),
        "{text}"
    );
    let noticed = summaries(&world);
    assert_eq!(noticed.len(), 1);
    let (notice, rest) = noticed[0].split_once("<!-- /cicdctl:notice -->\n").unwrap();
    assert!(notice.contains("## Not wholly reviewed (partial)") && notice.contains("the cap of \\$1.00"), "{notice}");
    assert_eq!(rest, found[0].split_once('\n').unwrap().1, "what was found stays");
    assert_eq!(world.fake.state().reviews.len(), 1);

    // The same again says the same, and writes nothing.
    let writes = world.fake.count("PATCH");
    assert_eq!(world.post().await.outcome, Outcome::Partial);
    assert_eq!((summaries(&world), world.fake.count("PATCH")), (noticed, writes));

    world.config.budget.pull = Cap::NONE;
    let third = world.post().await;
    assert_eq!((third.outcome, third.findings.len()), (Outcome::Reviewed, 1));
    let now = summaries(&world);
    assert!(now.len() == 1 && !now[0].contains("cicdctl:notice") && now[0].contains("## Reviewed"), "{}", now[0]);
    assert_eq!(budgets(&world), ["1", "2"]);
}

#[tokio::test]
async fn a_spent_day_defers_until_midnight_and_says_so_where_nothing_stands_yet() {
    let mut world = world(&["cost 0.30"]).await;
    world.config.budget.day = Cap(Some(Usd::cents(5)));
    let never = world.review(ReviewRequest { post: Some(false), path: Some(world.work()), ..posted() }).await;
    let reason = never.reason.unwrap();
    assert_eq!((never.outcome, never.retry_at_ms), (Outcome::Partial, None), "{reason}");
    assert!(reason.starts_with("the cap of $0.0500 a day ") && reason.contains("`[budget] day`"), "{reason}");
    assert!(budgets(&world).is_empty());

    world.config.budget.day = Cap(Some(Usd::cents(35)));
    world.review(ReviewRequest { post: Some(false), path: Some(world.work()), ..posted() }).await;
    world.push(SECOND);
    let review = world.post().await;
    assert_eq!(review.outcome, Outcome::Deferred);
    let reason = review.reason.as_ref().unwrap();
    let expected = "the cap of $0.35 a day leaves too little for a review ($0.0500 of it); it has room again at 20";
    assert!(reason.starts_with(expected), "{reason}");
    let midnight = jiff::Zoned::now().tomorrow().unwrap().start_of_day().unwrap().timestamp().as_millisecond();
    assert_eq!(review.retry_at_ms, Some(midnight));
    assert!(all_missed(&review, "the cap of $0.35 a day") && budgets(&world).len() == 1);
    let (state, text) = world.statuses().pop().unwrap();
    assert_eq!(state, "pending");
    assert!(text.starts_with("not reviewed yet (deferred): the cap of $0.35 a day leaves too little"), "{text}");
    let said = summaries(&world);
    assert!(said.len() == 1 && said[0].contains("## Not reviewed yet (deferred)"), "{said:?}");

    let spent = world.store.as_ref().unwrap().spending(0, 0).await.unwrap();
    // A dry run says how it stands, and neither posts nor reserves.
    world.config.budget.day = Cap::dollars(5);
    let request = ReviewRequest { dry_run: true, path: Some(world.work()), ..posted() };
    let dry = world.review(request).await;
    let notes = [
        "it may cost up to $2.00",
        "the cap of $10.00 for one pull request: $9.70 left",
        "the cap of $500.00 a month: $499.70 left",
        "the cap of $5.00 a day: $4.70 left",
    ];
    assert_eq!((dry.outcome, dry.receipt.notes), (Outcome::Skipped, notes.map(str::to_owned).to_vec()));
    assert_eq!(world.store.as_ref().unwrap().spending(0, 0).await.unwrap(), spent);

    assert_eq!(world.post().await.outcome, Outcome::Reviewed);
    let said = summaries(&world);
    assert!(said.len() == 1 && said[0].contains("## Reviewed: 1 finding"), "{said:?}");
}

#[tokio::test]
async fn an_engine_that_uses_up_what_a_cap_had_left_is_not_a_failure_of_the_review() {
    let mut world = world(&["over 0.05"]).await;
    // Of its own budget an engine may well be said to have failed.
    world.config.engine.claude.max_budget_usd = 0.5;
    let own = world.post().await;
    assert_eq!(own.outcome, Outcome::Failed);
    assert!(own.reason.unwrap().starts_with("the budget of this review is used up"));
    world.config.budget.pull = Cap(Some(Usd::cents(75)));
    let cut = world.post().await;
    assert_eq!(cut.outcome, Outcome::Partial, "{:?}", cut.reason);
    assert!(cut.reason.unwrap().starts_with("the cap of $0.75 for one pull request is spent ($0.80 spent)"));
    assert_eq!(budgets(&world), ["0.5", "0.2"]);
    assert!(summaries(&world)[0].contains("the cap of \\$0.75"));
}

#[tokio::test]
async fn a_review_that_is_known_is_known_whatever_its_budget_was() {
    let mut world = world(&["cost 0.30"]).await;
    world.config.budget.pull = Cap::dollars(1);
    let store = world.store.clone().unwrap();
    let mut known = Vec::new();
    for _ in 0..2 {
        let request = ReviewRequest { path: Some(world.work()), ..posted() };
        let ask = Ask { request: request.clone(), pull: Some(format!("{REPO}#42")), ..Ask::default() };
        store.accept(ask).await.unwrap();
        let job = store.claim(None).await.unwrap().unwrap();
        let review = world.review_as(&job.id, request).await;
        assert_eq!((review.outcome, &review.reason), (Outcome::Reviewed, &None));
        known.push(review.receipt.reviewed_by.is_some());
        store.finish(&job.id, review).await.unwrap();
    }
    // The second would have had 70 cents.
    assert_eq!((known, budgets(&world)), (vec![false, true], vec!["1".to_owned()]));
}
