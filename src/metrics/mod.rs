//! What Prometheus sees: [`gather`] reads store, units and disk, [`Snapshot`] becomes text here. Pure but for `gather`.
//!
//! Counters come from the store, so that they agree with it after a kill, and go on after a restart. No label holds what a
//! change or a person may choose freely: agents, outcomes, severities, engines and states are all there are.

mod classic;
pub mod gather;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, MetricEncoder, text::encode};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use crate::agent::AgentName;
use crate::money::{Balance, Scope, Usd};
use crate::review::Outcome;
use crate::store::{BUCKETS, COVERAGES, Cost, Stage, Times, Totals, Waiting};
use crate::systemd::UnitState;

pub use classic::classic;

/// Content type of [`Snapshot::openmetrics`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// How the runner is called where agents have their names; none of those can begin like that.
const RUNNER: &str = "_runner";

/// States of a unit (systemd.unit(5)).
const STATES: [&str; 6] = ["active", "reloading", "inactive", "failed", "activating", "deactivating"];

/// All that is shown, at one moment.
#[derive(Debug, Clone, Default)]
pub struct Snapshot {
    pub now_ms: i64,
    pub agents: Vec<AgentName>,
    /// `None`: there is no store, or it cannot be read.
    pub totals: Option<Totals>,
    /// Caps over all projects.
    pub balances: Vec<Balance>,
    /// Caps that agents have for themselves.
    pub agent_balances: Vec<(AgentName, Balance)>,
    /// Names of credentials that end, and when, in milliseconds since 1970.
    pub credentials: Vec<(String, i64)>,
    /// Services of runner and agents.
    pub units: Vec<UnitState>,
    pub disk_free: Option<u64>,
    pub disk_floor: u64,
    /// Connections on the socket that is asked; only who listens on one knows.
    pub connections: Option<u64>,
}

impl Snapshot {
    /// As OpenMetrics 1.0.
    pub fn openmetrics(&self) -> Result<String, fmt::Error> {
        let mut registry = Registry::default();
        registry.register_collector(Box::new(Arc::new(self.clone())));
        let mut text = String::new();
        encode(&mut text, &registry)?;
        Ok(text)
    }
}

type Labels = Vec<(&'static str, String)>;
type Samples = Vec<(Labels, f64)>;

/// Writes families one after the other.
struct Families<'a>(DescriptorEncoder<'a>);

impl Families<'_> {
    fn counter(&mut self, name: &str, help: &str, unit: Option<&Unit>, samples: Samples) -> fmt::Result {
        self.family(name, help, unit, MetricType::Counter, samples, |encoder, value| match whole(value) {
            Some(number) => ConstCounter::new(number).encode(encoder),
            None => ConstCounter::new(value).encode(encoder),
        })
    }

    fn gauge(&mut self, name: &str, help: &str, unit: Option<&Unit>, samples: Samples) -> fmt::Result {
        self.family(name, help, unit, MetricType::Gauge, samples, |encoder, value| match whole(value) {
            Some(number) => ConstGauge::new(number).encode(encoder),
            None => ConstGauge::new(value).encode(encoder),
        })
    }

    fn family(
        &mut self,
        name: &str,
        help: &str,
        unit: Option<&Unit>,
        kind: MetricType,
        samples: Samples,
        encode: fn(MetricEncoder<'_>, f64) -> fmt::Result,
    ) -> fmt::Result {
        if samples.is_empty() {
            return Ok(());
        }
        let mut family = self.0.encode_descriptor(name, help, unit, kind)?;
        for (labels, value) in samples {
            match labels.is_empty() {
                true => encode(family.encode_family(&NO_LABELS)?, value)?,
                false => encode(family.encode_family(&labels)?, value)?,
            }
        }
        Ok(())
    }
}

const NO_LABELS: [(&str, &str); 0] = [];

/// Numbers of things are written as such.
fn whole(value: f64) -> Option<u64> {
    (value.fract() == 0.0 && (0.0..9e15).contains(&value)).then_some(value as u64)
}

