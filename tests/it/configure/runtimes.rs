//! The runtime below `oci-link-runtime`: by config.toml, else the first one that is installed.

use super::site::Site;

const ENGINES: [&str; 3] = ["docker", "containerd", "crio"];
const CONFIG: &str = "/etc/oci-link/config.toml";

#[track_caller]
fn assert_runs(site: &Site, engine: &str, program: &str) {
    let said = site.configure(&format!("{engine} --dry-run")).ok();
    let line = format!("runtime oci-link (runs {})\n", site.path(program).display());
    assert!(said.contains(&line), "{said}");
}

#[test]
fn the_first_installed_runtime_is_below() {
    for engine in ENGINES {
        let site = Site::without_runtimes();
        for program in ["/usr/bin/youki", "/sbin/crun", "/usr/sbin/runc", "/usr/local/bin/runc"] {
            site.install(program);
            assert_runs(&site, engine, program);
        }
        site.write(CONFIG, "[runtime]\ncommand = 'youki'\n");
        assert_runs(&site, engine, "/usr/bin/youki");
        site.install("/opt/x");
        site.write(CONFIG, "[runtime]\ncommand = '/opt/x'\n");
        assert_runs(&site, engine, "/opt/x");
        site.there_and_back(engine, |_| {});
    }
}

#[test]
fn without_a_runtime_every_engine_is_refused() {
    for engine in ENGINES {
        let site = Site::without_runtimes();
        site.refuses(engine, 3, "no runtime on this host: apt-get install runc");
        // A file that cannot be executed is no runtime.
        site.write("/usr/bin/runc", "");
        site.refuses(&format!("{engine} --default"), 3, "no runtime on this host");
        site.install("/usr/bin/crun");
        site.configure(engine).ok();
        site.uninstall("/usr/bin/crun");
        site.configure(&format!("{engine} --remove")).ok();
        site.write(CONFIG, "[runtime]\ncommand = '/no/such'\n");
        site.refuses(engine, 3, "runtime \"/no/such\": no such program on this host: install it");
        site.write(CONFIG, "[runtime]\ncommands = 'runc'\n");
        site.refuses(engine, 3, "config.toml line 2: unknown field");
        assert_eq!(site.configure(&format!("{engine} --remove")).ok(), "nothing to change\n");
    }
}
