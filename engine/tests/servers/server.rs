//! Servers of these tests: each is started once, by its script, and ends with this process.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// A server in its folder.
#[derive(Debug)]
pub struct Server {
    script: PathBuf,
    folder: PathBuf,
    /// The process with which it ends.
    lives: u32,
    address: HashMap<String, String>,
    environment: Vec<(&'static str, &'static str)>,
}

impl Server {
    /// The one Kafka that these tests share.
    pub fn kafka() -> &'static Self {
        static KAFKA: OnceLock<Server> = OnceLock::new();
        KAFKA.get_or_init(|| Self::shared("kafka"))
    }

    /// The one schema registry that these tests share.
    pub fn registry() -> &'static Self {
        static REGISTRY: OnceLock<Server> = OnceLock::new();
        REGISTRY.get_or_init(|| Self::shared("registry"))
    }

    /// The one blob storage as Azure has it that these tests share.
    pub fn azure() -> &'static Self {
        static AZURE: OnceLock<Server> = OnceLock::new();
        AZURE.get_or_init(|| Self::shared("azure"))
    }

    /// The one S3 server that these tests share.
    pub fn s3() -> &'static Self {
        static S3: OnceLock<Server> = OnceLock::new();
        S3.get_or_init(|| Self::shared("s3"))
    }

    /// Nextest runs each test in a process of its own: those of one run share a folder, and the server ends with the run.
    fn shared(name: &str) -> Self {
        let Ok(run) = std::env::var("NEXTEST_RUN_ID") else { return Self::start(name) };
        let folder = std::env::temp_dir().join(format!("tress-{name}-{run}"));
        Self::started(name, folder, std::os::unix::process::parent_id(), Vec::new())
    }

    /// A server of the test's own: it may be killed.
    pub fn start(name: &str) -> Self {
        Self::start_with(name, Vec::new())
    }

    /// The same, with what its script takes from the environment.
    pub fn start_with(name: &str, environment: Vec<(&'static str, &'static str)>) -> Self {
        let folder = tempfile::Builder::new().prefix(&format!("tress-{name}-")).tempdir().expect("a folder").keep();
        Self::started(name, folder, std::process::id(), environment)
    }

    /// The script ends the server and removes the folder when the process `lives` has ended.
    fn started(name: &str, folder: PathBuf, lives: u32, environment: Vec<(&'static str, &'static str)>) -> Self {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../e2e/servers").join(name);
        let mut server = Self { script, folder, lives, address: HashMap::new(), environment };
        server.start_again();
        server
    }

    /// Starts it where it was, with the data that it had.
    pub fn start_again(&mut self) {
        let said = self.run(&["start"], &["--while", &self.lives.to_string()]);
        self.address = said.lines().filter_map(|line| line.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
    }

    /// As [`Server::start_again`], of a server that has its addresses and data.
    pub fn start_again_as_it_was(&self) {
        self.run(&["start"], &["--while", &self.lives.to_string()]);
    }

    /// Of the server itself.
    pub fn pid(&self) -> u32 {
        let pid = std::fs::read_to_string(self.folder.join("pid")).expect("the server runs");
        pid.trim().parse().expect("a number")
    }

    /// Ends it without a warning.
    pub fn kill(&self) {
        self.run(&["kill"], &[]);
    }

    /// Lets it answer nobody until it goes on: it forgets nothing.
    pub fn pause(&self) {
        self.signal("STOP");
    }

    pub fn go_on(&self) {
        self.signal("CONT");
    }

    fn signal(&self, signal: &str) {
        let pid = std::fs::read_to_string(self.folder.join("pid")).expect("it runs");
        let done = Command::new("kill").arg(format!("-{signal}")).arg(pid.trim()).status().expect("kill can be run");
        assert!(done.success(), "the server cannot be told to {signal}");
    }

    /// What the server said about itself when it was started.
    pub fn tell(&self, name: &str) -> &str {
        self.address.get(name).unwrap_or_else(|| panic!("{} does not tell its {name}", self.script.display()))
    }

    fn run(&self, command: &[&str], more: &[&str]) -> String {
        let mut call = Command::new(&self.script);
        call.envs(self.environment.iter().copied())
            .args(command)
            .arg(&self.folder)
            .args(more)
            .stdin(Stdio::null())
            .stderr(Stdio::inherit());
        let done = call.output().unwrap_or_else(|e| panic!("{} cannot be run: {e}", self.script.display()));
        assert!(done.status.success(), "{} {command:?} failed; what it said is above", self.script.display());
        String::from_utf8(done.stdout).expect("the script writes text")
    }
}
