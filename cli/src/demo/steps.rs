//! The steps within one process: definitions, stream, backfill, a sequence, the proof, late and corrected events.

use std::fs;
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::Context;
use serde_json::Value;
use tress_configs::name::QualifiedName;
use tress_engine::clock::Stopwatch;
use tress_engine::entity::Entity;
use tress_engine::log::NewRecord;
use tress_engine::node::{Change, Fold, Node};
use tress_engine::read::Query;
use tress_engine::serve::rows_to_json;

use super::data::Data;
use super::reads::{self, Sequences};
use super::stage::Stage;
use super::{crash, proof};
use crate::definitions::Workspace;
use crate::render::rows::{grouped, table};
use crate::render::{Style, sequence};
use crate::session::{self, any_port, http};
use crate::{planning, progress, testing, time};

/// Records of one append.
const BATCH: usize = 4096;
/// The user whose sequence is shown.
const SHOWN: i64 = 196;

/// Runs the steps; what every user's sequences are by the stream alone.
///
/// # Errors
/// When a step cannot be done.
pub async fn all(stage: &mut Stage, data: &Data) -> anyhow::Result<Sequences> {
    let workspace = definitions(stage, data).await?;
    let node = session::open(&data.dir, any_port()).await?;
    let worked = within(stage, data, &node, &workspace).await;
    node.shutdown().await?;
    worked
}

async fn within(stage: &mut Stage, data: &Data, node: &Node, workspace: &Workspace) -> anyhow::Result<Sequences> {
    let streamed = stream(stage, data, node, workspace).await?;
    backfill(stage, node).await?;
    show(stage, data, node).await?;
    prove(stage, data, node, &streamed).await?;
    late(stage, data, node).await?;
    corrected(stage, data, node).await?;
    Ok(streamed)
}

async fn definitions(stage: &mut Stage, data: &Data) -> anyhow::Result<Workspace> {
    stage.step("Definitions: two signals of one topic, three features that read them")?;
    let workspace = Workspace::load(std::slice::from_ref(&data.dir))?;
    let tests: Vec<_> = workspace.tests().iter().flat_map(|file| &file.item.tests).collect();
    stage.claim(
        workspace.is_sound(),
        &format!("tress lint: {} definitions, {} issues", workspace.objects().len(), workspace.issues().len()),
    )?;
    for planned in planning::plan(&workspace, &planning::live::Plans::live(&data.dir)?) {
        let cost = planned.cost.map_or_else(String::new, |c| c.to_string());
        stage.say(&format!("{:<42} {cost}", planned.object))?;
    }
    let folder = data.work.join("tests");
    let tables = folder.join("tables");
    fs::create_dir_all(&tables)?;
    testing::tables(&data.dir, &tables, &workspace)?;
    let mut passed = 0;
    for (index, test) in tests.iter().enumerate() {
        let verdict = testing::run(&workspace, test, &folder.join(index.to_string()), &tables).await?;
        passed += usize::from(matches!(verdict, testing::Verdict::Passed));
    }
    stage.claim(
        passed == tests.len() && passed > 0,
        &format!("tress test: {passed} of {} tests pass, by stream and by backfill", tests.len()),
    )?;
    Ok(workspace)
}

async fn stream(stage: &mut Stage, data: &Data, node: &Node, workspace: &Workspace) -> anyhow::Result<Sequences> {
    stage.step("Stream: the ratings of MovieLens 100k, as they were stored")?;
    for change in node.apply(workspace.desired()).await? {
        if let Change::Failed { feature, reason } = &change {
            stage.claim(false, &format!("{feature} runs: {reason}"))?;
        }
    }
    let lines = fs::read_to_string(&data.events).with_context(|| format!("read {}", data.events.display()))?;
    let records: Vec<NewRecord> =
        lines.lines().map(|l| NewRecord { payload: l.as_bytes().to_vec().into(), ..NewRecord::default() }).collect();
    let total = records.len();
    let bar = progress::bar("append");
    bar.set_length(total as u64);
    let began = Stopwatch::start();
    for chunk in records.chunks(BATCH) {
        node.append("ratings", chunk.to_vec()).await?;
        bar.inc(chunk.len() as u64);
    }
    bar.finish_and_clear();
    node.settle().await?;
    let seconds = began.elapsed().as_secs_f64();
    stage.say(&format!(
        "{} events of {} users about {} movies; appended, decoded, joined, readable in {seconds:.1} s: {} events/s{}",
        grouped(total as u64),
        data.users.len(),
        grouped(data.movies as u64),
        grouped((total as f64 / seconds) as u64),
        if cfg!(debug_assertions) { " (in a build without optimisation)" } else { "" }
    ))?;
    for signal in node.signals().await {
        let counts = signal.counts();
        stage.claim(
            counts.raw == total as u64 && counts.dead == 0,
            &format!(
                "{}: {} raw events, {} rows, {} dead letters",
                signal.plan.name,
                grouped(counts.raw),
                grouped(counts.rows),
                counts.dead
            ),
        )?;
    }
    let streamed = reads::of_node(node, data.users.iter().copied(), data.as_of).await?;
    for (feature, count) in proof::per_feature(&streamed) {
        stage.say(&format!("{feature}: {} sequences from the stream alone", grouped(count as u64)))?;
    }
    Ok(streamed)
}

