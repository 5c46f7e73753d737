//! A review on its way to the forge: what its commit says about it, and what publishing makes of its outcome.

use super::{Outcome, Review, Unpublished};
use crate::api::{Happening, Stage};
use crate::forge::{Forge, ForgeError, Publication, PullRequest, Status, StatusState};
use crate::plain::short;
use crate::report;

use super::Sink;

/// A review whose commit says how it stands.
pub struct Posting {
    pub pull: PullRequest,
    /// How many findings may stand at their lines. Absent until it is known that the change is to be reviewed: then
    /// there is nothing to post.
    pub max_inline: Option<usize>,
    /// It is not reviewed because somebody has yet to approve that.
    pub waits: bool,
}

/// Before anything is read: the commit waits for its review. A token that may not even say so is found here, before an
/// engine is paid.
pub async fn begin(forge: &dyn Forge, pull: &PullRequest) -> Result<(), ForgeError> {
    let status = Status { state: StatusState::Pending, description: "being reviewed".into(), url: None };
    forge.set_status(&pull.head_sha, &status, None).await
}

/// Posts what there is to post, and always says at the commit how it ended. A review that a cap did not allow is said to
/// be so above what an earlier one found.
pub async fn finish(forge: &dyn Forge, posting: &Posting, capped: bool, review: &mut Review, tell: &mut Sink<'_>) {
    let Posting { pull, max_inline, waits } = posting;
    tell(Happening::Stage { stage: Stage::Publish, detail: format!("{}#{}", forge.repo(), pull.number) });
    // A failure has nothing to say at lines, and must not take the place of an earlier summary.
    if let Some(max_inline) = max_inline
        && (capped || matches!(review.outcome, Outcome::Reviewed | Outcome::Partial | Outcome::Skipped))
    {
        let posted = match capped {
            true => forge.notice(pull, review).await,
            false => forge.publish(pull, review, *max_inline).await,
        };
        match posted {
            Ok(Publication::Done(published)) => review.receipt.published = Some(published),
            Ok(Publication::Moved { head_sha }) => {
                review.outcome = Outcome::Superseded;
                review.reason = Some(format!(
                    "the head is {} by now and no longer {}; nothing was posted",
                    short(&head_sha),
                    short(&pull.head_sha)
                ));
            }
            Err(error) => {
                let (how, reason) = (review.outcome, review.reason.take());
                review.outcome = match &error {
                    ForgeError::RateLimited { until, .. } => {
                        review.retry_at_ms = Some(until.as_millisecond());
                        Outcome::Deferred
                    }
                    ForgeError::Unavailable { .. } => Outcome::Deferred,
                    _ => Outcome::Failed,
                };
                review.reason = Some(format!("{how}, but not published: {error}"));
                if !capped {
                    review.unpublished = Some(Unpublished { outcome: how, reason });
                }
            }
        }
    }
    let mut status = status(review);
    if *waits {
        // No green for what somebody has yet to see to.
        status.state = StatusState::Unfinished;
    }
    if let Err(error) = forge.set_status(&pull.head_sha, &status, Some(review)).await {
        tracing::warn!("could not set the status of {}: {error}", pull.head_sha);
        review.receipt.notes.push(format!("the commit's status could not be set: {error}"));
    }
}

/// How a review shows at its commit.
///
/// Good is only what was reviewed, or where by the user's own rules nothing was to be reviewed. Bad says that the review
/// itself broke. Deferred and partial are neither: a quota is no fault of the change, and a file that nobody saw is no
/// pass.
pub fn status(review: &Review) -> Status {
    let state = match review.outcome {
        Outcome::Reviewed => StatusState::Success,
        Outcome::Skipped => StatusState::Skipped,
        Outcome::Partial | Outcome::Deferred => StatusState::Unfinished,
        Outcome::Failed => StatusState::Error,
        Outcome::Superseded | Outcome::Cancelled => StatusState::Cancelled,
    };
    let description = match (review.outcome, report::tally(review)) {
        (Outcome::Reviewed, Some(tally)) => {
            let parts = [Some(tally), report::memory(&review.receipt), report::coverage(&review.receipt)];
            parts.into_iter().flatten().collect::<Vec<_>>().join("; ")
        }
        (outcome, _) => format!("{}: {}", report::standing(outcome), report::reason(review)),
    };
    let url = review.receipt.published.as_ref().and_then(|published| published.summary_url.clone());
    Status { state, description, url }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::review::{Coverage, FileCoverage, Receipt};

    #[test]
    fn only_what_was_reviewed_is_good_and_a_quota_is_not_bad() {
        let review = |outcome, reason: Option<&str>| Review {
            job: "01J".into(),
            project: "acme/shop".into(),
            subject: "pull request 42".into(),
            outcome,
            reason: reason.map(str::to_owned),
            summary: None,
            findings: vec![],
            receipt: Receipt {
                files: vec![FileCoverage { path: "a".into(), coverage: Coverage::Seen }],
                ..Default::default()
            },
            retry_at_ms: None,
            unpublished: None,
        };
        let shown: Vec<(StatusState, String)> = Outcome::ALL
            .into_iter()
            .map(|outcome| status(&review(outcome, Some("why").filter(|_| outcome != Outcome::Reviewed))))
            .map(|status| (status.state, status.description))
            .collect();
        let expected = [
            (StatusState::Success, "no findings; 1 file seen"),
            (StatusState::Unfinished, "not wholly reviewed (partial): why"),
            (StatusState::Skipped, "not reviewed (skipped): why"),
            (StatusState::Unfinished, "not reviewed yet (deferred): why"),
            (StatusState::Error, "not reviewed (failed): why"),
            (StatusState::Cancelled, "not reviewed (superseded): why"),
            (StatusState::Cancelled, "not reviewed (cancelled): why"),
        ];
        assert_eq!(shown, expected.map(|(state, text)| (state, text.to_owned())));
    }
}
