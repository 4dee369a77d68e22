//! Every fault point, at several of its hits: the process is killed there, started again, and finishes.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tress_engine::faults::{self, Point};

use crate::child::{FOLDER, FROM};
use crate::model::{self, Rows};
use crate::scenario::{name, write_titles};
use crate::steps::{FEATURES, Step, batches, last_length, steps};

/// Hits of a point at which the process is killed.
const HITS: [u32; 3] = [1, 2, 5];
/// Processes at a time.
const AT_A_TIME: usize = 2;
/// A process that has not ended by then hangs.
const PATIENCE: Duration = Duration::from_secs(120);

/// Points that the steps do not reach, and why that is right.
const NOT_REACHED: [(Point, &str); 1] =
    [(Point::LogTrim, "drops whole segments, of 64 MiB: made to fail, with small ones, in engine/src/log/segment/tests.rs")];

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Killed,
    Finished,
    Failed,
}

/// What a process said, in order.
#[derive(Debug, Default)]
struct Said {
    lines: Vec<Vec<String>>,
    all: String,
}

impl Said {
    fn of(all: String) -> Self {
        let lines = all.lines().filter_map(|line| line.strip_prefix('@')).map(|line| line.split('|').map(str::to_owned).collect());
        Self { lines: lines.collect(), all }
    }

    fn each<'a>(&'a self, word: &'a str) -> impl Iterator<Item = &'a [String]> {
        self.lines.iter().filter(move |l| l[0] == word).map(|l| &l[1..])
    }

    fn last_step(&self, word: &str) -> Option<usize> {
        self.each(word).last().map(|l| l[0].parse().expect("a step"))
    }

    /// By feature and user: rows and digest, as they were said last.
    fn sequences(&self, word: &str) -> BTreeMap<(String, String), (Rows, String)> {
        let rows = |text: &str| text.split(',').filter(|row| !row.is_empty()).map(str::to_owned).collect();
        self.each(word).map(|l| ((l[0].clone(), l[1].clone()), (rows(&l[3]), l[2].clone()))).collect()
    }
}

fn run(folder: &Path, from: usize, fault: Option<&str>) -> (End, Said) {
    let output = folder.join(format!("output-{from}-{}", fault.is_some()));
    let file = File::create(&output).expect("a file");
    let errors = file.try_clone().expect("a file");
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command
        .args(["--ignored", "--exact", "child::steps_until_killed", "--nocapture"])
        .env(FOLDER, folder)
        .env(FROM, from.to_string())
        .env_remove(faults::VARIABLE)
        .env("RUST_BACKTRACE", "0")
        .stdin(Stdio::null())
        .stdout(file)
        .stderr(errors);
    if let Some(fault) = fault {
        command.env(faults::VARIABLE, fault);
    }
    let mut process = command.spawn().expect("a process");
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = process.try_wait().expect("its status") {
            break Some(status);
        }
        if Instant::now() > deadline {
            process.kill().expect("killed");
            process.wait().expect("its end");
            break None;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let said = Said::of(String::from_utf8_lossy(&std::fs::read(&output).expect("its output")).into_owned());
    // Aborted: by a signal, so without a code.
    let end = match status {
        Some(status) if status.success() => End::Finished,
        Some(status) if status.code().is_none() => End::Killed,
        _ => End::Failed,
    };
    (end, said)
}

/// Rounds of one fault: killed, then finished, and everything said holds together.
fn round(fault: &str, reference: &Said) -> Result<(), String> {
    let folder = tempfile::tempdir().expect("a folder");
    write_titles(&folder.path().join("tables"));
    let (end, killed) = run(folder.path(), 0, Some(fault));
    match end {
        End::Killed => {}
        End::Finished => return Err(format!("{fault}: the steps do not reach it so often; make them, or say why in NOT_REACHED")),
        End::Failed => return Err(format!("{fault}: ended otherwise than killed\n{}", tail(&killed.all))),
    }
    let done = killed.last_step("done").map_or(0, |step| step + 1);
    let (end, finished) = run(folder.path(), done, None);
    if end != End::Finished {
        return Err(format!("{fault}, killed in step {done} ({:?}): did not finish\n{}", steps().get(done), tail(&finished.all)));
    }
    let check = || -> Result<(), String> {
        nothing_is_lost(done, &killed, &finished)?;
        versions_only_rise(&killed, &finished)?;
        same_sequences(&finished, reference)
    };
    check().map_err(|e| format!("{fault}, killed in step {done} ({:?}): {e}", steps().get(done)))
}

/// Right after the restart, what was acknowledged is read, and nothing else but what was on its way.
fn nothing_is_lost(done: usize, killed: &Said, finished: &Said) -> Result<(), String> {
    let all = steps();
    let acknowledged = || {
        let batches = all[..done].iter().filter_map(|s| if let Step::Append(number) = s { Some(*number) } else { None });
        batches.collect::<Vec<_>>().into_iter()
    };
    let on_its_way = match all.get(done) {
        Some(Step::Append(number)) => model::touched(*number),
        _ => Default::default(),
    };
    let after = finished.sequences("after");
    if all[..done].iter().any(|s| matches!(s, Step::Apply(_))) && after.len() != FEATURES.len() * crate::scenario::USERS {
        return Err("what was live is not live after the restart".to_owned());
    }
    for user in 0..crate::scenario::USERS as u64 {
        let Some((now, _)) = after.get(&("all".to_owned(), name(user))) else { continue };
        let untouched = |row: &&String| !on_its_way.contains(&(name(user), model::key_of(row)));
        let expected = model::sequence("all", user, acknowledged(), 0);
        let (now, expected): (Vec<&String>, Vec<&String>) =
            (now.iter().filter(untouched).collect(), expected.iter().filter(untouched).collect());
        if now != expected {
            return Err(format!("after the restart {} has\n{now:#?}\nbut acknowledged were\n{expected:#?}", name(user)));
        }
    }
    // What a reader saw before is seen after, unless a batch since then speaks of it.
    let last_read = killed.lines.iter().rposition(|l| l[0] == "seen");
    let since =
        killed.lines[last_read.map_or(0, |at| at + 1)..].iter().filter(|l| l[0] == "begin").map(|l| l[1].parse::<usize>().expect("a step"));
    let mut superseded = std::collections::BTreeSet::new();
    for step in since {
        if let Step::Append(number) = all[step] {
            superseded.extend(model::touched(number));
        }
    }
    for ((of, user), (seen, _)) in killed.sequences("seen") {
        if of != "all" {
            continue;
        }
        let now = &after.get(&(of, user.clone())).ok_or("a feature that was read is gone")?.0;
        let lost: Vec<&String> =
            seen.iter().filter(|r| !superseded.contains(&(user.clone(), model::key_of(r))) && !now.contains(r)).collect();
        if !lost.is_empty() {
            return Err(format!("{user}: a reader saw {lost:?}; after the restart they are gone"));
        }
    }
    Ok(())
}

/// History's version, backfills, cuts and base never go back.
fn versions_only_rise(killed: &Said, finished: &Said) -> Result<(), String> {
    let parse = |l: &[String]| l.iter().map(|n| n.parse::<u64>().expect("a number")).collect::<Vec<_>>();
    let all: Vec<Vec<u64>> = killed.each("versions").chain(finished.each("versions")).map(parse).collect();
    match all.windows(2).find(|w| w[0].iter().zip(&w[1]).any(|(before, after)| after < before)) {
        Some(back) => Err(format!("version, backfill, cut or base went back: {back:?}")),
        None => Ok(()),
    }
}

/// In the end every sequence is what the events say, to the byte.
fn same_sequences(finished: &Said, reference: &Said) -> Result<(), String> {
    let (found, expected) = (finished.sequences("final"), reference.sequences("final"));
    for of in FEATURES {
        for user in 0..crate::scenario::USERS as u64 {
            let key = (of.to_owned(), name(user));
            let rows = model::sequence(of, user, 0..batches(), last_length());
            let found = found.get(&key).ok_or_else(|| format!("{key:?} was not read at the end"))?;
            if found.0 != rows {
                return Err(format!("in the end {key:?} is\n{:#?}\nbut must be\n{rows:#?}", found.0));
            }
            if Some(found) != expected.get(&key) {
                return Err(format!("in the end the bytes of {key:?} are others than without a kill"));
            }
        }
    }
    Ok(())
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|l| !l.is_empty() && !l.starts_with("@seen") && !l.starts_with("@after")).collect();
    lines[lines.len().saturating_sub(25)..].join("\n")
}

