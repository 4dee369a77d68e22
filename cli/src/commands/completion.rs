//! `tress completion`: what a shell needs to complete our words; and what kubectl asks of a plugin for the same.

use std::ffi::OsString;

use clap::{Args, Command, CommandFactory};
use clap_complete::Shell;

use crate::exit::Outcome;
use crate::output;

/// Print the completions of a shell.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tress completion bash > ~/.local/share/bash-completion/completions/tress
  tress completion zsh > ~/.zfunc/_tress
  tress completion fish > ~/.config/fish/completions/tress.fish

As `kubectl tress`: kubectl asks an executable kubectl_complete-tress, which is this program under that name:
  ln -s \"$(command -v tress)\" ~/.local/bin/kubectl-tress
  ln -s \"$(command -v tress)\" ~/.local/bin/kubectl_complete-tress")]
pub struct Arguments {
    #[arg(value_enum)]
    shell: Shell,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    let mut text = Vec::new();
    clap_complete::generate(arguments.shell, &mut crate::arguments::Arguments::command(), "tress", &mut text);
    output::bytes(&text)?;
    Ok(Outcome::Done)
}

/// Answers kubectl: `words` is what stands behind `kubectl tress`, the last of them unfinished.
pub fn of_kubectl(words: impl Iterator<Item = OsString>) -> anyhow::Result<Outcome> {
    let words: Vec<String> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    let mut command = crate::arguments::Arguments::command();
    command.build();
    output::print(&answer(&command, &words))?;
    Ok(Outcome::Done)
}

/// Cobra's answers: a line each, then what the shell is to do; 4 = no names of files, 0 = as it does otherwise.
fn answer(command: &Command, words: &[String]) -> String {
    let (begun, before) = words.split_last().map_or(("", &[][..]), |(last, before)| (last.as_str(), before));
    let inside = before.iter().fold(command, |at, word| at.find_subcommand(word).unwrap_or(at));
    let option = |word: &str| {
        let long = word.strip_prefix("--").unwrap_or_default();
        let short = word.strip_prefix('-').filter(|s| s.chars().count() == 1).and_then(|s| s.chars().next());
        inside.get_arguments().find(|a| (!long.is_empty() && a.get_long() == Some(long)) || (short.is_some() && a.get_short() == short))
    };
    let mut found: Vec<String> = Vec::new();
    let mut files = false;
    match before.last().and_then(|word| option(word)).filter(|a| a.get_action().takes_values()) {
        Some(valued) => {
            found.extend(valued.get_possible_values().iter().map(|v| v.get_name().to_owned()));
            files = found.is_empty()
                && matches!(valued.get_value_hint(), clap::ValueHint::AnyPath | clap::ValueHint::FilePath | clap::ValueHint::DirPath);
        }
        None if begun.starts_with('-') => found.extend(inside.get_arguments().filter_map(|a| a.get_long()).map(|long| format!("--{long}"))),
        None => {
            let visible = inside.get_subcommands().filter(|c| !c.is_hide_set());
            found.extend(visible.map(|c| match c.get_about() {
                Some(about) => format!("{}\t{about}", c.get_name()),
                None => c.get_name().to_owned(),
            }));
            found.extend(inside.get_positionals().flat_map(|p| p.get_possible_values()).map(|v| v.get_name().to_owned()));
        }
    }
    found.retain(|word| word.starts_with(begun));
    found.push(format!(":{}\n", if files { 0 } else { 4 }));
    found.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(words: &[&str]) -> Vec<String> {
        let mut command = crate::arguments::Arguments::command();
        command.build();
        let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
        answer(&command, &words).lines().map(|line| line.split('\t').next().unwrap_or_default().to_owned()).collect()
    }

    #[test]
    fn kubectl_is_told_how_words_may_go_on() {
        assert_eq!(answered(&["sta"]), ["status", ":4"]);
        assert!(answered(&[""]).contains(&"backfill".to_owned()));
        assert_eq!(answered(&["status", "--wat"]), ["--watch", ":4"]);
        assert_eq!(answered(&["status", "-o", ""]), ["table", "json", "yaml", ":4"]);
        assert_eq!(answered(&["status", "-n", "movies", "--output", "j"]), ["json", ":4"]);
        assert_eq!(answered(&["status", "--dir", ""]), [":0"]);
    }
}
