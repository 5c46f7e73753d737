//! A page of section 1 for each command.

use std::path::{Path, PathBuf};

use anyhow::Result;

use super::{DATE, escape};

/// The page of a command and those of the ones below it; `above` are the names of those that it belongs to.
pub fn of_commands(command: &clap::Command, above: &[String], found: &mut Vec<(PathBuf, Vec<u8>)>) -> Result<()> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name()).to_owned();
    let page = clap_mangen::Man::new(command.clone().after_help(None::<&str>))
        .title(name.to_uppercase())
        .section("1")
        .manual("cicdctl")
        .source(format!("cicdctl {}", crate::version()))
        .date(DATE);
    let mut text = Vec::new();
    page.render(&mut text)?;
    let mut text = tidy(&String::from_utf8(text)?);
    if let Some(more) = command.get_after_help() {
        text.push_str(&section(&more.to_string()));
    }
    if !above.is_empty() {
        let others: Vec<String> = above.iter().map(|name| format!("\\fB{}\\fR(1)", escape(name))).collect();
        text.push_str(&format!(".SH \"SEE ALSO\"\n{}\n", others.join(", ")));
    }
    found.push((Path::new("man").join(format!("{name}.1")), text.into_bytes()));
    let above: Vec<String> = above.iter().chain([&name]).cloned().collect();
    for sub in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        of_commands(sub, &above, found)?;
    }
    Ok(())
}

/// Without what `mandoc -T lint` finds wrong in what was rendered.
fn tidy(page: &str) -> String {
    let lines: String = page.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    lines.replace(".br\n\n.br\n", ".sp\n").replace("\n\n.br\n", "\n.sp\n")
}

/// What help says at its end, with its first words as the heading: `Examples:` and lines, or `Exit status: …`.
fn section(text: &str) -> String {
    let (heading, rest) = text.split_once(':').unwrap_or(("Notes", text));
    let lines: String = rest.trim_start_matches('\n').lines().map(|line| format!("{}\n", escape(line))).collect();
    let heading = escape(&heading.to_uppercase());
    match rest.starts_with('\n') {
        true => format!(".SH \"{heading}\"\n.nf\n{lines}.fi\n"),
        false => format!(".SH \"{heading}\"\n{}\n", lines.trim()),
    }
}
