//! Our own log file, where the journal cannot be read: the same choice of lines, by the same options. Each line of it is
//! `TIME WHO LEVEL [FIELD=VALUE…] TEXT`, as `run` writes it.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};
use regex::Regex;
use serde_json::{Value, json};

use super::Args;
use crate::config::Span;
use crate::error::{Exit, Fail};
use crate::files;
use crate::host::Host;
use crate::ui::{bold, red, yellow};
use crate::{journal, plain};

/// How often the file is looked at for more.
const LOOK: Duration = Duration::from_millis(250);

/// One message; it may have more lines than the first.
#[derive(Debug, Clone, PartialEq)]
struct Entry<'t> {
    at: Timestamp,
    /// As in the journal: `cicd-runner`, `cicd-agent-myapp`.
    who: &'t str,
    /// As syslog counts: 3 is an error, 6 information.
    priority: u8,
    text: &'t str,
}

/// Which are shown.
struct Wanted {
    who: Vec<String>,
    priority: u8,
    since: Option<Timestamp>,
    until: Option<Timestamp>,
    grep: Option<Regex>,
    job: Option<String>,
}

impl Wanted {
    fn new(args: &Args, who: Vec<String>, now: &Zoned) -> Result<Wanted> {
        let time = |text: &Option<String>| text.as_ref().map(|text| time(text, now)).transpose();
        let priority = match args.level.as_deref() {
            Some("crit") => 2,
            Some("err") => 3,
            Some("warning") => 4,
            Some("notice") => 5,
            Some("info") => 6,
            _ => 7,
        };
        // As journalctl does it: a pattern without capitals does not mind them.
        let grep = |pattern: &String| {
            regex::RegexBuilder::new(pattern)
                .case_insensitive(!pattern.chars().any(char::is_uppercase))
                .build()
                .map_err(|error| Fail::usage(format!("`--grep {pattern}` is no regular expression: {error}")))
        };
        Ok(Wanted {
            who,
            priority,
            since: time(&args.since)?,
            until: time(&args.until)?,
            grep: args.grep.as_ref().map(grep).transpose()?,
            job: args.job.as_ref().map(|job| job.to_uppercase()),
        })
    }

    fn lets_through(&self, entry: &Entry<'_>) -> bool {
        (self.who.is_empty() || self.who.iter().any(|who| who == entry.who))
            && entry.priority <= self.priority
            && self.since.is_none_or(|since| entry.at >= since)
            && self.until.is_none_or(|until| entry.at <= until)
            && self.grep.as_ref().is_none_or(|grep| grep.is_match(entry.text))
            && self.job.as_ref().is_none_or(|job| entry.text.contains(job.as_str()))
    }
}

pub(super) async fn show(args: &Args, who: Vec<String>, host: &Host) -> Result<Exit> {
    let wanted = Wanted::new(args, who, &Zoned::now())?;
    let path = host.paths.log_file();
    host.ui.say(&format!(
        "The journal of this host cannot be read by {} (it is not kept on disk, or not split by user); showing `{}`.\n\
         Root can change that with `mkdir -p /var/log/journal && journalctl --flush`, or `usermod -aG systemd-journal {}`.",
        host.user,
        path.display(),
        host.user
    ));
    let older = files::read(&journal::older(&path))?.unwrap_or_default();
    let (mut file, text) = read(&path)?;
    let text = older + &text;
    let mut found: Vec<Entry<'_>> = entries(&text).filter(|entry| wanted.lets_through(entry)).collect();
    // A process that had the file open when it was put aside goes on writing there.
    found.sort_by_key(|entry| entry.at);
    let first = found.len().saturating_sub(args.lines as usize);
    let shown: String = found[first..].iter().map(|entry| format!("{}\n", line(entry, args, host))).collect();
    if shown.is_empty() && !args.follow {
        host.ui.say("It has no messages that match.");
        return Ok(Exit::Done);
    }
    if !shown.is_empty() {
        host.ui.data(&shown)?;
    }
    if !args.follow {
        return Ok(Exit::Done);
    }
    loop {
        tokio::time::sleep(LOOK).await;
        let more = more(&path, &mut file)?;
        for entry in entries(&more).filter(|entry| wanted.lets_through(entry)) {
            host.ui.data(&line(&entry, args, host))?;
        }
    }
}

