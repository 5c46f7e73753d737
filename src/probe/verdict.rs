//! What follows from the answer of a probe. Pure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Answer, Attempt, Exceeded, Got, What};
use crate::config::Level;

/// How the unit is confined by what it declares.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Confined {
    Service(Level),
    Cage {
        systemd: u32,
        /// Its engine may use the network.
        network: bool,
    },
}

/// How far a confinement holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Standing {
    /// All that it is to refuse was tried and refused.
    Enforced,
    /// What the unit can all the same.
    DeclaredOnly(Vec<String>),
    Off,
}

impl Standing {
    /// Such as: `declared only: it can write to the home directory`.
    pub fn in_words(&self) -> String {
        match self {
            Standing::Enforced => "enforced".into(),
            Standing::DeclaredOnly(can) => format!("declared only: it can {}", can.join(", ")),
            Standing::Off => "off".into(),
        }
    }
}

/// Whether what the unit declares came true.
pub fn verdict(confined: Confined, answer: &Answer) -> Standing {
    if confined == Confined::Service(Level::Off) {
        return Standing::Off;
    }
    let mut can: Vec<String> = Vec::new();
    for attempt in answer.attempts.iter().filter(|attempt| is_promised(confined, attempt.what)) {
        let text = attempt.what.as_str().to_owned();
        if !is_refused_by_sandbox(attempt) && !can.contains(&text) {
            can.push(text);
        }
    }
    // An answer without attempts proves nothing.
    if answer.attempts.is_empty() {
        can.push("do what was not tried".into());
    }
    if can.is_empty() { Standing::Enforced } else { Standing::DeclaredOnly(can) }
}

/// Whether the confinement is to refuse this.
fn is_promised(confined: Confined, what: What) -> bool {
    use What::*;
    match (confined, what) {
        (Confined::Service(Level::Off), _) => false,
        (
            Confined::Service(_),
            WriteHome | WriteSystem | WriteCgroup | OtherEnvironment | OtherMemory | SetUid | GainPrivileges
            | Namespace | Mount | PacketSocket | CoreDump,
        ) => true,
        (Confined::Service(level), SharedTmp) => level == Level::Strict,
        // It publishes and starts cages: keys, sockets and buses are its tools, and it shares its processes' namespace.
        (Confined::Service(_), _) => false,
        // Before 257 a cage's processes are apart, but it sees the names of the others.
        (Confined::Cage { systemd, .. }, OtherCommands) => systemd >= 257,
        (Confined::Cage { network, .. }, Network) => !network,
        (Confined::Cage { .. }, _) => true,
    }
}

/// Some things are refused to everybody, by modes or for want of privileges: that proves nothing.
fn is_refused_by_sandbox(attempt: &Attempt) -> bool {
    let Got::Refused(by) = &attempt.got else { return false };
    match attempt.what {
        What::WriteSystem => by == "EROFS",
        What::PacketSocket => by == "EAFNOSUPPORT",
        // ENOSPC: this host allows none at all.
        What::Namespace => matches!(by.as_str(), "EPERM" | "ENOSYS" | "ENOSPC"),
        _ => true,
    }
}

/// One limit: what was asked for, and whether it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitProof {
    pub name: &'static str,
    pub is_enforced: bool,
    /// What was seen.
    pub seen: String,
}

/// Declared values as systemd has them: bytes, microseconds of CPU time in a second, tasks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Declared {
    pub memory: Option<u64>,
    pub cpu_usec: Option<u64>,
    pub tasks: Option<u64>,
}

