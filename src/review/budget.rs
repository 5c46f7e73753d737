//! The step between plan and engine: what the engine may cost is reserved before it begins, under the caps of
//! `[budget]`, and settled with what it has cost. Engines without a price pass through.
//!
//! A cap over a day or a month puts the review off until it has room again. One of a pull request or a project has none
//! by itself, or not soon: the review ends as partial, with every file named as not seen.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};
use serde::{Deserialize, Serialize};

use anyhow::{Context, Result};

use super::{EngineUsed, Outcome, Run, Stopped, not_seen};
use crate::config::BudgetConfig;
use crate::diff::Diff;
use crate::engine::{EngineError, EngineReport, EngineSpec, ErrorKind};
use crate::error::Fail;
use crate::money::{Balance, Cap, Scope, Usd};
use crate::store::{Call, Caps, Payer, Price, Reserved, Store};

/// With less than this a review would only be begun.
pub const LEAST: Usd = Usd::cents(10);
/// How far one answer of the API usually takes an engine beyond its budget; what the store has seen counts where it is
/// more.
pub const OVERSHOOT: Usd = Usd::cents(25);
/// An engine that is to be ended is gone this long after its deadline, in milliseconds.
const GRACE_MS: i64 = 300_000;

/// What was reserved; to be given to [`Run::settle`], however the engine ends.
#[must_use]
pub(super) struct Reservation<'a>(Option<Open<'a>>);

struct Open<'a> {
    store: &'a Store,
    held: Held,
}

/// What is set aside for one call, as it is noted for who may take it over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Held {
    id: i64,
    /// The budget, how much was wanted, and what is held for it beside one answer more.
    amount: Usd,
    wanted: Usd,
    held: Usd,
    /// The cap that left less than was wanted.
    cut_by: Option<Balance>,
}

impl Reservation<'_> {
    pub(super) fn held(&self) -> Option<Held> {
        self.0.as_ref().map(|open| open.held.clone())
    }
}

/// Why there is no review, as far as money is concerned.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Capped {
    cap: Balance,
    /// Others hold what is left of it, and may leave some of it.
    settles: bool,
}