/// The file, if it is there, and what is in it.
fn read(path: &Path) -> Result<(Option<File>, String)> {
    let mut text = Vec::new();
    let file = match File::open(path) {
        Ok(mut file) => {
            file.read_to_end(&mut text).with_context(|| format!("could not read `{}`", path.display()))?;
            Some(file)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
        Err(error) => return Err(error).with_context(|| format!("could not open `{}`", path.display())),
    };
    Ok((file, String::from_utf8_lossy(&text).into_owned()))
}

/// What was written since, whole lines only; another file may have come into its place.
fn more(path: &Path, file: &mut Option<File>) -> Result<String> {
    let mut text = Vec::new();
    if let Some(file) = file {
        file.read_to_end(&mut text)?;
        let whole = text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        file.seek(SeekFrom::Current(-i64::try_from(text.len() - whole)?))?;
        text.truncate(whole);
    }
    let is_same = match (std::fs::metadata(path), file.as_ref().map(File::metadata)) {
        (Ok(now), Some(Ok(then))) => (now.dev(), now.ino()) == (then.dev(), then.ino()),
        (now, _) => now.is_err(),
    };
    let mut text = String::from_utf8_lossy(&text).into_owned();
    if !is_same {
        let (other, more) = read(path)?;
        *file = other;
        text.push_str(&more);
    }
    Ok(text)
}

/// A line that is no beginning of a message belongs to the one before.
fn entries(text: &str) -> impl Iterator<Item = Entry<'_>> {
    let mut starts: Vec<usize> = Vec::new();
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        if entry(line).is_some() {
            starts.push(at);
        }
        at += line.len();
    }
    let ends: Vec<usize> = starts.iter().skip(1).copied().chain([text.len()]).collect();
    starts.into_iter().zip(ends).filter_map(move |(start, end)| entry(text[start..end].trim_end()))
}

fn entry(text: &str) -> Option<Entry<'_>> {
    let (at, rest) = text.split_once(' ')?;
    let (who, rest) = rest.trim_start().split_once(' ')?;
    let (level, text) = rest.trim_start().split_once(' ').unwrap_or((rest.trim(), ""));
    let priority = match level {
        "ERROR" => 3,
        "WARN" => 4,
        "INFO" => 6,
        "DEBUG" | "TRACE" => 7,
        _ => return None,
    };
    Some(Entry { at: at.parse().ok()?, who, priority, text })
}

fn line(entry: &Entry<'_>, args: &Args, host: &Host) -> String {
    let Entry { at, who, priority, text } = entry;
    if host.ui.json || args.output == "json" {
        return as_journal(entry).to_string();
    }
    let style = match priority {
        3 => red().bold(),
        4 => yellow(),
        5 => bold(),
        _ => anstyle::Style::new(),
    };
    let text: Vec<String> = text.lines().map(plain::visible).collect();
    let text = host.ui.paint(&text.join("\n"), style);
    let zoned = at.to_zoned(TimeZone::system());
    match args.output.as_str() {
        "cat" => text,
        "short-iso" => format!("{} {who}: {text}", zoned.strftime("%Y-%m-%dT%H:%M:%S%:z")),
        _ => format!("{} {who}: {text}", zoned.strftime("%b %d %H:%M:%S")),
    }
}

/// The same names as `journalctl -o json` has (systemd.journal-fields(7)).
fn as_journal(entry: &Entry<'_>) -> Value {
    let mut value = json!({
        "__REALTIME_TIMESTAMP": entry.at.as_microsecond().to_string(),
        "SYSLOG_IDENTIFIER": entry.who,
        "PRIORITY": entry.priority.to_string(),
        "MESSAGE": entry.text,
    });
    for field in ["CICD_JOB", "CICD_OUTCOME"] {
        let found = entry.text.split_whitespace().find_map(|word| word.strip_prefix(field)?.strip_prefix('='));
        if let (Some(found), Some(map)) = (found, value.as_object_mut()) {
            map.insert(field.into(), found.trim_matches('"').into());
        }
    }
    value
}

