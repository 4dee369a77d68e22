//! `tress` as a child process, with a kubeconfig of its own.

use std::fs;
use std::io::Read;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::server::Server;

/// How it is called.
#[derive(Debug)]
pub struct Tool {
    kubeconfig: String,
    namespace: Option<String>,
    /// An empty folder, with a kubeconfig if it is its own.
    folder: TempDir,
}

/// What a run ended with.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// A run that goes on; killed when it goes.
#[derive(Debug)]
pub struct Running {
    child: Child,
    out: Arc<Mutex<String>>,
    reading: Option<JoinHandle<()>>,
}

fn program() -> PathBuf {
    let program = std::env::current_exe().unwrap().with_file_name("../tress");
    assert!(program.exists(), "{} is not there: cargo build --workspace", program.display());
    program.canonicalize().unwrap()
}

impl Tool {
    /// For a namespace, with all rights.
    pub fn new(server: &Server, namespace: &str) -> Self {
        Self::with_kubeconfig(server.kubeconfig(), namespace)
    }

    pub fn without_namespace(server: &Server) -> Self {
        Self { namespace: None, ..Self::new(server, "") }
    }

    pub fn with_kubeconfig(kubeconfig: &str, namespace: &str) -> Self {
        Self { kubeconfig: kubeconfig.to_owned(), namespace: Some(namespace.to_owned()), folder: tempfile::tempdir().unwrap() }
    }

    /// For an account of the namespace with these rights: group, resource, verbs.
    pub fn of_account(server: &Server, namespace: &str, name: &str, rights: &[(&str, &str, &[&str])]) -> Self {
        let rules: Vec<Value> =
            rights.iter().map(|(group, resource, verbs)| json!({"apiGroups": [group], "resources": [resource], "verbs": verbs})).collect();
        let api = "rbac.authorization.k8s.io";
        let subject = json!({"kind": "ServiceAccount", "name": name, "namespace": namespace});
        for object in [
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}),
            json!({"apiVersion": format!("{api}/v1"), "kind": "Role", "metadata": {"name": name}, "rules": rules}),
            json!({"apiVersion": format!("{api}/v1"), "kind": "RoleBinding", "metadata": {"name": name},
                   "roleRef": {"apiGroup": api, "kind": "Role", "name": name}, "subjects": [subject]}),
        ] {
            server.create(namespace, &object).succeeded();
        }
        let token = server.kubectl(&["create", "token", name, "-n", namespace], None).text();
        let mut config = server.kubectl(&["config", "view", "--raw", "-o", "json"], None).json();
        config["users"][0]["user"] = json!({"token": token.trim()});
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("kubeconfig");
        fs::write(&file, config.to_string()).unwrap();
        Self { kubeconfig: file.to_str().unwrap().to_owned(), namespace: Some(namespace.to_owned()), folder }
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(program());
        command.current_dir(self.folder.path()).args(words).args(["--kubeconfig", &self.kubeconfig]);
        command.args(self.namespace.iter().flat_map(|namespace| ["-n", namespace]));
        command.env("NO_COLOR", "1").env_remove("KUBECONFIG").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// To its end.
    pub fn run(&self, words: &[&str]) -> Ended {
        let ended = self.command(words).output().unwrap();
        Ended { code: ended.status.code(), out: String::from_utf8(ended.stdout).unwrap(), err: String::from_utf8(ended.stderr).unwrap() }
    }

    /// As a plugin, under the names that kubectl looks for.
    pub fn by_kubectl(&self, server: &Server, words: &[&str]) -> Ended {
        for name in ["kubectl-tress", "kubectl_complete-tress"] {
            std::os::unix::fs::symlink(program(), self.folder.path().join(name)).or_else(already).unwrap();
        }
        let path = format!("{}:{}", self.folder.path().display(), std::env::var("PATH").unwrap());
        let mut command = Command::new(server.program());
        let ended = command.args(words).env("PATH", path).env("KUBECONFIG", &self.kubeconfig).env("NO_COLOR", "1").output().unwrap();
        Ended { code: ended.status.code(), out: String::from_utf8(ended.stdout).unwrap(), err: String::from_utf8(ended.stderr).unwrap() }
    }

    pub fn start(&self, words: &[&str]) -> Running {
        let mut child = self.command(words).stderr(Stdio::inherit()).spawn().unwrap();
        let mut stdout = child.stdout.take().unwrap();
        let out = Arc::new(Mutex::new(String::new()));
        let heard = Arc::clone(&out);
        let reading = std::thread::spawn(move || {
            let mut some = [0; 4096];
            while let Ok(read @ 1..) = stdout.read(&mut some) {
                heard.lock().unwrap().push_str(&String::from_utf8_lossy(&some[..read]));
            }
        });
        Running { child, out, reading: Some(reading) }
    }
}

fn already(error: std::io::Error) -> std::io::Result<()> {
    if error.kind() == std::io::ErrorKind::AlreadyExists { Ok(()) } else { Err(error) }
}

impl Running {
    /// Waits until what it has printed so far is as it should be.
    pub fn until(&self, is: impl Fn(&str) -> bool) {
        let began = Instant::now();
        while !is(&self.out.lock().unwrap()) {
            assert!(began.elapsed() < Duration::from_secs(90), "it said:\n{}", self.out.lock().unwrap());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Ctrl-C.
    pub fn interrupt(&self) {
        let sent = Command::new("kill").args(["-INT", &self.child.id().to_string()]).status().unwrap();
        assert!(sent.success());
    }

    /// Waits for its end.
    pub fn ended(mut self) -> Ended {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < Duration::from_secs(90), "it does not end; it said:\n{}", self.out.lock().unwrap());
            std::thread::sleep(Duration::from_millis(50));
        };
        self.reading.take().unwrap().join().unwrap();
        Ended { code: status.code(), out: self.out.lock().unwrap().clone(), err: String::new() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _gone_already = self.child.kill();
        let _gone_already = self.child.wait();
    }
}
