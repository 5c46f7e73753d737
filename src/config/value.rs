//! Values of the configuration as people write them and as systemd wants them: `25%`, `512M`, `60s`. Pure.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A share of one CPU: `25%` is a quarter of one, `200%` is two whole ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Percent(pub u32);

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad =
            || format!("`{text}` is not a valid CPU share: write a whole percentage such as `25%` (100% is one CPU)");
        let number: u32 = text.strip_suffix('%').and_then(|digits| digits.trim().parse().ok()).ok_or_else(bad)?;
        match number {
            1..=100_000 => Ok(Percent(number)),
            _ => Err(format!("`{text}` is out of range: write 1% to 100000%, such as `25%`")),
        }
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}%", self.0)
    }
}

impl Percent {
    /// As `CPUQuotaPerSecUSec=`: microseconds of CPU time in each second.
    pub fn usec_per_sec(self) -> u64 {
        u64::from(self.0) * 10_000
    }
}

/// A size in bytes; `K`, `M`, `G`, `T` are powers of 1024, as systemd reads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(pub u64);

const UNITS: [(char, u64); 4] = [('T', 1 << 40), ('G', 1 << 30), ('M', 1 << 20), ('K', 1 << 10)];

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || {
            format!(
                "`{text}` is not a valid size: write a whole number of bytes, or of K, M, G or T (powers of 1024), such as `512M` or `2G`"
            )
        };
        let unit = UNITS.into_iter().find(|(letter, _)| text.ends_with(*letter));
        let (digits, factor) = match unit {
            Some((letter, factor)) => (text.strip_suffix(letter).unwrap_or(text), factor),
            None => (text, 1),
        };
        digits.trim().parse::<u64>().ok().and_then(|number| number.checked_mul(factor)).map(Size).ok_or_else(bad)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS.into_iter().find(|(_, factor)| self.0 != 0 && self.0.is_multiple_of(*factor)) {
            Some((letter, factor)) => write!(f, "{}{letter}", self.0 / factor),
            None => write!(f, "{}", self.0),
        }
    }
}

/// A length of time: a number with `ms`, `s`, `m`, `h` or `d`; several may follow each other (`1h 30m`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(pub Duration);

impl Span {
    pub const fn secs(secs: u64) -> Self {
        Span(Duration::from_secs(secs))
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = || {
            format!(
                "`{text}` is not a valid length of time: write one with its unit (ms, s, m, h, d), such as `60s`, `5m` or `1h 30m`"
            )
        };
        let mut rest = text.trim();
        if rest.is_empty() {
            return Err(bad());
        }
        let mut total = Duration::ZERO;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(bad)?;
            let number: u64 = rest[..digits].parse().map_err(|_| bad())?;
            rest = &rest[digits..];
            let letters = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
            let millis: u64 = match &rest[..letters] {
                "ms" => 1,
                "s" | "sec" => 1_000,
                "m" | "min" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                _ => return Err(bad()),
            };
            rest = rest[letters..].trim_start();
            let part = number.checked_mul(millis).ok_or_else(bad)?;
            total = total.checked_add(Duration::from_millis(part)).ok_or_else(bad)?;
        }
        Ok(Span(total))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        for (unit, factor) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)] {
            if millis != 0 && millis.is_multiple_of(factor) {
                return write!(f, "{}{unit}", millis / factor);
            }
        }
        write!(f, "{millis}ms")
    }
}

/// Address of a forge's API: `https://api.github.com`, `https://HOST/api/v3`. Plain `http` only to this machine, as the
/// token would go over the line for all to read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiUrl {
    /// `https://host:port`
    origin: String,
    /// `/api/v3`, or nothing.
    prefix: String,
}

impl FromStr for ApiUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let bad = |why: &str| format!("`{text}` is no address of an API: {why}");
        let (scheme, rest) = text.split_once("://").ok_or_else(|| bad("write one such as `https://api.github.com`"))?;
        let rest = rest.trim_end_matches('/');
        let (host, prefix) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
        if host.contains('@') {
            return Err(bad("credentials have no place in it"));
        }
        if host.is_empty() || !host.chars().all(|c| plain(c) || matches!(c, ':' | '[' | ']')) {
            return Err(bad("its host cannot be read"));
        }
        if !prefix.chars().all(|c| plain(c) || matches!(c, '/' | '_')) || prefix.contains("//") || prefix.contains("..")
        {
            return Err(bad("its path cannot be read"));
        }
        let name = host.rsplit_once(':').filter(|(_, port)| !port.ends_with(']')).map_or(host, |(name, _)| name);
        match scheme {
            "https" => {}
            "http" if matches!(name, "127.0.0.1" | "localhost" | "[::1]") => {}
            "http" => return Err(bad("`http` would send the token for all to read; write `https`")),
            _ => return Err(bad("it must begin with `https://`")),
        }
        Ok(ApiUrl { origin: format!("{scheme}://{}", host.to_ascii_lowercase()), prefix: prefix.to_owned() })
    }
}

