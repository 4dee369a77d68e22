//! A real API server over etcd that knows the kinds: started by e2e/servers, and gone when the tests are.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// An API server that runs.
#[derive(Debug)]
pub struct ApiServer {
    /// All there is of it.
    pub folder: PathBuf,
    /// Of somebody who may do everything.
    pub kubeconfig: PathBuf,
    /// The program.
    pub kubectl: PathBuf,
}

impl ApiServer {
    /// The one of this run: nextest gives each test a process of its own, and those of one run share a folder.
    ///
    /// # Panics
    /// When it cannot be had; what was tried says why on its standard error.
    pub fn shared() -> &'static Self {
        static SERVER: OnceLock<ApiServer> = OnceLock::new();
        SERVER.get_or_init(|| match std::env::var("NEXTEST_RUN_ID") {
            Ok(run) => Self::start(&std::env::temp_dir().join(format!("tress-apiserver-{run}")), std::os::unix::process::parent_id()),
            Err(_) => Self::alone(),
        })
    }

    /// One for this process alone.
    ///
    /// # Panics
    /// As [`ApiServer::shared`].
    #[must_use]
    pub fn alone() -> Self {
        let folder = tempfile::Builder::new().prefix("tress-apiserver-").tempdir().expect("a folder").keep();
        Self::start(&folder, std::process::id())
    }

    /// It ends, and its folder goes, when the process `lives` has ended.
    fn start(folder: &Path, lives: u32) -> Self {
        let told = call(&["start", &folder.display().to_string(), "--while", &lives.to_string()]);
        let told: HashMap<&str, &str> = told.lines().filter_map(|line| line.split_once('=')).collect();
        let path = |name: &str| PathBuf::from(told.get(name).unwrap_or_else(|| panic!("e2e/servers/apiserver told no {name}")));
        let server = Self { folder: folder.to_owned(), kubeconfig: path("kubeconfig"), kubectl: path("kubectl") };
        server.kinds();
        server
    }

    /// Puts the kinds as they are in the tree; it is the same when somebody else does it at the same time.
    ///
    /// # Panics
    /// When they are not taken.
    pub fn kinds(&self) {
        let crds = concat!(env!("CARGO_MANIFEST_DIR"), "/../crds/yaml");
        self.kubectl(&["apply", "--server-side", "--force-conflicts", "-f", crds]);
        self.kubectl(&["wait", "--for=condition=Established", "--timeout=30s", "-f", crds]);
    }

    /// Ends it as a loss of power would, and starts it again with what it had.
    ///
    /// # Panics
    /// When it does not come again.
    pub fn restart(&self) {
        let folder = self.folder.display().to_string();
        call(&["kill", &folder]);
        call(&["start", &folder]);
    }

    /// Calls kubectl, which has to succeed.
    ///
    /// # Panics
    /// When it does not, with what it said.
    pub fn kubectl(&self, arguments: &[&str]) {
        let done = Command::new(&self.kubectl).arg("--kubeconfig").arg(&self.kubeconfig).args(arguments).output();
        let done = done.unwrap_or_else(|e| panic!("{} cannot be run: {e}", self.kubectl.display()));
        assert!(done.status.success(), "kubectl {}: {}", arguments.join(" "), String::from_utf8_lossy(&done.stderr));
    }
}

fn call(arguments: &[&str]) -> String {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("servers/apiserver");
    let done = Command::new(&script).args(arguments).stdin(Stdio::null()).stderr(Stdio::inherit()).output();
    let done = done.unwrap_or_else(|e| panic!("{} cannot be run: {e}", script.display()));
    assert!(done.status.success(), "{} {} failed; what it said is above", script.display(), arguments.join(" "));
    String::from_utf8_lossy(&done.stdout).into_owned()
}
