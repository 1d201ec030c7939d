//! Engines' files, in a directory in the place of `/`.

use super::{assert_well, config, doctor, paste};
use crate::{
    configure::site::Site,
    support::{Host, Runtime},
};
use serde_json::Value;
use std::{fs, process};

const DAEMON: &str = "/etc/docker/daemon.json";

fn host() -> (Host, Site) {
    (Host::open(Runtime::Runc), Site::new())
}

/// `oci-link configure …`, as the fix says, for the files of this site.
fn configure(site: &Site, fix: &str) {
    let words = fix.strip_prefix("oci-link configure ").expect("a call");
    site.configure(words).ok();
}

#[test]
fn an_engine_that_does_not_know_us() {
    for (name, program) in [
        ("docker", "/usr/bin/dockerd"),
        ("podman", "/usr/local/bin/podman"),
        ("containerd", "/usr/bin/containerd"),
        ("crio", "/usr/sbin/crio"),
    ] {
        let (host, site) = host();
        site.write(program, "");
        let report = doctor(&host, &site, 11);
        assert_eq!(report.troubles(), [format!("warning {name}")]);
        configure(&site, report.of(name).is("warning", "not registered with any engine").fix());
        assert_well(&host, &site);
        doctor(&host, &site, 0).of(name).is("ok", "oci-link is registered");
        let call = format!("{name} --default");
        site.configure(&call).ok();
        doctor(&host, &site, 0).of(name).is("ok", "oci-link is registered");
    }
}

#[test]
fn one_engine_that_knows_us_is_enough() {
    let (host, site) = host();
    site.write("/usr/bin/dockerd", "");
    site.write("/usr/bin/podman", "");
    site.configure("podman --hooks").ok();
    let report = doctor(&host, &site, 0);
    report.of("podman").is("ok", "oci-link is registered");
    report.of("docker").is("ok", "oci-link is not registered with it");
    report.of("hook oci-link-poststop.json").is("ok", "bin/oci-link");
}

#[test]
fn what_docker_says() {
    let (host, site) = host();
    site.write(
        DAEMON,
        "{ \"runtimes\": { \"oci-link\": { \"path\": \"/old/oci-link-runtime\" } } }",
    );
    let report = doctor(&host, &site, 11);
    configure(&site, report.of("docker").is("warning", "not what configure writes").fix());
    assert_well(&host, &site);
    site.write(DAEMON, "{");
    doctor(&host, &site, 12).of("docker").is("fault", "daemon.json");
    site.write(DAEMON, "{ \"iptables\": false }");
    site.configure("docker").ok();
    let report = doctor(&host, &site, 11);
    let said = report.of("docker's daemon.json");
    said.is("warning", "docker does not separate containers");
    // Into a file without the table, and into one that has it: both can be pasted.
    for text in ["", "[firewall]\nbackend = \"auto\"\n", "[firewall]\nisolate = []\n"] {
        config(&host, text);
        let report = doctor(&host, &site, 11);
        let fix = report.of("docker's daemon.json").fix().to_owned();
        assert!(fix.ends_with(" config set firewall.isolate docker0"), "{fix}");
        paste(&host, &site, &fix);
        assert_well(&host, &site);
    }
}

/// podman refuses all containers for the first, and skips the second without a word.
#[test]
fn hooks_that_podman_cannot_use() {
    let (host, site) = host();
    for directory in ["/usr/share/containers/oci/hooks.d", "/etc/containers/oci/hooks.d"] {
        site.write(&format!("{directory}/other.json"), "{ \"hook\": { \"path\": \"/no/such\" } }");
        site.write(&format!("{directory}/readme"), "{");
    }
    site.write("/etc/containers/oci/hooks.d/half.json", "{ \"version\"");
    // No engine looks there unless it is told to.
    assert_eq!(doctor(&host, &site, 11).troubles(), ["warning hook half.json"]);
    let places = "[engine]\nhooks_dir = ['/etc/containers/oci/hooks.d', '/x']\n";
    site.write("/etc/containers/containers.conf.d/x.conf", places);
    let report = doctor(&host, &site, 12);
    assert_eq!(report.troubles(), ["fault hook half.json"]);
    let said = report.of("hook half.json");
    said.is("fault", "podman starts no container");
    said.is("fault", "correct it, or remove ");
    fs::remove_file(site.path("/etc/containers/oci/hooks.d/half.json")).expect("removed");
    assert_well(&host, &site);

    site.configure("podman --hooks").ok();
    let hook = "/x/oci-link-poststop.json";
    let bin = site.program().display().to_string();
    site.write(hook, &site.read(hook).expect("made").replace(&bin, "/gone/oci-link"));
    let report = doctor(&host, &site, 12);
    assert_eq!(report.troubles(), ["fault hook oci-link-poststop.json"]);
    configure(&site, report.of("hook oci-link-poststop.json").is("fault", "/gone/oci-link").fix());
    assert_well(&host, &site);
}

