//! The runtime that podman uses: by containers.conf, else in podman's own order. The wrapper of this
//! runtime is registered, with the capabilities that podman gives to the runtime.

use super::site::Site;
use std::os::unix::fs::symlink;
use toml::Value;

const DROP_IN: &str = "/etc/containers/containers.conf.d/oci-link.conf";
const SHARED: &str = "/usr/share/containers/containers.conf";
const MAIN: &str = "/etc/containers/containers.conf";
const PART: &str = "/etc/containers/containers.conf.d/a.conf";
const LATER: &str = "/etc/containers/containers.conf.d/z.conf";

/// The table `engine` of our drop-in.
fn engine(site: &Site) -> Value {
    let text = site.read(DROP_IN).expect("written");
    toml::from_str::<toml::Table>(&text).expect("TOML")["engine"].clone()
}

/// Whether the drop-in runs `oci-link-NAME`.
#[track_caller]
fn assert_runs(site: &Site, name: &str) {
    let program = engine(site)["runtimes"]["oci-link"][0].clone();
    assert_eq!(program.as_str(), site.wrapper(name).to_str());
}

fn list(site: &Site, key: &str) -> Vec<String> {
    let list = engine(site)[key].as_array().expect("a list").clone();
    list.iter().map(|name| name.as_str().expect("a name").to_owned()).collect()
}

#[test]
fn podmans_own_order_is_crun_then_runc() {
    let site = Site::new();
    site.there_and_back("podman --default", |site| assert_runs(site, "crun"));
    let said = site.configure("podman --default --dry-run").ok();
    let line =
        format!("runtime oci-link (runs {}), the default", site.path("/usr/bin/crun").display());
    assert!(said.contains(&line), "{said}");
    site.uninstall("/usr/bin/crun");
    site.there_and_back("podman --default", |site| {
        assert_runs(site, "runc");
        let able = ["crun", "krun", "oci-link-crun"];
        assert_eq!(list(site, "runtime_supports_nocgroup"), able, "runc is not");
        assert!(list(site, "runtime_supports_json").contains(&"oci-link".to_owned()));
    });
}

#[test]
fn the_last_file_names_the_runtime() {
    let runs = |name: &str| format!("[engine]\nruntime = \"{name}\"\n");
    let site = Site::new();
    for (file, name) in [(SHARED, "runc"), (MAIN, "crun"), (PART, "runc")] {
        site.write(file, &runs(name));
        site.there_and_back("podman", |site| assert_runs(site, name));
    }
    site.install("/usr/local/bin/youki");
    site.write(PART, &runs("/usr/local/bin/youki"));
    site.there_and_back("podman --default", |site| assert_runs(site, "youki"));
    // podman does not read files of another name.
    site.write("/etc/containers/containers.conf.d/b.config", &runs("runc"));
    site.there_and_back("podman --default", |site| assert_runs(site, "youki"));
    // Our own name is not podman's runtime.
    site.write(PART, &runs("oci-link"));
    site.there_and_back("podman", |site| assert_runs(site, "crun"));
    // A wrapper that containers.conf names already keeps its runtime.
    site.install("/usr/bin/oci-link-runc");
    site.write(PART, &runs("/usr/bin/oci-link-runc"));
    site.there_and_back("podman", |site| assert_runs(site, "runc"));
}