impl<'a> Run<'a> {
    /// Reserves what the engine may cost to read `diff`, and makes that its budget. `None` where a cap does not allow it: then the
    /// review says so.
    pub(super) async fn reserve(
        &mut self,
        spec: &mut EngineSpec,
        diff: &Diff,
    ) -> Result<Option<Reservation<'a>>, Stopped> {
        let EngineSpec::Claude(claude) = spec else { return Ok(Some(Reservation(None))) };
        let store = self.setting.store.context(
            Fail::new("the engine `claude` costs money, and there is no store to count it in")
                .hint("`cicdctl init` makes one"),
        )?;
        // Each call under way may be one answer beyond its share.
        let calls = claude.calls_at_once(diff);
        let now = Zoned::now();
        let wanted = Usd::new(claude.max_budget_usd).context("its budget is no amount")?;
        let at_ms = now.timestamp().as_millisecond();
        let deadline = i64::try_from(claude.deadlines.total.as_millis()).unwrap_or(i64::MAX / 4);
        let call = Call {
            job: self.review.job.clone(),
            engine: super::engine::name_of(&EngineSpec::Claude(claude.clone())).as_str().to_owned(),
            payer: self.payer(),
            wanted,
            least: LEAST,
            overshoot: OVERSHOOT * calls as u64,
            at_ms,
            until_ms: at_ms.saturating_add(deadline).saturating_add(GRACE_MS),
        };
        match store.reserve(call, caps(&self.setting.config.budget, &now)?).await? {
            Reserved::Granted { id, amount, held, cut_by } => {
                claude.max_budget_usd = amount.dollars();
                let held = Held { id, amount, wanted, held, cut_by };
                self.tell_cut(&held);
                Ok(Some(Reservation(Some(Open { store, held }))))
            }
            Reserved::Refused { cap, settles } => {
                self.refuse(Capped { cap, settles });
                Ok(None)
            }
        }
    }

    /// What an earlier process has reserved for the engine that goes on: nothing is set aside twice.
    pub(super) fn take_over(&mut self, held: Option<&Held>) -> Reservation<'a> {
        let Some((store, held)) = self.setting.store.zip(held) else { return Reservation(None) };
        self.tell_cut(held);
        Reservation(Some(Open { store, held: held.clone() }))
    }

    fn tell_cut(&mut self, Held { amount, wanted, cut_by, .. }: &Held) {
        if let Some(cap) = cut_by {
            let note = format!("its budget was {amount} of {wanted}: {} had no more left", self.name(cap));
            self.review.receipt.notes.push(note);
        }
    }

    /// Writes down what the engine has cost; `started` says whether it got as far as its API. Where it failed because a
    /// cap had left it too little, that cap is handed back.
    pub(super) async fn settle(
        &mut self,
        reservation: Reservation<'a>,
        started: bool,
        result: Option<&Result<EngineReport, EngineError>>,
    ) -> Option<Capped> {
        let Open { store, held: Held { id, amount, held, cut_by, .. } } = reservation.0?;
        let (used, refused) = match result {
            Some(Ok(report)) => (Some(&report.used), false),
            Some(Err(error)) => (error.used.as_deref(), error.kind == ErrorKind::Unauthenticated),
            None => (None, false),
        };
        let price = price(used, started && !refused);
        if price.cost.is_none() {
            let note = format!("what the engine has cost is not known: all that was set aside for it counts, {held}");
            self.review.receipt.notes.push(note);
        }
        if let Err(error) = store.settle(id, price).await {
            // Until somebody says otherwise all of it counts.
            tracing::error!("{error:#}; {held} count for job {}", self.review.job);
            self.review.receipt.notes.push(format!("{error:#}; {held} count for it"));
        }
        let broke = matches!(result, Some(Err(error)) if error.kind == ErrorKind::Failed);
        let (cap, cost) = cut_by.zip(price.cost).filter(|(_, cost)| broke && *cost >= amount)?;
        Some(Capped { cap: Balance { spent: cap.spent + cost, ..cap }, settles: cap.held > Usd::ZERO })
    }

    /// The review ends here, as a cap does not allow it.
    pub(super) fn refuse(&mut self, Capped { cap, settles }: Capped) {
        let now = Zoned::now();
        let again = room_again(cap.scope, &now).filter(|_| !settles && !forbids(&cap));
        let mut reason = match settles {
            true => format!("{} is reserved by reviews under way ({})", self.name(&cap), stands(&cap)),
            false if cap.left() > Usd::ZERO => {
                format!("{} leaves too little for a review ({} of it)", self.name(&cap), cap.left())
            }
            false if forbids(&cap) => format!("{} allows no review that costs", self.name(&cap)),
            false => format!("{} is spent ({})", self.name(&cap), stands(&cap)),
        };
        if let Some(again) = &again {
            reason = format!("{reason}; it has room again at {}", moment(again));
        } else if !settles {
            let key = key(cap.scope);
            reason = format!("{reason}; `[budget] {key}` in config.toml or the agent's file says how much it is");
        }
        let waits = settles || !forbids(&cap) && !matches!(cap.scope, Scope::Pull | Scope::Project);
        self.review.outcome = if waits { Outcome::Deferred } else { Outcome::Partial };
        self.review.retry_at_ms = again.filter(|_| waits).map(|again| again.timestamp().as_millisecond());
        not_seen(&mut self.review.receipt, &reason);
        self.review.reason = Some(reason);
        self.capped = true;
    }

    /// What a dry run tells: how the caps stand. Nothing is reserved.
    pub(super) async fn foresee(&mut self, spec: &EngineSpec) -> Result<(), Stopped> {
        let EngineSpec::Claude(claude) = spec else { return Ok(()) };
        let caps = caps(&self.setting.config.budget, &Zoned::now())?;
        let balances = match self.setting.store {
            Some(store) => store.balances(self.payer(), caps).await?,
            None => untouched(&caps, self.request.pr.is_some()),
        };
        let wanted = Usd::new(claude.max_budget_usd).unwrap_or_default();
        let mut notes = vec![format!("it may cost up to {wanted}")];
        notes.extend(balances.iter().map(|one| format!("{}: {} left", self.name(one), one.left())));
        self.review.receipt.notes.extend(notes);
        Ok(())
    }

    /// Whose money it is. A repository at its forge is one project, from wherever it was read.
    fn payer(&self) -> Payer {
        let project = match self.request.pr.and(self.setting.forge) {
            Some(forge) => forge.repo().to_lowercase(),
            None => self.review.project.clone(),
        };
        let pull = self.request.pr.map(|number| format!("{project}#{number}"));
        let agent = self.setting.config.budget.agent.as_ref().map(|agent| agent.name.clone());
        Payer { project, pull, agent }
    }

    /// A cap as a sentence begins with it: `the cap of $10.00 for one pull request`.
    fn name(&self, balance: &Balance) -> String {
        let agent = self.setting.config.budget.agent.as_ref().map(|agent| agent.name.as_str());
        format!("the cap of {} {}", balance.cap, scope_name(balance.scope, agent.unwrap_or_default()))
    }
}

