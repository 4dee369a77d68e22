//! What the process is told at its start.

use std::net::SocketAddr;

use clap::{Args, Parser, Subcommand, ValueEnum};

/// Brings what is declared in Kubernetes to run.
#[derive(Debug, Parser)]
#[command(name = "tress-operator", version)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Watches definitions and does what they ask for, until SIGTERM. Of several, one leads and the others stand by.
    Run(Run),
}

#[derive(Debug, Args)]
pub struct Run {
    /// The operator's own namespace: its Lease, configuration and authority are there.
    #[arg(long, env = "POD_NAMESPACE", value_name = "NAME")]
    pub namespace: String,
    /// The only namespaces whose definitions are looked at, with commas between them. Omitted = all.
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub watch_namespaces: Vec<String>,
    /// Where metrics and health are shown. Omitted = nowhere.
    #[arg(long, value_name = "ADDRESS")]
    pub http: Option<SocketAddr>,
    /// What this process calls itself in the Lease. Omitted = the host's name and the time of its start.
    #[arg(long, value_name = "NAME")]
    pub identity: Option<String>,
    #[arg(long, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
}

/// How a line of the log looks. `TRESS_LOG` sets which are there: `warn,tress_operator=info`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    Text,
    Json,
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[test]
    fn the_command_line_is_sound_and_read() {
        Arguments::command().debug_assert();
        let line = "tress-operator run --namespace tress --watch-namespaces a,b --http 0.0.0.0:8080 --log-format json";
        let Command::Run(run) = Arguments::parse_from(line.split(' ')).command;
        assert_eq!(
            (run.namespace.as_str(), run.watch_namespaces, run.log_format),
            ("tress", vec!["a".to_owned(), "b".to_owned()], LogFormat::Json)
        );
    }
}