/// As podman reads them: a list replaces the earlier one, unless it says `append`.
#[test]
fn capabilities_are_those_of_containers_conf_and_ours() {
    let site = Site::new();
    site.there_and_back("podman --runtime link", |site| {
        for key in ["runtime_supports_nocgroup", "runtime_supports_nocgroups"] {
            assert_eq!(list(site, key), ["crun", "krun", "link", "oci-link-crun"]);
        }
        assert!(list(site, "runtime_supports_json").contains(&"link".to_owned()));
        assert!(!list(site, "runtime_supports_kvm").contains(&"link".to_owned()), "crun is not");
    });
    site.write(MAIN, "[engine]\nruntime_supports_nocgroup = ['runc', \"a\\\"b\"]\n");
    site.write(PART, "[engine]\nruntime_supports_kvm = ['crun', {append = true}]\n");
    site.there_and_back("podman", |site| {
        let able = ["runc", "a\"b", "oci-link-runc"];
        assert_eq!(list(site, "runtime_supports_nocgroup"), able);
        let kvm = list(site, "runtime_supports_kvm");
        assert!(kvm.starts_with(&["kata".to_owned()]), "{kvm:?}");
        assert!(kvm.ends_with(&["crun", "oci-link", "oci-link-crun"].map(String::from)), "{kvm:?}");
    });
    site.write(PART, "[engine.runtimes_flags]\ncrun = ['debug']\nrunc = ['other']\n");
    site.there_and_back("podman", |site| {
        let flags = engine(site)["runtimes_flags"].clone();
        assert_eq!(flags["oci-link"][0].as_str(), Some("debug"));
        assert_eq!(flags.as_table().map(toml::Table::len), Some(1));
    });
}

#[test]
fn the_paths_of_a_runtime_are_podmans() {
    let site = Site::new();
    site.write(
        MAIN,
        "[engine]\nruntime = 'mine'\n[engine.runtimes]\nmine = ['/no', '/usr/bin/runc']\n",
    );
    site.there_and_back("podman", |site| assert_runs(site, "runc"));
    // podman takes /usr/bin first, the wrapper as PATH does.
    site.install("/usr/local/bin/crun");
    site.write(MAIN, "");
    site.refuses(
        "podman",
        3,
        "/usr/bin/crun, which oci-link does not execute: set runtime.command",
    );
    site.write("/etc/oci-link/config.toml", "[runtime]\ncommand = '/usr/bin/crun'\n");
    site.there_and_back("podman", |site| assert_runs(site, "runtime"));
    // One program under two names does two things.
    site.uninstall("/usr/local/bin/crun");
    symlink("crun", site.path("/usr/bin/krun")).expect("a link");
    site.write(MAIN, "[engine]\nruntime = 'krun'\n");
    site.refuses("podman", 3, "/usr/bin/krun, which oci-link does not execute");
    site.write("/etc/oci-link/config.toml", "[runtime]\ncommand = 'krun'\n");
    site.there_and_back("podman", |site| {
        assert_runs(site, "runtime");
        assert!(list(site, "runtime_supports_kvm").contains(&"oci-link".to_owned()));
    });
}

#[test]
fn a_runtime_that_is_missing_is_refused() {
    let site = Site::without_runtimes();
    site.refuses(
        "podman --default",
        3,
        "the engine's runtime \"crun\" is not installed: install it",
    );
    site.install("/usr/bin/runc");
    for missing in ["crun", "/opt/crun", "mine"] {
        site.write(MAIN, &format!("[engine]\nruntime = '{missing}'\n"));
        let why = format!("the engine's runtime \"{missing}\" is not installed");
        site.refuses("podman", 3, &why);
        site.refuses("podman --default --dry-run", 3, &why);
    }
    site.write(MAIN, "[engine]\nruntime = 7\n");
    site.there_and_back("podman", |site| assert_runs(site, "runc"));
    site.write(MAIN, "[engine\n");
    site.refuses("podman", 3, "containers.conf: ");
    // It can be removed whatever the other files say.
    site.write(DROP_IN, "# ours\n");
    site.configure("podman --remove").ok();
    assert_eq!(site.read(DROP_IN), None);
}

#[test]
fn a_later_file_must_not_replace_the_default() {
    let site = Site::new();
    for (key, value) in [("runtime", "'runc'"), ("runtime_supports_nocgroup", "['crun']")] {
        site.write(LATER, &format!("[engine]\n{key} = {value}\n"));
        let why = format!("z.conf: podman reads it after {DROP_IN}: remove {key} from it");
        site.refuses("podman --default", 3, &why);
        site.there_and_back("podman", |_| {});
    }
    site.write(LATER, "[engine]\nruntime_supports_nocgroup = ['x', {append = true}]\n");
    site.there_and_back("podman --default", |site| {
        assert!(list(site, "runtime_supports_nocgroup").contains(&"x".to_owned()));
    });
}