/// No time gives this cap room.
fn forbids(cap: &Balance) -> bool {
    cap.cap < LEAST
}

fn key(scope: Scope) -> &'static str {
    match scope {
        Scope::Pull => "pull",
        Scope::Project => "project",
        Scope::Day | Scope::AgentDay => "day",
        Scope::Month | Scope::AgentMonth => "month",
    }
}

/// What a cap is over, in words that follow an amount.
pub fn scope_name(scope: Scope, agent: &str) -> String {
    match scope {
        Scope::Pull => "for one pull request".into(),
        Scope::Project => "a month for this project".into(),
        Scope::Month => "a month".into(),
        Scope::AgentMonth => format!("a month for agent `{agent}`"),
        Scope::Day => "a day".into(),
        Scope::AgentDay => format!("a day for agent `{agent}`"),
    }
}

fn stands(cap: &Balance) -> String {
    match cap.held {
        Usd::ZERO => format!("{} spent", cap.spent),
        held => format!("{} spent, {held} reserved", cap.spent),
    }
}

/// The caps where nothing was ever spent.
pub fn untouched(caps: &Caps, is_pull: bool) -> Vec<Balance> {
    let all = caps.caps.iter().filter(|(scope, _)| is_pull || *scope != Scope::Pull);
    all.map(|(scope, cap)| Balance { scope: *scope, cap: *cap, spent: Usd::ZERO, held: Usd::ZERO }).collect()
}

/// The caps that hold now; days and months begin by the clock on this host's wall.
pub fn caps(budget: &BudgetConfig, now: &Zoned) -> Result<Caps> {
    let BudgetConfig { pull, project, day, month, agent } = budget;
    let (agent_day, agent_month) = agent.as_ref().map_or((Cap::NONE, Cap::NONE), |agent| (agent.day, agent.month));
    let all = [
        (Scope::Pull, *pull),
        (Scope::Project, *project),
        (Scope::Month, *month),
        (Scope::AgentMonth, agent_month),
        (Scope::Day, *day),
        (Scope::AgentDay, agent_day),
    ];
    Ok(Caps {
        caps: all.into_iter().filter_map(|(scope, cap)| Some((scope, cap.0?))).collect(),
        day_ms: now.start_of_day()?.timestamp().as_millisecond(),
        month_ms: now.first_of_month()?.start_of_day()?.timestamp().as_millisecond(),
    })
}

/// When a cap that is spent has room by itself; never for a pull request.
pub fn room_again(scope: Scope, now: &Zoned) -> Option<Zoned> {
    let day = match scope {
        Scope::Pull => return None,
        Scope::Day | Scope::AgentDay => now.tomorrow(),
        Scope::Project | Scope::Month | Scope::AgentMonth => {
            now.first_of_month().and_then(|first| first.checked_add(1.month()))
        }
    };
    day.and_then(|day| day.start_of_day()).ok()
}

/// What has to be counted for a call. Without a price it is not known where the engine was at work (`started`, or it
/// tells of turns and tokens), and nothing where it was not.
fn price(used: Option<&EngineUsed>, started: bool) -> Price {
    let Some(used) = used else { return Price { cost: (!started).then_some(Usd::ZERO), ..Price::default() } };
    let EngineUsed { input_tokens, output_tokens, turns, cost_usd, .. } = *used;
    let at_work = started || turns.is_some() || input_tokens.is_some() || output_tokens.is_some();
    let cost = match cost_usd {
        Some(cost) => Usd::new(cost),
        None => (!at_work).then_some(Usd::ZERO),
    };
    Price { cost, input_tokens, output_tokens }
}

/// A moment of the store, by a clock on the wall.
pub fn on_the_wall(milliseconds: i64, zone: &TimeZone) -> Option<Zoned> {
    Timestamp::from_millisecond(milliseconds).ok().map(|time| time.to_zoned(zone.clone()))
}

