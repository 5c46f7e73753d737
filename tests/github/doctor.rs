//! What `cicdctl doctor` finds at the forge.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::fake::{Fault, TOKEN};
use crate::review::World;

impl World {
    fn write(&self, name: &str, text: &str) {
        let path = self.dir.path().join("user/.config/cicd-toolkit").join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// Verdict, what was found and what to do, of each check of the forge.
    async fn doctor(&self, environment: &[(&str, &str)]) -> Vec<(String, String)> {
        let output = self.cicdctl(&["doctor", "--json", "-q"], environment).await;
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.stderr.is_empty() && !text.contains("canary"), "{text}");
        let checks: Vec<Value> = serde_json::from_str(&text).unwrap();
        let of_forge = checks.into_iter().filter(|check| check["code"] == "forge");
        let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        of_forge
            .map(|check| (word(&check["verdict"]), format!("{} -> {}", word(&check["found"]), word(&check["remedy"]))))
            .collect()
    }
}

#[track_caller]
fn is(found: &[(String, String)], expected: &[(&str, &str)]) {
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for ((verdict, text), (wanted, part)) in found.iter().zip(expected) {
        assert!(verdict == wanted && text.contains(part), "no {wanted}: {part}\n{found:#?}");
    }
}

#[tokio::test]
async fn a_good_token_is_named_with_what_it_may_do() {
    let world = World::new().await;
    is(&world.doctor(&[]).await, &[("ok", "not in use")]);
    world.write("agents/shop.toml", "repo = \"acme/shop\"\n");
    is(&world.doctor(&[]).await, &[("warning", "no token is stored")]);
    let by_environment = world.doctor(&[("GITHUB_TOKEN", TOKEN)]).await;
    is(&by_environment, &[("warning", "environment of this shell"), ("ok", "acme/shop (private) can be read")]);
    world.write("credentials/github-token", TOKEN);
    is(
        &world.doctor(&[]).await,
        &[("ok", "a token speaks as `review-bot`"), ("ok", "its account may push; what the token itself may write")],
    );
    // One repository of two agents is asked about once, and one that cannot be seen is an error.
    world.write("agents/again.toml", "repo = \"acme/shop\"\n");
    world.write("agents/other.toml", "repo = \"acme/secret\"\n");
    is(
        &world.doctor(&[]).await,
        &[("ok", "review-bot"), ("ok", "acme/shop"), ("failure", "acme/secret: GitHub answered 404")],
    );
}

#[tokio::test]
async fn what_is_wrong_with_a_token_is_said_once_and_with_a_remedy() {
    let world = World::new().await;
    world.write("agents/shop.toml", "repo = \"acme/shop\"\n");
    world.write("credentials/github-token", "ghp_canary_wrong");
    is(
        &world.doctor(&[]).await,
        &[(
            "failure",
            "401 to `GET /user`: Bad credentials (request F00D:1) -> the token is wrong, expired or revoked",
        )],
    );
    world.write("credentials/github-token", TOKEN);
    let user = |name: &'static str, value: &str| {
        let fault = Fault::new("GET", "/user", 200).header(name, value).header("x-ratelimit-limit", "5000");
        Fault { body: json!({ "id": 77, "login": "review-bot", "type": "User" }), ..fault }
    };
    let tomorrow = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(24);
    let tomorrow = tomorrow.strftime("%Y-%m-%d %H:%M:%S UTC").to_string();
    for (name, value, verdict, text) in [
        ("x-oauth-scopes", "read:org, gist", "failure", "scopes read:org, gist: without the scope `repo`"),
        ("x-oauth-scopes", "", "failure", "scopes none: without the scope `repo`"),
        ("x-oauth-scopes", "repo, gist", "ok", "scopes repo, gist"),
        ("x-ratelimit-remaining", "4999", "ok", "4999 of 5000 requests left"),
        ("x-ratelimit-remaining", "12", "warning", "12 of 5000 requests left"),
        ("github-authentication-token-expiration", &tomorrow, "warning", "it ends soon"),
        ("github-authentication-token-expiration", "2999-01-01 00:00:00 UTC", "ok", "good until 2999-01-01T00:00:00Z"),
    ] {
        world.fake.fault(user(name, value));
        let found = world.doctor(&[]).await;
        is(&found[..1], &[(verdict, text)]);
        assert_eq!(found.len(), 2, "{found:?}");
    }
    world.fake.fault(Fault::new("GET", "/user", 403).message("Resource not accessible by integration"));
    is(&world.doctor(&[]).await, &[("ok", "speaks as GitHub Actions"), ("ok", "acme/shop")]);
    for (change, verdict, text) in [
        (json!({ "permissions": { "push": false } }), "warning", "its account may not push"),
        (json!({ "archived": true }), "warning", "is archived"),
        (json!({ "full_name": "acme/store" }), "warning", "`acme/shop` is called acme/store by now"),
    ] {
        let before = world.fake.state().repo.clone();
        world.fake.state().repo.as_object_mut().unwrap().extend(change.as_object().unwrap().clone());
        is(&world.doctor(&[]).await, &[("ok", "review-bot"), (verdict, text)]);
        world.fake.state().repo = before;
    }
    let until = (jiff::Timestamp::now().as_second() + 600).to_string();
    world
        .fake
        .fault(Fault::new("GET", "/user", 403).header("x-ratelimit-remaining", "0").header("x-ratelimit-reset", until));
    is(&world.doctor(&[]).await, &[("warning", "takes requests again after")]);
}

#[tokio::test]
async fn without_a_network_it_says_so_and_does_not_hang() {
    // Takes connections, and never says a word.
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let nobody = {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let mut world = World::new().await;
    world.write("agents/shop.toml", "repo = \"acme/shop\"\n");
    world.write("credentials/github-token", TOKEN);
    for (address, text) in [
        (silent.local_addr().unwrap(), "GitHub did not answer within 5 s -> look whether this machine reaches"),
        (nobody, "GitHub did not answer `GET /api/v3/user`"),
    ] {
        world.fake.url = format!("http://{address}");
        let began = Instant::now();
        is(&world.doctor(&[]).await, &[("warning", text)]);
        assert!(began.elapsed() < Duration::from_secs(9), "{:?}", began.elapsed());
    }
}
