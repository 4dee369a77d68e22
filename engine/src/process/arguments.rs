//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use tress_configs::job::Role;

/// One role of the data flow, as a process.
///
/// Jobs (prepare, backfill, drop) print their report as one line of JSON and end; stream, archive and serve go on until they get
/// SIGTERM. Exit codes: 0 done, 1 start it again later, 2 starting it again changes nothing: the message says what to change.
/// Logs go to standard error as JSON; TRESS_LOG sets what is logged (info, warn, tress_engine=debug …).
#[derive(Debug, Parser)]
#[command(name = "tress-engine", version, propagate_version = true)]
pub struct Arguments {
    /// The platform file: where the names of connections lead, and where Tress keeps its own.
    #[arg(long, global = true, value_name = "FILE", default_value = "/etc/tress/platform.yaml")]
    pub platform: PathBuf,
    /// Where the report is written as well; in a pod, its termination message.
    #[arg(long, global = true, value_name = "FILE")]
    pub report: Option<PathBuf>,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Check everything about a revision that needs connections, and record it: the first thing to do with a plan.
    Prepare(Prepare),
    /// Turn a signal's raw topic into rows of its changelog.
    Stream(Stream),
    /// Keep the raw log of a topic in the lake, exactly once.
    Archive(Archive),
    /// Fold raw events into history, and make base of it: in one go (run), or step by step.
    Backfill {
        #[command(subcommand)]
        step: Backfill,
    },
    /// Serve sequences over gRPC and HTTP.
    Serve(Serve),
    /// Delete what belongs to a signal revision: topics, group, tables.
    Drop(Drop),
    /// Tell and replay what a signal revision has put aside, over plain HTTP on this machine: for `tress deadletters` on a cluster.
    #[command(name = "deadletters")]
    DeadLetters(DeadLetters),
}

#[derive(Debug, Clone, Args)]
pub struct Prepare {
    /// The plan, of a signal or of a feature: canonical JSON, as `tress plan -o json` prints it.
    #[arg(long, value_name = "FILE")]
    pub plan: PathBuf,
    /// Who the revision is, for good: names its topics and tables.
    #[arg(long)]
    pub uid: String,
    /// Of a feature: the UID of a signal revision that it reads; once for each signal.
    #[arg(long = "signal", value_name = "UID")]
    pub signals: Vec<String>,
}

#[derive(Debug, Clone, Args)]
pub struct Stream {
    /// The signal revision, prepared.
    #[arg(long)]
    pub uid: String,
    #[command(flatten)]
    pub monitor: Monitor,
}

#[derive(Debug, Clone, Args)]
pub struct Archive {
    /// The connection of the topic.
    #[arg(long)]
    pub connection: String,
    #[arg(long)]
    pub topic: String,
    /// Seconds between commits to the raw table.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub interval: u64,
    #[command(flatten)]
    pub monitor: Monitor,
}

/// Metrics and health over plain HTTP: /metrics, /healthz, /readyz.
#[derive(Debug, Clone, Args)]
pub struct Monitor {
    /// Where to listen for /metrics, /healthz and /readyz; without it nothing is listened on.
    #[arg(long, value_name = "ADDRESS")]
    pub http: Option<SocketAddr>,
}

#[derive(Debug, Clone, Subcommand)]
pub enum Backfill {
    /// Fix the inputs of the next backfill, or find the one that is unfinished; reports its number and its tasks.
    Plan(Plan),
    /// Do tasks of a work plan: those of one index of an indexed job.
    Tasks(Tasks),
    /// Make a backfill part of history, then make base.
    Seal(Seal),
    /// Make base from history as it is.
    Base(Base),
    /// Plan, tasks, seal and base in this process.
    Run(Run),
    /// Give up the backfill that was planned and is not sealed.
    Abandon(Abandon),
}

#[derive(Debug, Clone, Args)]
pub struct Plan {
    /// The signal revision, prepared.
    #[arg(long)]
    pub uid: String,
    /// Make anew what is there, instead of adding what is new: `all`, or buckets (2024-01-31), separated by commas.
    #[arg(long, value_name = "BUCKETS", value_delimiter = ',')]
    pub restate: Vec<String>,
}

#[derive(Debug, Clone, Args)]
pub struct Tasks {
    #[arg(long)]
    pub uid: String,
    /// The number that the plan was reported with.
    #[arg(long, value_name = "NUMBER")]
    pub backfill: u64,
    /// Does the tasks index, index + of, index + 2 of, ….
    #[arg(long, env = "JOB_COMPLETION_INDEX", default_value_t = 0)]
    pub index: u64,
    /// How many share the tasks.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub of: u64,
}

