//! The release of the chart: brought to other values, taken away and brought back; images of the node.

use std::process::Command;

use crate::site::{Site, run, script, told};

/// The release as e2e/platform has it, whatever a test does to it: it is brought back when this goes.
pub struct Release<'a> {
    site: &'a Site,
}

impl<'a> Release<'a> {
    pub const fn of(site: &'a Site) -> Self {
        Self { site }
    }

    /// Brings it to these values, over those of e2e/platform, and waits until its operator is ready.
    pub fn with(&self, values: &str) {
        let file = self.site.folder.path().join("values.yaml");
        std::fs::write(&file, values).unwrap();
        run(Command::new(script("platform")).arg("chart").env("TRESS_VALUES", file));
    }

    /// As it was.
    pub fn restore(&self) {
        run(Command::new(script("platform")).arg("chart").env_remove("TRESS_VALUES"));
    }

    pub fn uninstall(&self) {
        let mut helm = Command::new(told("TRESS_HELM"));
        helm.env("KUBECONFIG", told("TRESS_KUBECONFIG"));
        run(helm.args(["uninstall", &told("TRESS_RELEASE"), "--namespace", &self.site.space, "--wait"]));
    }
}

impl Drop for Release<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            // The tests that follow need it.
            let back = Command::new(script("platform")).arg("chart").env_remove("TRESS_VALUES").status();
            eprintln!("the release was brought back: {back:?}");
        }
    }
}

/// Gives an image of the node another name too.
pub fn tag(image: &str, name: &str) {
    run(Command::new(script("cluster")).args(["tag", image, name]));
}

/// Builds an image of the operator from a program, and loads it. Its name.
pub fn operator_image(program: &[u8]) -> String {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tress-operator");
    std::fs::write(&file, program).unwrap();
    run(Command::new("chmod").arg("755").arg(&file));
    let said = run(Command::new(script("cluster")).arg("image").arg(folder.path()));
    said.lines().last().expect("a name").to_owned()
}
