//! `cicdctl status --watch`: the screen again and again. Each is drawn over the one before in a single write, and only
//! lines that are too long or too many are left out, so that nothing flickers; the terminal is given back as it was,
//! whatever ends it.

use std::collections::HashMap;
use std::io::Write;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use tokio::signal::unix::{SignalKind, signal};

use super::gather::{Status, gather};
use super::{Args, LAST, show};
use crate::error::{Exit, Fail};
use crate::host::Host;
use crate::plain;

/// The other screen, and no cursor (xterm's control sequences, "DEC Private Mode Set").
const ENTER: &str = "\x1b[?1049h\x1b[?25l";
const LEAVE: &str = "\x1b[?25h\x1b[?1049l";

pub(super) async fn watch(args: &Args, seconds: f64, host: &Host) -> Result<Exit> {
    if !host.ui.json && !host.ui.is_terminal() {
        bail!(
            Fail::usage("`--watch` draws on a terminal, and there is none")
                .hint("`cicdctl status --watch --json` prints a line of JSON for each look")
        );
    }
    let mut ends = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()]
        .map(signal)
        .into_iter()
        .collect::<std::io::Result<Vec<_>>>()?;
    let mut resized = signal(SignalKind::window_change())?;
    let _screen = if host.ui.json { None } else { Some(Screen::enter()?) };
    let mut rates = Rates::default();
    let mut status = None;
    loop {
        if status.is_none() {
            let ended = futures_util::future::select_all(ends.iter_mut().map(|end| Box::pin(end.recv())));
            let mut now = tokio::select! {
                _ = ended => return Ok(Exit::Done),
                now = gather(args, LAST, host) => now?,
            };
            rates.of(&mut now);
            if host.ui.json {
                host.ui.data(&serde_json::to_string(&super::with_trouble(&now))?)?;
            }
            status = Some(now);
        }
        if let (Some(status), Some((columns, rows))) = (&status, host.ui.screen().filter(|_| !host.ui.json)) {
            draw(&show(status, &host.ui.resized(), args.all), columns, rows)?;
        }
        let ended = futures_util::future::select_all(ends.iter_mut().map(|end| Box::pin(end.recv())));
        tokio::select! {
            _ = ended => return Ok(Exit::Done),
            _ = resized.recv() => {}
            () = tokio::time::sleep(Duration::from_secs_f64(seconds)) => status = None,
        }
    }
}

/// Gives the terminal back when it goes.
struct Screen;

impl Screen {
    fn enter() -> Result<Screen> {
        write(ENTER)?;
        Ok(Screen)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // Nobody is left to tell when the terminal is gone.
        let _ = write(LEAVE);
    }
}

fn write(text: &str) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())?;
    out.flush()
}

fn draw(text: &str, columns: usize, rows: usize) -> Result<()> {
    Ok(write(&frame(text, columns, rows))?)
}

/// What is written for one screen: from the top, each line to its end, and nothing below the last.
fn frame(text: &str, columns: usize, rows: usize) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let fits = lines.len() <= rows;
    let shown = if fits { lines.len() } else { rows - 1 };
    // A terminal that knows it shows the frame at once (mode 2026, "synchronized output"); others pass it over.
    let mut out = String::from("\x1b[?2026h\x1b[H");
    for (index, line) in lines[..shown].iter().enumerate() {
        if index > 0 {
            out.push_str("\r\n");
        }
        out.push_str(&cut_painted(line, columns));
        out.push_str("\x1b[K");
    }
    if !fits {
        out.push_str(&format!("\r\n{}\x1b[K", plain::cut(&format!("… {} more lines", lines.len() - shown), columns)));
    }
    out.push_str("\x1b[J\x1b[?2026l");
    out
}

/// At most so many columns of a line that has colours in it.
fn cut_painted(line: &str, columns: usize) -> String {
    let (mut out, mut width, mut in_escape) = (String::new(), 0, false);
    for c in line.chars() {
        if in_escape {
            out.push(c);
            in_escape = !c.is_ascii_alphabetic();
        } else if c == '\x1b' {
            out.push(c);
            in_escape = true;
        } else if width < columns {
            out.push(c);
            width += 1;
        }
    }
    out
}

/// CPU of each unit since the last look.
#[derive(Default)]
pub struct Rates {
    last: HashMap<String, (Instant, u64)>,
}

impl Rates {
    /// Puts what was used since the last look in the place of the average since the start.
    pub fn of(&mut self, status: &mut Status) {
        let now = Instant::now();
        let units = std::iter::once(&mut status.runner).chain(&mut status.agents);
        let mut seen = HashMap::new();
        for unit in units {
            let Some(used) = unit.service.cpu_nsec.filter(|_| unit.service.is_active()) else { continue };
            if let Some((then, before)) = self.last.get(&unit.service.name) {
                let passed = now.duration_since(*then).as_nanos().max(1) as f64;
                // A unit that was started anew counts from nothing.
                unit.cpu_percent = Some(used.saturating_sub(*before) as f64 / passed * 100.0);
            }
            seen.insert(unit.service.name.clone(), (now, used));
        }
        self.last = seen;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_fits_the_screen_and_colours_do_not_count() {
        let text = "\x1b[1mabcdef\x1b[0m\nsecond\nthird\nfourth\n";
        let drawn = frame(text, 4, 3);
        assert!(drawn.contains("\x1b[1mabcd\x1b[0m\x1b[K\r\nseco\x1b[K\r\n"), "{drawn:?}");
        assert!(drawn.contains("… 2…") && !drawn.contains("thir"), "{drawn:?}");
        assert_eq!(drawn.matches("\r\n").count(), 2);
        assert!(frame("a\nb\n", 80, 24).ends_with("b\x1b[K\x1b[J\x1b[?2026l"));
    }
}
