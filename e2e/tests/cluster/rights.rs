//! What the operator may not: read what is nobody's business but the pods'. Whether it may all that it must, e2e/check asks at its end.

use serde_json::Value;

use crate::site::{Site, kubectl};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster with Tress: e2e/check"]
async fn the_operator_reads_no_secret_but_its_own_and_makes_none_of_another_name() {
    const SPACE: &str = "rights";
    let site = Site::here().await;
    site.namespace(SPACE);
    let operator = format!("system:serviceaccount:{}:tress-operator", site.space);
    let may = |verb: &str, what: &str, space: &str| -> bool {
        let asked =
            kubectl(&["auth", "can-i", verb]).args(what.split(' ')).args(["--as", &operator, "--namespace", space]).output().unwrap();
        match String::from_utf8_lossy(&asked.stdout).trim() {
            "yes" => true,
            "no" => false,
            other => panic!("can-i {verb} {what}: {other} {}", String::from_utf8_lossy(&asked.stderr)),
        }
    };
    assert!(may("get", "secrets/tress-control", SPACE) && may("get", "secrets/tress-ca", &site.space));
    for space in [SPACE, site.space.as_str(), "kube-system"] {
        for verb in ["get", "list", "watch", "update", "patch", "delete"] {
            for secret in ["secrets", "secrets/lake", "secrets/kafka-auth"] {
                assert!(!may(verb, secret, space), "{verb} {secret} in {space}");
            }
        }
    }
    // Nor by way of somebody who may.
    for (verb, what) in [
        ("create", "pods"),
        ("create", "pods --subresource=exec"),
        ("create", "serviceaccounts --subresource=token"),
        ("create", "rolebindings"),
        ("escalate", "roles"),
        ("impersonate", "users"),
    ] {
        assert!(!may(verb, what, SPACE), "{verb} {what}");
    }

    // RBAC ties no `create` to a name: the rule of admission does.
    let made = kubectl(&["create", "secret", "generic", "mine", "--as", &operator, "--namespace", SPACE]).output().unwrap();
    let said = String::from_utf8_lossy(&made.stderr).into_owned();
    assert!(!made.status.success() && said.contains("tress-operator-secrets"), "{said}");
    let there = site.get(SPACE, "secrets");
    let names: Vec<&Value> = there["items"].as_array().expect("a list").iter().map(|secret| &secret["metadata"]["name"]).collect();
    assert!(!names.contains(&&Value::from("mine")), "{names:?}");
    site.leave(SPACE);
}
