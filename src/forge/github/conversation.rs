//! What people say at a pull request, and what they may do: comments, answers to our findings, permissions.

use std::collections::HashMap;

use hyper::Method;
use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Again;
use super::{GitHub, Kind, MAX_PAGES, Result, User, publish};
use crate::forge::{Comment, ForgeError, Mark, Permission, Reaction, Resolution, Thread};

/// REST does not know of threads. The ids of comments have outgrown `databaseId`, which is a 32-bit number.
const THREADS: &str = "query($owner: String!, $name: String!, $number: Int!, $after: String) {
  repository(owner: $owner, name: $name) {
    pullRequest(number: $number) {
      reviewThreads(first: 100, after: $after) {
        pageInfo { hasNextPage endCursor }
        nodes { isResolved resolvedBy { login } comments(first: 1) { nodes { fullDatabaseId } } }
      }
    }
  }
}";

#[derive(Deserialize)]
struct Wire {
    id: u64,
    user: Option<User>,
    body: Option<String>,
    created_at: Timestamp,
    path: Option<String>,
    /// Null where it is outdated.
    line: Option<u32>,
    in_reply_to_id: Option<u64>,
}

impl GitHub {
    pub(super) async fn permission_of(&self, user: &str) -> Result<Permission> {
        #[derive(Deserialize)]
        struct Answer {
            permission: String,
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        let name = user.strip_suffix("[bot]").unwrap_or(user);
        if name.is_empty() || name.len() > 100 || !name.chars().all(plain) {
            return Ok(Permission::None);
        }
        let user = user.replace('[', "%5B").replace(']', "%5D");
        match self.client.get::<Answer>(&self.path(&format!("/collaborators/{user}/permission"))).await {
            Ok(answer) => Ok(match answer.permission.as_str() {
                "admin" => Permission::Admin,
                "write" | "maintain" => Permission::Write,
                "read" | "triage" => Permission::Read,
                _ => Permission::None,
            }),
            Err(ForgeError::NotFound(_)) => Ok(Permission::None),
            Err(error) => Err(error),
        }
    }

    pub(super) async fn issue_comments(&self, number: u64, since: Option<Timestamp>) -> Result<Vec<Comment>> {
        let since = since.map_or_else(String::new, |since| format!("?since={since:.0}"));
        let path = self.path(&format!("/issues/{number}/comments{since}"));
        let comments: Vec<Wire> = self.client.pages(&path, MAX_PAGES).await?;
        Ok(comments.into_iter().map(Comment::from).collect())
    }

    pub(super) async fn react_to(&self, comment: u64, reaction: Reaction) -> Result<()> {
        let content = match reaction {
            Reaction::Eyes => "eyes",
            Reaction::Confused => "confused",
        };
        let path = self.path(&format!("/issues/comments/{comment}/reactions"));
        self.client.write::<Value>(Method::POST, &path, &json!({ "content": content }), Again::Yes).await.map(drop)
    }

    pub(super) async fn mark(&self, thread: &Thread, mark: &Mark) -> Result<bool> {
        let Some(body) = publish::marked(&thread.body, mark) else { return Ok(false) };
        let path = self.path(&format!("/pulls/comments/{}", thread.id));
        self.client.write::<Value>(Method::PATCH, &path, &json!({ "body": body }), Again::Yes).await?;
        Ok(true)
    }

    pub(super) async fn threads(&self, number: u64) -> Result<Vec<Thread>> {
        let me = self.me().await?;
        let comments: Vec<Wire> =
            self.client.pages(&self.path(&format!("/pulls/{number}/comments")), MAX_PAGES).await?;
        let mut threads = threads(comments, me);
        if threads.is_empty() {
            return Ok(threads);
        }
        match self.resolutions(number).await {
            Ok(mut known) => {
                for thread in &mut threads {
                    thread.resolution = known.remove(&thread.id).unwrap_or(Resolution::Unknown);
                }
            }
            Err(error @ ForgeError::RateLimited { .. }) => return Err(error),
            Err(error) => tracing::debug!("{error}; whether threads are resolved stays unknown"),
        }
        Ok(threads)
    }

    /// Of each thread, by the id of its first comment.
    async fn resolutions(&self, number: u64) -> Result<HashMap<u64, Resolution>> {
        #[derive(Deserialize)]
        struct Data {
            repository: Option<Repository>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Repository {
            pull_request: Option<PullRequest>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct PullRequest {
            review_threads: Connection<Node>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Connection<T> {
            nodes: Vec<T>,
            page_info: Option<PageInfo>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct PageInfo {
            has_next_page: bool,
            end_cursor: Option<String>,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Node {
            is_resolved: bool,
            resolved_by: Option<Login>,
            comments: Connection<First>,
        }
        #[derive(Deserialize)]
        struct Login {
            login: String,
        }
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct First {
            /// A number, or one as text.
            full_database_id: Value,
        }
        let (owner, name) = self.repo.split_once('/').unwrap_or_default();
        let mut known = HashMap::new();
        let mut after: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let variables = json!({ "owner": owner, "name": name, "number": number, "after": after });
            let data: Data = self.client.query(THREADS, &variables).await?;
            let found = data.repository.and_then(|repository| repository.pull_request);
            let Some(threads) = found.map(|pull| pull.review_threads) else { break };
            for node in threads.nodes {
                let id = node.comments.nodes.first().map(|first| &first.full_database_id);
                let id = id.and_then(|id| id.as_u64().or_else(|| id.as_str()?.parse().ok()));
                let resolution = match node.is_resolved {
                    true => Resolution::Resolved { by: node.resolved_by.map(|by| by.login) },
                    false => Resolution::Open,
                };
                known.extend(id.map(|id| (id, resolution)));
            }
            match threads.page_info {
                Some(PageInfo { has_next_page: true, end_cursor: Some(cursor) }) => after = Some(cursor),
                _ => break,
            }
        }
        Ok(known)
    }
}

/// Our own comments about findings, with what was answered to each. Pure.
fn threads(comments: Vec<Wire>, me: &User) -> Vec<Thread> {
    let (first, replies): (Vec<Wire>, Vec<Wire>) =
        comments.into_iter().partition(|comment| comment.in_reply_to_id.is_none());
    let mut threads: Vec<Thread> = first
        .into_iter()
        .filter(|comment| comment.user.as_ref().is_some_and(|user| user.id == me.id))
        .filter_map(|comment| {
            let body = comment.body?;
            Some(Thread {
                fingerprint: publish::fingerprint(&body)?.to_owned(),
                id: comment.id,
                path: comment.path?,
                line: comment.line,
                body,
                replies: vec![],
                resolution: Resolution::Unknown,
            })
        })
        .collect();
    for reply in replies {
        if let Some(thread) = threads.iter_mut().find(|thread| reply.in_reply_to_id == Some(thread.id)) {
            thread.replies.push(reply.into());
        }
    }
    threads
}

impl From<Wire> for Comment {
    fn from(wire: Wire) -> Comment {
        let author = wire.user.unwrap_or_default();
        Comment {
            id: wire.id,
            author_is_bot: author.kind == Kind::Bot,
            author: author.login,
            body: wire.body.unwrap_or_default(),
            created_at: wire.created_at,
        }
    }
}