async fn backfill(stage: &mut Stage, node: &Node) -> anyhow::Result<()> {
    stage.step("Backfill: the same events from their archive, by the same pipeline, into history and base")?;
    for name in signals(node).await {
        let bar = progress::bar(&format!("backfill {name}"));
        let began = Stopwatch::start();
        let folded = node.backfill(&name, Fold::New, &|p| progress::show(&bar, p)).await?;
        bar.finish_and_clear();
        let seconds = began.elapsed().as_secs_f64();
        stage.say(&format!(
            "{name}: {} raw events → {} rows in {} files, {seconds:.1} s",
            grouped(folded.raw_events),
            grouped(folded.rows),
            grouped(folded.files as u64)
        ))?;
    }
    for signal in node.signals().await {
        let (rows, _) = signal.store.tail_size();
        stage.claim(
            signal.store.base().is_some() && rows == 0,
            &format!("{}: base covers the stream; {rows} rows are left in the tail", signal.plan.name),
        )?;
    }
    Ok(())
}

async fn show(stage: &mut Stage, data: &Data, node: &Node) -> anyhow::Result<()> {
    stage.step(&format!("A sequence: tress get recent-movies {SHOWN} --limit 6"))?;
    let base = format!("http://{}", node.listening().context("the node does not listen")?.http);
    let url = format!("{base}/v1/sequences/movies/recent-movies/{SHOWN}?limit=6&as_of={}", data.as_of);
    let reply = tokio::task::spawn_blocking(move || http::get(&url)).await??;
    stage.say(&sequence::render(&reply, Style::stdout()))?;
    let coverage = &reply["profile"]["coverage"][0];
    stage.claim(coverage["found"] == coverage["events"] && coverage["events"] == 6, "every event found its movie")
}

async fn prove(stage: &mut Stage, data: &Data, node: &Node, streamed: &Sequences) -> anyhow::Result<()> {
    stage.step("Proof: stream = backfill = dataset = serve, for every user and every feature")?;
    let users = || data.users.iter().copied();
    let ways = [
        ("base and history, after the backfill", proof::compare(streamed, &reads::of_node(node, users(), data.as_of).await?)),
        ("the backfill's rows alone", proof::compare(streamed, &reads::of_history(node, users(), data.as_of).await?)),
        ("dataset (inclusive, at the same time)", proof::compare_dataset(node, data, streamed).await?),
        ("serve over gRPC", proof::compare(streamed, &reads::of_grpc(node, users(), data.as_of).await?)),
        ("serve over HTTP", proof::compare_http(node, streamed, data.as_of).await?),
    ];
    for (way, agreement) in &ways {
        stage.claim(agreement.holds(), &format!("the stream's rows alone = {way}: {agreement} identical"))?;
    }
    let least = ways.iter().map(|(_, a)| *a).min_by_key(|a| a.same).context("ways to read")?;
    stage.claim(least.holds(), &format!("stream = backfill = dataset = serve: {least} identical ({} rows)", grouped(least.rows as u64)))
}

async fn late(stage: &mut Stage, data: &Data, node: &Node) -> anyhow::Result<()> {
    stage.step("A late event: it happened long before it came")?;
    let known: Vec<_> = data.ratings.iter().filter(|r| r.user == SHOWN).collect();
    let newest = known.last().context("the user has ratings")?;
    let unseen = (1..).find(|item| known.iter().all(|r| r.item != *item)).context("a movie that the user did not rate")?;
    // Three days before the user's newest rating, stored only after everything else.
    let event = super::data::Rating { user: SHOWN, item: unseen, rating: 4.0, ts: newest.ts - 3 * 86_400 };
    let stored_at = data.stored_through() + 3600;
    let days = (stored_at - event.ts) / 86_400;
    let before = rows(node, data).await?;
    append(node, &[event.record(stored_at)]).await?;
    let after = rows(node, data).await?;
    let place = after.iter().position(|row| row["item_id"] == unseen);
    stage.claim(
        place.is_some() && after.len() == before.len() + 1,
        &format!(
            "stored {days} days after it happened ({}), readable at once, at place {} of {}",
            time::shown(event.ts * 1_000_000),
            place.map_or(0, |p| p + 1),
            after.len()
        ),
    )?;
    let mut rows_folded = 0;
    for name in signals(node).await {
        rows_folded += node.backfill(&name, Fold::New, &|_| {}).await?.rows;
    }
    stage.claim(
        rows_folded > 0 && rows(node, data).await? == after,
        &format!("the next backfill folded it into its bucket ({rows_folded} rows); the sequence stays the same"),
    )
}