#[test]
fn hooks_in_a_directory_that_no_engine_reads() {
    let (host, site) = host();
    site.configure("podman --hooks").ok();
    assert_well(&host, &site);
    site.write("/etc/containers/containers.conf", "[engine]\nhooks_dir = ['/elsewhere']\n");
    doctor(&host, &site, 11)
        .of("hook oci-link-poststop.json")
        .is("warning", "no engine reads this");
    for _ in 0..3 {
        let report = doctor(&host, &site, 11);
        let is_hook = |check: &&Value| {
            let subject = check["subject"].as_str().unwrap_or_default();
            check["verdict"] == "warning" && subject.starts_with("hook ")
        };
        let bad = report.checks.iter().find(is_hook);
        let fix = bad.and_then(|check| check["fix"].as_str()).expect("a command");
        let (again, remove) = fix.split_once(" && ").expect("two steps");
        configure(&site, again);
        paste(&host, &site, remove);
    }
    assert_well(&host, &site);
}

#[test]
fn annotations_that_containerd_keeps_to_itself() {
    let (host, site) = host();
    site.write("/etc/containerd/config.toml", "version = 2\n");
    site.configure("containerd").ok();
    let subject = "containerd annotations (oci-link)";
    doctor(&host, &site, 0).of(subject).is("ok", "passed to the runtime");
    let text = site.read("/etc/containerd/config.toml").expect("made");
    let text =
        text.replace("container_annotations = [\"org.oci-link.*\", \"org.oci-link.*/*\"]\n", "");
    site.write("/etc/containerd/config.toml", &text);
    let report = doctor(&host, &site, 12);
    report.of(subject).is("fault", "container_annotations = [\"org.oci-link.*\"");
    configure(&site, report.of("containerd").is("warning", "not what configure writes").fix());
    assert_well(&host, &site);
}

#[test]
fn daemons_that_flush() {
    let (host, site) = host();
    site.write("/etc/ufw/ufw.conf", "ENABLED=no\n");
    site.write("/run/firewalld.pid", "2147483647\n");
    assert_well(&host, &site);
    site.write("/etc/ufw/ufw.conf", "ENABLED=yes\n");
    site.write("/run/firewalld.pid", &format!("{}\n", process::id()));
    let report = doctor(&host, &site, 11);
    assert_eq!(report.troubles(), ["warning firewalld", "warning ufw"]);
    report.of("ufw").is("warning", "when it reloads");

    // A watch runs.
    let lock = fs::File::create(host.path("state/watch.lock")).expect("made");
    let lock = nix::fcntl::Flock::lock(lock, nix::fcntl::FlockArg::LockExclusiveNonblock);
    let lock = lock.expect("free");
    let report = doctor(&host, &site, 0);
    report.of("watch").is("ok", "running");
    report.of("ufw").is("ok", "watch restores them");
    drop(lock);
    doctor(&host, &site, 11).of("watch").is("ok", "not running (optional)");
}

/// The runtimes of the host of `site`.
#[test]
fn podmans_runtime_and_ours() {
    let (host, site) = host();
    site.write("/etc/containers/containers.conf", "");
    site.configure("podman --default").ok();
    doctor(&host, &site, 0).of("podman's runtime").is("ok", "/usr/bin/crun");
    // podman was given another one since.
    site.write("/etc/containers/containers.conf", "[engine]\nruntime = 'runc'\n");
    let report = doctor(&host, &site, 11);
    assert_eq!(report.troubles(), ["warning podman", "warning podman's runtime"]);
    let said = report.of("podman's runtime");
    said.is("warning", "/usr/bin/runc, oci-link executes ");
    assert_eq!(said.fix(), "oci-link configure podman --default");
    configure(&site, said.fix());
    assert_well(&host, &site);
    let drop_in = site.read("/etc/containers/containers.conf.d/oci-link.conf").expect("made");
    assert!(drop_in.contains("\nruntime = \"oci-link\"\n"), "{drop_in}");
}

#[test]
fn a_missing_runtime_of_podman_is_a_fault() {
    let (host, site) = host();
    site.write("/etc/containers/containers.conf", "");
    site.configure("podman").ok();
    // podman itself has another one.
    site.uninstall("/usr/bin/crun");
    let report = doctor(&host, &site, 12);
    assert_eq!(report.troubles(), ["warning podman", "fault podman's runtime"]);
    let said = report.of("podman's runtime");
    said.is("fault", "runtime \"crun\": no such program on this host");
    configure(&site, said.fix());
    assert_well(&host, &site);
    // And now none.
    site.uninstall("/usr/bin/runc");
    let report = doctor(&host, &site, 12);
    assert_eq!(report.troubles(), ["fault podman's runtime"]);
    let said = report.of("podman's runtime");
    said.is("fault", "\"crun\" is not installed");
    assert_eq!(said.fix(), "apt-get install crun && oci-link configure podman");
    site.install("/usr/bin/crun");
    site.configure("podman").ok();
    fs::remove_file(site.wrapper("crun")).expect("removed");
    let report = doctor(&host, &site, 12);
    configure(&site, report.of("podman's runtime").is("fault", "oci-link-crun is missing").fix());
    assert_well(&host, &site);
}
