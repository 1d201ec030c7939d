//! podman and CRI-O: files that are all ours, and hooks.d.

use super::site::Site;
use std::{
    fs,
    os::unix::fs::{MetadataExt, symlink},
    path::Path,
};

const PODMAN: &str = "/etc/containers/containers.conf.d/oci-link.conf";
const CRIO: &str = "/etc/crio/crio.conf.d/50-oci-link.conf";

#[test]
fn a_drop_in_of_containers_conf() {
    let site = Site::new();
    let shipped = include_str!("../../../hooks/podman.conf");
    let text = shipped.replace("/usr/bin/oci-link-crun", "@BIN@/oci-link-crun");
    site.there_and_back("podman", |site| site.assert_says(PODMAN, &text));
    let text = text.replace("#runtime", "runtime").replace("\"oci-link\"", "\"x\"");
    let text = text.replace("\noci-link =", "\nx =");
    site.there_and_back("podman --default --runtime x", |site| site.assert_says(PODMAN, &text));
}

#[test]
fn a_drop_in_of_crio_conf() {
    let site = Site::new();
    site.write("/etc/crio/crio.conf", "[crio]\n");
    site.there_and_back("crio --default", |site| {
        let text = site.read(CRIO).expect("made");
        let parsed: toml::Table = toml::from_str(&text).expect("TOML");
        let runtime = &parsed["crio"]["runtime"];
        assert_eq!(runtime["default_runtime"].as_str(), Some("oci-link"));
        let path = runtime["runtimes"]["oci-link"]["runtime_path"].as_str();
        assert_eq!(path, site.link().to_str());
        // CRI-O does not start when it finds a name there that is not its own.
        assert!(!text.contains("\nallowed_annotations"));
    });
}

#[test]
fn hooks_go_where_the_engine_looks() {
    let usual = "/usr/share/containers/oci/hooks.d";
    for (engine, config, text, directory) in [
        ("podman", "/etc/containers/containers.conf", "[engine]\n# hooks_dir = ['/x']\n", usual),
        ("podman", "/etc/containers/containers.conf", "[engine]\nhooks_dir = ['/a', '/b']\n", "/b"),
        (
            "podman",
            "/etc/containers/containers.conf.d/x.conf",
            "[engine]\nhooks_dir = ['/c']\n",
            "/c",
        ),
        ("crio", "/etc/crio/crio.conf.d/10.conf", "[crio.runtime]\nhooks_dir = ['/d']\n", "/d"),
        ("crio", "/etc/crio/crio.conf", "[crio]\n", usual),
    ] {
        let site = Site::new();
        site.write(config, text);
        site.there_and_back(&format!("{engine} --hooks"), |site| {
            // CRI-O does not start where a file names a stage of podman's.
            let all = ["createRuntime", "poststop", "precreate"];
            let stages = if engine == "crio" { &all[..2] } else { &all };
            let files = fs::read_dir(site.path(directory)).expect("made").count();
            assert_eq!(files, stages.len());
            for stage in stages {
                let hook = site.read(&format!("{directory}/oci-link-{stage}.json"));
                let hook: serde_json::Value =
                    serde_json::from_str(&hook.expect("made")).expect("JSON");
                let program = site.link().with_file_name("oci-link");
                assert_eq!(hook["hook"]["path"].as_str(), program.to_str());
                assert_eq!(hook["stages"][0], *stage);
            }
        });
    }
}

#[test]
fn what_cannot_be_is_refused() {
    let site = Site::new();
    site.write("/etc/containers/containers.conf", "[engine\n");
    site.refuses("podman --hooks", 3, "containers.conf");
    site.refuses("podman --hooks --default", 2, "--default");
    // What is in the link's place is not ours to replace.
    fs::remove_file(site.link()).expect("removed");
    symlink("/nowhere", site.link()).expect("linked");
    symlink("/nowhere", site.wrapper("crun")).expect("linked");
    site.write("/etc/containers/containers.conf", "");
    for engine in ["podman", "crio", "containerd", "podman --dry-run"] {
        let name = if engine.starts_with("podman") { "crun" } else { "runtime" };
        let why = format!("oci-link-{name}: is a symbolic link to a missing file");
        site.refuses(engine, 3, &why);
    }
    assert_eq!(fs::read_link(site.link()).expect("a link"), Path::new("/nowhere"));
}

#[test]
fn the_link_is_made_where_there_is_none() {
    for (engine, name) in [("podman", "crun"), ("crio", "runtime"), ("containerd", "runtime")] {
        let site = Site::new();
        fs::remove_file(site.link()).expect("removed");
        let (link, before) = (site.wrapper(name), site.all());
        let line = format!("create {}: a link to oci-link\n", link.display());
        let dry = site.configure(&format!("{engine} --dry-run")).ok();
        assert!(dry.starts_with(&line), "{dry}");
        assert!(!link.is_symlink() && site.all() == before, "a dry run");

        let said = site.configure(engine).ok();
        assert!(said.starts_with(&line), "{said}");
        assert_eq!(fs::read_link(&link).expect("a link"), Path::new("oci-link"));
        assert_eq!(site.configure(engine).ok(), "nothing to change\n");
        site.configure(&format!("{engine} --remove")).ok();
        assert!(link.exists() && site.all() == before, "{:?}", site.all());
    }
    // Calls that need no link make none.
    for arguments in ["docker", "podman --hooks", "crio --hooks", "podman --remove"] {
        let site = Site::new();
        fs::remove_file(site.link()).expect("removed");
        site.configure(arguments).ok();
        assert!(!site.link().is_symlink() && !site.wrapper("crun").is_symlink(), "{arguments}");
    }
}

/// podman of a user without power reads them as well.
#[test]
fn what_is_made_can_be_read_by_all() {
    let site = Site::new();
    site.configure("podman").ok();
    site.configure("podman --hooks").ok();
    let hooks = "/usr/share/containers/oci/hooks.d";
    for (path, mode) in [
        (PODMAN, 0o644),
        ("/etc", 0o755),
        ("/etc/containers/containers.conf.d", 0o755),
        (hooks, 0o755),
        (&format!("{hooks}/oci-link-poststop.json"), 0o644),
    ] {
        let metadata = fs::metadata(site.path(path)).expect("made");
        assert_eq!(metadata.mode() & 0o7777, mode, "{path}");
    }
}
