//! Money: amounts, caps, and what a new call of an engine may be given while others are under way. Pure; the store does
//! this arithmetic inside a transaction (`store::spend`), a review asks for it (`review::budget`).
//!
//! An engine looks at its budget after each answer of its API, so it may pass it by what one answer costs. That
//! overshoot is set aside for every call under way, beside its budget. The call that is about to begin need not fit in
//! with its own: so at any number of calls at once a cap is passed by the overshoot of one.

use std::fmt;
use std::iter::Sum;
use std::ops::{Add, Mul};

use schemars::JsonSchema;
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::quantity;

/// An amount of US dollars, never below nothing; counted in millionths, so that sums are exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Hash)]
pub struct Usd(u64);

impl Usd {
    pub const ZERO: Usd = Usd(0);
    /// Nobody spends more; far from where sums or floats lose anything.
    const MOST: f64 = 1e9;

    pub const fn cents(cents: u64) -> Usd {
        Usd(cents * 10_000)
    }

    /// Rounded up to a millionth; `None` for what is no amount.
    pub fn new(dollars: f64) -> Option<Usd> {
        // Without the small step back 0.1 would be a millionth too much.
        (0.0..=Usd::MOST).contains(&dollars).then(|| Usd((dollars * 1e6 - 1e-3).ceil().max(0.0) as u64))
    }

    pub fn dollars(self) -> f64 {
        self.0 as f64 / 1e6
    }

    pub const fn micros(self) -> u64 {
        self.0
    }

    pub const fn from_micros(micros: u64) -> Usd {
        Usd(micros)
    }

    pub fn saturating_sub(self, other: Usd) -> Usd {
        Usd(self.0.saturating_sub(other.0))
    }
}

impl Mul<u64> for Usd {
    type Output = Usd;

    fn mul(self, times: u64) -> Usd {
        Usd(self.0.saturating_mul(times))
    }
}

impl Add for Usd {
    type Output = Usd;

    fn add(self, other: Usd) -> Usd {
        Usd(self.0.saturating_add(other.0))
    }
}

impl Sum for Usd {
    fn sum<I: Iterator<Item = Usd>>(all: I) -> Usd {
        all.fold(Usd::ZERO, Add::add)
    }
}

impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&quantity::usd(self.dollars()))
    }
}

impl Serialize for Usd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_f64(self.dollars())
    }
}

impl<'de> Deserialize<'de> for Usd {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Usd, D::Error> {
        Usd::new(f64::deserialize(deserializer)?).ok_or_else(|| de::Error::custom("it is no amount"))
    }
}

/// The most that may be spent; in a configuration a number of US dollars, or `"none"` for no cap. `0` is a cap, too:
/// nothing may be spent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cap(pub Option<Usd>);

impl Cap {
    pub const NONE: Cap = Cap(None);

    pub const fn dollars(dollars: u64) -> Cap {
        Cap(Some(Usd::cents(dollars * 100)))
    }
}

impl Serialize for Cap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Some(usd) => usd.serialize(serializer),
            None => serializer.serialize_str("none"),
        }
    }
}

