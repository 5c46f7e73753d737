//! A GitHub for tests: remembers what is posted, refuses what GitHub refuses, serves the repository to git, and fails
//! in the ways that GitHub does where a test asks for it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::header::{HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::io::AsyncWriteExt;

pub const TOKEN: &str = "ghs_1234_canary.with-dots";
pub const REPO: &str = "acme/shop";
const PREFIX: &str = "/api/v3";

/// An answer instead of the right one, once.
#[derive(Clone)]
pub struct Fault {
    pub method: &'static str,
    /// What the path ends with.
    pub path: &'static str,
    pub status: u16,
    pub headers: Vec<(&'static str, String)>,
    pub body: Value,
    /// Does what was asked, and then says that it failed.
    pub done_first: bool,
}

impl Fault {
    pub fn new(method: &'static str, path: &'static str, status: u16) -> Fault {
        Fault { method, path, status, headers: vec![], body: json!({ "message": "fault" }), done_first: false }
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Fault {
        self.headers.push((name, value.into()));
        self
    }

    pub fn message(mut self, message: &str) -> Fault {
        self.body = json!({ "message": message });
        self
    }
}

pub struct State {
    pub number: u64,
    pub open: bool,
    pub draft: bool,
    pub labels: Vec<String>,
    /// When anything about it changed last.
    pub updated: Timestamp,
    pub head: String,
    pub base: String,
    /// What else is different about the pull request: whole keys of it.
    pub pull: Value,
    /// What is listed as changed: path and patch.
    pub files: Vec<(String, Option<String>)>,
    pub user: Value,
    /// The repository itself.
    pub repo: Value,
    pub issue_comments: Vec<Value>,
    pub review_comments: Vec<Value>,
    pub reviews: Vec<Value>,
    /// Of each: commit, state, description.
    pub statuses: Vec<(String, String, String)>,
    pub faults: Vec<Fault>,
    /// The head becomes this one once it was read so often.
    pub moves: Option<(usize, String)>,
    pub page: usize,
    /// Method and path of each request, in order.
    pub log: Vec<String>,
    pub not_modified: usize,
    /// The token of each request, and another one that is good.
    pub spoken: Vec<String>,
    pub second_token: Option<String>,
    /// When the first token ends, as GitHub writes it.
    pub expires: Option<String>,
    /// Authorization of each request for the repository itself.
    pub git: Vec<Option<String>>,
    pub git_root: Option<PathBuf>,
    /// How often a summary was written that does not name the present head.
    pub late_summaries: usize,
    /// Who may write to the repository.
    pub writers: Vec<String>,
    /// Comment and content of each reaction.
    pub reactions: Vec<(u64, String)>,
    /// Comments whose conversation is resolved, and by whom.
    pub resolved: Vec<(u64, Value)>,
    /// GitHub's examples, by kind: what ours lack is taken from them.
    examples: Value,
    next: u64,
}

#[derive(Clone)]
pub struct Fake {
    pub url: String,
    /// Pull request 42, and all that is of the repository as a whole.
    state: Arc<Mutex<State>>,
    /// Pull requests besides 42.
    others: Arc<Mutex<BTreeMap<u64, State>>>,
}

impl Fake {
    pub async fn start() -> Fake {
        let state = State::new(42);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let fake = Fake {
            url: format!("http://{}", listener.local_addr().unwrap()),
            state: Arc::new(Mutex::new(state)),
            others: Arc::default(),
        };
        let served = fake.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let fake = served.clone();
                tokio::spawn(async move {
                    let service = service_fn(move |request| {
                        let fake = fake.clone();
                        async move { Ok::<_, std::convert::Infallible>(fake.answer(request).await) }
                    });
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        fake
    }

    pub fn api(&self) -> String {
        format!("{}{PREFIX}", self.url)
    }

    pub fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap()
    }

    /// A pull request besides 42, to look at or to change; it is made where it is not there yet.
    pub fn other<T>(&self, number: u64, change: impl FnOnce(&mut State) -> T) -> T {
        let mut others = self.others.lock().unwrap();
        change(others.entry(number).or_insert_with(|| State::new(number)))
    }

    /// Answers are from now on as complete as GitHub's, by the examples of its API description.
    pub fn complete_with(&self, description: &Value) {
        let mut state = self.state();
        state.examples = description["components"]["examples"].clone();
        state.user = full(&state.examples["issue-comment"]["value"]["user"], &state.user);
    }

    pub fn fault(&self, fault: Fault) {
        self.state().faults.push(fault);
    }

    /// How many requests there were whose line begins so.
    pub fn count(&self, start: &str) -> usize {
        self.state().log.iter().filter(|line| line.starts_with(start)).count()
    }

    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (parts, body) = request.into_parts();
        let body = body.collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        let header = |name: &str| parts.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let path = parts.uri.path().to_owned();
        let query = parts.uri.query().unwrap_or_default().to_owned();
        // Where the graph is asked: beside the version, and of no repository.
        let path = if path == "/api/graphql" { format!("{PREFIX}/graphql") } else { path };
        let Some(path) = path.strip_prefix(PREFIX) else {
            self.state().git.push(header("authorization"));
            return self.git(&parts.method, &path, &query, &parts.headers, body).await;
        };
        let mut state = self.state();
        state.log.push(format!("{} {path}", parts.method));
        for (name, wanted) in [
            ("accept", "application/vnd.github+json"),
            ("x-github-api-version", "2022-11-28"),
            ("user-agent", concat!("cicdctl/", env!("CARGO_PKG_VERSION"))),
        ] {
            if header(name).as_deref() != Some(wanted) {
                return reply(403, &[], &json!({ "message": format!("wrong {name}") }));
            }
        }
        let spoken = header("authorization").unwrap_or_default().replacen("Bearer ", "", 1);
        state.spoken.push(spoken.clone());
        if spoken != TOKEN && state.second_token.as_ref() != Some(&spoken) {
            return reply(401, &[], &json!({ "message": "Bad credentials" }));
        }
        let body: Value = if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() };
        let fault = state.faults.iter().position(|fault| fault.method == parts.method && path.ends_with(fault.path));
        let fault = fault.map(|at| state.faults.remove(at));
        if let Some(fault) = fault.as_ref().filter(|fault| !fault.done_first) {
            return reply(fault.status, &fault.headers, &fault.body);
        }
        let (method, etag) = (parts.method.as_str(), header("if-none-match"));
        let mut others = self.others.lock().unwrap();
        let expires = state.expires.clone().filter(|_| spoken == TOKEN);
        let (status, mut headers, body) = match (method, path) {
            ("GET", "/repos/acme/shop/pulls") => {
                let mut open: Vec<&State> = others.values().chain([&*state]).filter(|pull| pull.open).collect();
                open.sort_by_key(|pull| std::cmp::Reverse(pull.updated));
                let pulls: Vec<Value> = open.into_iter().map(State::facts).collect();
                let (status, mut headers, body) = state.paged("pull-request-simple", &pulls, &query);
                let tag = format!("W/\"{:x}\"", hash(&body.to_string()));
                headers.push(("etag", tag.clone()));
                match etag {
                    Some(etag) if etag == tag => (304, headers, Value::Null),
                    _ => (status, headers, body),
                }
            }
            ("POST", "/graphql") => {
                let number = body["variables"]["number"].as_u64().unwrap();
                (200, vec![], others.get(&number).unwrap_or(&*state).threads(&body))
            }
            _ => {
                let (pull, path) = addressed(&mut state, &mut others, path);
                pull.handle(method, &path, &query, &body, etag.as_deref())
            }
        };
        match fault {
            Some(fault) => reply(fault.status, &fault.headers, &fault.body),
            None => {
                headers.extend(expires.map(|expires| ("github-authentication-token-expiration", expires)));
                reply(status, &headers, &body)
            }
        }
    }

