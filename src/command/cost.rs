//! `cicdctl cost`: what engines have cost, for what, and what the caps leave. Reads the store itself, so that it works
//! while nothing runs.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::Result;
use jiff::Zoned;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Serialize;

use crate::config::{BudgetConfig, Config};
use crate::error::Exit;
use crate::host::Host;
use crate::money::{Balance, Scope, Usd};
use crate::plain;
use crate::quantity::grouped;
use crate::review::budget;
use crate::store::{Caps, Payer, Spending, Store};
use crate::ui::{Ui, bold};

/// Show what reviews have cost, and what the caps leave
///
/// Days and months are those of this host's clock. What is set aside for a review under way is reserved; it counts as
/// spent until the engine tells its price. The caps are in `[budget]` of config.toml and of an agent's file.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  cicdctl cost                                this month, day by day
  cicdctl cost --by pull --since 2026-01-01   each pull request of this year")]
pub struct Args {
    /// What a line is for
    #[arg(long, value_enum, default_value_t = By::Day)]
    by: By,
    /// From this day on [default: the first of this month]
    #[arg(long, value_name = "DATE", value_parser = parse_date)]
    since: Option<Date>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, clap::ValueEnum, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum By {
    Day,
    Project,
    Pull,
    Agent,
    Engine,
}

/// Everything that is shown, and what `--json` prints; amounts in US dollars.
#[derive(Debug, PartialEq, Serialize, JsonSchema)]
pub struct Report {
    by: By,
    #[schemars(with = "String")]
    since: Date,
    lines: Vec<Line>,
    total: Line,
    caps: Vec<CapLine>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
struct Line {
    /// The day, the project, …
    name: String,
    reviews: usize,
    input_tokens: u64,
    output_tokens: u64,
    spent: Usd,
    /// Part of `spent` that no engine has named: it was ended before.
    unpriced: Usd,
    reserved: Usd,
    /// How the cap of this pull request or project stands.
    #[serde(skip_serializing_if = "Option::is_none")]
    cap: Option<Usd>,
    #[serde(skip_serializing_if = "Option::is_none")]
    left: Option<Usd>,
}

/// A cap over a day or a month.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct CapLine {
    scope: Scope,
    /// Whose it is; the user's where it is absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<String>,
    cap: Usd,
    spent: Usd,
    reserved: Usd,
    left: Usd,
    /// When it has room again by itself, in milliseconds since 1970.
    anew_ms: Option<i64>,
}

pub async fn run(args: Args, host: &Host) -> Result<Exit> {
    let report = gather(&args, host, &Zoned::now()).await?;
    if host.ui.json {
        host.ui.data_json(&report)?;
    } else {
        host.ui.data(&show(&report, &host.ui, &TimeZone::system()))?;
    }
    Ok(Exit::Done)
}

fn parse_date(text: &str) -> Result<Date, String> {
    text.parse().map_err(|_| "write a day such as 2026-11-01".into())
}

async fn gather(args: &Args, host: &Host, now: &Zoned) -> Result<Report> {
    let config = host.config()?;
    let store = open(host)?;
    let since = args.since.unwrap_or_else(|| now.date().first_of_month());
    let since_ms = since.to_zoned(now.time_zone().clone())?.timestamp().as_millisecond();
    let spending = match &store {
        Some(store) => store.spending(since_ms, now.timestamp().as_millisecond()).await?,
        None => Vec::new(),
    };
    let mut lines = lines(&spending, args.by, now.time_zone());
    let scope = match args.by {
        By::Pull => Some(Scope::Pull),
        By::Project => Some(Scope::Project),
        By::Day | By::Agent | By::Engine => None,
    };
    if let (Some(scope), Some(store)) = (scope, &store) {
        for line in &mut lines {
            let newest = spending.iter().rev().find(|one| name(one, args.by, now.time_zone()) == line.name);
            let Some(payer) = newest.map(|one| &one.payer) else { continue };
            let mut caps = budget::caps(&budget_of(host, &config, payer)?, now)?;
            caps.caps.retain(|(of, _)| *of == scope);
            if let Some(balance) = store.balances(payer.clone(), caps).await?.first() {
                (line.cap, line.left) = (Some(balance.cap), Some(balance.left()));
            }
        }
    }
    let mut caps = caps_of(store.as_ref(), &config.budget, now).await?;
    for agent in host.agents(&config)? {
        let own = caps_of(store.as_ref(), &agent.config.budget, now).await?;
        caps.extend(own.into_iter().filter(|cap| cap.agent.is_some()));
    }
    Ok(Report { by: args.by, since, total: total("total".into(), &spending), lines, caps })
}

fn open(host: &Host) -> Result<Option<Store>> {
    Ok(match host.paths.store().exists() {
        true => Some(Store::open(&host.paths.store())?),
        false => None,
    })
}

/// The caps that held for who paid: an agent that is gone had those of the user.
fn budget_of(host: &Host, config: &Config, payer: &Payer) -> Result<BudgetConfig> {
    let agent = payer.agent.as_ref().map(|name| host.agent(name, config)).transpose()?.flatten();
    Ok(agent.map_or_else(|| config.budget.clone(), |agent| agent.config.budget))
}

/// How the caps over days and months stand: the user's, and those that an agent has of its own.
pub async fn caps_of(store: Option<&Store>, config: &BudgetConfig, now: &Zoned) -> Result<Vec<CapLine>> {
    let agent = config.agent.as_ref().map(|agent| agent.name.clone());
    let mut caps = budget::caps(config, now)?;
    caps.caps.retain(|(scope, _)| !matches!(scope, Scope::Pull | Scope::Project));
    // The narrower one first, for people.
    caps.caps.reverse();
    let payer = Payer { project: String::new(), pull: None, agent: agent.clone() };
    let balances = match store {
        Some(store) => store.balances(payer, caps).await?,
        None => budget::untouched(&caps, false),
    };
    let line = |balance: Balance| {
        let of_agent = matches!(balance.scope, Scope::AgentDay | Scope::AgentMonth);
        CapLine {
            scope: balance.scope,
            agent: agent.as_ref().filter(|_| of_agent).map(ToString::to_string),
            cap: balance.cap,
            spent: balance.spent,
            reserved: balance.held,
            left: balance.left(),
            anew_ms: budget::room_again(balance.scope, now).map(|again| again.timestamp().as_millisecond()),
        }
    };
    Ok(balances.into_iter().map(line).collect())
}

fn name(one: &Spending, by: By, zone: &TimeZone) -> String {
    match by {
        By::Day => budget::on_the_wall(one.at_ms, zone).map_or_else(String::new, |time| time.date().to_string()),
        By::Project => one.payer.project.clone(),
        By::Pull => one.payer.pull.clone().unwrap_or_else(|| "no pull request".into()),
        By::Agent => one.payer.agent.as_ref().map_or_else(|| "no agent".into(), ToString::to_string),
        By::Engine => one.engine.clone(),
    }
}

/// Days in their order, all else by what it has cost.
fn lines(spending: &[Spending], by: By, zone: &TimeZone) -> Vec<Line> {
    let mut groups: BTreeMap<String, Vec<Spending>> = BTreeMap::new();
    for one in spending {
        groups.entry(name(one, by, zone)).or_default().push(one.clone());
    }
    let mut lines: Vec<Line> = groups.into_iter().map(|(name, group)| total(name, &group)).collect();
    if by != By::Day {
        lines.sort_by_key(|line| std::cmp::Reverse(line.spent + line.reserved));
    }
    lines
}

fn total(name: String, spending: &[Spending]) -> Line {
    let sum = |of: &dyn Fn(&Spending) -> Usd| spending.iter().map(of).sum();
    Line {
        name,
        reviews: spending.iter().map(|one| &one.job).collect::<BTreeSet<_>>().len(),
        input_tokens: spending.iter().map(|one| one.input_tokens).sum(),
        output_tokens: spending.iter().map(|one| one.output_tokens).sum(),
        spent: sum(&|one| one.spent.unwrap_or_default()),
        unpriced: sum(&|one| one.spent.filter(|_| !one.priced).unwrap_or_default()),
        reserved: sum(&|one| if one.spent.is_some() { Usd::ZERO } else { one.held }),
        cap: None,
        left: None,
    }
}

fn show(report: &Report, ui: &Ui, zone: &TimeZone) -> String {
    let mut out = format!("since {}\n\n", report.since);
    if report.lines.is_empty() {
        out.push_str("nothing was spent\n");
    } else {
        for (number, line) in table(report, ui.width()).into_iter().enumerate() {
            out.push_str(&if number == 0 { ui.paint(&line, bold()) } else { line });
            out.push('\n');
        }
    }
    if report.total.unpriced > Usd::ZERO {
        out.push_str(&format!(
            "\n{} of it is what was set aside where no price is known: the engine was ended before it told one\n",
            report.total.unpriced
        ));
    }
    if !report.caps.is_empty() {
        out.push('\n');
    }
    for cap in &report.caps {
        out.push_str(&format!("{}\n", cap_text(cap, zone)));
    }
    out
}

/// `$48.30 left of $50.00 a day ($1.20 spent, $0.50 reserved), anew at 2026-11-26 00:00 CET`
fn cap_text(line: &CapLine, zone: &TimeZone) -> String {
    let CapLine { scope, agent, cap, spent, reserved, left, anew_ms } = line;
    let what = budget::scope_name(*scope, agent.as_deref().unwrap_or_default());
    let anew = anew_ms.and_then(|ms| budget::on_the_wall(ms, zone));
    let anew = anew.map_or_else(String::new, |time| format!(", anew at {}", budget::moment(&time)));
    format!("{left} left of {cap} {what} ({spent} spent, {reserved} reserved){anew}")
}

/// Head, lines and total in columns, no wider than `width` where that can be: then a long name loses its beginning, and
/// the tokens go where there is no room for them.
fn table(report: &Report, width: usize) -> Vec<String> {
    let (by, left) = match report.by {
        By::Day => ("day", false),
        By::Project => ("project", true),
        By::Pull => ("pull request", true),
        By::Agent => ("agent", false),
        By::Engine => ("engine", false),
    };
    let tokens = width >= 80;
    let money = |amount: Usd| if amount == Usd::ZERO { "-".to_owned() } else { amount.to_string() };
    let cells = |line: &Line| {
        let mut cells = vec![plain::visible(&line.name), grouped(line.reviews as u64)];
        if tokens {
            cells.extend([grouped(line.input_tokens), grouped(line.output_tokens)]);
        }
        cells.extend([line.spent.to_string(), money(line.reserved)]);
        if left {
            let of = line.left.zip(line.cap).map(|(left, cap)| format!("{left} of {cap}"));
            cells.push(of.unwrap_or_else(|| "-".into()));
        }
        cells
    };
    let mut head = vec![by, "reviews"];
    if tokens {
        head.extend(["tokens in", "tokens out"]);
    }
    head.extend(["spent", "reserved"]);
    head.extend(left.then_some("left"));
    let mut rows = vec![head.into_iter().map(str::to_owned).collect::<Vec<_>>()];
    rows.extend(report.lines.iter().map(cells));
    let total = Line { cap: None, left: None, ..report.total.clone() };
    let mut last = cells(&total);
    if left {
        last.pop();
    }
    rows.push(last);

    let widest = |column: usize| {
        rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..rows[0].len()).map(widest).collect();
    let others: usize = widths[1..].iter().map(|width| width + 2).sum();
    let first = widths[0].min(width.saturating_sub(others).max(12));
    rows.iter()
        .map(|row| {
            let mut line = format!("{:first$}", ending(&row[0], first));
            for (cell, width) in row.iter().zip(&widths).skip(1) {
                line.push_str(&format!("  {cell:>width$}"));
            }
            line
        })
        .collect()
}

/// The end of a text that is too long, which tells a path from its neighbours.
fn ending(text: &str, width: usize) -> String {
    let long = text.chars().count();
    if long <= width {
        return text.to_owned();
    }
    format!("…{}", text.chars().skip(long + 1 - width).collect::<String>())
}

/// What `cicdctl status` says about money.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Today {
    spent: Usd,
    reserved: Usd,
    caps: Vec<CapLine>,
}

