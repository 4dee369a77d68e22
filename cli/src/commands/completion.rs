//! `tress completion`: what a shell needs to complete our words.

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::exit::Outcome;
use crate::output;

/// Print the completions of a shell.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tress completion bash > ~/.local/share/bash-completion/completions/tress
  tress completion zsh > ~/.zfunc/_tress
  tress completion fish > ~/.config/fish/completions/tress.fish")]
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