fn faults_to_try() -> Vec<String> {
    let reached = Point::ALL.iter().filter(|p| NOT_REACHED.iter().all(|(not, _)| not != *p));
    let mut faults: Vec<String> = reached.flat_map(|p| HITS.map(|hit| format!("{}:{hit}:abort", p.name()))).collect();
    faults.extend(HITS.map(|hit| format!("{}:{}:torn", Point::LogAppend.name(), hit * 7)));
    // For a closer look at some of them: part of a fault's name.
    match std::env::var("TRESS_KILLS_ONLY") {
        Ok(only) => faults.into_iter().filter(|f| f.contains(&only)).collect(),
        Err(_) => faults,
    }
}

#[test]
fn killed_at_any_point_nothing_is_lost_doubled_or_set_back() {
    let folder = tempfile::tempdir().expect("a folder");
    write_titles(&folder.path().join("tables"));
    let begun = Instant::now();
    let (end, reference) = run(folder.path(), 0, None);
    assert_eq!(end, End::Finished, "{}", tail(&reference.all));
    same_sequences(&reference, &reference).unwrap();
    println!("undisturbed: {:.1} s", begun.elapsed().as_secs_f64());

    let faults = faults_to_try();
    let (left, failed) = (Mutex::new(faults.iter()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let Some(fault) = left.lock().expect("no panic").next() else { return };
                    let begun = Instant::now();
                    let outcome = round(fault, &reference);
                    println!("{fault}: {:.1} s{}", begun.elapsed().as_secs_f64(), if outcome.is_err() { ", FAILED" } else { "" });
                    failed.lock().expect("no panic").extend(outcome.err());
                }
            });
        }
    });
    let failed = failed.into_inner().expect("no panic");
    println!("{} rounds of kill and restart in {:.0} s", faults.len(), begun.elapsed().as_secs_f64());
    for (point, reason) in NOT_REACHED {
        println!("not reached here: {}: {reason}", point.name());
    }
    assert!(failed.is_empty(), "{} of {} rounds failed:\n{}", failed.len(), faults.len(), failed.join("\n\n"));
}