impl Default for ApiUrl {
    fn default() -> Self {
        ApiUrl { origin: "https://api.github.com".into(), prefix: String::new() }
    }
}

impl fmt::Display for ApiUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.prefix)
    }
}

impl ApiUrl {
    pub fn origin(&self) -> &str {
        &self.origin
    }

    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Path of GitHub's GraphQL, which stands beside the API's version: `/graphql`, `/api/graphql`.
    pub fn graphql(&self) -> String {
        format!("{}/graphql", self.prefix.strip_suffix("/v3").unwrap_or(&self.prefix))
    }

    pub fn is_https(&self) -> bool {
        self.origin.starts_with("https://")
    }

    /// Where the repositories are: `https://api.github.com` → `https://github.com`, `https://HOST/api/v3` →
    /// `https://HOST`, `https://api.SUB.ghe.com` → `https://SUB.ghe.com`.
    pub fn server(&self) -> String {
        match self.origin.strip_prefix("https://api.") {
            Some(host) if self.prefix.is_empty() => format!("https://{host}"),
            _ => format!("{}{}", self.origin, self.prefix.strip_suffix("/api/v3").unwrap_or(&self.prefix)),
        }
    }
}

/// Address of a collector of OpenTelemetry on this host, which nothing has to be proved to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectorUrl(ApiUrl);

impl FromStr for CollectorUrl {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse::<ApiUrl>() {
            Ok(url) if !url.is_https() => Ok(CollectorUrl(url)),
            _ => Err(format!(
                "`{text}` is no address of a collector on this host: write one such as `http://127.0.0.1:4318`"
            )),
        }
    }
}

impl fmt::Display for CollectorUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! as_string {
    ($($name:ty),*) => {$(
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )*};
}

as_string!(Percent, Size, Span, ApiUrl, CollectorUrl);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_read_back_as_they_are_written() {
        for text in ["25%", "100%", "400%"] {
            assert_eq!(text.parse::<Percent>().unwrap().to_string(), text);
        }
        for text in ["512M", "1G", "1023", "2T", "3K", "0"] {
            assert_eq!(text.parse::<Size>().unwrap().to_string(), text);
        }
        for text in ["60s", "5m", "1500ms", "2h", "1d", "0ms"] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.to_string().parse::<Span>().unwrap(), span, "{text}");
        }
        assert_eq!("1h 30m".parse::<Span>().unwrap(), Span::secs(5400));
    }

    #[test]
    fn an_api_has_an_origin_a_prefix_and_a_server() {
        for (text, prefix, server) in [
            ("https://api.github.com", "", "https://github.com"),
            ("https://api.acme.ghe.com", "", "https://acme.ghe.com"),
            ("https://git.acme.example/api/v3", "/api/v3", "https://git.acme.example"),
            ("https://git.acme.example:8443/x/api/v3", "/x/api/v3", "https://git.acme.example:8443/x"),
            ("http://127.0.0.1:4010", "", "http://127.0.0.1:4010"),
            ("http://[::1]:4010/api/v3", "/api/v3", "http://[::1]:4010"),
        ] {
            let api: ApiUrl = text.parse().unwrap();
            assert_eq!((api.to_string().as_str(), api.prefix(), api.server().as_str()), (text, prefix, server));
        }
        for (text, graphql) in [
            ("https://api.github.com", "/graphql"),
            ("https://git.acme.example/api/v3", "/api/graphql"),
            ("http://127.0.0.1:4010/x/api/v3", "/x/api/graphql"),
        ] {
            assert_eq!(text.parse::<ApiUrl>().unwrap().graphql(), graphql);
        }
        assert_eq!("https://API.github.com/".parse(), Ok(ApiUrl::default()));
        for (text, why) in [
            ("http://api.github.com", "for all to read"),
            ("http://127.0.0.1.evil.example", "for all to read"),
            ("https://me:secret@api.github.com", "credentials"),
            ("https://", "host"),
            ("https://a b", "host"),
            ("https://a/../b", "path"),
            ("https://a/b?c", "path"),
            ("ftp://a", "https"),
            ("api.github.com", "https://api.github.com"),
        ] {
            assert!(text.parse::<ApiUrl>().unwrap_err().contains(why), "{text}");
        }
    }

    #[test]
    fn what_is_no_value_is_refused_with_an_example() {
        for text in ["", "25", "25 %%", "-1%", "0%", "half", "4294967296%"] {
            assert!(text.parse::<Percent>().unwrap_err().contains("25%"), "{text}");
        }
        for text in ["", "M", "5MM", "512MB", "1.5G", "-1", "99999999999T"] {
            assert!(text.parse::<Size>().unwrap_err().contains("512M"), "{text}");
        }
        for text in ["", "5", "m", "5 parsecs", "99999999999999999999s", "18446744073709551615d"] {
            assert!(text.parse::<Span>().unwrap_err().contains("60s"), "{text}");
        }
    }
}
