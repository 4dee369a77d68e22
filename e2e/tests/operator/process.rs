//! A real `tress-operator`, with what it talks to in between.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use kube::Client;
use tempfile::TempDir;

use crate::proxy::{Proxy, Rule};

/// An operator that runs; it is killed when this is dropped.
#[derive(Debug)]
pub struct Operator {
    pub proxy: Proxy,
    child: Arc<Mutex<Option<Child>>>,
    log: PathBuf,
    folder: TempDir,
}

/// How an operator is started.
#[derive(Debug, Clone)]
pub struct Start {
    /// The namespace that it is in: its lease, its platform configuration, its authority.
    pub namespace: String,
    /// Those that it looks after; none = all of the server.
    pub namespaces: Vec<String>,
    /// Who it is among several.
    pub identity: String,
    /// Set for this process alone.
    pub variables: Vec<(String, String)>,
}

/// Calls without a fate.
pub fn calm() -> Rule {
    Box::new(|_| crate::proxy::Fortune::Done)
}

impl Operator {
    pub async fn start(client: Client, start: &Start, rule: Rule) -> Self {
        let program = std::env::current_exe().unwrap().with_file_name("../tress-operator");
        assert!(program.exists(), "{} is not there: cargo build --workspace", program.display());
        let child: Arc<Mutex<Option<Child>>> = Arc::default();
        let killed = Arc::clone(&child);
        let proxy = Proxy::start(client, rule, Box::new(move || kill(&killed))).await;
        let folder = tempfile::tempdir().unwrap();
        let kubeconfig = folder.path().join("kubeconfig");
        write!(File::create(&kubeconfig).unwrap(), "{}", kubeconfig_of(&proxy)).unwrap();
        let log = folder.path().join("log");
        *child.lock().unwrap() = Some(spawn(&program, start, &kubeconfig, &log));
        Self { proxy, child, log, folder }
    }

    /// As a loss of power would.
    pub fn kill(&self) {
        kill(&self.child);
    }

    pub fn is_running(&self) -> bool {
        self.child.lock().unwrap().as_mut().is_some_and(|child| child.try_wait().unwrap().is_none())
    }

    /// SIGTERM; its exit code.
    pub async fn stop(&self) -> Option<i32> {
        let id = self.child.lock().unwrap().as_ref().map(Child::id)?;
        let told = Command::new("kill").args(["-TERM", &id.to_string()]).status().unwrap();
        assert!(told.success());
        self.ended(Duration::from_secs(20)).await
    }

    /// Waits for its end; its exit code, `None` if a signal ended it.
    pub async fn ended(&self, at_most: Duration) -> Option<i32> {
        let until = Instant::now() + at_most;
        loop {
            match self.child.lock().unwrap().as_mut() {
                None => return None,
                Some(child) => {
                    if let Some(status) = child.try_wait().unwrap() {
                        return status.code();
                    }
                }
            }
            assert!(Instant::now() < until, "the operator does not end; its log:\n{}", self.log());
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// What it said.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.kill();
        // Whoever looks into a failure finds what it said.
        if std::thread::panicking() {
            eprintln!("--- the operator's log ({}):\n{}", self.folder.path().display(), self.log());
        }
    }
}

fn kill(child: &Mutex<Option<Child>>) {
    if let Some(mut child) = child.lock().unwrap().take() {
        // It may have ended by itself.
        drop(child.kill());
        child.wait().unwrap();
    }
}

fn spawn(program: &Path, start: &Start, kubeconfig: &Path, log: &Path) -> Child {
    let log = File::create(log).unwrap();
    let mut command = Command::new(program);
    command
        .args(["run", "--namespace", &start.namespace])
        // One that begins anew under the same name need not wait for its own lease.
        .args(["--identity", &start.identity])
        .env("KUBECONFIG", kubeconfig)
        .env("TRESS_LOG", "warn,tress_operator=debug")
        .envs(start.variables.iter().cloned())
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log);
    if !start.namespaces.is_empty() {
        command.args(["--watch-namespaces", &start.namespaces.join(",")]);
    }
    command.spawn().unwrap()
}

fn kubeconfig_of(proxy: &Proxy) -> String {
    format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: test\ncontexts:\n- {{name: test, context: {{cluster: test, user: test}}}}\n\
         clusters:\n- {{name: test, cluster: {{server: 'http://{}'}}}}\nusers:\n- {{name: test, user: {{}}}}\n",
        proxy.address
    )
}