impl<'de> Deserialize<'de> for Cap {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl Visitor<'_> for Reader {
            type Value = Cap;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("US dollars, such as 10 or 2.5, or \"none\" for no cap")
            }

            fn visit_f64<E: de::Error>(self, number: f64) -> Result<Cap, E> {
                let usd = Usd::new(number).ok_or_else(|| E::invalid_value(de::Unexpected::Float(number), &self))?;
                Ok(Cap(Some(usd)))
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<Cap, E> {
                match u64::try_from(number) {
                    Ok(number) => self.visit_u64(number),
                    Err(_) => Err(E::invalid_value(de::Unexpected::Signed(number), &self)),
                }
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<Cap, E> {
                self.visit_f64(number as f64)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Cap, E> {
                match text {
                    "none" => Ok(Cap::NONE),
                    other => Err(E::invalid_value(de::Unexpected::Str(other), &self)),
                }
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

/// What a cap is over. In this order it is named where several are spent: first what has room again last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Scope {
    /// All reviews of one pull request.
    Pull,
    /// One project in a calendar month.
    Project,
    /// All that the user has reviewed in a calendar month.
    Month,
    /// The same of one agent.
    AgentMonth,
    /// All that the user has reviewed on one day.
    Day,
    /// The same of one agent.
    AgentDay,
}

/// How a cap stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Balance {
    pub scope: Scope,
    pub cap: Usd,
    /// Of what has ended.
    pub spent: Usd,
    /// Set aside for what is under way.
    pub held: Usd,
}

impl Balance {
    pub fn left(&self) -> Usd {
        self.cap.saturating_sub(self.spent + self.held)
    }
}

/// What a call may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Grant {
    /// Less than was wanted where a cap has no more left: this one.
    Granted { amount: Usd, cut_by: Option<Balance> },
    /// The cap has too little left. `settles`: it is calls under way that hold it, and some of it may be free again when
    /// they have ended.
    Refused { cap: Balance, settles: bool },
}

/// Grants what is left of the narrowest cap, at most `wanted`; nothing, where that is less than `least`.
pub fn grant(wanted: Usd, least: Usd, balances: &[Balance]) -> Grant {
    let least = least.min(wanted);
    let refusing = || balances.iter().filter(|balance| balance.left() < least);
    let for_good = refusing().filter(|balance| balance.cap.saturating_sub(balance.spent) < least);
    if let Some(cap) = for_good.min_by_key(|balance| balance.scope) {
        return Grant::Refused { cap: *cap, settles: false };
    }
    if let Some(cap) = refusing().min_by_key(|balance| balance.scope) {
        return Grant::Refused { cap: *cap, settles: true };
    }
    match balances.iter().min_by_key(|balance| balance.left()) {
        Some(narrowest) if narrowest.left() < wanted => {
            Grant::Granted { amount: narrowest.left(), cut_by: Some(*narrowest) }
        }
        _ => Grant::Granted { amount: wanted, cut_by: None },
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn balance(scope: Scope, cap: u64, spent: u64, held: u64) -> Balance {
        Balance { scope, cap: Usd::cents(cap), spent: Usd::cents(spent), held: Usd::cents(held) }
    }

    #[test]
    fn amounts_are_exact_and_never_too_small() {
        assert_eq!(Usd::new(0.1), Some(Usd::cents(10)));
        assert_eq!(Usd::new(2.0), Some(Usd::cents(200)));
        assert_eq!(Usd::new(0.000_000_2), Some(Usd::from_micros(1)));
        assert_eq!([-0.01, f64::NAN, f64::INFINITY, 2e9].map(Usd::new), [None; 4]);
        assert_eq!(Usd::cents(1234).to_string(), "$12.34");
        let tenths: Usd = std::iter::repeat_n(Usd::cents(10), 10).sum();
        assert_eq!(tenths, Usd::cents(100));
    }

    #[test]
    fn a_cap_is_a_number_or_none() {
        let read = |text: &str| toml::from_str::<std::collections::HashMap<String, Cap>>(text).map(|all| all["x"]);
        assert_eq!(read("x = 10").unwrap(), Cap::dollars(10));
        assert_eq!(read("x = 2.5").unwrap(), Cap(Some(Usd::cents(250))));
        assert_eq!(read("x = 0").unwrap(), Cap(Some(Usd::ZERO)));
        assert_eq!(read("x = \"none\"").unwrap(), Cap::NONE);
        for text in ["x = -1", "x = \"10\"", "x = nan", "x = inf", "x = true", "x = \"\""] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("or \"none\" for no cap"), "{text}: {error}");
        }
        for cap in [Cap::NONE, Cap::dollars(10), Cap(Some(Usd::cents(1)))] {
            let text = toml::to_string(&std::collections::HashMap::from([("x", cap)])).unwrap();
            assert_eq!(read(&text).unwrap(), cap);
        }
    }

    #[test]
    fn the_narrowest_cap_decides() {
        let (wanted, least) = (Usd::cents(200), Usd::cents(10));
        let grant = |balances: &[Balance]| grant(wanted, least, balances);
        assert_eq!(grant(&[]), Grant::Granted { amount: wanted, cut_by: None });
        let day = balance(Scope::Day, 5000, 4000, 900);
        assert_eq!(grant(&[day]), Grant::Granted { amount: Usd::cents(100), cut_by: Some(day) });
        let pull = balance(Scope::Pull, 1000, 940, 0);
        assert_eq!(grant(&[day, pull]), Grant::Granted { amount: Usd::cents(60), cut_by: Some(pull) });
        let spent = balance(Scope::Pull, 1000, 995, 0);
        assert_eq!(grant(&[day, spent]), Grant::Refused { cap: spent, settles: false });
    }

    #[test]
    fn what_is_refused_names_the_cap_that_has_room_again_last() {
        let (wanted, least) = (Usd::cents(200), Usd::cents(10));
        let day = balance(Scope::Day, 5000, 5100, 0);
        let month = balance(Scope::Month, 50_000, 49_999, 0);
        let held = balance(Scope::Pull, 1000, 0, 1000);
        assert_eq!(grant(wanted, least, &[day, month]), Grant::Refused { cap: month, settles: false });
        // A pull request's cap that others only hold is no reason to give its review up.
        assert_eq!(grant(wanted, least, &[held]), Grant::Refused { cap: held, settles: true });
        assert_eq!(grant(wanted, least, &[held, day]), Grant::Refused { cap: day, settles: false });
        // Who wants little gets it, and a cap of nothing gives nothing.
        let little = Usd::cents(3);
        assert_eq!(
            grant(little, least, &[balance(Scope::Day, 5, 0, 0)]),
            Grant::Granted { amount: little, cut_by: None }
        );
        let nothing = balance(Scope::Day, 0, 0, 0);
        assert_eq!(grant(little, least, &[nothing]), Grant::Refused { cap: nothing, settles: false });
    }

    /// How a call ends.
    #[derive(Debug, Clone, Copy)]
    enum End {
        /// With this share of its budget, in percent, and this much of one answer beyond it.
        Priced(u64, u64),
        /// It cost all it could, and nobody says how much that was.
        Unknown,
    }

    /// A step of some schedule: begin one of the calls, or end one that is under way.
    #[derive(Debug, Clone)]
    enum Step {
        Begin { pull: u8, wanted: u64 },
        End { which: prop::sample::Index, how: End },
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let begin = (0u8..3, 1u64..400).prop_map(|(pull, wanted)| Step::Begin { pull, wanted });
        let how = prop_oneof![
            3 => (0u64..=100, 0u64..=25).prop_map(|(share, over)| End::Priced(share, if share == 100 { over } else { 0 })),
            1 => Just(End::Unknown),
        ];
        let end = (any::<prop::sample::Index>(), how).prop_map(|(which, how)| Step::End { which, how });
        prop::collection::vec(prop_oneof![begin, end], 1..120)
    }

    proptest! {
        /// In any order of beginnings and ends, no cap is passed by more than one answer (25 cents here).
        #[test]
        fn caps_hold_in_any_order_of_events(
            steps in steps(),
            day_cap in 0u64..3000,
            pull_cap in 0u64..1000,
        ) {
            let (answer, least) = (Usd::cents(25), Usd::cents(10));
            // Of each call: pull request, what it holds, what it has really cost where it has ended, what counts.
            struct Call { pull: u8, granted: Usd, open: bool, counts: Usd, truly: Usd }
            let mut calls: Vec<Call> = Vec::new();
            for step in steps {
                match step {
                    Step::Begin { pull, wanted } => {
                        let sum = |open: bool, of: Option<u8>| -> Usd {
                            calls.iter().filter(|call| call.open == open && of.is_none_or(|of| call.pull == of))
                                .map(|call| call.counts).sum()
                        };
                        let balance = |scope, cap, of| Balance {
                            scope, cap: Usd::cents(cap), spent: sum(false, of), held: sum(true, of),
                        };
                        let balances = [
                            balance(Scope::Day, day_cap, None),
                            balance(Scope::Pull, pull_cap, Some(pull)),
                        ];
                        let wanted = Usd::cents(wanted);
                        if let Grant::Granted { amount, .. } = grant(wanted, least, &balances) {
                            prop_assert!(amount <= wanted && amount >= least.min(wanted));
                            calls.push(Call {
                                pull, granted: amount, open: true, counts: amount + answer, truly: amount + answer,
                            });
                        }
                    }
                    Step::End { which, how } => {
                        let mut open: Vec<&mut Call> = calls.iter_mut().filter(|call| call.open).collect();
                        if open.is_empty() { continue }
                        let at = which.index(open.len());
                        let call = &mut open[at];
                        call.open = false;
                        if let End::Priced(share, over) = how {
                            let cost = Usd::from_micros(call.granted.micros() * share / 100) + Usd::cents(over);
                            (call.counts, call.truly) = (cost, cost);
                        }
                    }
                }
                let worst = |of: Option<u8>| -> Usd {
                    calls.iter().filter(|call| of.is_none_or(|of| call.pull == of)).map(|call| call.truly).sum()
                };
                let least_cap = |cap| Usd::cents(cap) + answer;
                prop_assert!(worst(None) <= least_cap(day_cap), "{} of {day_cap} cents", worst(None));
                for pull in 0..3 {
                    prop_assert!(worst(Some(pull)) <= least_cap(pull_cap), "{} of {pull_cap} cents", worst(Some(pull)));
                }
            }
        }
    }
}
