//! What docs/install.md tells people to type, typed.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::definitions::{produce, signal_and_feature};
use crate::site::{Site, program, told};

const SPACE: &str = "documented";

/// The commands of a section of docs/install.md, one a line, without their comments.
fn commands(section: &str) -> Vec<String> {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/install.md")).unwrap();
    let (_, rest) = page.split_once(&format!("## {section}\n")).unwrap_or_else(|| panic!("docs/install.md has no section {section}"));
    let (_, rest) = rest.split_once("```\n").expect("a section has a block");
    let (block, _) = rest.split_once("```").expect("a block ends");
    block.lines().map(|line| line.split("  #").next().unwrap_or_default().trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

/// A shell of somebody who has the tools: what a command printed.
struct Shell {
    folder: tempfile::TempDir,
}

impl Shell {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tools = [
            ("kubectl", PathBuf::from(told("TRESS_KUBECTL"))),
            ("helm", PathBuf::from(told("TRESS_HELM"))),
            ("kubectl-tress", program("tress")),
        ];
        for (name, program) in tools {
            std::os::unix::fs::symlink(program, folder.path().join(name)).unwrap();
        }
        Self { folder }
    }

    fn run(&self, command: &str) -> String {
        let path = format!("{}:{}", self.folder.path().display(), std::env::var("PATH").unwrap());
        let done = Command::new("bash")
            .args(["-ec", command])
            .current_dir(&self.folder)
            .env("PATH", path)
            .env("KUBECONFIG", told("TRESS_KUBECONFIG"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&done.stdout).into_owned();
        // Not the command: keys are in it.
        let name: Vec<&str> = command.split(' ').take(3).collect();
        assert!(done.status.success(), "{} …: {said}{}", name.join(" "), String::from_utf8_lossy(&done.stderr));
        said
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster with Tress: e2e/check"]
async fn the_commands_of_the_documents_lead_from_a_namespace_to_a_sequence() {
    let site = Site::here().await;
    let log = site.platform().log("main").unwrap();
    log.create(SPACE, 1).await.unwrap();
    produce(&*log, SPACE, ("u42", 1), "home").await;
    let shell = Shell::new();
    let definitions = shell.folder.path().join("my-definitions");
    std::fs::create_dir(&definitions).unwrap();
    let yaml = signal_and_feature(SPACE).replace("{name: recent}", "{name: recent-click}");
    std::fs::write(definitions.join("all.yaml"), yaml).unwrap();

    let tests: Vec<String> = commands("Install").into_iter().filter(|command| command.starts_with("helm test")).collect();
    assert_eq!(tests.len(), 1, "docs/install.md says how an installation is tested");
    shell.run(&tests[0]);

    let key = |name: &str| std::fs::read_to_string(told(name)).unwrap();
    let keys = [("accessKeyId=…", key("TRESS_S3_ACCESS_KEY_ID")), ("secretAccessKey=…", key("TRESS_S3_SECRET_ACCESS_KEY"))];
    let mut said = String::new();
    for command in commands("A namespace for a team") {
        let mut command = command.replace("movies", SPACE);
        for (blank, value) in &keys {
            let (name, _) = blank.split_once('=').expect("a blank is NAME=…");
            command = command.replace(blank, &format!("{name}='{}'", value.trim()));
        }
        assert!(!command.contains('…'), "docs/install.md leaves out what nobody fills in: {command}");
        said = shell.run(&command);
    }
    assert!(said.contains("home"), "the last command shows the sequence: {said}");
    site.leave(SPACE);
}
