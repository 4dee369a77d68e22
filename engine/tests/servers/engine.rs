//! `tress-engine` as a process of its own, as a cluster runs it.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tress_configs::job::Report;

/// The longest that anything of a test may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// Starts roles with one platform file.
#[derive(Debug, Clone)]
pub struct Engine {
    platform: PathBuf,
    /// Where reports and logs are.
    folder: PathBuf,
}

/// A role that runs. Dropped, it is killed.
#[derive(Debug)]
pub struct Running {
    child: Child,
    log: PathBuf,
    said: PathBuf,
}

impl Engine {
    pub fn new(platform: &Path, folder: &Path) -> Self {
        Self { platform: platform.to_owned(), folder: folder.to_owned() }
    }

    /// Runs a job to its end: how it ended, by its code and its report.
    pub fn job(&self, arguments: &[&str]) -> (i32, Report) {
        let report = self.folder.join(format!("report-{:016x}", unique()));
        let done = self.command(arguments).arg("--report").arg(&report).output().expect("the engine can be run");
        let said = String::from_utf8(done.stdout).expect("text");
        let kept = std::fs::read_to_string(&report).unwrap_or_else(|e| panic!("no report of {arguments:?}: {e}; it said {said}"));
        assert_eq!(said.trim_end(), kept, "what is printed is what is kept");
        let report = Report::from_json(&kept).expect("a report");
        assert_eq!(report.reasons.is_empty(), done.status.success(), "{kept}");
        (done.status.code().expect("it ended by itself"), report)
    }

    /// The same, of a job that has to succeed.
    pub fn done(&self, arguments: &[&str]) -> Report {
        let (code, report) = self.job(arguments);
        assert_eq!(code, 0, "{arguments:?}: {report:?}");
        report
    }

    /// Starts a role that stays.
    pub fn start(&self, arguments: &[&str]) -> Running {
        let name = format!("{}-{:016x}", arguments.first().expect("a role"), unique());
        let (log, said) = (self.folder.join(format!("{name}.log")), self.folder.join(format!("{name}.out")));
        let child = self
            .command(arguments)
            .stdout(File::create(&said).expect("a file"))
            .stderr(File::create(&log).expect("a file"))
            .spawn()
            .expect("the engine can be run");
        Running { child, log, said }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tress-engine"));
        command.args(arguments).arg("--platform").arg(&self.platform).stdin(Stdio::null());
        command
    }
}

impl Running {
    /// Kills it without a warning.
    pub fn kill(mut self) {
        self.child.kill().expect("it can be killed");
        self.child.wait().expect("it ends");
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Asks it to stop; its code and its report.
    pub fn stop(mut self) -> (i32, Report) {
        let asked = Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status().expect("kill can be run");
        assert!(asked.success());
        self.ended()
    }

    /// Waits until it has ended.
    pub fn ended(&mut self) -> (i32, Report) {
        let code = self.child.wait().expect("it ends").code().expect("it ended by itself");
        let said = std::fs::read_to_string(&self.said).expect("text");
        (code, Report::from_json(&said).unwrap_or_else(|e| panic!("{e}: {said}; {}", self.log())))
    }

    /// What it logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    pub fn still_runs(&mut self) -> bool {
        self.child.try_wait().expect("it can be asked").is_none()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended already.
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            eprintln!("{}:\n{}", self.log.display(), self.log());
        }
    }
}

/// Waits until it is so.
pub async fn until<F: Future<Output = bool>>(what: &str, mut so: impl FnMut() -> F) {
    let waiting = async {
        while !so().await {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::time::timeout(PATIENCE, waiting).await.unwrap_or_else(|_| panic!("not in time: {what}"));
}

/// An address that nobody listens at now.
pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("an address")
}

/// The reply of a plain HTTP server to a GET: its status and its body; `None` = nobody answers.
pub fn get(address: SocketAddr, path: &str) -> Option<(u16, String)> {
    use std::io::{Read, Write};
    let mut connection = std::net::TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
    connection.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
    write!(connection, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").ok()?;
    let mut reply = String::new();
    connection.read_to_string(&mut reply).ok()?;
    let (head, body) = reply.split_once("\r\n\r\n")?;
    Some((head.split(' ').nth(1)?.parse().ok()?, body.to_owned()))
}

fn unique() -> u64 {
    use std::sync::atomic::{AtomicU64, Ordering};
    static USED: AtomicU64 = AtomicU64::new(0);
    (u64::from(std::process::id()) << 32) | USED.fetch_add(1, Ordering::Relaxed)
}