#[derive(Debug, Clone, Args)]
pub struct Seal {
    #[arg(long)]
    pub uid: String,
    #[arg(long, value_name = "NUMBER")]
    pub backfill: u64,
    #[command(flatten)]
    pub demands: Demands,
}

#[derive(Debug, Clone, Args)]
pub struct Base {
    #[arg(long)]
    pub uid: String,
    #[command(flatten)]
    pub demands: Demands,
}

#[derive(Debug, Clone, Args)]
pub struct Run {
    #[command(flatten)]
    pub plan: Plan,
    #[command(flatten)]
    pub demands: Demands,
    /// Tasks at a time.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=64))]
    pub parallelism: u64,
    /// Stay, and fold at these times: five fields of cron, as `15 3 * * *`. What was missed while nothing ran is caught up once.
    #[arg(long, value_name = "CRON", conflicts_with = "restate")]
    pub schedule: Option<String>,
    /// Of the schedule: a name such as Europe/Berlin.
    #[arg(long, value_name = "ZONE", requires = "schedule", default_value = "UTC")]
    pub time_zone: String,
    /// Of a process that stays.
    #[command(flatten)]
    pub monitor: Monitor,
}

#[derive(Debug, Clone, Args)]
pub struct Abandon {
    #[arg(long)]
    pub uid: String,
}

/// What base is made for.
#[derive(Debug, Clone, Args)]
pub struct Demands {
    /// The features that read the signal: {"version":1,"number":N,"features":["<digest of a plan>", …]}; N rises with every change.
    /// Without it, base goes on covering what it covered.
    #[arg(long, value_name = "FILE")]
    pub demands: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub struct Serve {
    /// The route file, or a folder of them: which revisions of which features are read.
    #[arg(long, value_name = "PATH")]
    pub routes: PathBuf,
    /// A folder of this machine for runs and epochs; it may be lost.
    #[arg(long, value_name = "FOLDER")]
    pub state: PathBuf,
    /// Bytes that the bases of all signals may take; a tail that outgrows an eighth of it goes to the state folder.
    #[arg(long, value_name = "BYTES", default_value_t = 2 << 30)]
    pub memory: u64,
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7400")]
    pub grpc: SocketAddr,
    /// Plain: for people on this machine, or behind something that guards it.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7401")]
    pub http: SocketAddr,
    /// A folder with tls.crt and tls.key: gRPC is encrypted with it. Taken anew when it changes.
    #[arg(long, value_name = "FOLDER")]
    pub tls: Option<PathBuf>,
    /// Where ControlService listens: how this process is, what it is to load, where routes lead; needs --control-tls.
    #[arg(long, value_name = "ADDRESS", requires = "control_tls")]
    pub control: Option<SocketAddr>,
    /// A folder with tls.crt, tls.key and ca.crt: who calls ControlService needs a certificate of that authority.
    #[arg(long, value_name = "FOLDER", requires = "control")]
    pub control_tls: Option<PathBuf>,
}

#[derive(Debug, Clone, Args)]
pub struct Drop {
    /// The signal revision. Nothing may run of it any more.
    #[arg(long)]
    pub uid: String,
    #[arg(long, value_enum, default_value_t = DropHistory::UnlessPinned)]
    pub history: DropHistory,
}

#[derive(Debug, Clone, Args)]
pub struct DeadLetters {
    /// The signal revision, prepared.
    #[arg(long)]
    pub uid: String,
    /// Letters hold users' values, and whoever reaches this address may read them: let it be one of this machine.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:7403")]
    pub http: SocketAddr,
    /// It ends by itself after this.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub seconds: u64,
}

/// What becomes of the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DropHistory {
    /// It stays.
    Keep,
    /// It goes, unless a dataset names a version of it.
    UnlessPinned,
    /// It goes, also where a dataset names it: that dataset cannot be made again.
    Always,
}

impl Command {
    pub const fn role(&self) -> Role {
        match self {
            Self::Prepare(_) => Role::Prepare,
            Self::Stream(_) => Role::Stream,
            Self::Archive(_) => Role::Archive,
            Self::Backfill { step } => match step {
                Backfill::Plan(_) => Role::BackfillPlan,
                Backfill::Tasks(_) => Role::BackfillTasks,
                Backfill::Seal(_) | Backfill::Run(_) => Role::BackfillSeal,
                Backfill::Base(_) => Role::Base,
                Backfill::Abandon(_) => Role::BackfillAbandon,
            },
            Self::Serve(_) => Role::Serve,
            Self::Drop(_) => Role::Drop,
            Self::DeadLetters(_) => Role::DeadLetters,
        }
    }
}
