//! Amounts as people read them: "1 finding", "12.3 s", "$0.42". Pure.

/// `1 finding`, `2 findings`.
pub fn count(number: usize, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number as u64), if number == 1 { "" } else { "s" })
}

/// `12,345`.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in decimal units: `512 bytes`, `1.5 kB`, `64 MB`.
pub fn bytes(number: u64) -> String {
    const UNITS: [&str; 4] = ["kB", "MB", "GB", "TB"];
    if number < 1000 {
        return count(number as usize, "byte");
    }
    let mut value = number as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let digits = if value < 9.95 && (value * 10.0).round() % 10.0 != 0.0 { 1 } else { 0 };
    format!("{value:.digits$} {}", UNITS[unit])
}

/// `850 ms`, `12.3 s`, `2 min 5 s`, `1 h 4 min`.
pub fn duration(milliseconds: u64) -> String {
    let seconds = (milliseconds + 500) / 1000;
    match milliseconds {
        0..1000 => format!("{milliseconds} ms"),
        1000..59_950 => format!("{:.1} s", milliseconds as f64 / 1000.0),
        59_950..3_599_500 => format!("{} min {} s", seconds / 60, seconds % 60),
        _ => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
    }
}

/// A moment, in milliseconds since 1970, in UTC: `2026-11-24T08:00:00Z`.
pub fn time(milliseconds: i64) -> String {
    jiff::Timestamp::from_millisecond(milliseconds).map_or_else(|_| "ever".to_owned(), |time| format!("{time:.0}"))
}

/// `$0.42`; below ten cents with four digits, as a review of a small change costs less than a cent.
pub fn usd(amount: f64) -> String {
    let digits = if amount > 0.0 && amount < 0.1 { 4 } else { 2 };
    format!("${amount:.digits$}")
}

/// `a`, `a and b`, `a, b, and c`; what is beyond `max` is counted: `a, b, and 3 more`.
pub fn list(items: &[String], max: usize) -> String {
    let mut shown: Vec<String> = items.iter().take(max).cloned().collect();
    if items.len() > max {
        shown.push(format!("{} more", grouped((items.len() - max) as u64)));
    }
    match shown.as_slice() {
        [] => String::new(),
        [one] => one.clone(),
        [one, two] => format!("{one} and {two}"),
        [first @ .., last] => format!("{}, and {last}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_grammatical() {
        assert_eq!(count(0, "finding"), "0 findings");
        assert_eq!(count(1, "finding"), "1 finding");
        assert_eq!(count(1234, "file"), "1,234 files");
    }

    #[test]
    fn numbers_are_grouped() {
        assert_eq!(grouped(7), "7");
        assert_eq!(grouped(1_000), "1,000");
        assert_eq!(grouped(123_456_789), "123,456,789");
    }

    #[test]
    fn bytes_have_the_unit_that_fits() {
        let said = [1, 999, 1000, 1500, 9_999, 64_000_000, 999_999, 1_000_000_000, u64::MAX].map(bytes);
        let expected = ["1 byte", "999 bytes", "1 kB", "1.5 kB", "10 kB", "64 MB", "1 MB", "1 GB", "18446744 TB"]
            .map(String::from);
        assert_eq!(said, expected);
    }

    #[test]
    fn durations_have_the_unit_that_fits() {
        let said = [0, 999, 1000, 12_340, 59_949, 59_960, 125_000, 3_599_499, 3_840_000].map(duration);
        let expected =
            ["0 ms", "999 ms", "1.0 s", "12.3 s", "59.9 s", "1 min 0 s", "2 min 5 s", "59 min 59 s", "1 h 4 min"];
        assert_eq!(said, expected.map(String::from));
    }

    #[test]
    fn small_costs_keep_their_digits() {
        assert_eq!([0.0, 0.0042, 0.42, 12.0].map(usd), ["$0.00", "$0.0042", "$0.42", "$12.00"].map(String::from));
    }

    #[test]
    fn lists_read_as_sentences() {
        let items = ["a", "b", "c", "d"].map(String::from);
        assert_eq!(list(&items[..0], 3), "");
        assert_eq!(list(&items[..1], 3), "a");
        assert_eq!(list(&items[..2], 3), "a and b");
        assert_eq!(list(&items[..3], 3), "a, b, and c");
        assert_eq!(list(&items, 2), "a, b, and 2 more");
    }
}