fn alone(value: Option<f64>) -> Samples {
    value.map(|value| (Labels::new(), value)).into_iter().collect()
}

fn name_of(agent: Option<&AgentName>) -> String {
    agent.map_or_else(|| RUNNER.to_owned(), ToString::to_string)
}

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder) -> fmt::Result {
        let mut families = Families(encoder);
        let build = vec![(vec![("version", crate::version().to_owned())], 1.0)];
        families.gauge("cicd_build_info", "The version that answers; always 1", None, build)?;
        if let Some(totals) = &self.totals {
            self.jobs(totals, &mut families)?;
            times(totals, &mut families)?;
            findings(totals, &mut families)?;
            costs(totals, &mut families)?;
        }
        self.budget(&mut families)?;
        self.agent_budgets(&mut families)?;
        let ends = self.credentials.iter();
        let ends = ends.map(|(name, ms)| (vec![("credential", name.clone())], (ms / 1000) as f64)).collect();
        let help = "When the credential ends, in seconds since 1970; absent where it does not";
        families.gauge("cicd_credential_expiry_timestamp", help, Some(&Unit::Seconds), ends)?;
        self.units(&mut families)?;
        let free = alone(self.disk_free.map(|free| free as f64));
        families.gauge("cicd_disk_free", "Room where the state is kept", Some(&Unit::Bytes), free)?;
        let floor = alone(Some(self.disk_floor as f64));
        families.gauge("cicd_disk_floor", "With less than that no review begins", Some(&Unit::Bytes), floor)?;
        let connections = alone(self.connections.map(|number| number as f64));
        families.gauge("cicd_connections", "Open connections on the socket", None, connections)
    }
}

impl Snapshot {
    fn jobs(&self, totals: &Totals, families: &mut Families<'_>) -> fmt::Result {
        // Each agent has its series from the first look on: of one that is not there no rise can be seen. One that was
        // removed keeps those that it has.
        let mut jobs = BTreeMap::new();
        for agent in self.everybody() {
            for outcome in Outcome::ALL {
                jobs.insert((name_of(agent), outcome.as_str()), 0.0);
            }
        }
        for (agent, outcome, number) in &totals.jobs {
            jobs.insert((name_of(agent.as_ref()), outcome.as_str()), *number as f64);
        }
        let samples = jobs
            .into_iter()
            .map(|((agent, outcome), number)| (vec![("agent", agent), ("outcome", outcome.to_owned())], number));
        families.counter("cicd_jobs_ended", "Jobs that have ended, by outcome", None, samples.collect())?;

        let waiting = |of: fn(&Waiting) -> u64| -> Samples {
            let found = |agent: Option<&AgentName>| totals.waiting.iter().find(|one| one.agent.as_ref() == agent);
            self.everybody().map(|agent| (vec![("agent", name_of(agent))], found(agent).map_or(0, of) as f64)).collect()
        };
        families.gauge("cicd_jobs_queued", "Jobs that wait", None, waiting(|waiting| waiting.queued))?;
        families.gauge("cicd_jobs_running", "Jobs that run", None, waiting(|waiting| waiting.running))?;
        let ages = totals.waiting.iter().filter_map(|waiting| {
            let age = (self.now_ms - waiting.oldest_queued_ms?).max(0) as f64 / 1000.0;
            Some((vec![("agent", name_of(waiting.agent.as_ref()))], age))
        });
        families.gauge("cicd_queue_age", "For how long the oldest job waits", Some(&Unit::Seconds), ages.collect())
    }

    fn everybody(&self) -> impl Iterator<Item = Option<&AgentName>> {
        std::iter::once(None).chain(self.agents.iter().map(Some))
    }

