//! The program as people run it: a child process, its output and its exit code.

#![allow(dead_code, reason = "each test file uses a part of it")]

use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// What a run ended with.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

fn command(dir: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tress"));
    command.current_dir(dir).args(arguments).env("NO_COLOR", "1").stdin(Stdio::null());
    command
}

/// Runs it in `dir` to its end.
pub fn run(dir: &Path, arguments: &[&str]) -> Ended {
    let ended = command(dir, arguments).output().expect("tress runs");
    Ended {
        code: ended.status.code(),
        out: String::from_utf8(ended.stdout).expect("text"),
        err: String::from_utf8(ended.stderr).expect("text"),
    }
}

/// Runs it and expects exit code 0; what it printed.
pub fn succeed(dir: &Path, arguments: &[&str]) -> String {
    let ended = run(dir, arguments);
    assert_eq!(ended.code, Some(0), "tress {}\n{}{}", arguments.join(" "), ended.out, ended.err);
    ended.out
}

/// As [`succeed`], with JSON printed.
pub fn json(dir: &Path, arguments: &[&str]) -> Value {
    serde_json::from_str(&succeed(dir, arguments)).expect("JSON")
}

/// A `tress dev` that runs; killed when it goes.
pub struct Dev {
    child: Child,
    log: std::path::PathBuf,
}

impl Dev {
    /// Starts it on the definitions in `dir/defs`, and waits until it serves.
    pub fn start(dir: &Path, more: &[&str]) -> Self {
        let log = dir.join("dev.log");
        let out = fs::File::options().create(true).append(true).open(&log).expect("a log file");
        let arguments = [&["dev", "defs", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0"], more].concat();
        let child = command(dir, &arguments).stdout(Stdio::null()).stderr(out).spawn().expect("tress dev starts");
        let dev = Self { child, log };
        let pid = dev.child.id();
        dev.until("it serves", || {
            let text = fs::read_to_string(dir.join("defs/.tress/dev.json")).ok()?;
            let record: Value = serde_json::from_str(&text).ok()?;
            (record["pid"] == pid).then_some(())
        });
        dev
    }

    /// What it said so far.
    pub fn said(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until `look` finds something.
    pub fn until<T>(&self, what: &str, mut look: impl FnMut() -> Option<T>) -> T {
        let began = Instant::now();
        loop {
            if let Some(found) = look() {
                return found;
            }
            assert!(began.elapsed() < Duration::from_secs(120), "waited too long until {what}; tress dev said:\n{}", self.said());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// SIGKILL.
    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("gone");
    }

    /// SIGTERM, and waits for its end.
    pub fn stop(mut self) -> Option<i32> {
        let sent = Command::new("kill").arg(self.child.id().to_string()).status().expect("kill runs");
        assert!(sent.success());
        self.child.wait().expect("it ends").code()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _gone_already = self.child.wait();
    }
}
