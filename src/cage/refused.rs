//! What the limit of tasks has refused to an engine. The kernel only says "try again" to a program that wants one process
//! more, and such a program may do anything then: its review is to say what was behind it.

use crate::cgroup;

/// In words for the receipt, of the control group at this path; `None` where nothing was refused.
pub fn tasks(control_group: &str) -> Option<String> {
    said(&cgroup::read(control_group, "pids.events")?, &cgroup::read(control_group, "pids.max")?)
}

fn said(events: &str, limit: &str) -> Option<String> {
    let times = events.lines().find_map(|line| line.strip_prefix("max "))?.trim();
    (times != "0").then(|| format!("it came to its limit of {} tasks", limit.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_refusal_is_told() {
        assert_eq!(said("max 0\n", "40\n"), None);
        assert_eq!(said("", "40\n"), None);
        assert_eq!(said("max 3172\n", "40\n").unwrap(), "it came to its limit of 40 tasks");
    }
}