    fn budget(&self, families: &mut Families<'_>) -> fmt::Result {
        let of = |value: fn(&Balance) -> Usd| -> Samples {
            let sample =
                |balance: &Balance| Some((vec![("period", period(balance)?.to_owned())], value(balance).dollars()));
            self.balances.iter().filter_map(sample).collect()
        };
        families.gauge(
            "cicd_budget_limit_dollars",
            "What may be spent in this period",
            None,
            of(|balance| balance.cap),
        )?;
        families.gauge("cicd_budget_spent_dollars", "What was spent in it", None, of(|balance| balance.spent))?;
        families.gauge(
            "cicd_budget_reserved_dollars",
            "What calls under way may cost",
            None,
            of(|balance| balance.held),
        )
    }

    fn agent_budgets(&self, families: &mut Families<'_>) -> fmt::Result {
        let of = |value: fn(&Balance) -> Usd| -> Samples {
            let sample = |(agent, balance): &(AgentName, Balance)| {
                let labels = vec![("agent", agent.to_string()), ("period", period(balance)?.to_owned())];
                Some((labels, value(balance).dollars()))
            };
            self.agent_balances.iter().filter_map(sample).collect()
        };
        let help = "What the agent may spend in this period";
        families.gauge("cicd_agent_budget_limit_dollars", help, None, of(|balance| balance.cap))?;
        let help = "What the agent has spent in it";
        families.gauge("cicd_agent_budget_spent_dollars", help, None, of(|balance| balance.spent))?;
        let help = "What calls of it under way may cost";
        families.gauge("cicd_agent_budget_reserved_dollars", help, None, of(|balance| balance.held))
    }

    fn units(&self, families: &mut Families<'_>) -> fmt::Result {
        let of = |value: fn(&UnitState) -> Option<f64>| -> Samples {
            let sample = |unit: &UnitState| Some((vec![("unit", unit.name.clone())], value(unit)?));
            self.units.iter().filter_map(sample).collect()
        };
        let states = self.units.iter().flat_map(|unit| {
            STATES.map(|state| {
                let labels = vec![("unit", unit.name.clone()), ("state", state.to_owned())];
                (labels, f64::from(u8::from(unit.active == state)))
            })
        });
        families.gauge("cicd_unit_state", "1 for the state that the unit is in", None, states.collect())?;
        let memory = of(|unit| unit.memory.map(|bytes| bytes as f64));
        families.gauge("cicd_unit_memory", "Memory of the unit", Some(&Unit::Bytes), memory)?;
        let limit = of(|unit| unit.memory_max.map(|bytes| bytes as f64));
        families.gauge("cicd_unit_memory_limit", "MemoryMax= of the unit", Some(&Unit::Bytes), limit)?;
        let cpu = of(|unit| unit.cpu_nsec.map(|nsec| nsec as f64 / 1e9));
        families.counter("cicd_unit_cpu", "CPU time of the unit since its start", Some(&Unit::Seconds), cpu)?;
        let tasks = of(|unit| unit.tasks.map(|tasks| tasks as f64));
        families.gauge("cicd_unit_tasks", "Processes and threads of the unit", None, tasks)?;
        let restarts = of(|unit| unit.restarts.map(f64::from));
        families.counter("cicd_unit_restarts", "Restarts of the unit by systemd itself", None, restarts)
    }
}

/// Of a cap on a time.
fn period(balance: &Balance) -> Option<&'static str> {
    match balance.scope {
        Scope::Day | Scope::AgentDay => Some("day"),
        Scope::Month | Scope::AgentMonth => Some("month"),
        Scope::Pull | Scope::Project => None,
    }
}

fn times(totals: &Totals, families: &mut Families<'_>) -> fmt::Result {
    let help = "How long jobs that have ended took, by stage";
    let mut family = families.0.encode_descriptor("cicd_job", help, Some(&Unit::Seconds), MetricType::Histogram)?;
    for stage in Stage::ALL {
        let Times { counts, sum_ms } = totals.times[stage as usize];
        let buckets: Vec<(f64, u64)> =
            BUCKETS.map(|bound| bound as f64).into_iter().chain([f64::INFINITY]).zip(counts).collect();
        let labels = vec![("stage", stage.as_str())];
        let mut one = family.encode_family(&labels)?;
        one.encode_histogram::<[(&str, &str); 0]>(sum_ms as f64 / 1000.0, counts.iter().sum(), &buckets, None)?;
    }
    Ok(())
}