/// `2026-11-26 00:00 CET`: with its zone, as readers of a pull request live elsewhere.
pub fn moment(time: &Zoned) -> String {
    time.strftime("%Y-%m-%d %H:%M %Z").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::AgentBudget;

    fn at(text: &str) -> Zoned {
        text.parse().unwrap()
    }

    #[test]
    fn days_and_months_begin_by_the_local_clock() {
        let budget = BudgetConfig::default();
        let caps = |now: &str| caps(&budget, &at(now)).unwrap();
        let ms = |text: &str| at(text).timestamp().as_millisecond();
        let now = "2026-11-25T00:30:00[Europe/Berlin]";
        assert_eq!(caps(now).day_ms, ms("2026-11-24T23:00:00[UTC]"));
        assert_eq!(caps(now).month_ms, ms("2026-10-31T23:00:00[UTC]"));
        let again = |scope, now: &str| room_again(scope, &at(now)).map(|time| time.timestamp().to_string());
        assert_eq!(again(Scope::Day, now).as_deref(), Some("2026-11-25T23:00:00Z"));
        assert_eq!(again(Scope::AgentMonth, now).as_deref(), Some("2026-11-30T23:00:00Z"));
        assert_eq!(again(Scope::Month, "2026-12-31T23:59:59[UTC]").as_deref(), Some("2027-01-01T00:00:00Z"));
        // A day of 23 hours, one of 25, and one that has no midnight.
        assert_eq!(again(Scope::Day, "2026-03-29T12:00:00[Europe/Berlin]").as_deref(), Some("2026-03-29T22:00:00Z"));
        assert_eq!(again(Scope::Day, "2026-10-25T00:00:00[Europe/Berlin]").as_deref(), Some("2026-10-25T23:00:00Z"));
        assert_eq!(
            again(Scope::Day, "2018-11-03T12:00:00[America/Sao_Paulo]").as_deref(),
            Some("2018-11-04T03:00:00Z")
        );
        assert_eq!(again(Scope::Pull, now), None);
    }

    #[test]
    fn an_agent_has_the_caps_of_the_user_and_its_own() {
        let now = at("2026-11-25T12:00:00[UTC]");
        let scopes = |budget: &BudgetConfig| caps(budget, &now).unwrap().caps;
        assert_eq!(
            scopes(&BudgetConfig::default()),
            [(Scope::Pull, Usd::cents(1000)), (Scope::Month, Usd::cents(50_000)), (Scope::Day, Usd::cents(5000))]
        );
        let agent = AgentBudget { name: "shop".parse().unwrap(), day: Cap::dollars(5), month: Cap::NONE };
        let budget = BudgetConfig { month: Cap::NONE, agent: Some(agent), ..BudgetConfig::default() };
        assert_eq!(
            scopes(&budget),
            [(Scope::Pull, Usd::cents(1000)), (Scope::Day, Usd::cents(5000)), (Scope::AgentDay, Usd::cents(500))]
        );
        assert_eq!(scope_name(Scope::AgentDay, "shop"), "a day for agent `shop`");
    }

    #[test]
    fn without_a_price_all_counts_unless_nothing_was_called() {
        let used = |turns, tokens, cost_usd| EngineUsed {
            turns,
            input_tokens: tokens,
            output_tokens: tokens,
            cost_usd,
            ..EngineUsed::default()
        };
        let cost = |used: &EngineUsed, started| price(Some(used), started).cost;
        assert_eq!(cost(&used(Some(3), Some(10), Some(0.25)), true), Some(Usd::cents(25)));
        assert_eq!(price(Some(&used(Some(3), Some(10), None)), true).input_tokens, Some(10));
        assert_eq!(cost(&used(Some(3), Some(10), None), true), None);
        assert_eq!(cost(&used(None, Some(10), None), false), None);
        assert_eq!(cost(&used(None, None, None), true), None);
        assert_eq!(cost(&used(None, None, None), false), Some(Usd::ZERO));
        // Nonsense is no price.
        assert_eq!(cost(&used(None, None, Some(-1.0)), false), None);
        assert_eq!(cost(&used(None, None, Some(f64::NAN)), true), None);
        // Its process is gone: killed by a limit or by a wish, or it was never started.
        assert_eq!(price(None, true).cost, None);
        assert_eq!(price(None, false).cost, Some(Usd::ZERO));
    }
}
