//! OpenMetrics → the text format before it, which node_exporter's textfile collector reads. Pure.

use std::collections::HashSet;

/// The same samples: there a counter is called in its head as in its samples, and neither units nor an end are told.
pub fn classic(openmetrics: &str) -> String {
    let counters: HashSet<&str> =
        openmetrics.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter")).collect();
    let mut text = String::with_capacity(openmetrics.len());
    for line in openmetrics.lines() {
        let head = ["# HELP ", "# TYPE "].into_iter().find_map(|kind| Some((kind, line.strip_prefix(kind)?)));
        match head {
            Some((kind, rest)) => {
                let (name, rest) = rest.split_once(' ').unwrap_or((rest, ""));
                let total = if counters.contains(name) { "_total" } else { "" };
                text.push_str(&format!("{kind}{name}{total} {rest}\n"));
            }
            None if line.starts_with('#') => {}
            None => {
                text.push_str(line);
                text.push('\n');
            }
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_called_as_their_samples() {
        let open = "# HELP a_b Some help.\n# TYPE a_b counter\n# UNIT a_b b\na_b_total{x=\"1\"} 2\n# HELP c Help.\n# TYPE c gauge\nc 1\n# EOF\n";
        let expected = "# HELP a_b_total Some help.\n# TYPE a_b_total counter\na_b_total{x=\"1\"} 2\n# HELP c Help.\n# TYPE c gauge\nc 1\n";
        assert_eq!(classic(open), expected);
    }
}
