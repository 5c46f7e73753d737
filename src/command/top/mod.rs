//! `cicdctl top`: agents and jobs, live on the whole screen, with keys to look into them and to stop, start, restart,
//! drain and resume them. What it does to them it does by the commands of the same names, so that both mean the same.
//!
//! [`state`] decides what a key means, [`view`] draws; both know no terminal. This file has it, and gives it back.

mod output;
mod state;
mod view;

use std::pin::Pin;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use crossterm::event::{Event, EventStream, KeyEventKind};
use futures_util::StreamExt;
use tokio::signal::unix::{SignalKind, signal};

use super::status;
use crate::error::{Exit, Fail};
use crate::host::Host;
use output::Output;
use state::{Do, State};

/// Show agents and jobs live, and act on them
///
/// Like status --watch, on the whole screen. `?` shows the keys. Whatever changes something asks first.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:
  cicdctl top --interval 5")]
pub struct Args {
    /// Seconds between two looks
    #[arg(short, long, value_name = "SECONDS", default_value = "2", value_parser = status::parse_seconds)]
    interval: f64,
}

pub async fn run(args: Args, host: &Host) -> Result<Exit> {
    if host.ui.json || !host.ui.can_draw() {
        bail!(
            Fail::usage("`top` needs a terminal")
                .hint("`cicdctl status` prints the same once, and `cicdctl status --watch --json` again and again")
        );
    }
    // What is wrong from the start is better said on an ordinary screen.
    let first = status::look(host).await?;
    let mut terminal = Screen(ratatui::try_init().context("the terminal cannot be drawn on")?);
    let shown = show(&mut terminal, first, Duration::from_secs_f64(args.interval), host).await;
    drop(terminal);
    shown
}

/// Gives the terminal back, whatever ends the program; a panic does so by itself before it is told.
struct Screen(ratatui::DefaultTerminal);

impl Drop for Screen {
    fn drop(&mut self) {
        ratatui::restore();
    }
}

async fn show(terminal: &mut Screen, first: status::Status, interval: Duration, host: &Host) -> Result<Exit> {
    let mut state = State::new(first, host.ui.is_utf8(), host.ui.color());
    let mut rates = status::Rates::default();
    let mut keys = EventStream::new();
    let mut ends = [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()]
        .map(signal)
        .into_iter()
        .collect::<std::io::Result<Vec<_>>>()?;
    let mut output: Option<Output> = None;
    // At most one at a time: what is shown of the last one is not lost.
    let mut working: Option<Working<'_>> = None;
    let mut looking = Box::pin(status::look(host));
    let (mut is_looking, mut next) = (true, tokio::time::Instant::now());
    loop {
        terminal.0.draw(|frame| view::draw(frame, &mut state))?;
        let ended = futures_util::future::select_all(ends.iter_mut().map(|end| Box::pin(end.recv())));
        tokio::select! {
            _ = ended => return Ok(Exit::Done),
            event = keys.next() => match event {
                Some(Ok(Event::Key(key))) if key.kind != KeyEventKind::Release => match state.key(key) {
                    Do::Nothing => {}
                    Do::Quit => return Ok(Exit::Done),
                    Do::Look => next = tokio::time::Instant::now(),
                    Do::Close => output = None,
                    Do::Show(command) => output = Some(Output::start(host, &command)?),
                    Do::Run(_) if working.is_some() => state.wait(),
                    Do::Run(command) => {
                        state.begins(&command);
                        working = Some(Box::pin(async {
                            let done = output::run(host, &command).await;
                            (command, done)
                        }));
                    }
                },
                Some(Ok(_)) => {}
                // The terminal is gone.
                Some(Err(_)) | None => return Ok(Exit::Done),
            },
            found = &mut looking, if is_looking => {
                is_looking = false;
                next = tokio::time::Instant::now() + interval;
                match found {
                    Ok(mut status) => {
                        rates.of(&mut status);
                        state.look(status);
                    }
                    // The last look stays, with the word that it is old.
                    Err(error) => state.trouble(&error),
                }
            }
            () = tokio::time::sleep_until(next), if !is_looking => {
                looking.set(status::look(host));
                is_looking = true;
            }
            (command, done) = end_of(&mut working) => {
                working = None;
                state.say(&command, done);
                next = tokio::time::Instant::now();
            }
            lines = Output::lines(&mut output) => state.append(lines),
        }
    }
}

/// A command, and what becomes of it.
type Working<'h> = Pin<Box<dyn Future<Output = (Vec<String>, Result<(), String>)> + 'h>>;

/// Never, where nothing is under way.
async fn end_of(working: &mut Option<Working<'_>>) -> (Vec<String>, Result<(), String>) {
    match working {
        Some(working) => working.await,
        None => std::future::pending().await,
    }
}
