//! A process of the cluster: started, killed, paused, armed, and started again; how it ended is judged.

use std::fs::{File, OpenOptions};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use tress_configs::job::Report;
use tress_engine::faults;

use super::findings::Findings;

/// How often it is looked whether it still runs.
const LOOK: Duration = Duration::from_millis(15);
/// Between its end and its next start.
const PAUSE: Duration = Duration::from_millis(200);

/// What is started.
#[derive(Debug, Clone)]
pub struct Launch {
    pub program: PathBuf,
    pub arguments: Vec<String>,
    pub environment: Vec<(String, String)>,
}

/// A process, and those that came before it under the same name.
#[derive(Debug)]
pub struct Process {
    pub name: String,
    logs: PathBuf,
    findings: Arc<Findings>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    child: Option<Child>,
    /// How many were started.
    started: u32,
    /// How often it was disturbed, or ended: what was asked of it meanwhile may fail.
    disturbed: u64,
    paused: bool,
    asked: Asked,
    /// How many ended.
    ends: u32,
    /// What the next ones die at, until one has come there.
    next_fault: Option<String>,
    /// What this one dies at.
    fault: Option<String>,
    /// How many died at what they were armed with.
    died: u32,
    /// It is not started again.
    down: bool,
    /// It may end because what it works on is gone.
    may_fail: bool,
    /// What the next ones have in their environment besides.
    environment: Vec<(String, String)>,
    /// How much of its errors was looked at for panics.
    looked: usize,
    last: Option<Ended>,
}

/// What was asked of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Asked {
    #[default]
    Run,
    Stop,
    Die,
}

/// How one ended.
#[derive(Debug, Clone)]
pub struct Ended {
    /// `None` = by a signal.
    pub code: Option<i32>,
    pub report: Option<Report>,
}

impl Process {
    pub fn new(name: &str, logs: PathBuf, findings: Arc<Findings>) -> Self {
        Self { name: name.to_owned(), logs, findings, state: Mutex::default() }
    }

    /// Keeps one running until `stop`, which kills it.
    pub async fn keep(&self, launch: Launch, stop: CancellationToken) {
        while !stop.is_cancelled() {
            if !self.state.lock().down {
                self.start(&launch);
                self.ended(&stop).await;
            }
            stop.run_until_cancelled(tokio::time::sleep(PAUSE)).await;
        }
        self.kill();
        self.ended(&CancellationToken::new()).await;
    }

    /// Runs it once, to its end.
    pub async fn run(&self, launch: &Launch, stop: &CancellationToken) -> Option<Ended> {
        self.start(launch);
        self.ended(stop).await
    }

    fn start(&self, launch: &Launch) {
        let mut state = self.state.lock();
        let file = |kind: &str| {
            let path = self.logs.join(format!("{}.{kind}", self.name));
            OpenOptions::new().create(true).append(true).open(path).unwrap()
        };
        let mut command = Command::new(&launch.program);
        command.args(&launch.arguments).envs(launch.environment.iter().map(|(k, v)| (k, v))).env_remove(faults::VARIABLE);
        command.envs(state.environment.iter().map(|(k, v)| (k, v)));
        state.fault = state.next_fault.clone();
        if let Some(fault) = &state.fault {
            command.env(faults::VARIABLE, fault);
        }
        let output = File::create(self.logs.join(format!("{}.out", self.name))).unwrap();
        command.env("RUST_BACKTRACE", "0").stdin(Stdio::null()).stdout(output).stderr(file("err"));
        state.child = Some(command.spawn().unwrap_or_else(|e| panic!("{} cannot be started: {e}", launch.program.display())));
        state.started += 1;
        (state.asked, state.paused) = (Asked::Run, false);
    }

    /// Waits for its end; `None` = it was still running at `stop`.
    async fn ended(&self, stop: &CancellationToken) -> Option<Ended> {
        loop {
            let status = match &mut self.state.lock().child {
                Some(child) => child.try_wait().unwrap(),
                None => return None,
            };
            if let Some(status) = status {
                return Some(self.judge(status));
            }
            stop.run_until_cancelled(tokio::time::sleep(LOOK)).await?;
        }
    }

