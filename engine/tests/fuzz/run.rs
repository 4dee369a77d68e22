//! Runs a target: case after case in a process of its own, so that even the end of that process is only a finding.

use std::fs::File;
use std::path::PathBuf;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::mutate::Random;
use crate::{avro, definitions, rows, serving, stored};

/// Set for the process: the target, and where it keeps the case that it is at.
const TARGET: &str = "TRESS_FUZZ_TARGET";
const CASE: &str = "TRESS_FUZZ_CASE";
/// How long each target runs, instead of its fixed number of cases.
const SECONDS: &str = "FUZZ_SECONDS";
/// Below it, the first inputs of each target are kept for another fuzzer to begin with.
const CORPUS: &str = "FUZZ_CORPUS";
/// How many.
const KEPT: u64 = 300;
/// Addresses that a process may use, in KiB: programs and threads of tests take less than half.
const LIMIT_KIB: &str = "4000000";
/// Without `FUZZ_SECONDS`: no target takes longer, on however slow a machine.
const LONGEST: Duration = Duration::from_secs(6);
/// A case that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(20);

/// Makes an input, hands it to `keep`, then feeds it to what is tested.
pub type Target = Box<dyn FnMut(&mut Random, &mut dyn FnMut(&[u8]))>;

/// A target and how many cases it is given.
pub fn target(name: &str) -> (Target, u64) {
    match name {
        "definitions" => (definitions::definitions(), 300),
        "plans" => (definitions::plans(), 3_000),
        "expressions" => (definitions::expressions(), 3_000),
        "records" => (rows::records(), 3_000),
        "avro" => (avro::records(), 10_000),
        "schemas" => (avro::schemas(), 1_000),
        "changelog" => (rows::changelog(), 10_000),
        "runs" => (rows::runs(), 10_000),
        "logs" => (stored::logs(), 600),
        "lake" => (stored::lake(), 5_000),
        "nodes" => (stored::nodes(), 100),
        "requests" => (serving::requests(), 1_500),
        "replies" => (serving::replies(), 10_000),
        other => panic!("there is no target {other}"),
    }
}

fn seconds() -> Option<Duration> {
    std::env::var(SECONDS).ok().map(|s| Duration::from_secs(s.parse().expect("FUZZ_SECONDS is a number")))
}

/// Runs a target in a process of its own; what it ends with is told together with the input it ended at.
fn fuzz(name: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let case = folder.path().join("case");
    let (out, err) = (folder.path().join("out"), folder.path().join("err"));
    let mut process = Command::new("sh")
        .args(["-c", &format!("ulimit -v {LIMIT_KIB} && exec \"$0\" \"$@\"")])
        .arg(std::env::current_exe().expect("this program"))
        .args(["--ignored", "--exact", "run::cases_of_a_target", "--nocapture"])
        .env(TARGET, name)
        .env(CASE, &case)
        .env("RUST_BACKTRACE", "1")
        .stdout(File::create(&out).expect("a file"))
        .stderr(File::create(&err).expect("a file"))
        .spawn()
        .expect("a process");
    let deadline = Instant::now() + seconds().unwrap_or(LONGEST) + PATIENCE;
    let ended = loop {
        if let Some(status) = process.try_wait().expect("its status") {
            break status.to_string();
        }
        if Instant::now() > deadline {
            process.kill().expect("killed");
            process.wait().expect("its end");
            break "hangs".to_owned();
        }
        std::thread::sleep(Duration::from_millis(20));
    };
    let told = |path| String::from_utf8_lossy(&std::fs::read(path).expect("what it said")).into_owned();
    let said = told(&out);
    // Told at the end of all cases; what ends otherwise has not told it.
    if let Some(done) = said.lines().find(|line| line.contains("cases in")) {
        println!("{done}");
        return;
    }
    let input = std::fs::read(&case).unwrap_or_default();
    let kept = std::env::temp_dir().join(format!("fuzz-{name}"));
    std::fs::write(&kept, &input).expect("the input is kept");
    let errors = told(&err);
    let errors: Vec<&str> = errors.lines().take(40).collect();
    let shown: String = String::from_utf8_lossy(&input).chars().take(2_000).collect();
    panic!("{name}: {ended}\n{}\nthe input, kept as {}:\n{shown}", errors.join("\n"), kept.display());
}

#[test]
#[ignore = "the process that the tests below start"]
fn cases_of_a_target() {
    static PANICKED: AtomicBool = AtomicBool::new(false);
    let name = std::env::var(TARGET).expect("only run by the tests below");
    let file = PathBuf::from(std::env::var_os(CASE).expect("only run by the tests below"));
    // A panic in a task of a server is a finding, too: nobody else would see it.
    let print = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        PANICKED.store(true, Ordering::SeqCst);
        print(info);
    }));
    let (mut run, cases) = target(&name);
    let corpus = std::env::var_os(CORPUS).map(|folder| PathBuf::from(folder).join(&name));
    if let Some(corpus) = &corpus {
        std::fs::create_dir_all(corpus).expect("a folder");
    }
    let (begun, limit) = (Instant::now(), seconds());
    let mut number = 0;
    let more = |number: u64, begun: Instant| match limit {
        Some(limit) => begun.elapsed() < limit,
        None => number < cases && begun.elapsed() < LONGEST,
    };
    while more(number, begun) {
        let mut random = Random::new(number.wrapping_mul(0x1234_5678_9abc_def1));
        run(&mut random, &mut |input| {
            std::fs::write(&file, input).expect("the case is kept");
            if let Some(corpus) = corpus.as_ref().filter(|_| number < KEPT) {
                std::fs::write(corpus.join(format!("case-{number}")), input).expect("the input is kept");
            }
        });
        assert!(!PANICKED.load(Ordering::SeqCst), "case {number} panicked");
        number += 1;
    }
    println!("\n{name}: {number} cases in {:.1} s", begun.elapsed().as_secs_f64());
}

#[test]
fn definitions_are_refused_or_compiled() {
    fuzz("definitions");
}

#[test]
fn plans_are_refused_or_run() {
    fuzz("plans");
}

#[test]
fn expressions_are_refused_or_evaluated() {
    fuzz("expressions");
}

#[test]
fn records_become_rows_or_dead_letters() {
    fuzz("records");
}

#[test]
fn avro_records_are_refused_or_read() {
    fuzz("avro");
}

#[test]
fn avro_schemas_are_refused_or_read_with() {
    fuzz("schemas");
}

#[test]
fn changelog_records_are_refused_or_read() {
    fuzz("changelog");
}

#[test]
fn runs_are_refused_or_searched() {
    fuzz("runs");
}

#[test]
fn logs_are_refused_or_opened() {
    fuzz("logs");
}

#[test]
fn files_of_the_lake_are_refused_or_read() {
    fuzz("lake");
}

#[test]
fn states_of_a_node_are_refused_or_opened() {
    fuzz("nodes");
}

#[test]
fn requests_are_refused_or_answered() {
    fuzz("requests");
}

#[test]
fn replies_are_refused_or_decoded() {
    fuzz("replies");
}
