//! Which runtime `oci-link runtime` executes without `runtime.command`.

use crate::{
    hazards::scene::with_mounts,
    support::{Host, Outcome, Runtime},
};
use std::{fs, path::Path};

/// `oci-link runtime --version`, without the programs of these names.
fn version(host: &Host, hidden: &[&str]) -> Outcome {
    fs::write(host.path("config.toml"), "").expect("written");
    let mut hide = String::new();
    for name in hidden {
        // Under each of their paths: /bin may be a directory of its own.
        for directory in
            ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"]
        {
            let path = format!("{directory}/{name}");
            if Path::new(&path).is_file() {
                hide.extend(["mount --bind /dev/null ", &path, "\n"]);
            }
        }
    }
    host.run(&mut with_mounts(&hide, &[], &host.oci_link(&["runtime", "--version"])))
}

#[test]
fn the_first_installed_runtime_is_executed() {
    let host = Host::open(Runtime::Runc);
    assert!(version(&host, &[]).ok().starts_with("runc version"));
    assert!(version(&host, &["runc"]).ok().starts_with("crun version"));
    let complaint = version(&host, &["runc", "crun"]).refused(3);
    let expected = "oci-link: no runtime on this host: apt-get install runc, or set runtime.command \
                    in config.toml";
    assert_eq!(complaint.trim_end(), expected);
}

/// It is as when config.toml names the runtime.
#[test]
fn a_named_runtime_is_not_replaced_by_another() {
    let host = Host::open(Runtime::Runc);
    fs::write(host.path("config.toml"), "[runtime]\ncommand = 'youki'\n").expect("written");
    let complaint = host.run(&mut host.oci_link(&["runtime", "--version"])).refused(3);
    assert!(complaint.contains("runtime \"youki\": no such program on this host: install it"));
}
