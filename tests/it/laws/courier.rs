//! The courier's network crates stay in the courier: the program in the path of every container start
//! has no TLS, no HTTP/2, no gRPC and no asynchronous runtime.

use std::collections::BTreeSet;
use std::process::Command;

/// Crates with which the courier speaks to the network. What they are built of is its network side.
const NETWORK: [&str; 6] = ["bytes", "h2", "http", "prost", "tokio", "tokio-rustls"];

/// Other crates that speak to the network. None of them may reach oci-link either.
const OTHERS: [&str; 8] =
    ["hyper", "native-tls", "openssl", "openssl-sys", "quinn", "reqwest", "tonic", "ureq"];

/// Crates of the network side that oci-link has too: derives, numbers as text, system calls, maps.
const FINE_IN_BOTH: [&str; 19] = [
    "bitflags",
    "cfg-if",
    "cfg_aliases",
    "either",
    "equivalent",
    "errno",
    "fnv",
    "getrandom",
    "hashbrown",
    "indexmap",
    "itertools",
    "itoa",
    "libc",
    "memchr",
    "once_cell",
    "proc-macro2",
    "quote",
    "syn",
    "unicode-ident",
];

/// The names of the crates that a package is built of, itself included.
fn tree(package: &str, options: &[&str]) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--locked", "--offline", "--prefix", "none", "--format", "{p}"])
        .args(["--edges", "normal,build", "--package", package])
        .args(options)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo tree {package}: {errors}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    text.lines().filter_map(|line| line.split(' ').next()).map(ToOwned::to_owned).collect()
}

#[test]
fn no_crate_of_the_couriers_network_side_reaches_oci_link() {
    let ours = tree("oci-link", &["--target", "all"]);
    assert!(ours.contains("pathrs"), "the tree is not read: {ours:?}");
    let couriers = tree("oci-link-cluster", &[]);
    let mut network: BTreeSet<String> = OTHERS.iter().map(ToString::to_string).collect();
    for name in NETWORK {
        assert!(couriers.contains(name), "the courier has no {name} any more");
        network.extend(tree(name, &[]));
    }
    assert!(network.contains("rustls") && network.contains("ring"), "{network:?}");
    network.retain(|name| !FINE_IN_BOTH.contains(&name.as_str()));
    let reached: Vec<_> = ours.intersection(&network).collect();
    assert!(reached.is_empty(), "oci-link is built with {reached:?}");
    assert!(!ours.contains("oci-link-cluster"));
}
