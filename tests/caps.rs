//! Caps on money, with what breaks them elsewhere: eight processes at once, engines that pass their budget by an answer,
//! that are killed before they name a price, that never begin, and reviewers that are killed themselves.
#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "tests")]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use cicdctl::api::{JobState, ReviewRequest};
use cicdctl::review::Outcome;
use serde_json::Value;
use support::Place;

/// What one answer may cost beyond a budget, by the script.
const ANSWER: f64 = 0.25;

/// Puts the costed engine there with these lines, and a configuration that has it.
fn engine(place: &Place, name: &str, script: &[&str], config: &str) -> PathBuf {
    let dir = place.path(name);
    std::fs::create_dir_all(&dir).unwrap();
    let program = dir.join("claude");
    std::fs::copy(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/claude/costed"), &program).unwrap();
    std::fs::write(dir.join("script"), script.join("\n") + "\n").unwrap();
    let text = format!("[review]\nengine = \"claude\"\n[engine.claude]\nprogram = \"{}\"\n{config}", program.display());
    place.config(&text);
    dir
}

/// Kind, budget and true cost of each call.
fn calls(dir: &Path) -> Vec<(String, f64, f64)> {
    let text = std::fs::read_to_string(dir.join("calls")).unwrap_or_default();
    text.lines()
        .map(|line| {
            let words: Vec<&str> = line.split(' ').collect();
            (words[0].to_owned(), words[1].parse().unwrap(), words[2].parse().unwrap())
        })
        .collect()
}

/// The program as a process of its own, with the place's directories.
fn cicdctl(place: &Place, config: &str, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cicdctl"));
    command
        .args(["--config", place.path("config").join(config).to_str().unwrap()])
        .args(args)
        .env_clear()
        .env("PATH", "/usr/local/bin:/usr/bin:/bin")
        .env("HOME", place.path(""))
        .env("XDG_RUNTIME_DIR", place.path("runtime"))
        .env("ANTHROPIC_API_KEY", "key-4711")
        .current_dir(place.path("repo"))
        .stdin(Stdio::null());
    command
}

fn json(command: &mut Command) -> Value {
    let out = command.output().unwrap();
    serde_json::from_slice(&out.stdout).unwrap_or_else(|error| panic!("{error}: {out:?}"))
}

/// Lets the program review and kills it as soon as its engine is at work.
fn killed_at_work(place: &Place, config: &str, dir: &Path) {
    let before = calls(dir).len();
    let mut command = cicdctl(place, config, &["review", "HEAD", "--local"]);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    while calls(dir).len() == before {
        // Where a cap refuses it, it ends by itself.
        if child.try_wait().unwrap().is_some() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Reviews until a cap refuses three times in a row. Outcome and reason of each.
fn reviews_until_refused(place: &Place) -> Vec<(String, Option<String>)> {
    let (mut ends, mut refused) = (Vec::new(), 0);
    while refused < 3 {
        let review = json(&mut cicdctl(place, "config.toml", &["review", "HEAD", "--local", "--format", "json"]));
        let reason = review["reason"].as_str().map(str::to_owned);
        match reason.as_ref().is_some_and(|reason| reason.starts_with("the cap of $12.00 a day is ")) {
            true => refused += 1,
            false => refused = 0,
        }
        ends.push((review["outcome"].as_str().unwrap().to_owned(), reason));
    }
    ends
}

#[test]
fn eight_processes_at_once_pass_a_cap_by_no_more_than_one_answer() {
    const CAP: f64 = 12.0;
    let place = Place::new();
    place.repository("repo");
    let caps = "max_budget_usd = 0.6\n[budget]\nday = 12\nmonth = 100\n";
    let doomed = engine(&place, "doomed", &["share 0.8"], caps);
    std::fs::rename(place.path("config/config.toml"), place.path("config/doomed.toml")).unwrap();
    let script = ["share 0.4", "over 0.20", "share 0.9", "cut", "over 0.25", "share 0.1", "none", "share 1.0"];
    let dir = engine(&place, "engine", &script, caps);
    let began = Instant::now();
    let ends: Vec<(String, Option<String>)> = std::thread::scope(|scope| {
        let reviewers: Vec<_> = (0..8)
            .map(|number| {
                let (place, doomed) = (&place, &doomed);
                scope.spawn(move || {
                    if number % 4 == 0 {
                        killed_at_work(place, "doomed.toml", doomed);
                    }
                    reviews_until_refused(place)
                })
            })
            .collect();
        reviewers.into_iter().flat_map(|reviewer| reviewer.join().unwrap()).collect()
    });
    let took = began.elapsed();
    // What nobody waits for any more ends by itself.
    std::thread::sleep(Duration::from_secs(1));
    let (mut calls, killed) = (calls(&dir), calls(&doomed));
    let own = calls.len();
    calls.extend(killed.iter().cloned());
    let truly: f64 = calls.iter().map(|(_, _, cost)| cost).sum();
    let report = json(&mut cicdctl(&place, "config.toml", &["cost", "--json"]));
    let amount = |name: &str| report["total"][name].as_f64().unwrap();
    let (spent, unpriced, reserved) = (amount("spent"), amount("unpriced"), amount("reserved"));
    let count = |word: &str| ends.iter().filter(|(outcome, _)| outcome == word).count();
    eprintln!(
        "cap ${CAP}, 8 processes at once: {} reviewed, {} failed, {} deferred in {took:.1?}; {own} calls of the engine, and \
         {} whose reviewer was killed, have truly cost ${truly:.4}; counted are ${spent:.4} as spent (${unpriced:.4} of it \
         without a price) and ${reserved:.4} as reserved",
        count("reviewed"),
        count("failed"),
        count("deferred"),
        killed.len(),
    );
    assert!(truly <= CAP + ANSWER, "{truly} of {CAP}: {calls:#?}");
    assert!(truly <= spent + reserved + 1e-6, "counted {spent} + {reserved}, truly {truly}");
    assert!(truly > CAP / 2.0, "the cap is there to be used: {truly}");
    // Everything happened that should not matter.
    for kind in ["share", "over", "cut", "none"] {
        assert!(calls.iter().any(|(of, ..)| of == kind), "{kind}: {calls:?}");
    }
    assert!(!killed.is_empty() && reserved > 0.0 && unpriced > 0.0);
    assert!(calls.iter().all(|(_, budget, _)| (0.1..=0.6).contains(budget)), "{calls:?}");

    let shown = cicdctl(&place, "config.toml", &["cost"]).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    eprintln!("{shown}");
    assert!(shown.contains(" left of $12.00 a day (") && shown.contains("where no price is known"), "{shown}");
    let dry = json(&mut cicdctl(&place, "config.toml", &["review", "HEAD", "--dry-run", "--format", "json"]));
    let notes = dry["receipt"]["notes"].to_string();
    assert!(notes.contains("it may cost up to $0.60") && notes.contains("the cap of $12.00 a day: $0.0"), "{notes}");
    assert_eq!(json(&mut cicdctl(&place, "config.toml", &["cost", "--json"])), report);
}

#[tokio::test]
async fn a_job_that_a_daily_cap_does_not_allow_goes_on_after_midnight_and_a_crash_is_not_for_free() {
    let place = Place::new();
    let repo = place.repository("repo");
    let dir = engine(&place, "engine", &["cost 0.30"], "max_budget_usd = 0.5\n[budget]\nday = 0.5\npull = \"none\"\n");
    let mut runner = place.runner();
    let ask = ReviewRequest { path: Some(repo.clone()), range: Some("HEAD".into()), ..Default::default() };
    let first = runner.client().review(&ask).await.unwrap();
    let first = runner.client().follow(&first.id, false, &mut |_| {}).await.unwrap();
    let review = first.review.unwrap();
    assert_eq!((review.outcome, &review.reason), (Outcome::Reviewed, &None));
    assert_eq!(review.receipt.engine.unwrap().cost_usd, Some(0.3));

    // 20 cents are left: less than is wanted, and said to be.
    let second = runner.client().review(&ask).await.unwrap();
    let second = runner.client().follow(&second.id, false, &mut |_| {}).await.unwrap();
    let notes = second.review.unwrap().receipt.notes;
    assert_eq!(notes[0], "its budget was $0.20 of $0.50: the cap of $0.50 a day had no more left");
    assert_eq!(calls(&dir)[1].1, 0.2);

    let third = runner.client().review(&ask).await.unwrap();
    let third = runner.client().follow(&third.id, false, &mut |_| {}).await.unwrap();
    assert_eq!(third.state, JobState::Queued);
    let reason = third.reason.unwrap();
    assert!(reason.starts_with("the cap of $0.50 a day is spent ($0.60 spent); it has room again at "), "{reason}");
    let midnight = jiff::Zoned::now().tomorrow().unwrap().start_of_day().unwrap().timestamp().as_millisecond();
    assert_eq!(third.not_before_ms, Some(midnight));
    assert!(third.review.unwrap().receipt.missed().all(|file| format!("{file:?}").contains("a day is spent")));
    assert_eq!(calls(&dir).len(), 2);
    runner.stop().await;

    // A runner that is stopped ends its engine in the middle: what that has cost nobody knows, so all of it counts, and
    // the job that is begun again is paid anew.
    let place = Place::new();
    let repo = place.repository("repo");
    let dir = engine(&place, "engine", &["cost 0.30"], "max_budget_usd = 0.5\n[budget]\nday = 5\n");
    let program = dir.join("claude");
    let slow = std::fs::read_to_string(&program).unwrap().replace("sleep 0.2", "sleep 20");
    let quick = std::fs::read_to_string(&program).unwrap();
    std::fs::write(&program, slow).unwrap();
    runner = place.runner();
    let job = runner.client().review(&ReviewRequest { path: Some(repo), ..ask }).await.unwrap();
    let began = Instant::now();
    while calls(&dir).is_empty() {
        assert!(began.elapsed() < Duration::from_secs(60));
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Until our own process has read that it has started.
    tokio::time::sleep(Duration::from_millis(500)).await;
    runner.stop().await;
    let spending = place.store().spending(0, 0).await.unwrap();
    let shown: Vec<_> = spending.iter().map(|one| (one.spent.map(|usd| usd.to_string()), one.priced)).collect();
    assert_eq!(shown, [(Some("$0.75".into()), false)]);
    std::fs::write(&program, quick).unwrap();
    runner = place.runner();
    let ended = runner.client().follow(&job.id, false, &mut |_| {}).await.unwrap();
    assert_eq!(ended.outcome, Some(Outcome::Reviewed), "{ended:?}");
    runner.stop().await;
    let spending = place.store().spending(0, 0).await.unwrap();
    let shown: Vec<_> = spending.iter().map(|one| (one.spent.map(|usd| usd.to_string()), one.priced)).collect();
    assert_eq!(shown, [(Some("$0.75".into()), false), (Some("$0.30".into()), true)]);
}