/// The times of systemd.time(7) that people type: `now`, `today`, `yesterday`, `-1h`, `1h ago`, `2026-11-23`,
/// `2026-11-23 08:00[:00]`, `08:00`, `@SECONDS`, and a timestamp of RFC 3339.
fn time(text: &str, now: &Zoned) -> Result<Timestamp> {
    let text = text.trim();
    let day = |back: i64| -> Result<Timestamp> { Ok(now.checked_sub(back.days())?.start_of_day()?.timestamp()) };
    let wrong = || {
        Fail::usage(format!("`{text}` is no time that is known here"))
            .hint("write `2026-11-23 08:00`, `08:00`, `today`, `yesterday`, or `-90min`")
    };
    match text {
        "now" => return Ok(now.timestamp()),
        "today" => return day(0),
        "yesterday" => return day(1),
        _ => {}
    }
    let back = text.strip_prefix('-').or_else(|| text.strip_suffix("ago").map(str::trim));
    if let Some(back) = back {
        let back: Span = back.parse().map_err(|_| wrong())?;
        return Ok(now.timestamp().checked_sub(jiff::SignedDuration::try_from(back.0)?)?);
    }
    if let Some(seconds) = text.strip_prefix('@') {
        return Ok(Timestamp::from_second(seconds.parse().map_err(|_| wrong())?)?);
    }
    if let Ok(timestamp) = text.parse::<Timestamp>() {
        return Ok(timestamp);
    }
    // A day alone begins at midnight; a time alone is one of today.
    let at = text.parse::<jiff::civil::DateTime>();
    let at = at.or_else(|_| text.parse::<jiff::civil::Time>().map(|time| now.date().to_datetime(time)));
    Ok(at.map_err(|_| wrong())?.to_zoned(now.time_zone().clone())?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "a line from before\n\
        2026-11-27T08:00:00.5Z cicd-runner  INFO CICD_JOB=01A job 01A accepted: HEAD\n\
        2026-11-27T08:00:01Z cicd-agent-shop ERROR CICD_JOB=01A CICD_OUTCOME=\"failed\" job 01A failed\n  because of this\n\
        2026-11-27T09:00:00Z cicd-agent-web  WARN the clock is slow\n";

    fn args() -> Args {
        Args {
            names: Vec::new(),
            follow: false,
            lines: 100,
            since: None,
            until: None,
            level: None,
            grep: None,
            job: None,
            output: "short".into(),
        }
    }

    fn now() -> Zoned {
        "2026-11-27T10:00:00[UTC]".parse().unwrap()
    }

    fn found(args: &Args, who: &[&str]) -> Vec<String> {
        let wanted = Wanted::new(args, who.iter().map(|who| (*who).to_owned()).collect(), &now()).unwrap();
        entries(TEXT).filter(|entry| wanted.lets_through(entry)).map(|entry| entry.text.to_owned()).collect()
    }

    #[test]
    fn the_options_choose_as_they_do_in_the_journal() {
        let failed = "CICD_JOB=01A CICD_OUTCOME=\"failed\" job 01A failed\n  because of this";
        let accepted = "CICD_JOB=01A job 01A accepted: HEAD";
        let slow = "the clock is slow";
        assert_eq!(found(&args(), &[]), [accepted, failed, slow]);
        assert_eq!(found(&args(), &["cicd-agent-shop", "cicd-agent-web"]), [failed, slow]);
        assert_eq!(found(&Args { level: Some("warning".into()), ..args() }, &[]), [failed, slow]);
        assert_eq!(found(&Args { level: Some("err".into()), ..args() }, &[]), [failed]);
        assert_eq!(found(&Args { job: Some("01a".into()), ..args() }, &[]), [accepted, failed]);
        assert_eq!(found(&Args { since: Some("-90min".into()), ..args() }, &[]), [slow]);
        assert_eq!(found(&Args { until: Some("08:00:00.7".into()), ..args() }, &[]), [accepted]);
        assert_eq!(found(&Args { grep: Some("head|this".into()), ..args() }, &[]), [accepted, failed]);
        assert_eq!(found(&Args { grep: Some("Head".into()), ..args() }, &[]), [""; 0]);
    }

    #[test]
    fn what_cannot_be_understood_is_named() {
        for (args, problem) in [
            (Args { grep: Some("(".into()), ..args() }, "`--grep (` is no regular expression"),
            (Args { since: Some("soon".into()), ..args() }, "`soon` is no time"),
            (Args { until: Some("-soon".into()), ..args() }, "`-soon` is no time"),
        ] {
            let error = Wanted::new(&args, Vec::new(), &now()).err().expect("an error");
            assert!(format!("{error:#}").contains(problem), "{error:#}");
        }
    }

    #[test]
    fn times_are_those_of_systemd() {
        for (text, at) in [
            ("now", "2026-11-27T10:00:00Z"),
            ("today", "2026-11-27T00:00:00Z"),
            ("yesterday", "2026-11-26T00:00:00Z"),
            ("-1h", "2026-11-27T09:00:00Z"),
            ("15min ago", "2026-11-27T09:45:00Z"),
            ("2026-11-23", "2026-11-23T00:00:00Z"),
            ("2026-11-23 08:00", "2026-11-23T08:00:00Z"),
            ("08:30", "2026-11-27T08:30:00Z"),
            ("2026-11-23T08:00:00+01:00", "2026-11-23T07:00:00Z"),
            ("@0", "1970-01-01T00:00:00Z"),
        ] {
            assert_eq!(time(text, &now()).unwrap().to_string(), at, "{text}");
        }
    }

    #[test]
    fn json_has_the_names_of_the_journal() {
        let entry = entries(TEXT).nth(1).unwrap();
        let value = as_journal(&entry);
        assert_eq!(value["CICD_OUTCOME"], "failed");
        assert_eq!(value["PRIORITY"], "3");
        assert_eq!(value["__REALTIME_TIMESTAMP"], "1795766401000000");
    }

    #[test]
    fn what_is_written_later_is_seen_also_in_a_file_that_takes_its_place() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let (mut file, text) = read(&path).unwrap();
        assert!(file.is_none() && text.is_empty());
        std::fs::write(&path, "one\nhalf").unwrap();
        assert_eq!(more(&path, &mut file).unwrap(), "one\nhalf");
        let mut writer = std::fs::OpenOptions::new().append(true).open(&path).unwrap();
        std::io::Write::write_all(&mut writer, b" a line\nand a").unwrap();
        assert_eq!(more(&path, &mut file).unwrap(), " a line\n");
        std::io::Write::write_all(&mut writer, b" half\n").unwrap();
        std::fs::rename(&path, dir.path().join("log.1")).unwrap();
        assert_eq!(more(&path, &mut file).unwrap(), "and a half\n");
        std::fs::write(&path, "new\n").unwrap();
        assert_eq!(more(&path, &mut file).unwrap(), "new\n");
        assert_eq!(more(&path, &mut file).unwrap(), "");
    }
}
