//! `tress get`: one sequence.

use std::io::IsTerminal;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::ipc::writer::StreamWriter;
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use tress_configs::name::QualifiedName;
use tress_configs::yaml;
use tress_engine::entity::Entity;
use tress_engine::read::Order;
use tress_engine::serve::{Client, Reply, Wanted, profile_to_json, rows_to_json};

use crate::called::Called;
use crate::cluster::target::{Kind, Target};
use crate::cluster::{self, Cluster};
use crate::exit::{Outcome, usage};
use crate::output;
use crate::place::{At, Choice, Place};
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
  tress get recent-movies 196 -n movies                     from a cluster, as is `kubectl tress get recent-movies 196`

Reads from the `tress dev` that runs in DIR; if none runs, from what is stored there. On a cluster, from a serving pod, through the
API server: that needs `get` on the feature and on services, `list` on pods, and `get` and `create` on pods/portforward. The last line tells
how fresh and complete the sequence is. Times are RFC 3339 or microseconds since 1970.")]
pub struct Arguments {
    /// The feature: its name, or namespace/name.
    feature: String,
    /// Whose sequence.
    entity: String,
    #[command(flatten)]
    place: Place,
    /// A server's HTTP address instead; with -o arrow its gRPC address, and the feature as namespace/name.
    #[arg(long, value_name = "URL", conflicts_with_all = ["dir", "cluster", "context", "kubeconfig", "namespace"])]
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

pub fn run(arguments: &Arguments, called: Called) -> anyhow::Result<Outcome> {
    if arguments.output == Format::Arrow && std::io::stdout().is_terminal() {
        return Err(usage("-o arrow writes bytes: redirect it to a file, or pipe it into a program"));
    }
    if let Some(server) = &arguments.server {
        let server = server.trim_end_matches('/');
        match arguments.output {
            Format::Arrow => output::bytes(&ipc(&runtime()?.block_on(fetch(arguments, server, &arguments.feature))?.rows)?)?,
            _ => read(arguments, server, server)?,
        }
        return Ok(Outcome::Done);
    }
    match arguments.place.at(called) {
        At::Cluster(choice) => from_cluster(arguments, &choice, called)?,
        At::Folder(dir) => {
            let session = Session::open(&dir)?;
            let done = session.http().and_then(|http| read(arguments, &http, &session.grpc()?));
            session.close()?;
            done?;
        }
    }
    Ok(Outcome::Done)
}

fn from_cluster(arguments: &Arguments, choice: &Choice, called: Called) -> anyhow::Result<()> {
    let target = Target::definition(Kind::Feature, &arguments.feature)?;
    let reply = Cluster::run(choice, called, |cluster| async move {
        cluster::read::through_pods(&cluster, &target, |address, name| async move { fetch(arguments, &address, &name).await }).await
    })?;
    if arguments.output == Format::Arrow {
        return output::bytes(&ipc(&reply.rows)?);
    }
    let told = json!({"profile": profile_to_json(&reply.profile), "rows": rows_to_json(&reply.rows)?});
    show(arguments.output, &told)
}

fn read(arguments: &Arguments, http: &str, grpc: &str) -> anyhow::Result<()> {
    let feature = feature(http, &arguments.feature)?;
    if arguments.output == Format::Arrow {
        return output::bytes(&ipc(&runtime()?.block_on(fetch(arguments, grpc, &feature.to_string()))?.rows)?);
    }
    show(arguments.output, &http::get(&url(arguments, http, &feature))?)
}

fn show(format: Format, reply: &Value) -> anyhow::Result<()> {
    match format {
        Format::Json => output::print(&format!("{reply:#}\n")),
        Format::Yaml => output::print(&yaml::document(reply)),
        Format::Table | Format::Arrow => output::print(&sequence::render(reply, Style::stdout())),
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

/// What a gRPC server answers. `name`: `namespace/name`.
async fn fetch(arguments: &Arguments, grpc: &str, name: &str) -> anyhow::Result<Reply> {
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
    let client = Client::connect(grpc, Duration::from_secs(30)).await?;
    let described = client.describe(name, None).await?;
    let entity = match described.entity_type.as_str() {
        "int64" => {
            Entity::Int64(arguments.entity.parse().map_err(|_| usage("entity: this feature's entities are int64; give a whole number"))?)
        }
        _ => Entity::String(arguments.entity.clone()),
    };
    Ok(client.get(name, &entity, &wanted).await?)
}

/// Rows as an Arrow IPC stream.
fn ipc(rows: &RecordBatch) -> anyhow::Result<Vec<u8>> {
    let mut writer = StreamWriter::try_new(Vec::new(), &rows.schema())?;
    writer.write(rows)?;
    writer.finish()?;
    Ok(writer.into_inner()?)
}
