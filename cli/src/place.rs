//! Where a command works: on a folder of this machine, or on a cluster. One rule for all commands that can do both.
//!
//! ```text
//! --dir DIR                                            ─▶ that folder
//! --cluster | --context | --kubeconfig | --namespace   ─▶ a cluster
//! none of them, as `tress`                             ─▶ the folder `.`
//! none of them, as `kubectl tress`                     ─▶ the cluster of the present context
//! ```

use std::path::PathBuf;

use clap::Args;

use crate::called::Called;

/// The heading of these options in `--help`.
const WHERE: &str = "Where";

/// Options of commands that work on a folder or on a cluster.
#[derive(Debug, Clone, Default, Args)]
pub struct Place {
    /// This folder of definitions: the `tress dev` that runs there, or what it has left [default: . unless a cluster is named]
    #[arg(long, value_name = "DIR", help_heading = WHERE, conflicts_with_all = ["cluster", "context", "kubeconfig", "namespace"])]
    dir: Option<PathBuf>,
    /// The cluster of the present context; `kubectl tress` means it anyway
    #[arg(long, help_heading = WHERE)]
    cluster: bool,
    #[command(flatten)]
    choice: Choice,
}

/// Options of commands that work on a cluster; each of them alone means one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct Choice {
    /// The cluster of this context of the kubeconfig
    #[arg(long, value_name = "NAME", help_heading = WHERE)]
    pub context: Option<String>,
    /// Another kubeconfig than $KUBECONFIG or ~/.kube/config
    #[arg(long, value_name = "FILE", help_heading = WHERE)]
    pub kubeconfig: Option<PathBuf>,
    /// This namespace of the cluster [default: the context's]
    #[arg(short, long, value_name = "NAME", help_heading = WHERE)]
    pub namespace: Option<String>,
}

/// Where it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum At {
    Folder(PathBuf),
    Cluster(Choice),
}

impl Place {
    /// Where the command works.
    pub fn at(&self, called: Called) -> At {
        let Self { dir, cluster, choice } = self;
        match dir {
            Some(dir) => At::Folder(dir.clone()),
            None if *cluster || *choice != Choice::default() || called == Called::Plugin => At::Cluster(choice.clone()),
            None => At::Folder(PathBuf::from(".")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_named_decides_and_otherwise_how_it_was_called() {
        let folder = |dir: &str| At::Folder(PathBuf::from(dir));
        let named = Place { dir: Some("defs".into()), ..Place::default() };
        let cluster = Place { cluster: true, ..Place::default() };
        let choice = Choice { namespace: Some("movies".into()), ..Choice::default() };
        let namespace = Place { choice: choice.clone(), ..Place::default() };
        for (place, called, at) in [
            (&Place::default(), Called::Tress, folder(".")),
            (&Place::default(), Called::Plugin, At::Cluster(Choice::default())),
            (&named, Called::Tress, folder("defs")),
            (&named, Called::Plugin, folder("defs")),
            (&cluster, Called::Tress, At::Cluster(Choice::default())),
            (&namespace, Called::Tress, At::Cluster(choice)),
        ] {
            assert_eq!(place.at(called), at, "{place:?} as {called:?}");
        }
    }
}
