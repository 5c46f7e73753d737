//! Cases out of samples.

use serde_json::Value;

/// Pseudo-random numbers that are the same on every machine (splitmix64).
pub struct Dice(u64);

impl Dice {
    pub fn new(seed: u64) -> Dice {
        Dice(seed)
    }

    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`; 0 where there is nothing to choose from.
    pub fn below(&mut self, end: usize) -> usize {
        if end == 0 { 0 } else { usize::try_from(self.next() % end as u64).unwrap() }
    }

    pub fn one_in(&mut self, chance: usize) -> bool {
        self.below(chance) == 0
    }

    pub fn of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.below(all.len())]
    }

    /// A piece of a text, short more often than long.
    fn span(&mut self, len: usize) -> (usize, usize) {
        let from = self.below(len + 1);
        let longest = if self.one_in(8) { len } else { 24 };
        (from, (from + self.below(longest + 1)).min(len))
    }
}

/// What parsers of any kind have stumbled over.
const TOKENS: &[&str] = &[
    "\0",
    "\u{feff}",
    "\u{202e}",
    "\u{1b}[2J",
    "\r",
    "\r\n",
    "\n",
    "\n\n",
    "\t",
    " ",
    "\"",
    "\"\"\"",
    "'",
    "'''",
    "`",
    "\\",
    "\\\"",
    "\\u0000",
    "\\ud800",
    "\\udfff\\ud800",
    "{",
    "}",
    "[",
    "]",
    "[[",
    "]]",
    "(",
    "<",
    ">",
    ",",
    ":",
    ": ",
    "- ",
    "-",
    "#",
    "=",
    "%",
    "%%",
    "%n",
    "$",
    "$$",
    "${",
    "*",
    "**",
    "?",
    "!",
    "!!binary ",
    "&a ",
    "*a",
    "<<: *a",
    "|\n",
    ">\n",
    "---\n",
    "...\n",
    "@@ -1 +1 @@",
    "@@ -4294967295,4294967295 +0,0 @@",
    "diff --git a/x b/x\n",
    "/",
    "//",
    "../",
    "/../../etc/passwd",
    "~",
    "-1",
    "0",
    "1e999",
    "-0.0",
    "NaN",
    "inf",
    "4294967296",
    "9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "0x7fffffffffffffff",
    "340282366920938463463374607431768211456",
    "true",
    "null",
    "[]",
    "{}",
    "\u{e9}",
    "e\u{301}",
    "\u{1f469}\u{200d}\u{1f4bb}",
    "\u{fffd}",
];

/// A case made of one of `samples` and of words that mean something to its parser.
pub fn case(dice: &mut Dice, samples: &[Vec<u8>], words: &[&str]) -> Vec<u8> {
    let mut text = dice.of(samples).clone();
    if dice.one_in(2)
        && let Ok(mut value) = serde_json::from_slice::<Value>(&text)
    {
        for _ in 0..=dice.below(4) {
            json(dice, &mut value, words);
        }
        text = value.to_string().into_bytes();
        if dice.one_in(2) {
            return text;
        }
    }
    for _ in 0..=dice.below(6) {
        once(dice, &mut text, samples, words);
    }
    // The sizes that only the giants have are theirs.
    text.truncate(256 << 10);
    text
}