/// Nothing where nothing was spent today, or where there is no cap over a day or a month.
pub async fn today(store: &Store, config: &BudgetConfig, now: &Zoned) -> Result<Option<Today>> {
    let Caps { day_ms, .. } = budget::caps(config, now)?;
    let total = total(String::new(), &store.spending(day_ms, now.timestamp().as_millisecond()).await?);
    let caps = caps_of(Some(store), config, now).await?;
    let none = caps.is_empty() || total.spent + total.reserved == Usd::ZERO;
    Ok((!none).then_some(Today { spent: total.spent, reserved: total.reserved, caps }))
}

impl Today {
    /// `$1.20 spent today, $0.50 reserved; $48.30 of $50.00 a day and $498.30 of $500.00 a month left`
    pub fn line(&self) -> String {
        let reserved = match self.reserved {
            Usd::ZERO => String::new(),
            reserved => format!(", {reserved} reserved"),
        };
        let caps: Vec<String> = self
            .caps
            .iter()
            .map(|cap| format!("{} of {} {}", cap.left, cap.cap, budget::scope_name(cap.scope, "")))
            .collect();
        format!("{} spent today{reserved}; {} left", self.spent, caps.join(" and "))
    }

    /// Caps that let no review begin, with when they do again.
    pub fn trouble(&self, zone: &TimeZone) -> Vec<String> {
        let spent = self.caps.iter().filter(|cap| cap.cap.saturating_sub(cap.spent) < budget::LEAST);
        spent
            .map(|cap| {
                let again = cap.anew_ms.and_then(|ms| budget::on_the_wall(ms, zone));
                let again = again.map_or_else(String::new, |time| format!(" until {}", budget::moment(&time)));
                let what = budget::scope_name(cap.scope, "");
                format!("the cap of {} {what} is spent: reviews that cost wait{again}; see `cicdctl cost`", cap.cap)
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ui::{ColorChoice, Options};

    fn ui() -> Ui {
        Ui::new(&Options {
            json: false,
            quiet: false,
            verbose: false,
            yes: false,
            color: ColorChoice::Never,
            no_color_variable: true,
            utf8: true,
        })
    }

    fn one(job: &str, pull: Option<u64>, at: &str, spent: Option<u64>) -> Spending {
        let at: Zoned = at.parse().unwrap();
        Spending {
            job: job.into(),
            payer: Payer {
                project: if pull.is_some() { "acme/shop".into() } else { "/home/alice/projects/webshop".into() },
                pull: pull.map(|number| format!("acme/shop#{number}")),
                agent: pull.map(|_| "shop".parse().unwrap()),
            },
            engine: "claude".into(),
            at_ms: at.timestamp().as_millisecond(),
            spent: spent.map(Usd::cents),
            held: Usd::cents(225),
            priced: spent != Some(225),
            input_tokens: 120_000,
            output_tokens: 4_000,
        }
    }

    fn report(by: By) -> Report {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        let spending = [
            one("a", Some(41), "2026-11-24T22:30:00[UTC]", Some(40)),
            one("b", Some(42), "2026-11-24T23:30:00[UTC]", Some(120)),
            one("b", Some(42), "2026-11-25T10:00:00[UTC]", Some(225)),
            one("c", None, "2026-11-25T11:00:00[UTC]", None),
        ];
        let cap = |scope, cap: u64, anew: &str| CapLine {
            scope,
            agent: None,
            cap: Usd::cents(cap),
            spent: Usd::cents(345),
            reserved: Usd::cents(225),
            left: Usd::cents(cap - 570),
            anew_ms: Some(anew.parse::<Zoned>().unwrap().timestamp().as_millisecond()),
        };
        let mut lines = lines(&spending, by, &zone);
        if by == By::Pull {
            lines[0].cap = Some(Usd::cents(1000));
            lines[0].left = Some(Usd::cents(655));
        }
        Report {
            by,
            since: "2026-11-01".parse().unwrap(),
            lines,
            total: total("total".into(), &spending),
            caps: vec![cap(Scope::Day, 5000, "2026-11-25T23:00:00[UTC]")],
        }
    }

    #[test]
    fn days_are_those_of_the_wall_and_what_has_no_price_is_said() {
        let text = show(&report(By::Day), &ui(), &TimeZone::get("Europe/Berlin").unwrap());
        assert_eq!(
            text,
            "since 2026-11-01

day         reviews  tokens in  tokens out  spent  reserved
2026-11-24        1    120,000       4,000  $0.40         -
2026-11-25        2    360,000      12,000  $3.45     $2.25
total             3    480,000      16,000  $3.85     $2.25

$2.25 of it is what was set aside where no price is known: the engine was ended before it told one

$44.30 left of $50.00 a day ($3.45 spent, $2.25 reserved), anew at 2026-11-26 00:00 CET
"
        );
    }

    #[test]
    fn a_pull_request_has_its_cap_and_the_dearest_stands_first() {
        assert_eq!(
            table(&report(By::Pull), 100),
            [
                "pull request     reviews  tokens in  tokens out  spent  reserved             left",
                "acme/shop#42           1    240,000       8,000  $3.45         -  $6.55 of $10.00",
                "no pull request        1    120,000       4,000  $0.00     $2.25                -",
                "acme/shop#41           1    120,000       4,000  $0.40         -                -",
                "total                  3    480,000      16,000  $3.85     $2.25",
            ]
        );
    }

    #[test]
    fn a_table_is_no_wider_than_the_terminal() {
        for (by, width) in [(By::Project, 50), (By::Project, 84), (By::Day, 50), (By::Agent, 40)] {
            let lines = table(&report(by), width);
            assert!(lines.iter().all(|line| line.chars().count() <= width), "{lines:#?}");
        }
        let narrow = table(&report(By::Project), 50).join("\n");
        assert!(narrow.contains("…/projects/webshop  ") && !narrow.contains("tokens"), "{narrow}");
    }

    #[test]
    fn status_says_what_is_left_and_what_is_spent() {
        let Report { caps, total, .. } = report(By::Day);
        let mut today = Today { spent: total.spent, reserved: total.reserved, caps };
        assert_eq!(today.line(), "$3.85 spent today, $2.25 reserved; $44.30 of $50.00 a day left");
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        assert_eq!(today.trouble(&zone), [""; 0]);
        today.caps[0].cap = Usd::cents(350);
        assert_eq!(
            today.trouble(&zone),
            ["the cap of $3.50 a day is spent: reviews that cost wait until 2026-11-26 00:00 CET; see `cicdctl cost`"]
        );
    }
}
