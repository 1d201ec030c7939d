//! daemon.json.

use super::site::Site;
use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
};

const FILE: &str = "/etc/docker/daemon.json";

/// As people write it: odd spacing, an engine of somebody else, numbers that must not be read.
const OLD: &str = r#"{
  "icc": false ,
  "runtimes": {
    "nvidia": { "path": "/usr/bin/nvidia-container-runtime", "runtimeArgs": [] }
  },
	"log-opts": {"max-size":"10m", "x": 18446744073709551616, "e": 1.50e2, "u": "\u00e9\/"}
}
"#;

#[test]
fn a_runtime_goes_into_the_file_and_nothing_else_changes() {
    let site = Site::new();
    site.write(FILE, OLD);
    site.there_and_back("docker", |site| {
        let ours = "\n    \"oci-link\": {\n        \"path\": \"@BIN@/oci-link-runtime\"\n    },";
        let new = OLD.replace("\"runtimes\": {", &format!("\"runtimes\": {{{ours}"));
        site.assert_says(FILE, &new);
    });
}

#[test]
fn what_is_not_there_is_made_and_goes_again() {
    for (arguments, default) in
        [("docker", ""), ("docker --default", "\n    \"default-runtime\": \"oci-link\",")]
    {
        let site = Site::new();
        fs::create_dir_all(site.path("/etc/docker")).expect("made");
        site.there_and_back(arguments, |site| {
            let runtimes = "\n    \"runtimes\": {\n        \"oci-link\": {\n            \
                            \"path\": \"@BIN@/oci-link-runtime\"\n        }\n    }\n}\n";
            site.assert_says(FILE, &format!("{{{default}{runtimes}"));
        });
    }
    let site = Site::new();
    site.configure("docker").ok();
    assert!(site.read(FILE).is_some());
}

#[test]
fn small_files_are_given_back_as_they_were() {
    for old in [
        "{}",
        "{ }\n",
        "{\"icc\":false}",
        "{\n\t\"icc\": false\n}",
        "\n{\"a\": [\"}\"] , \"b\":{}}",
    ] {
        for arguments in ["docker", "docker --default", "docker --runtime link_1 --default"] {
            let site = Site::new();
            site.write(FILE, old);
            site.there_and_back(arguments, |_| {});
        }
    }
}

#[test]
fn without_the_link_the_program_is_given_an_argument() {
    let site = Site::new();
    site.write(FILE, "{}\n");
    fs::remove_file(site.link()).expect("removed");
    site.configure("docker").ok();
    let entry = "{ \"path\": \"@BIN@/oci-link\", \"runtimeArgs\": [\"runtime\"] }";
    site.assert_says(FILE, &format!("{{\"runtimes\": {{ \"oci-link\": {entry} }}}}\n"));
    symlink("oci-link", site.link()).expect("a link");
    site.configure("docker").ok();
    let entry = "{\n    \"path\": \"@BIN@/oci-link-runtime\"\n}";
    site.assert_says(FILE, &format!("{{\"runtimes\": {{ \"oci-link\": {entry} }}}}\n"));
}

#[test]
fn docker_must_know_its_default() {
    let site = Site::new();
    site.write(FILE, "{\"default-runtime\": \"nvidia\"}");
    site.configure("docker --default").ok();
    site.configure("docker --remove").ok();
    site.assert_says(FILE, "{}");
}

#[test]
fn a_file_that_is_not_understood_is_left_alone() {
    for (bad, why) in [
        ("{\"icc\": false,}", "daemon.json"),
        ("# comment\n{}", "daemon.json"),
        ("[]", "daemon.json"),
        ("{\"runtimes\": []}", "runtimes"),
        ("{\"icc\": true, \"icc\": false}", "duplicate key"),
        ("\u{feff}{}", "daemon.json"),
    ] {
        let site = Site::new();
        site.write(FILE, bad);
        site.refuses("docker", 3, why);
        site.refuses("docker --remove", 3, why);
    }
    let site = Site::new();
    site.write(FILE, "{}");
    fs::write(site.path(FILE), b"{\"a\": \"\xff\"}").expect("written");
    assert_ne!(site.configure("docker").status(), 0);
}

#[test]
fn what_others_registered_is_theirs() {
    let site = Site::new();
    site.write(FILE, OLD);
    site.refuses("docker --runtime nvidia", 5, "nvidia");
    site.refuses("docker --runtime nvidia --remove", 5, "nvidia");
    site.refuses("docker --runtime runc", 2, "runc");
    site.refuses("docker --runtime a\"b", 2, "--runtime");
    site.refuses("docker --hooks", 2, "--hooks");
}

#[test]
fn links_owners_and_permissions_stay() {
    let site = Site::new();
    site.write("/srv/daemon.json", OLD);
    site.write("/etc/docker/readme", "");
    let real = site.path("/srv/daemon.json");
    symlink("../../srv/daemon.json", site.path(FILE)).expect("a link");
    fs::set_permissions(&real, Permissions::from_mode(0o640)).expect("root may");
    chown(&real, Some(1234), Some(4321)).expect("root may");
    site.there_and_back("docker --default", |site| {
        assert!(site.path(FILE).is_symlink());
        let metadata = fs::metadata(&real).expect("there");
        let (mode, uid, gid) = (metadata.mode() & 0o7777, metadata.uid(), metadata.gid());
        assert_eq!((mode, uid, gid), (0o640, 1234, 4321));
    });
    assert!(site.path(FILE).is_symlink());
}