/// A limit is enforced where the unit's own control group has its number, and another unit was held to such a limit.
pub fn limit_proofs(declared: Declared, answer: &Answer, exceeded: Exceeded) -> Vec<LimitProof> {
    const PAGE: u64 = 4096;
    let Declared { memory, cpu_usec, tasks } = declared;
    let control = &answer.control;
    let number = |text: &str| text.parse::<u64>().ok();
    // "QUOTA PERIOD"
    let per_second = |text: &str| {
        let (quota, period) = text.split_once(' ')?;
        number(quota)?.checked_mul(1_000_000)?.checked_div(number(period)?)
    };
    let proof =
        |name, file, declared: Option<u64>, text: &Option<String>, read: &dyn Fn(&str) -> Option<u64>, slack, held| {
            let declared = declared?;
            let seen = match text {
                None => format!("there is no {file}"),
                Some(text) => format!("{file} is {text}"),
            };
            let is_set = text.as_deref().and_then(read).is_some_and(|value| value.abs_diff(declared) <= slack);
            Some(match (is_set, held) {
                (true, Some(true)) => LimitProof { name, is_enforced: true, seen },
                (true, _) => LimitProof {
                    name,
                    is_enforced: false,
                    seen: format!("{seen}, but going beyond a limit had no effect"),
                },
                (false, _) => LimitProof { name, is_enforced: false, seen },
            })
        };
    [
        proof("memory", "memory.max", memory, &control.memory_max, &number, PAGE, exceeded.memory),
        proof("cpu", "cpu.max", cpu_usec, &control.cpu_max, &per_second, cpu_usec.unwrap_or(0) / 50, exceeded.cpu),
        proof("tasks", "pids.max", tasks, &control.pids_max, &number, 0, exceeded.tasks),
    ]
    .into_iter()
    .flatten()
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::Control;

    const CAGE: Confined = Confined::Cage { systemd: 257, network: false };
    const OLD_CAGE: Confined = Confined::Cage { systemd: 252, network: true };

    /// An answer as text: `what = refused by` or `what : got`, one a line.
    fn answer(text: &str) -> Answer {
        let attempt = |line: &str| {
            let refused = line.split_once(" = ");
            let (what, got) = match refused {
                Some((what, by)) => (what, Got::Refused(by.into())),
                None => line.split_once(" : ").map(|(what, got)| (what, Got::Allowed(got.into()))).unwrap(),
            };
            Attempt { what: serde_json::from_value(what.into()).unwrap(), on: "x".into(), got }
        };
        Answer { attempts: text.lines().map(attempt).collect(), control: Control::default() }
    }

    #[test]
    fn what_is_tried_and_refused_is_enforced_and_what_goes_is_told() {
        let hardened = answer(
            "write-home = EROFS\nwrite-system = EROFS\nwrite-cgroup = EROFS\nother-environment = EACCES\n\
             other-memory = EACCES\nset-uid = EPERM\nnamespace = EPERM\npacket-socket = EAFNOSUPPORT\n\
             signal : it would arrive\nother-commands : that of process 1\nshared-tmp : 3 bytes",
        );
        let open = answer(
            "write-home : made a file\nwrite-system = EACCES\nwrite-cgroup : written\npacket-socket = EPERM\n\
             namespace = EINVAL\nwrite-home : made a file",
        );
        let told = |confined, answer| verdict(confined, answer).in_words();
        assert_eq!(told(Confined::Service(Level::Standard), &hardened), "enforced");
        assert_eq!(
            told(Confined::Service(Level::Strict), &hardened),
            "declared only: it can see the files of others in /tmp"
        );
        assert_eq!(
            told(Confined::Service(Level::Standard), &open),
            "declared only: it can write to the home directory, change the read-only file system, lift its limits \
             (cgroup files), ask for exotic sockets, make a namespace"
        );
        assert_eq!(told(Confined::Service(Level::Off), &open), "off");
        assert_eq!(
            told(Confined::Service(Level::Standard), &answer("")),
            "declared only: it can do what was not tried"
        );
    }

    #[test]
    fn a_cage_is_to_refuse_more_than_a_service_and_257_more_than_252() {
        for (line, cage, old_cage, service) in [
            ("signal : it would arrive", false, false, true),
            ("other-commands : that of process 1", false, true, true),
            ("network : connected", false, true, true),
            ("user-bus : connected", false, false, true),
            ("read-credentials : 2 entries", false, false, true),
            ("environment : AWS_SECRET_ACCESS_KEY", false, false, true),
            ("other-environment : 812 bytes", false, false, false),
        ] {
            let holds = |confined| verdict(confined, &answer(line)) == Standing::Enforced;
            let found = (holds(CAGE), holds(OLD_CAGE), holds(Confined::Service(Level::Standard)));
            assert_eq!(found, (cage, old_cage, service), "{line}");
        }
    }

    #[test]
    fn a_limit_is_enforced_where_its_number_is_there_and_such_a_limit_was_seen_to_hold() {
        let declared = Declared { memory: Some(512 << 20), cpu_usec: Some(250_000), tasks: Some(256) };
        let told = |control: [Option<&str>; 3], exceeded| {
            let [memory_max, cpu_max, pids_max] = control.map(|text| text.map(str::to_owned));
            let answer = Answer { attempts: Vec::new(), control: Control { memory_max, cpu_max, pids_max } };
            let word = |proof: LimitProof| format!("{} {}: {}", proof.name, proof.is_enforced, proof.seen);
            limit_proofs(declared, &answer, exceeded).into_iter().map(word).collect::<Vec<_>>().join("\n")
        };
        let held = Exceeded { memory: Some(true), tasks: Some(true), cpu: Some(true) };
        let set = [Some("536870912"), Some("25000 100000"), Some("256")];
        assert_eq!(
            told(set, held),
            "memory true: memory.max is 536870912\ncpu true: cpu.max is 25000 100000\ntasks true: pids.max is 256"
        );
        assert_eq!(
            told([None, Some("max 100000"), Some("300")], held),
            "memory false: there is no memory.max\ncpu false: cpu.max is max 100000\ntasks false: pids.max is 300"
        );
        let not_held = Exceeded { memory: Some(false), ..held };
        assert!(
            told(set, not_held).starts_with("memory false: memory.max is 536870912, but going beyond"),
            "{}",
            told(set, not_held)
        );
        assert!(told(set, Exceeded::default()).contains("tasks false"));
        assert!(limit_proofs(Declared::default(), &Answer::default(), held).is_empty());
    }
}