    fn judge(&self, status: ExitStatus) -> Ended {
        let output = std::fs::read_to_string(self.logs.join(format!("{}.out", self.name))).unwrap_or_default();
        let report = output.lines().rev().find_map(|line| Report::from_json(line).ok());
        let mut state = self.state.lock();
        state.child = None;
        state.disturbed += 1;
        state.ends += 1;
        let reasons = || report.as_ref().map(|r| r.reasons.join("; ")).unwrap_or_default();
        let name = &self.name;
        let how = match (status.code(), status.signal()) {
            _ if state.asked == Asked::Die => "was killed".to_owned(),
            (Some(0), _) if state.asked == Asked::Stop => "stopped in good order".to_owned(),
            (None, Some(6)) if state.fault.is_some() => {
                state.died += 1;
                state.next_fault = None;
                format!("died at {}", state.fault.as_deref().and_then(|f| f.split(':').next()).unwrap_or_default())
            }
            (Some(0), _) => "ended with 0".to_owned(),
            (Some(1), _) if !self.findings.is_calm() => "ended with 1".to_owned(),
            (Some(code), _) if state.may_fail => format!("was refused with {code}"),
            (Some(code), _) => {
                self.findings.add(format!("{name} ended with {code}: {}", reasons()));
                format!("ended with {code}")
            }
            (None, signal) => {
                self.findings.add(format!("{name} was ended by signal {signal:?}, which nobody sent"));
                "was ended by a signal".to_owned()
            }
        };
        self.findings.ended(name, &how);
        if status.code() == Some(1) {
            self.findings.say(format!("{name} ended with 1: {}", reasons()));
        }
        let ended = Ended { code: status.code(), report };
        state.last = Some(ended.clone());
        drop(state);
        self.look_for_panics();
        ended
    }

    /// Panics of its tasks do not end it; they are findings all the same.
    pub fn look_for_panics(&self) {
        let text = std::fs::read(self.logs.join(format!("{}.err", self.name))).unwrap_or_default();
        let mut state = self.state.lock();
        let new = String::from_utf8_lossy(&text[state.looked.min(text.len())..]).into_owned();
        state.looked = text.len();
        drop(state);
        for line in new.lines().filter(|line| line.contains("panicked at")) {
            self.findings.add(format!("{}: {line}", self.name));
        }
    }

    /// Something that is the same as long as nothing happened to it; `None` = it does not run now.
    pub fn steady(&self) -> Option<(u32, u64)> {
        let mut state = self.state.lock();
        let runs = match &mut state.child {
            Some(child) => child.try_wait().unwrap().is_none(),
            None => false,
        };
        (runs && !state.paused && state.asked == Asked::Run).then_some((state.started, state.disturbed))
    }

    pub fn kill(&self) -> bool {
        let mut state = self.state.lock();
        state.disturbed += 1;
        state.asked = Asked::Die;
        match &mut state.child {
            Some(child) => child.kill().is_ok(),
            None => false,
        }
    }

    /// Tells it to stop in good order.
    pub fn stop(&self) {
        let mut state = self.state.lock();
        state.disturbed += 1;
        state.asked = Asked::Stop;
        signal(&state, "TERM");
    }

    pub fn pause(&self) {
        let mut state = self.state.lock();
        state.disturbed += 1;
        state.paused = true;
        signal(&state, "STOP");
    }

    pub fn go_on(&self) {
        let mut state = self.state.lock();
        signal(&state, "CONT");
        state.disturbed += 1;
        state.paused = false;
    }

    pub fn down(&self, down: bool) {
        self.state.lock().down = down;
    }

    /// It may end because what it works on is gone: that is asked about, not found.
    pub fn may_fail(&self) {
        self.state.lock().may_fail = true;
    }

    /// The next ones are started with these in their environment.
    pub fn surround(&self, environment: Vec<(String, String)>) {
        self.state.lock().environment = environment;
    }

    pub fn pid(&self) -> Option<u32> {
        self.state.lock().child.as_ref().map(Child::id)
    }

    /// Lets the next one that comes there die at `fault`.
    pub fn arm(&self, fault: String) {
        self.state.lock().next_fault = Some(fault);
    }

    pub fn disarm(&self) {
        self.state.lock().next_fault = None;
    }

    /// How many ended.
    pub fn ends(&self) -> u32 {
        self.state.lock().ends
    }

    /// How many died at what they were armed with.
    pub fn died(&self) -> u32 {
        self.state.lock().died
    }

    /// How the last one ended.
    pub fn last(&self) -> Option<Ended> {
        self.state.lock().last.clone()
    }

    /// Waits until `done`; whether it was in time.
    pub async fn until(&self, patience: Duration, done: impl Fn(&Self) -> bool) -> bool {
        let began = Instant::now();
        while !done(self) {
            if began.elapsed() > patience {
                return false;
            }
            tokio::time::sleep(LOOK).await;
        }
        true
    }
}

fn signal(state: &State, signal: &str) {
    if let Some(child) = &state.child {
        Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(child) = &mut self.state.get_mut().child {
            child.kill().ok();
            child.wait().ok();
        }
    }
}
