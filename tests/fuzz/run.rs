//! Many cases through one parser, with a clock and a look at the memory.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Mutex, PoisonError};

use crate::mutate::{self, Dice};

/// One target at a time: memory is that of the whole process.
static TURN: Mutex<()> = Mutex::new(());

/// CPU time that a case may take, in an unoptimised build: for itself, and for each megabyte.
const MS: u128 = 2000;
const MS_PER_MB: u128 = 2000;
/// Memory that the process may come to, in megabytes: the giants have 10 MB and are held several times.
const MAX_MB: u64 = 1200;

/// What there is to say of a target.
pub struct Target<'a> {
    pub name: &'a str,
    /// Cases of the short form.
    pub cases: u32,
    pub samples: Vec<Vec<u8>>,
    /// Each sample is for one of several parsers, or is refused for what it asks.
    pub mixed: bool,
    pub words: &'a [&'a str],
    /// Cases as they are, without a change: what is deep, long or many.
    pub giants: Vec<Vec<u8>>,
}

pub fn cases(short: u32) -> u32 {
    std::env::var("CICDCTL_FUZZ_CASES").map_or(short, |text| text.parse().expect("CICDCTL_FUZZ_CASES is a number"))
}

pub fn seed() -> u64 {
    std::env::var("CICDCTL_FUZZ_SEED").map_or(20_261_126, |text| text.parse().expect("CICDCTL_FUZZ_SEED is a number"))
}

/// Feeds a target; the parser says whether it made anything of the case.
pub fn run(target: &Target<'_>, mut parse: impl FnMut(&[u8]) -> bool) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    // What a case of an earlier target took is not this one's.
    let _ = std::fs::write("/proc/self/clear_refs", "5");
    let mut tally = Tally::default();
    for sample in &target.samples {
        assert!(parse(sample) || target.mixed, "{}: a sample is not read: {}", target.name, shown(sample));
    }
    for case in &target.giants {
        tally.one(target.name, case, &mut parse);
    }
    let mut dice =
        Dice::new(seed() ^ target.name.bytes().fold(0, |sum: u64, byte| sum.wrapping_mul(31) + u64::from(byte)));
    for _ in 0..cases(target.cases) {
        let case = mutate::case(&mut dice, &target.samples, target.words);
        tally.one(target.name, &case, &mut parse);
    }
    let memory = peak_mb();
    eprintln!(
        "{:<28} {:>8} cases, {:>8} read, {:>8.1} MB, slowest {:>5} ms of {:>8} bytes, peak {:>4} MB",
        target.name,
        tally.cases,
        tally.read,
        tally.bytes as f64 / 1e6,
        tally.slowest.0,
        tally.slowest.1,
        memory
    );
    assert!(memory <= MAX_MB, "{}: {memory} MB", target.name);
    // A parser that takes nothing, or everything, is not being tried.
    assert!(tally.cases < 100 || tally.read > 0, "{}: no case was read", target.name);
}

#[derive(Default)]
struct Tally {
    cases: u64,
    read: u64,
    bytes: u64,
    /// Milliseconds and bytes.
    slowest: (u128, usize),
}

impl Tally {
    fn one(&mut self, name: &str, case: &[u8], parse: &mut impl FnMut(&[u8]) -> bool) {
        let before = cpu_ms();
        let read = catch_unwind(AssertUnwindSafe(|| parse(case)));
        let took = cpu_ms() - before;
        match read {
            Ok(read) => self.read += u64::from(read),
            Err(_) => panic!("{name}: panics at {} ({})", shown(case), kept(name, case)),
        }
        self.cases += 1;
        self.bytes += case.len() as u64;
        if took > self.slowest.0 {
            self.slowest = (took, case.len());
        }
        let bound = MS + MS_PER_MB * (case.len() as u128) / 1_000_000;
        assert!(took <= bound, "{name}: {took} ms for {} bytes: {} ({})", case.len(), shown(case), kept(name, case));
    }
}

/// The beginning of a case, for the message.
pub fn shown(case: &[u8]) -> String {
    let text: String = String::from_utf8_lossy(case).escape_debug().take(300).collect();
    if case.len() > 300 { format!("{text}…") } else { text }
}

/// The whole of it, for whoever looks into it.
fn kept(name: &str, case: &[u8]) -> String {
    let path = std::env::temp_dir().join(format!("cicdctl-fuzz-{}", name.replace(|c: char| !c.is_alphanumeric(), "-")));
    match std::fs::write(&path, case) {
        Ok(()) => format!("all of it: {}", path.display()),
        Err(error) => error.to_string(),
    }
}

/// Of this thread: others on this machine do not count.
fn cpu_ms() -> u128 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split(' ').next().unwrap().parse::<u128>().unwrap() / 1_000_000
}

fn peak_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

/// Brackets and the like, a hundred thousand deep.
pub fn deep(before: &str, open: &str, inside: &str, close: &str) -> Vec<u8> {
    format!("{before}{}{inside}{}", open.repeat(100_000), close.repeat(100_000)).into_bytes()
}

/// Ten megabytes of something.
pub fn long(before: &str, piece: &str, after: &str) -> Vec<u8> {
    format!("{before}{}{after}", piece.repeat((10 << 20) / piece.len())).into_bytes()
}

pub fn many(count: usize, each: impl Fn(usize) -> String) -> Vec<u8> {
    (0..count).map(each).collect::<String>().into_bytes()
}
