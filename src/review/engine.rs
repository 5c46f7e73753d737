//! Which engine reviews, with all that it needs to know, and how its failures read.

use std::path::Path;

use anyhow::{Context, Result, bail};

use super::paths::PathRules;
use super::policy::Policy;
use super::{Coverage, EngineUsed, Outcome, Receipt, Review, Setting, plan};
use crate::cage::API_KEY;
use crate::config::{Config, EngineName};
use crate::engine::pin::{self, Pins, Standing, Wanted};
use crate::engine::{ClaudeSpec, CommandSpec, EngineError, EngineSpec, ErrorKind, Unseen};
use crate::error::Fail;
use crate::store;
use crate::task::off_the_loop;

/// What an engine is to read: the rules cost nothing and look at lock files and vendored code, too.
pub(super) fn reading(policy: &Policy, spec: &EngineSpec) -> Result<(plan::Budget, plan::Exclusions)> {
    let Policy { config: Config { review, paths, .. }, attributes } = policy;
    let rules = PathRules::new(paths)?;
    if matches!(spec, EngineSpec::Rules) {
        let exclusions = plan::Exclusions::only(&review.exclude)?;
        return Ok((plan::Budget::UNLIMITED, exclusions.obeying(rules.without_budgets(), attributes.clone())));
    }
    let bytes = usize::try_from(review.max_diff.0).unwrap_or(usize::MAX);
    let exclusions = plan::Exclusions::new(&review.exclude)?.obeying(rules, attributes.clone());
    Ok((plan::Budget { max_bytes: bytes, max_file_bytes: bytes }, exclusions))
}

/// The engine with all that it needs to know.
pub(super) fn spec(name: EngineName, config: &Config, setting: &Setting<'_>) -> Result<EngineSpec> {
    let deadlines = config.job.deadlines();
    Ok(match name {
        EngineName::Rules => EngineSpec::Rules,
        EngineName::Claude => {
            let claude = &config.engine.claude;
            let named = match &claude.program {
                // What is pinned is meant, wherever else there is one of this name.
                None => setting.pins.program(name)?,
                named => named.clone(),
            };
            let program =
                named
                    .or_else(|| setting.claude.clone())
                    .context(Fail::new("the engine `claude` is not installed, or not where it was looked for").hint(
                    "`npm install -g @anthropic-ai/claude-code`, or name it: `[engine.claude] program = \"/…/claude\"`",
                ))?;
            // A link in ~/.local/bin leads elsewhere, and the cage only sees what it is given.
            let program = program.canonicalize().with_context(|| format!("could not find `{}`", program.display()))?;
            EngineSpec::Claude(ClaudeSpec {
                program,
                version: claude.version.clone(),
                refute: config.review.refute,
                chunk: usize::try_from(config.review.chunk.0).unwrap_or(usize::MAX),
                parallel: config.review.parallel as usize,
                model: claude.model.clone(),
                max_turns: claude.max_turns,
                max_budget_usd: claude.max_budget_usd,
                base_url: claude.base_url.clone(),
                deadlines,
            })
        }
        EngineName::Command => {
            let argv = config.engine.command.argv.clone();
            let Some(program) = argv.first() else {
                bail!(
                    Fail::new("the engine `command` has no command")
                        .hint("name it: `[engine.command] argv = [\"/usr/local/bin/my-linter\", \"--sarif\"]`")
                );
            };
            if !Path::new(program).is_absolute() {
                bail!(Fail::new(format!("the engine's program `{program}` is no absolute path")));
            }
            EngineSpec::Command(CommandSpec { argv, deadlines })
        }
    })
}

/// What was found of an engine's program right before its cage starts.
pub(super) struct Seal {
    wanted: Option<Wanted>,
    digest: Option<String>,
    /// What is pinned; whoever finds nothing pinned has nothing to compare with.
    version: Option<String>,
    is_pinned: bool,
}

/// Looks at the engine's program; one that is not what was pinned is not started.
pub(super) async fn seal(spec: &mut EngineSpec, pins: &Pins) -> Result<Seal> {
    let mut seal = Seal { wanted: Wanted::of(spec), digest: None, version: None, is_pinned: false };
    let Some(wanted) = seal.wanted.clone() else { return Ok(seal) };
    let engine = wanted.engine;
    match standing(wanted, pins).await? {
        Standing::Unpinned(digest) => seal.digest = digest,
        Standing::Changed(changed) => return Err(pin::refusal(engine, &changed, "and was not started").into()),
        Standing::Pinned(pin) => {
            if let EngineSpec::Claude(claude) = spec {
                // A wrapper may start another program than it did when it was pinned.
                claude.version = claude.version.take().or_else(|| pin.version.clone());
            }
            (seal.digest, seal.version, seal.is_pinned) = (Some(pin.sha256), pin.version, true);
        }
    }
    Ok(seal)
}

impl Seal {
    /// What the engine says of itself, with what was found of it.
    pub(super) fn mark(&self, used: EngineUsed) -> EngineUsed {
        let version = used.version.or_else(|| self.version.clone());
        EngineUsed { version, digest: self.digest.as_deref().map(pin::short), ..used }
    }

    /// Whether a pinned program is still the same now that it has ended.
    pub(super) async fn check(self, pins: &Pins) -> Result<()> {
        let Some(wanted) = self.wanted.filter(|_| self.is_pinned) else { return Ok(()) };
        let engine = wanted.engine;
        match standing(wanted, pins).await? {
            Standing::Changed(changed) => {
                Err(pin::refusal(engine, &changed, "changed while it ran, and what it said is not used").into())
            }
            _ => Ok(()),
        }
    }
}

/// In a thread of its own: a program may be of hundreds of megabytes.
async fn standing(wanted: Wanted, pins: &Pins) -> Result<Standing> {
    let pins = pins.clone();
    off_the_loop(move || pins.standing(&wanted)).await?
}

pub(super) fn name_of(spec: &EngineSpec) -> EngineName {
    match spec {
        EngineSpec::Rules => EngineName::Rules,
        EngineSpec::Claude(_) => EngineName::Claude,
        EngineSpec::Command(_) => EngineName::Command,
    }
}

/// What the engine was given and nobody has read.
pub(super) fn unseen(receipt: &mut Receipt, unseen: &[Unseen]) {
    for file in receipt.files.iter_mut().filter(|file| file.coverage == Coverage::Seen) {
        if let Some(Unseen { reason, .. }) = unseen.iter().find(|unseen| unseen.path == file.path) {
            file.coverage = Coverage::Missed { reason: reason.clone() };
        }
    }
}

/// An engine that did not finish is an outcome of the review.
pub(super) fn failed(review: &mut Review, error: &EngineError, spec: &EngineSpec) {
    (review.outcome, review.reason) = match error.kind {
        ErrorKind::Deferred { retry_after } => {
            review.retry_at_ms =
                retry_after.map(|secs| store::now_ms() + i64::try_from(secs).unwrap_or(0).saturating_mul(1000));
            (Outcome::Deferred, Some(error.to_string()))
        }
        // A key that is stored is given to nobody else.
        ErrorKind::Unauthenticated if matches!(spec, EngineSpec::Claude(_)) => {
            (Outcome::Failed, Some(format!("{error}; `cicdctl secret set {}` stores a key", API_KEY.0)))
        }
        ErrorKind::Unauthenticated | ErrorKind::Failed => (Outcome::Failed, Some(error.to_string())),
    };
}
