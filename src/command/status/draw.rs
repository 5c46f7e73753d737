//! Bars and sparklines, in blocks where the locale has them and in ASCII elsewhere. Pure.

/// How full something is, in `cells` columns; more than full is full, and a little is seen.
pub fn bar(part: f64, whole: f64, cells: usize, utf8: bool) -> String {
    let share = if whole > 0.0 { (part / whole).clamp(0.0, 1.0) } else { 0.0 };
    let eighths = (share * cells as f64 * 8.0).round() as usize;
    let eighths = if share > 0.0 { eighths.max(1) } else { 0 };
    if !utf8 {
        let full = eighths.div_ceil(8);
        return format!("{}{}", "#".repeat(full), ".".repeat(cells - full));
    }
    const PARTS: [&str; 7] = ["▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let (full, rest) = (eighths / 8, eighths % 8);
    let mut text = "█".repeat(full);
    if rest > 0 {
        text.push_str(PARTS[rest - 1]);
    }
    let drawn = full + usize::from(rest > 0);
    text.push_str(&"·".repeat(cells - drawn));
    text
}

/// A column for each value, the highest one full; nothing is not the same as little.
pub fn sparkline(values: &[u64], utf8: bool) -> String {
    const STEPS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    const PLAIN: [char; 8] = ['.', '.', ':', ':', '|', '|', '#', '#'];
    let highest = values.iter().copied().max().unwrap_or(0).max(1);
    values
        .iter()
        .map(|value| match (value, utf8) {
            (0, true) => '·',
            (0, false) => '_',
            (value, true) => STEPS[(value * 8).div_ceil(highest) as usize - 1],
            (value, false) => PLAIN[(value * 8).div_ceil(highest) as usize - 1],
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_as_wide_as_it_was_asked_to_be() {
        assert_eq!(bar(0.0, 100.0, 4, true), "····");
        assert_eq!(bar(0.1, 100.0, 4, true), "▏···");
        assert_eq!(bar(50.0, 100.0, 4, true), "██··");
        assert_eq!(bar(40.0, 100.0, 4, true), "█▋··");
        assert_eq!(bar(500.0, 100.0, 4, true), "████");
        assert_eq!(bar(0.1, 100.0, 4, false), "#...");
        assert_eq!(bar(75.0, 100.0, 4, false), "###.");
        assert_eq!(bar(1.0, 0.0, 4, false), "....");
        for cells in 1..20 {
            for part in 0..=100 {
                for utf8 in [true, false] {
                    assert_eq!(bar(f64::from(part), 100.0, cells, utf8).chars().count(), cells);
                }
            }
        }
    }

    #[test]
    fn a_sparkline_shows_the_highest_and_the_least() {
        assert_eq!(sparkline(&[0, 1, 4, 8], true), "·▁▄█");
        assert_eq!(sparkline(&[0, 1, 100], false), "_.#");
        assert_eq!(sparkline(&[], true), "");
        assert_eq!(sparkline(&[0, 0], true), "··");
    }
}
