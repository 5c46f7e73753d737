//! The one writer to stdout and stderr, decided once: what is data, what is progress, whether there is colour,
//! and whether there is somebody to ask.

use std::io::{IsTerminal, Write};

use anstyle::{AnsiColor, Style};
use anyhow::{Result, bail};

use crate::error::Fail;
use crate::plain;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum ColorChoice {
    #[default]
    Auto,
    Always,
    Never,
}

/// How this invocation talks to its user.
#[derive(Debug, Clone)]
pub struct Ui {
    pub json: bool,
    quiet: bool,
    verbose: bool,
    yes: bool,
    stdout_color: bool,
    stderr_color: bool,
    interactive: bool,
    stderr_terminal: bool,
    /// Columns and rows of the terminal that stdout is.
    screen: Option<(usize, usize)>,
    utf8: bool,
}

pub struct Options {
    pub json: bool,
    pub quiet: bool,
    pub verbose: bool,
    pub yes: bool,
    pub color: ColorChoice,
    pub no_color_variable: bool,
    /// The locale says that characters beyond ASCII can be shown.
    pub utf8: bool,
}

impl Ui {
    pub fn new(options: &Options) -> Self {
        let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
        let color = |terminal: bool| match options.color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => terminal && !options.no_color_variable,
        };
        Ui {
            json: options.json,
            quiet: options.quiet,
            verbose: options.verbose,
            yes: options.yes,
            stdout_color: color(stdout.is_terminal()),
            stderr_color: color(stderr.is_terminal()),
            stderr_terminal: stderr.is_terminal(),
            interactive: stdin.is_terminal() && stderr.is_terminal(),
            screen: screen(),
            utf8: options.utf8,
        }
    }

    /// Somebody sits at a terminal and has not said `--yes`.
    pub fn can_ask(&self) -> bool {
        self.interactive && !self.yes && !self.json
    }

    /// In columns, also where there is no terminal.
    pub fn width(&self) -> usize {
        self.screen.map_or(100, |(columns, _)| columns)
    }

    /// Columns and rows of the terminal that stdout is, as they were at the start.
    pub fn size(&self) -> Option<(usize, usize)> {
        self.screen
    }

    /// Columns and rows of the terminal that stdout is, as they are now.
    pub fn screen(&self) -> Option<(usize, usize)> {
        self.screen.and_then(|_| screen())
    }

    /// Whether people look at stdout, and not a pipe.
    pub fn is_terminal(&self) -> bool {
        self.screen.is_some()
    }

    /// A whole screen can be drawn, and somebody is there to press keys.
    pub fn can_draw(&self) -> bool {
        self.interactive && self.is_terminal()
    }

    pub fn is_utf8(&self) -> bool {
        self.utf8
    }

    /// As if stdout were a terminal of so many columns and rows.
    #[cfg(test)]
    pub fn on(self, screen: (usize, usize)) -> Ui {
        Ui { screen: Some(screen), ..self }
    }

    /// For what is measured before it is shown.
    pub fn without_color(&self) -> Ui {
        Ui { stdout_color: false, ..self.clone() }
    }

    /// For what is drawn anew as the terminal changes its size.
    pub fn resized(&self) -> Ui {
        Ui { screen: self.screen(), ..self.clone() }
    }

    pub fn color(&self) -> bool {
        self.stdout_color
    }

    /// What a pipe wants: to stdout, as it is.
    pub fn data(&self, text: &str) -> Result<()> {
        let mut out = std::io::stdout().lock();
        out.write_all(text.as_bytes())?;
        if !text.ends_with('\n') {
            out.write_all(b"\n")?;
        }
        out.flush()?;
        Ok(())
    }

    pub fn data_json<T: serde::Serialize>(&self, value: &T) -> Result<()> {
        self.data(&plain::json(value)?)
    }

    /// What was done or is going on: to stderr, unless `--quiet`.
    pub fn say(&self, text: &str) {
        if !self.quiet {
            self.stderr_line(&printable(text));
        }
    }

    /// A line on stderr that the next one takes the place of: only where people look at it.
    pub fn live(&self, text: &str) {
        if self.can_live() {
            let text = plain::cut(&plain::visible(text), self.width().saturating_sub(1));
            let _ = write!(std::io::stderr().lock(), "\r{}\x1b[K", self.paint_stderr(&text, dim()));
        }
    }

    /// Takes the live line away.
    pub fn end_live(&self) {
        if self.can_live() {
            let _ = write!(std::io::stderr().lock(), "\r\x1b[K");
        }
    }

    fn can_live(&self) -> bool {
        self.stderr_terminal && !self.quiet
    }

    /// Only with `--verbose`.
    pub fn detail(&self, text: &str) {
        if self.verbose && !self.quiet {
            self.stderr_line(&self.paint_stderr(&printable(text), dim()));
        }
    }

    pub fn warn(&self, text: &str) {
        self.stderr_line(&format!("{} {}", self.paint_stderr("warning:", yellow().bold()), printable(text)));
    }

    pub fn error(&self, error: &anyhow::Error) {
        let text = printable(&crate::error::describe(error));
        let text = text.strip_prefix("error:").unwrap_or(&text);
        self.stderr_line(&format!("{}{text}", self.paint_stderr("error:", red().bold())));
    }

    /// Asks; `--yes` answers. Without a terminal and without `--yes` it stops and says so.
    pub fn confirm(&self, question: &str, default: bool) -> Result<bool> {
        if self.yes {
            return Ok(true);
        }
        if !self.can_ask() {
            bail!(
                Fail::usage(format!("a question needs an answer and there is no terminal: {question}"))
                    .hint("pass `--yes` to go on without being asked, or `--dry-run` to only see the plan")
            );
        }
        Ok(dialoguer::Confirm::new().with_prompt(question).default(default).interact()?)
    }

    /// Colours a piece of data for stdout.
    pub fn paint(&self, text: &str, style: Style) -> String {
        paint(text, style, self.stdout_color)
    }

    fn paint_stderr(&self, text: &str, style: Style) -> String {
        paint(text, style, self.stderr_color)
    }

    fn stderr_line(&self, text: &str) {
        // Nobody is left to tell when stderr is gone.
        let _ = writeln!(std::io::stderr().lock(), "{text}");
    }
}

fn screen() -> Option<(usize, usize)> {
    let stdout = std::io::stdout();
    let size = rustix::termios::tcgetwinsize(&stdout).ok().filter(|_| stdout.is_terminal())?;
    // Serial lines have no size.
    let or = |value: u16, least: usize, default| if usize::from(value) >= least { value.into() } else { default };
    Some((or(size.ws_col, 20, 100), or(size.ws_row, 5, 24)))
}

/// Line by line without what would act on a terminal: names of files and answers of others are in these texts.
fn printable(text: &str) -> String {
    text.split('\n').map(plain::visible).collect::<Vec<_>>().join("\n")
}

fn paint(text: &str, style: Style, color: bool) -> String {
    if color { format!("{style}{text}{style:#}") } else { text.to_owned() }
}

pub fn green() -> Style {
    AnsiColor::Green.on_default()
}

pub fn yellow() -> Style {
    AnsiColor::Yellow.on_default()
}

pub fn red() -> Style {
    AnsiColor::Red.on_default()
}

pub fn dim() -> Style {
    Style::new().dimmed()
}

pub fn bold() -> Style {
    Style::new().bold()
}