    /// `git http-backend`, with the token as a private repository asks for it.
    async fn git(
        &self,
        method: &hyper::Method,
        path: &str,
        query: &str,
        headers: &hyper::HeaderMap,
        body: Bytes,
    ) -> Response<Full<Bytes>> {
        let Some(root) = self.state().git_root.clone() else { return reply(404, &[], &Value::Null) };
        let header =
            |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        if !header("authorization").starts_with("Basic ") {
            return reply(401, &[("www-authenticate", "Basic realm=\"GitHub\"".into())], &Value::Null);
        }
        let mut child = tokio::process::Command::new("git")
            .arg("http-backend")
            .env_clear()
            .env("PATH", "/usr/local/bin:/usr/bin:/bin")
            .env("GIT_PROJECT_ROOT", root)
            .env("GIT_HTTP_EXPORT_ALL", "1")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_COUNT", "1")
            .env("GIT_CONFIG_KEY_0", "safe.directory")
            .env("GIT_CONFIG_VALUE_0", "*")
            .env("REQUEST_METHOD", method.as_str())
            .env("PATH_INFO", path)
            .env("QUERY_STRING", query)
            .env("CONTENT_TYPE", header("content-type"))
            .env("CONTENT_LENGTH", body.len().to_string())
            .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
            .env("GIT_PROTOCOL", header("git-protocol"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(&body).await.unwrap();
        let out = child.wait_with_output().await.unwrap().stdout;
        let end = out.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(0);
        let mut answer = Response::new(Full::new(Bytes::copy_from_slice(out.get(end + 4..).unwrap_or_default())));
        for line in String::from_utf8_lossy(&out[..end]).lines() {
            let Some((name, value)) = line.split_once(": ") else { continue };
            match name {
                "Status" => *answer.status_mut() = StatusCode::from_bytes(&value.as_bytes()[..3]).unwrap(),
                _ => {
                    let name: HeaderName = name.parse().unwrap();
                    answer.headers_mut().insert(name, value.parse().unwrap());
                }
            }
        }
        answer
    }
}

/// The pull request that a path is about, and the path as that of 42.
fn addressed<'a>(main: &'a mut State, others: &'a mut BTreeMap<u64, State>, path: &str) -> (&'a mut State, String) {
    let mut words: Vec<&str> = path.split('/').collect();
    let number = match words[..] {
        ["", "repos", "acme", "shop", "issues", "comments", id] => {
            others.values().find(|pull| at(&pull.issue_comments, id).is_some()).map(|pull| pull.number)
        }
        ["", "repos", "acme", "shop", "pulls" | "issues", number, ..] => number.parse().ok(),
        _ => None,
    };
    match number.and_then(|number| others.get_mut(&number)) {
        Some(pull) => {
            if words[5] != "comments" {
                words[5] = "42";
            }
            (pull, words.join("/"))
        }
        None => (main, path.to_owned()),
    }
}

fn hash(text: &str) -> u64 {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    text.hash(&mut hasher);
    hasher.finish()
}

type Handled = (u16, Vec<(&'static str, String)>, Value);

impl State {
    fn new(number: u64) -> State {
        State {
            number,
            open: true,
            draft: false,
            labels: vec![],
            updated: Timestamp::now(),
            head: "a".repeat(40),
            base: "b".repeat(40),
            pull: json!({}),
            files: vec![],
            user: json!({ "id": 77, "login": "review-bot", "type": "User" }),
            repo: json!({ "id": 5, "full_name": REPO, "private": true, "permissions": { "pull": true, "push": true } }),
            issue_comments: vec![],
            review_comments: vec![],
            reviews: vec![],
            statuses: vec![],
            faults: vec![],
            moves: None,
            page: 100,
            log: vec![],
            not_modified: 0,
            git: vec![],
            git_root: None,
            spoken: vec![],
            second_token: None,
            expires: None,
            late_summaries: 0,
            writers: vec![],
            reactions: vec![],
            resolved: vec![],
            examples: Value::Null,
            next: number * 100_000,
        }
    }

    fn handle(&mut self, method: &str, path: &str, query: &str, body: &Value, etag: Option<&str>) -> Handled {
        let ok = |value| (200, vec![], value);
        let Some(rest) = path.strip_prefix("/repos/acme/shop/") else {
            if path == "/repos/acme/shop" {
                return ok(self.repo.clone());
            }
            let user = self.full("private-user-response-with-public-profile-information", &self.user);
            return if path == "/user" { ok(user) } else { missing() };
        };
        let words: Vec<&str> = rest.split('/').collect();
        match (method, &words[..]) {
            ("GET", ["pulls", "42"]) => {
                if let Some((reads, to)) = &mut self.moves {
                    match reads.checked_sub(1) {
                        Some(left) => *reads = left,
                        None => self.head = to.clone(),
                    }
                }
                let pull = self.pull();
                let tag = format!("W/\"{:x}\"", hash(&pull.to_string()));
                if etag == Some(&tag) {
                    self.not_modified += 1;
                    return (304, vec![("etag", tag)], Value::Null);
                }
                (200, vec![("etag", tag)], pull)
            }
            ("GET", ["pulls", "42", "files"]) => {
                let files: Vec<Value> = self.files.iter().map(|(path, patch)| file(path, patch.as_deref())).collect();
                self.paged("diff-entry", &files, query)
            }
            ("GET", ["pulls", "42", "comments"]) => {
                self.paged("pull-request-review-comment", &self.review_comments, query)
            }
            ("GET", ["issues", "42", "comments"]) => {
                let since = query.split('&').find_map(|pair| pair.strip_prefix("since="));
                let said = |comment: &&Value| since.is_none_or(|since| comment["updated_at"].as_str() >= Some(since));
                let some: Vec<Value> = self.issue_comments.iter().filter(said).cloned().collect();
                self.paged("issue-comment", &some, query)
            }
            ("GET", ["collaborators", who, "permission"]) => {
                let permission = if self.writers.iter().any(|writer| writer == who) { "write" } else { "read" };
                ok(json!({ "permission": permission, "role_name": permission, "user": null }))
            }
            ("POST", ["issues", "comments", id, "reactions"]) => {
                let reaction = (id.parse().unwrap(), body["content"].as_str().unwrap().to_owned());
                let known = self.reactions.contains(&reaction);
                let answer = self.full("reaction", &json!({ "id": 1, "content": reaction.1 }));
                if !known {
                    self.reactions.push(reaction);
                }
                (if known { 200 } else { 201 }, vec![], answer)
            }
            ("GET", ["pulls", "42", "reviews"]) => {
                // What is pending is seen by its author alone.
                let me = &self.user["id"];
                let seen = self.reviews.iter().filter(|one| one["state"] != "PENDING" || one["user"]["id"] == *me);
                let seen: Vec<Value> = seen.cloned().collect();
                self.paged("pull-request-review", &seen, query)
            }
            ("POST", ["pulls", "42", "reviews"]) => self.review(body),
            ("DELETE", ["pulls", "42", "reviews", id]) => match at(&self.reviews, id) {
                Some(at) => {
                    let gone = self.reviews.remove(at);
                    ok(self.full("pull-request-review", &gone))
                }
                None => missing(),
            },
            ("POST", ["pulls", "42", "comments"]) => {
                if body["commit_id"] != self.head.as_str() {
                    return refused("commit_id is not part of the pull request");
                }
                match self.problem(body) {
                    Some(problem) => refused(&problem),
                    None => {
                        let comment = self.comment(body);
                        self.review_comments.push(comment.clone());
                        (201, vec![], self.full("pull-request-review-comment", &comment))
                    }
                }
            }
            ("POST", ["issues", "42", "comments"]) => {
                let text = body["body"].as_str().unwrap();
                self.late_summaries += usize::from(!text.contains(&self.head));
                let comment = self.posted(text, "issuecomment");
                self.issue_comments.push(comment.clone());
                (201, vec![], self.full("issue-comment", &comment))
            }
            ("PATCH", ["issues", "comments", id]) => match at(&self.issue_comments, id) {
                Some(at) if self.issue_comments[at]["user"]["id"] != self.user["id"] => {
                    (403, vec![], json!({ "message": "Must have admin rights" }))
                }
                Some(at) => {
                    let text = body["body"].as_str().unwrap();
                    self.late_summaries += usize::from(!text.contains(&self.head));
                    self.issue_comments[at]["body"] = body["body"].clone();
                    ok(self.full("issue-comment", &self.issue_comments[at]))
                }
                None => missing(),
            },
            ("PATCH", ["pulls", "comments", id]) => match at(&self.review_comments, id) {
                Some(at) if self.review_comments[at]["user"]["id"] != self.user["id"] => {
                    (403, vec![], json!({ "message": "Must have admin rights" }))
                }
                Some(at) => {
                    self.review_comments[at]["body"] = body["body"].clone();
                    ok(self.full("pull-request-review-comment", &self.review_comments[at]))
                }
                None => missing(),
            },
            ("POST", ["statuses", sha]) => {
                let text = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
                let known = ["error", "failure", "pending", "success"].contains(&text("state").as_str());
                if !known || text("description").chars().count() > 140 || text("context") != "cicdctl/review" {
                    return refused("Validation Failed");
                }
                self.statuses.push(((*sha).to_owned(), text("state"), text("description")));
                (201, vec![], self.full("status", &json!({ "id": 1, "state": text("state") })))
            }
            _ => missing(),
        }
    }

    /// Conversations, which only the graph knows.
    fn threads(&self, body: &Value) -> Value {
        let asked = &body["variables"];
        assert_eq!(
            (&asked["owner"], &asked["name"], &asked["number"]),
            (&"acme".into(), &"shop".into(), &self.number.into())
        );
        let first = self.review_comments.iter().filter(|comment| comment["in_reply_to_id"].is_null());
        let nodes: Vec<Value> = first
            .map(|comment| {
                let by = self.resolved.iter().find(|(id, _)| comment["id"] == *id).map(|(_, by)| by);
                json!({
                    "isResolved": by.is_some(),
                    "resolvedBy": by.filter(|by| !by.is_null()).map(|by| json!({ "login": by })),
                    "comments": { "nodes": [{ "fullDatabaseId": comment["id"].to_string() }] },
                })
            })
            .collect();
        let threads = json!({ "pageInfo": { "hasNextPage": false, "endCursor": null }, "nodes": nodes });
        json!({ "data": { "repository": { "pullRequest": { "reviewThreads": threads } } } })
    }

    /// Somebody answers to a comment.
    pub fn reply(&mut self, to: u64, login: &str, body: &str) {
        let mut reply = self.posted(body, "discussion_r");
        let kind = if login.ends_with("[bot]") { "Bot" } else { "User" };
        reply["user"] = json!({ "id": 500 + login.len(), "login": login, "type": kind });
        (reply["in_reply_to_id"], reply["path"]) = (to.into(), "a.py".into());
        self.review_comments.push(reply);
    }

    fn pull(&self) -> Value {
        self.full("pull-request", &self.facts())
    }

    /// What is ours of a pull request, alone or in a list.
    fn facts(&self) -> Value {
        let repo = json!({ "id": 5, "full_name": REPO });
        let mut pull = json!({
            "number": self.number, "title": "add a login", "draft": self.draft, "body": null, "mergeable": null,
            "state": if self.open { "open" } else { "closed" }, "updated_at": text(self.updated),
            "labels": self.labels.iter().map(|name| json!({ "name": name })).collect::<Vec<_>>(),
            "user": { "id": 3, "login": "alice", "type": "User" }, "changed_files": self.files.len(),
            "head": { "ref": "topic", "sha": self.head, "repo": repo },
            "base": { "ref": "main", "sha": self.base, "repo": repo },
        });
        for (key, value) in self.pull.as_object().unwrap() {
            pull[key] = value.clone();
        }
        pull
    }

    /// `ours` with what it lacks from GitHub's example of its kind.
    fn full(&self, kind: &str, ours: &Value) -> Value {
        let example = &self.examples[kind]["value"];
        let example = if example.is_null() { &self.examples[format!("{kind}-items")]["value"][0] } else { example };
        full(example, ours)
    }

    fn paged(&self, kind: &str, all: &[Value], query: &str) -> Handled {
        let number =
            |name: &str| query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('=')?.parse().ok());
        let page: usize = number("page").unwrap_or(1);
        let size = number("per_page").unwrap_or(30).min(self.page);
        let some: Vec<Value> = all.iter().skip((page - 1) * size).take(size).map(|one| self.full(kind, one)).collect();
        let mut headers = vec![];
        if page * size < all.len() {
            // Not the address that was asked for, and here not even the host.
            headers.push(("link", "<https://evil.example/repositories/5/x?page=2>; rel=\"next\"".to_owned()));
        }
        (200, headers, some.into())
    }

    fn review(&mut self, body: &Value) -> Handled {
        if self.reviews.iter().any(|one| one["state"] == "PENDING" && one["user"]["id"] == self.user["id"]) {
            return refused("User can only have one pending review per pull request");
        }
        if body["commit_id"] != self.head.as_str() {
            return refused("commit_id is not part of the pull request");
        }
        if body["event"] == "COMMENT" && body["body"].as_str().is_none_or(str::is_empty) {
            return refused("body can't be blank");
        }
        let comments = body["comments"].as_array().cloned().unwrap_or_default();
        if let Some(problem) = comments.iter().find_map(|comment| self.problem(comment)) {
            return refused(&problem);
        }
        for comment in &comments {
            let comment = self.comment(comment);
            self.review_comments.push(comment);
        }
        let mut review = self.posted(body["body"].as_str().unwrap(), "pullrequestreview");
        review["commit_id"] = body["commit_id"].clone();
        review["state"] = if body["event"] == "COMMENT" { "COMMENTED".into() } else { "PENDING".into() };
        self.reviews.push(review.clone());
        (200, vec![], self.full("pull-request-review", &review))
    }

    /// Why GitHub would not take this comment. Reads the hunks in another way than the program does.
    fn problem(&self, comment: &Value) -> Option<String> {
        let not_in_diff = "Pull request review thread line must be part of the diff";
        let Some((_, Some(patch))) = self.files.iter().find(|(path, _)| comment["path"] == path.as_str()) else {
            return Some(not_in_diff.into());
        };
        let line = comment["line"].as_u64()?;
        let start = comment["start_line"].as_u64();
        if comment["side"] != "RIGHT" || start.is_some() && comment["start_side"] != "RIGHT" {
            return Some("side is missing".into());
        }
        if start.is_some_and(|start| start >= line) {
            return Some("start line must precede the end line".into());
        }
        let (mut hunk, mut number, mut of_line, mut of_start) = (0, 0, None, None);
        for text in patch.lines() {
            if let Some(header) = text.strip_prefix("@@ ") {
                let new = header.split('+').nth(1)?.split([',', ' ']).next()?;
                (hunk, number) = (hunk + 1, new.parse::<u64>().ok()? - 1);
            } else if text.starts_with(['+', ' ']) {
                number += 1;
                of_line = of_line.or((number == line).then_some(hunk));
                of_start = of_start.or((Some(number) == start).then_some(hunk));
            }
        }
        if of_line.is_none() {
            return Some(not_in_diff.into());
        }
        let same = start.is_none() || of_start == of_line;
        (!same).then(|| "Pull request review thread start line must be part of the same hunk as the line".into())
    }

    fn comment(&mut self, body: &Value) -> Value {
        let mut comment = self.posted(body["body"].as_str().unwrap(), "discussion_r");
        for name in ["path", "line", "start_line"] {
            comment[name] = body[name].clone();
        }
        comment
    }

    pub fn posted(&mut self, body: &str, kind: &str) -> Value {
        self.next += 1;
        let url = format!("https://github.example/{REPO}/pull/42#{kind}-{}", self.next);
        self.updated = Timestamp::now();
        let now = text(self.updated);
        json!({ "id": self.next, "user": self.user, "body": body, "html_url": url, "created_at": now, "updated_at": now })
    }
}

/// As GitHub writes a time: in whole seconds.
pub fn text(time: Timestamp) -> String {
    format!("{time:.0}")
}

fn full(example: &Value, ours: &Value) -> Value {
    match (example, ours) {
        (Value::Object(example), Value::Object(ours)) => {
            let mut all = example.clone();
            // A file without a patch is one, and a comment that answers none: GitHub leaves these out.
            all.remove("patch");
            all.remove("in_reply_to_id");
            for (name, value) in ours {
                let value = full(all.get(name).unwrap_or(&Value::Null), value);
                all.insert(name.clone(), value);
            }
            all.into()
        }
        _ => ours.clone(),
    }
}

fn at(list: &[Value], id: &str) -> Option<usize> {
    let id: u64 = id.parse().ok()?;
    list.iter().position(|one| one["id"] == id)
}

fn file(path: &str, patch: Option<&str>) -> Value {
    let mut file = json!({ "filename": path, "status": "modified", "sha": "c".repeat(40) });
    if let Some(patch) = patch {
        file["patch"] = patch.into();
    }
    file
}

fn missing() -> Handled {
    (404, vec![], json!({ "message": "Not Found", "status": "404" }))
}

/// Names no comment, as GitHub does not.
fn refused(error: &str) -> Handled {
    (422, vec![], json!({ "message": "Unprocessable Entity", "errors": [error], "status": "422" }))
}

fn reply(status: u16, headers: &[(&'static str, String)], body: &Value) -> Response<Full<Bytes>> {
    let text = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
    let mut answer = Response::new(Full::new(text));
    *answer.status_mut() = StatusCode::from_u16(status).unwrap();
    if !body.is_null() {
        answer.headers_mut().insert("content-type", HeaderValue::from_static("application/json; charset=utf-8"));
    }
    answer.headers_mut().insert("x-github-request-id", HeaderValue::from_static("F00D:1"));
    for (name, value) in headers {
        answer.headers_mut().insert(*name, value.parse().unwrap());
    }
    answer
}
