//! Every path of the lake and every name of a topic or group. Nothing outside this file formats one.

use object_store::path::Path;

/// Where plans are put, by digest.
#[must_use]
pub fn plan(digest: &str) -> Path {
    Path::from(format!("_tress/plans/{digest}.json"))
}

/// Where `prepare` records what a revision is made of.
#[must_use]
pub fn revision(uid: &str) -> Path {
    Path::from(format!("_tress/revisions/{uid}.json"))
}

/// The folder of revisions.
#[must_use]
pub fn revisions() -> Path {
    Path::from("_tress/revisions")
}

/// The copy of a registry's schema.
#[must_use]
pub fn schema(registry: &str, id: u32) -> Path {
    Path::from(format!("_tress/schemas/{registry}/{id}.json"))
}

/// Everything of one signal revision.
#[must_use]
pub fn signal(uid: &str) -> Path {
    Path::from(format!("signals/{uid}"))
}

/// The Delta table of a signal revision's history.
#[must_use]
pub fn history(uid: &str) -> Path {
    signal(uid).join("history")
}

/// A data file of history, relative to the table: made by task `task` of backfill `number`, for one bucket.
#[must_use]
pub fn history_file(bucket: &str, number: u64, task: usize) -> String {
    format!("bucket={bucket}/part-{number:010}-{task:06}.parquet")
}

/// A data file of history, relative to the table: one bucket compacted by the seal of backfill `number`.
#[must_use]
pub fn compacted_file(bucket: &str, number: u64) -> String {
    format!("bucket={bucket}/compact-{number:010}.parquet")
}

/// The number of the backfill that wrote a data file of history; `None` for a file that none wrote.
#[must_use]
pub fn history_file_backfill(path: &str) -> Option<u64> {
    let name = path.rsplit('/').next()?.strip_suffix(".parquet")?;
    let number = match name.strip_prefix("part-") {
        Some(rest) => rest.split_once('-')?.0,
        None => name.strip_prefix("compact-")?,
    };
    number.parse().ok()
}

/// The folder of a signal revision's pins: versions of its history that stay.
#[must_use]
pub fn pins(uid: &str) -> Path {
    signal(uid).join("pins")
}

/// The pin of whatever has this digest.
#[must_use]
pub fn pin(uid: &str, by: &str) -> Path {
    pins(uid).join(format!("{by}.json"))
}

/// The log of a Delta table.
#[must_use]
pub fn delta_log(table: &Path) -> Path {
    table.clone().join("_delta_log")
}

/// The folder of backfills' work plans, tasks and seals.
#[must_use]
pub fn backfills(uid: &str) -> Path {
    signal(uid).join("backfills")
}

#[must_use]
pub fn work_plan(uid: &str, number: u64) -> Path {
    backfills(uid).join(format!("{number:010}")).join("plan.json")
}

#[must_use]
pub fn task_manifest(uid: &str, number: u64, task: usize) -> Path {
    backfills(uid).join(format!("{number:010}")).join(format!("task-{task:06}.json"))
}

/// The record that backfill `number` was sealed.
#[must_use]
pub fn seal(uid: &str, number: u64) -> Path {
    backfills(uid).join(format!("{number:010}")).join("seal.json")
}

/// The folder of base manifests.
#[must_use]
pub fn base_manifests(uid: &str) -> Path {
    signal(uid).join("base").join("manifests")
}

#[must_use]
pub fn base_manifest(uid: &str, number: u64) -> Path {
    base_manifests(uid).join(format!("{number:010}.json"))
}

/// The folder of base's runs.
#[must_use]
pub fn base_runs(uid: &str) -> Path {
    signal(uid).join("base").join("runs")
}

/// A run of base: of manifest `number`, for one shard. `attempt` keeps racing writers apart.
#[must_use]
pub fn base_run(uid: &str, number: u64, shard: u32, attempt: &str) -> Path {
    base_runs(uid).join(format!("{number:010}-{shard:04}-{attempt}.arrow"))
}

/// The folder of snapshots of a signal revision's tail.
#[must_use]
pub fn tail_snapshots(uid: &str) -> Path {
    signal(uid).join("tail")
}

/// The raw table that the engine keeps of a topic.
#[must_use]
pub fn raw(connection: &str, topic: &str, topic_id: &str) -> Path {
    Path::from(format!("raw/{connection}/{topic}/{topic_id}"))
}

/// A data file of a raw table, relative to the table: one partition's records from `start` up to, but not, `end`.
#[must_use]
pub fn raw_file(partition: i32, start: i64, end: i64) -> String {
    format!("partition-{partition:05}/{start:020}-{end:020}.parquet")
}

/// The partition and the first offset of a data file of a raw table; `None` for what is none.
#[must_use]
pub fn raw_file_start(path: &str) -> Option<(i32, i64)> {
    let (folder, name) = path.strip_suffix(".parquet")?.rsplit_once('/')?;
    let partition = folder.rsplit('/').next()?.strip_prefix("partition-")?.parse().ok()?;
    Some((partition, name.split_once('-')?.0.parse().ok()?))
}

/// The transaction of a raw table whose version says how far a partition is archived.
#[must_use]
pub fn raw_transaction(topic_id: &str, partition: i32) -> String {
    format!("{topic_id}/{partition}")
}

/// The topic of the changelog whose topics have this stem.
#[must_use]
pub fn changelog_of(stem: &str) -> String {
    format!("{stem}.changelog")
}

/// The topic of the dead letters whose topics have this stem.
#[must_use]
pub fn dead_letters_of(stem: &str) -> String {
    format!("{stem}.deadletters")
}

/// The topic of a signal revision's changelog, unless its record says another.
#[must_use]
pub fn changelog(uid: &str) -> String {
    changelog_of(&format!("tress.{uid}"))
}

/// The topic of a signal revision's dead letters, unless its record says another.
#[must_use]
pub fn dead_letters(uid: &str) -> String {
    dead_letters_of(&format!("tress.{uid}"))
}

/// The consumer group of a signal revision's stream.
#[must_use]
pub fn stream_group(uid: &str) -> String {
    format!("tress.{uid}.stream")
}

/// The consumer group of a topic's archive.
#[must_use]
pub fn archive_group(topic: &str) -> String {
    format!("tress.archive.{topic}")
}
