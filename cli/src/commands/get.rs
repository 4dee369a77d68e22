//! `tress get`: one sequence.

use std::io::IsTerminal;
use std::path::PathBuf;
use std::time::Duration;

use arrow::ipc::writer::StreamWriter;
use clap::{Args, ValueEnum};
use tress_configs::name::QualifiedName;
use tress_configs::yaml;
use tress_engine::entity::Entity;
use tress_engine::read::Order;
use tress_engine::serve::{Client, Wanted};

use crate::exit::{Outcome, usage};
use crate::output;
use crate::render::{Style, sequence};
use crate::session::{Session, http, runtime};
use crate::time;

/// Read the sequence of an entity.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  tress get recent-movies 196 --dir sequences
  tress get recent-movies 196 --limit 5 --columns event_time,item_id,title
  tress get recent-movies 196 --as-of 1998-01-01T00:00:00Z -o json
  tress get movies/recent-movies 196 --server http://127.0.0.1:7070 -o yaml
  tress get recent-movies 196 -o arrow > sequence.arrow     an Arrow IPC stream

Reads from the `tress dev` that runs in DIR; if none runs, from what is stored there. The last line tells how fresh and complete
the sequence is. Times are RFC 3339 or microseconds since 1970.")]
pub struct Arguments {
    /// The feature: its name, or namespace/name.
    feature: String,
    /// Whose sequence.
    entity: String,
    /// The folder of definitions.
    #[arg(long, default_value = ".")]
    dir: PathBuf,
    /// A server's HTTP address instead; with -o arrow its gRPC address, and the feature as namespace/name.
    #[arg(long, value_name = "URL", conflicts_with = "dir")]
    server: Option<String>,
    /// Only these columns, in this order.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    columns: Vec<String>,
    /// At most this many events.
    #[arg(long)]
    limit: Option<u32>,
    /// As it was at this time.
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    as_of: Option<i64>,
    /// Only events at or after this time.
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    since: Option<i64>,
    /// Only events before this time.
    #[arg(long, value_name = "TIME", value_parser = time::parse)]
    until: Option<i64>,
    /// Only events of these signals.
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    signals: Vec<String>,
    #[arg(long, value_enum, default_value_t = Sorted::Newest)]
    order: Sorted,
    #[arg(short, long, value_enum, default_value_t = Format::Table)]
    output: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sorted {
    /// Newest first.
    Newest,
    /// Oldest first.
    Oldest,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Table,
    Json,
    Yaml,
    /// An Arrow IPC stream.
    Arrow,
}

pub fn run(arguments: &Arguments) -> anyhow::Result<Outcome> {
    if arguments.output == Format::Arrow && std::io::stdout().is_terminal() {
        return Err(usage("-o arrow writes bytes: redirect it to a file, or pipe it into a program"));
    }
    if let Some(server) = &arguments.server {
        let server = server.trim_end_matches('/');
        match arguments.output {
            Format::Arrow => output::bytes(&arrow(arguments, server, &arguments.feature)?)?,
            _ => read(arguments, server, server)?,
        }
        return Ok(Outcome::Done);
    }
    let session = Session::open(&arguments.dir)?;
    let done = session.http().and_then(|http| read(arguments, &http, &session.grpc()?));
    session.close()?;
    done?;
    Ok(Outcome::Done)
}

fn read(arguments: &Arguments, http: &str, grpc: &str) -> anyhow::Result<()> {
    let feature = feature(http, &arguments.feature)?;
    if arguments.output == Format::Arrow {
        return output::bytes(&arrow(arguments, grpc, &feature.to_string())?);
    }
    let reply = http::get(&url(arguments, http, &feature))?;
    match arguments.output {
        Format::Json => output::print(&format!("{reply:#}\n")),
        Format::Yaml => output::print(&yaml::document(&reply)),
        Format::Table | Format::Arrow => output::print(&sequence::render(&reply, Style::stdout())),
    }
}

/// The feature that is meant by a bare name: the one that is served.
fn feature(http: &str, name: &str) -> anyhow::Result<QualifiedName> {
    if let Some((namespace, name)) = name.split_once('/') {
        return Ok(QualifiedName::new(namespace, name));
    }
    let all = http::get(&format!("{http}/v1/features"))?;
    let names = all["features"].as_array().into_iter().flatten().filter_map(|f| f["feature"].as_str()?.split_once('/'));
    let names: Vec<QualifiedName> = names.map(|(namespace, name)| QualifiedName::new(namespace, name)).collect();
    crate::definitions::choose("feature", name, &names)
}

fn url(arguments: &Arguments, http: &str, feature: &QualifiedName) -> String {
    let mut parameters = vec![("consumer", "tress get".to_owned())];
    let mut put = |name: &'static str, value: Option<String>| parameters.extend(value.map(|v| (name, v)));
    put("columns", (!arguments.columns.is_empty()).then(|| arguments.columns.join(",")));
    put("signals", (!arguments.signals.is_empty()).then(|| arguments.signals.join(",")));
    put("limit", arguments.limit.map(|n| n.to_string()));
    put("as_of", arguments.as_of.map(|t| t.to_string()));
    put("since", arguments.since.map(|t| t.to_string()));
    put("until", arguments.until.map(|t| t.to_string()));
    put("order", (arguments.order == Sorted::Oldest).then(|| "oldest_first".to_owned()));
    let query: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={}", http::encoded(value))).collect();
    let (namespace, name, entity) = (http::encoded(&feature.namespace), http::encoded(&feature.name), http::encoded(&arguments.entity));
    format!("{http}/v1/sequences/{namespace}/{name}/{entity}?{}", query.join("&"))
}

/// The rows as an Arrow IPC stream.
fn arrow(arguments: &Arguments, grpc: &str, name: &str) -> anyhow::Result<Vec<u8>> {
    let wanted = Wanted {
        columns: arguments.columns.clone(),
        limit: arguments.limit,
        order: if arguments.order == Sorted::Oldest { Order::OldestFirst } else { Order::NewestFirst },
        since: arguments.since,
        until: arguments.until,
        signals: arguments.signals.clone(),
        as_of: arguments.as_of,
        consumer: "tress get".into(),
        ..Wanted::default()
    };
    let reply = runtime()?.block_on(async {
        let client = Client::connect(grpc, Duration::from_secs(30)).await?;
        let described = client.describe(name, None).await?;
        let entity = match described.entity_type.as_str() {
            "int64" => Entity::Int64(
                arguments.entity.parse().map_err(|_| usage("entity: this feature's entities are int64; give a whole number"))?,
            ),
            _ => Entity::String(arguments.entity.clone()),
        };
        anyhow::Ok(client.get(name, &entity, &wanted).await?)
    })?;
    let mut writer = StreamWriter::try_new(Vec::new(), &reply.rows.schema())?;
    writer.write(&reply.rows)?;
    writer.finish()?;
    Ok(writer.into_inner()?)
}