fn findings(totals: &Totals, families: &mut Families<'_>) -> fmt::Result {
    let findings = totals.findings.iter().map(|(agent, severity, number)| {
        (vec![("agent", name_of(agent.as_ref())), ("severity", severity.to_string())], *number as f64)
    });
    families.counter("cicd_findings", "Findings that were reported, by severity", None, findings.collect())?;
    let fates = [("dismissed", totals.dismissed), ("fixed", totals.fixed)];
    let fates = fates.into_iter().map(|(fate, number)| (vec![("fate", fate.to_owned())], number as f64));
    families.counter("cicd_findings_settled", "Earlier findings, by what became of them", None, fates.collect())?;
    let files = COVERAGES.into_iter().map(|coverage| {
        let number = totals.files.iter().find(|(known, _)| known == coverage).map_or(0, |(_, number)| *number);
        (vec![("coverage", coverage.to_owned())], number as f64)
    });
    families.counter("cicd_files", "Files of changes, by coverage", None, files.collect())?;
    let retries = alone(Some(totals.retries as f64));
    families.counter("cicd_engine_retries", "Waits of engines for their API", None, retries)
}

fn costs(totals: &Totals, families: &mut Families<'_>) -> fmt::Result {
    let labels = |cost: &Cost| vec![("agent", name_of(cost.agent.as_ref())), ("engine", cost.engine.clone())];
    let of =
        |value: fn(&Cost) -> f64| -> Samples { totals.costs.iter().map(|cost| (labels(cost), value(cost))).collect() };
    families.counter("cicd_cost_dollars", "What engines have cost", None, of(|cost| cost.spent.dollars()))?;
    families.counter("cicd_engine_calls", "Calls of engines that cost", None, of(|cost| cost.calls as f64))?;
    let tokens = totals.costs.iter().flat_map(|cost| {
        [("in", cost.input_tokens), ("out", cost.output_tokens)].map(|(direction, number)| {
            let mut labels = labels(cost);
            labels.push(("direction", direction.to_owned()));
            (labels, number as f64)
        })
    });
    families.counter("cicd_engine_tokens", "Tokens that engines have read and written", None, tokens.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::finding::Severity;

    fn snapshot() -> Snapshot {
        let shop: AgentName = "shop".parse().unwrap();
        let mut totals = Totals {
            jobs: vec![(Some(shop.clone()), Outcome::Reviewed, 7), (Some("gone".parse().unwrap()), Outcome::Failed, 2)],
            findings: vec![(Some(shop.clone()), Severity::High, 3)],
            waiting: vec![Waiting { agent: Some(shop.clone()), queued: 2, running: 1, oldest_queued_ms: Some(1000) }],
            costs: vec![Cost {
                agent: Some(shop.clone()),
                engine: "claude".into(),
                calls: 4,
                spent: Usd::cents(150),
                input_tokens: 1000,
                output_tokens: 10,
            }],
            ..Totals::default()
        };
        totals.times[Stage::Work as usize] = Times { counts: [1, 2, 0, 0, 0, 0, 0, 0, 1], sum_ms: 5_004_500 };
        let unit = UnitState {
            name: "cicd-agent@shop.service".into(),
            active: "active".into(),
            memory: Some(5),
            restarts: Some(1),
            cpu_nsec: Some(1_500_000_000),
            ..UnitState::default()
        };
        Snapshot {
            now_ms: 31_000,
            agents: vec![shop],
            totals: Some(totals),
            balances: vec![Balance {
                scope: Scope::Day,
                cap: Usd::cents(5000),
                spent: Usd::cents(150),
                held: Usd::ZERO,
            }],
            agent_balances: vec![(
                "shop".parse().unwrap(),
                Balance {
                    scope: Scope::AgentMonth,
                    cap: Usd::cents(700),
                    spent: Usd::cents(10),
                    held: Usd::cents(225),
                },
            )],
            credentials: vec![("github-token".into(), 1_800_000_000_999)],
            units: vec![unit],
            disk_free: Some(7),
            disk_floor: 3,
            connections: Some(1),
        }
    }

    #[test]
    fn every_family_has_its_samples() {
        let text = snapshot().openmetrics().unwrap();
        for line in [
            "cicd_jobs_ended_total{agent=\"shop\",outcome=\"reviewed\"} 7",
            "cicd_jobs_ended_total{agent=\"shop\",outcome=\"failed\"} 0",
            "cicd_jobs_ended_total{agent=\"_runner\",outcome=\"reviewed\"} 0",
            "cicd_jobs_ended_total{agent=\"gone\",outcome=\"failed\"} 2",
            "cicd_jobs_queued{agent=\"shop\"} 2",
            "cicd_jobs_queued{agent=\"_runner\"} 0",
            "cicd_queue_age_seconds{agent=\"shop\"} 30",
            "cicd_job_seconds_bucket{le=\"5.0\",stage=\"work\"} 3",
            "cicd_job_seconds_bucket{le=\"+Inf\",stage=\"work\"} 4",
            "cicd_job_seconds_sum{stage=\"work\"} 5004.5",
            "cicd_findings_total{agent=\"shop\",severity=\"high\"} 3",
            "cicd_cost_dollars_total{agent=\"shop\",engine=\"claude\"} 1.5",
            "cicd_engine_tokens_total{agent=\"shop\",engine=\"claude\",direction=\"in\"} 1000",
            "cicd_budget_limit_dollars{period=\"day\"} 50",
            "cicd_agent_budget_limit_dollars{agent=\"shop\",period=\"month\"} 7",
            "cicd_agent_budget_reserved_dollars{agent=\"shop\",period=\"month\"} 2.25",
            "cicd_credential_expiry_timestamp_seconds{credential=\"github-token\"} 1800000000",
            "cicd_unit_state{unit=\"cicd-agent@shop.service\",state=\"active\"} 1",
            "cicd_unit_state{unit=\"cicd-agent@shop.service\",state=\"failed\"} 0",
            "cicd_unit_cpu_seconds_total{unit=\"cicd-agent@shop.service\"} 1.5",
            "cicd_disk_free_bytes 7",
            "# EOF",
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line}\n{text}");
        }
        // Without a store the rest is shown.
        let text = Snapshot { totals: None, ..snapshot() }.openmetrics().unwrap();
        assert!(text.contains("cicd_unit_state") && !text.contains("cicd_jobs"));
    }

    #[test]
    fn an_agent_called_runner_is_not_the_runner() {
        let agents = ["runner".parse().unwrap()];
        let text = Snapshot { agents: agents.to_vec(), ..snapshot() }.openmetrics().unwrap();
        let mut series: Vec<&str> = text
            .lines()
            .filter(|line| !line.starts_with('#'))
            .filter_map(|line| Some(line.rsplit_once(' ')?.0))
            .collect();
        series.sort_unstable();
        let number = series.len();
        series.dedup();
        assert_eq!(series.len(), number, "{text}");
        assert!(RUNNER.parse::<AgentName>().is_err());
    }

    #[test]
    fn series_are_bounded_by_the_number_of_agents() {
        let agents: Vec<AgentName> = (0..200).map(|number| format!("agent-{number}").parse().unwrap()).collect();
        let of = |agents: &[AgentName]| {
            let text = Snapshot { agents: agents.to_vec(), ..snapshot() }.openmetrics().unwrap();
            text.lines().filter(|line| !line.starts_with('#')).count()
        };
        assert_eq!(of(&agents) - of(&agents[..100]), 100 * (Outcome::ALL.len() + 2));
    }
}