fn once(dice: &mut Dice, text: &mut Vec<u8>, samples: &[Vec<u8>], words: &[&str]) {
    let (from, to) = dice.span(text.len());
    match dice.below(13) {
        0 => drop(text.drain(from..to)),
        1 => {
            let piece = text[from..to].to_vec();
            let at = dice.below(text.len() + 1);
            text.splice(at..at, piece);
        }
        2 => {
            let piece = text[from..to].to_vec();
            let times = 1 << dice.below(9);
            if piece.len() * times <= 64 << 10 {
                text.splice(from..from, piece.repeat(times));
            }
        }
        3 => {
            let other = dice.of(samples);
            let (a, b) = dice.span(other.len());
            text.splice(from..to, other[a..b].iter().copied());
        }
        4 if !text.is_empty() => {
            let at = dice.below(text.len());
            text[at] ^= 1 << dice.below(8);
        }
        5 if !text.is_empty() => {
            let at = dice.below(text.len());
            text[at] = u8::try_from(dice.below(256)).unwrap();
        }
        6 => drop(text.splice(from..from, dice.of(TOKENS).bytes())),
        7 if !words.is_empty() => drop(text.splice(from..from, dice.of(words).bytes())),
        8 => number(dice, text),
        9 => text.truncate(from),
        10 => line(dice, text),
        11 => {
            let depth = 1 << dice.below(11);
            let (open, close) =
                *dice.of(&[("[", "]"), ("{\"a\":", "}"), ("(", ")"), ("<", ">"), ("{", "}"), ("- ", "")]);
            let inside = [open.repeat(depth).as_bytes(), &text[from..to], close.repeat(depth).as_bytes()].concat();
            text.splice(from..to, inside);
        }
        _ => {
            let other = text[from..to].to_vec();
            let (a, b) = dice.span(text.len());
            text.splice(a..b, other);
        }
    }
}

/// A number becomes another one.
fn number(dice: &mut Dice, text: &mut Vec<u8>) {
    let starts: Vec<usize> = (0..text.len())
        .filter(|at| text[*at].is_ascii_digit() && (*at == 0 || !text[at - 1].is_ascii_digit()))
        .collect();
    if starts.is_empty() {
        return;
    }
    let from = *dice.of(&starts);
    let to = from + text[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let new = *dice.of(&[
        "0",
        "1",
        "-1",
        "65536",
        "4294967295",
        "4294967296",
        "9223372036854775807",
        "18446744073709551616",
        "1e400",
        "0.1",
    ]);
    text.splice(from..to, new.bytes());
}

/// A line is doubled, taken out, swapped with another, or becomes long.
fn line(dice: &mut Dice, text: &mut Vec<u8>) {
    let mut lines: Vec<Vec<u8>> = text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    let (a, b) = (dice.below(lines.len()), dice.below(lines.len()));
    match dice.below(5) {
        0 => lines.swap(a, b),
        1 => drop(lines.remove(a)),
        2 => lines.insert(b, lines[a].clone()),
        3 => {
            let long = lines[a].repeat(1 + dice.below(200));
            lines[a] = long[..long.len().min(64 << 10)].to_vec();
        }
        _ => {
            let many = vec![lines[a].clone(); 1 + dice.below(300)];
            lines.splice(b..b, many);
        }
    }
    *text = lines.join(&b'\n');
}

/// A value somewhere inside becomes another, or a key does.
fn json(dice: &mut Dice, value: &mut Value, words: &[&str]) {
    match value {
        Value::Object(map) if !map.is_empty() && !dice.one_in(6) => {
            let keys: Vec<String> = map.keys().cloned().collect();
            let key = dice.of(&keys).clone();
            match dice.below(8) {
                0 => drop(map.remove(&key)),
                1 => {
                    let inside = map.remove(&key).unwrap();
                    map.insert(scalar(dice, words).as_str().unwrap_or("x").to_owned(), inside);
                }
                _ => json(dice, map.get_mut(&key).unwrap(), words),
            }
        }
        Value::Array(all) if !all.is_empty() && !dice.one_in(6) => {
            let at = dice.below(all.len());
            match dice.below(8) {
                0 => drop(all.remove(at)),
                1 => {
                    let one = all[at].clone();
                    all.extend(vec![one; 1 << dice.below(6)]);
                }
                _ => json(dice, &mut all[at], words),
            }
        }
        other => {
            *other = match dice.below(6) {
                0 => Value::Array(vec![other.clone(), other.clone()]),
                1 => Value::Object([("a".to_owned(), other.clone())].into_iter().collect()),
                _ => scalar(dice, words),
            }
        }
    }
}

fn scalar(dice: &mut Dice, words: &[&str]) -> Value {
    match dice.below(9) {
        0 => Value::Null,
        1 => true.into(),
        2 => 0.into(),
        3 => (-1).into(),
        4 => u64::MAX.into(),
        5 => serde_json::json!(1e300),
        6 if !words.is_empty() => (*dice.of(words)).into(),
        7 => "x".repeat(1 << dice.below(14)).into(),
        _ => (*dice.of(TOKENS)).into(),
    }
}