async fn corrected(stage: &mut Stage, data: &Data, node: &Node) -> anyhow::Result<()> {
    stage.step("A corrected event, and a deleted one")?;
    let mine: Vec<_> = data.ratings.iter().rev().filter(|r| r.user == SHOWN).take(2).collect();
    let [first, second] = mine.as_slice() else { anyhow::bail!("user {SHOWN} has fewer than two ratings") };
    let before = rows(node, data).await?;
    let stored_at = data.stored_through() + 7200;
    let lowered = super::data::Rating { rating: if first.rating > 1.0 { first.rating - 1.0 } else { 2.0 }, ..(*first).clone() };
    append(node, &[lowered.record(stored_at), second.deletion(stored_at)]).await?;
    let after = rows(node, data).await?;
    let of = |rows: &[Value], item: i64| rows.iter().find(|r| r["item_id"] == item).and_then(|r| r["rating"].as_f64());
    stage.claim(
        of(&before, first.item) == Some(first.rating) && of(&after, first.item) == Some(lowered.rating),
        &format!("movie {}: rating {} became {}", first.item, first.rating, lowered.rating),
    )?;
    stage.claim(
        of(&before, second.item).is_some() && of(&after, second.item).is_none() && after.len() + 1 == before.len(),
        &format!("movie {}: its rating is gone", second.item),
    )?;
    // The state before, once more: what is older never wins.
    append(node, &[first.record(first.ts + 60), second.record(second.ts + 60)]).await?;
    stage.claim(rows(node, data).await? == after, "the old states, sent again, change nothing")?;
    for name in signals(node).await {
        node.backfill(&name, Fold::New, &|_| {}).await?;
    }
    stage.claim(rows(node, data).await? == after, "and neither does the next backfill")?;
    stage.say(&table(&after[..after.len().min(3)], Style::stdout()))
}

/// The sequence of the user that is shown.
async fn rows(node: &Node, data: &Data) -> anyhow::Result<Vec<Value>> {
    let answer = node.read(&QualifiedName::new("movies", "recent-movies"), &Query::new(Entity::Int64(SHOWN), data.as_of)).await?;
    Ok(rows_to_json(&answer.sequence.rows)?)
}

async fn append(node: &Node, records: &[Value]) -> anyhow::Result<()> {
    for record in records {
        node.append("ratings", vec![NewRecord { payload: record.to_string().into(), ..NewRecord::default() }]).await?;
    }
    Ok(node.settle().await?)
}

async fn signals(node: &Node) -> Vec<QualifiedName> {
    let mut names: Vec<QualifiedName> = node.signals().await.iter().map(|s| Arc::clone(&s.plan).name.clone()).collect();
    names.sort();
    names
}

/// Leaves a server behind.
///
/// # Errors
/// When it does not start.
pub fn keep_running(stage: &mut Stage, data: &Data) -> anyhow::Result<()> {
    stage.step("The server stays")?;
    let log = data.work.join("dev.log");
    let out = fs::File::create(&log).with_context(|| format!("write {}", log.display()))?;
    let child = Command::new(std::env::current_exe()?)
        .arg("dev")
        .arg(&data.dir)
        .args(["--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"])
        .stdin(Stdio::null())
        .stdout(out.try_clone()?)
        .stderr(out)
        .spawn()
        .context("start tress dev")?;
    let address = crash::wait_until_up(&data.dir)?;
    let dir = data.dir.display();
    let exe = std::env::current_exe()?;
    // As it can be typed here.
    let program = std::env::current_dir().ok().and_then(|here| exe.strip_prefix(here).ok()).unwrap_or(&exe).display();
    stage.say(&format!(
        "\
process {}, its output in {}
curl 'http://{}/v1/sequences/movies/recent-movies/{SHOWN}?limit=3'
{program} get recent-movies {SHOWN} --dir {dir}
{program} get movie-sessions {SHOWN} --dir {dir} -o yaml
{program} status --dir {dir}
$EDITOR {dir}/rating.yaml      change something, save, and look at the output again
kill {}; rm -r {}",
        child.id(),
        log.display(),
        address.http,
        child.id(),
        data.work.display()
    ))
}
