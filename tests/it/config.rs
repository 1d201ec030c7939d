//! `config`: what applies is shown, and config.toml is changed only as far as it was asked for.

use crate::{
    cast::source,
    lifecycle::call,
    support::{Host, Runtime},
};
use serde_json::{Value, json};
use std::{
    fs::{self, Permissions},
    os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink},
    process::Command,
};

const FILE: &str = "# of this host\n[firewall]\n# kubernetes\nisolate = [ 'cni0' ] # all\n\n[log]\nlevel = \"warn\"\n";

fn host() -> Host {
    let host = Host::open(Runtime::Runc);
    fs::write(host.path("config.toml"), FILE).expect("written");
    host
}

fn text(host: &Host) -> String {
    fs::read_to_string(host.path("config.toml")).expect("there")
}

/// `oci-link config …` with these words, of which one may have blanks.
fn config(host: &Host, words: &[&str]) -> crate::support::Outcome {
    host.run(&mut host.oci_link(&[&["config"], words].concat()))
}

#[test]
fn what_applies_is_shown_with_its_source() {
    let host = host();
    let shown: Value = serde_json::from_str(&call(&host, "config show --json").ok()).expect("JSON");
    let of = |key: &str| {
        let all = shown.as_array().expect("an array").iter();
        let found: Vec<&Value> = all.filter(|setting| setting["key"] == key).collect();
        assert_eq!(found.len(), 1, "{key}");
        (found[0]["value"].clone(), found[0]["source"].as_str().expect("a text").to_owned())
    };
    let file = host.path("config.toml").display().to_string();
    assert_eq!(of("firewall.isolate"), (json!(["cni0"]), file.clone()));
    assert_eq!(of("log.level"), (json!("warn"), file.clone()));
    assert_eq!(of("links.wait"), (json!("30s"), "default".to_owned()));
    assert_eq!(of("runtime.command"), (Value::Null, "default".to_owned()));
    let state = host.state_dir().display().to_string();
    assert_eq!(of("state_dir"), (json!(state), "command line".to_owned()));
    let table = call(&host, "config show").ok();
    for line in ["KEY ", "firewall.backend ", "cluster.networks "] {
        assert!(table.lines().any(|row| row.starts_with(line)), "{table}");
    }
    assert!(table.contains(" cni0 "), "{table}");
    assert_eq!(call(&host, "config get log.level").ok(), "warn\n");
    assert_eq!(call(&host, "config get firewall.isolate --json").ok(), "[\n  \"cni0\"\n]\n");
    assert_eq!(call(&host, "config get runtime.command").ok(), "\n");
    assert_eq!(text(&host), FILE, "nothing is changed");
}

#[test]
fn a_value_is_set_and_nothing_else() {
    let host = host();
    let path = host.path("config.toml");
    fs::set_permissions(&path, Permissions::from_mode(0o640)).expect("set");
    chown(&path, Some(0), Some(12)).expect("changed");
    let said = call(&host, "config set firewall.isolate cni0,br0").ok();
    assert_eq!(said, format!("{}: firewall.isolate = [\"cni0\", \"br0\"]\n", path.display()));
    let after = FILE.replace("[ 'cni0' ]", "[ \"cni0\", \"br0\" ]");
    assert_eq!(text(&host), after);
    let there = fs::metadata(&path).expect("there");
    assert_eq!((there.mode() & 0o7777, there.uid(), there.gid()), (0o640, 0, 12));
    assert!(call(&host, "config set firewall.isolate cni0,br0").ok().ends_with(": unchanged\n"));
    call(&host, "config set runtime.command crun docker.network_env true").ok();
    assert_eq!(
        text(&host),
        format!("{after}\n[runtime]\ncommand = \"crun\"\n\n[docker]\nnetwork_env = true\n")
    );
    call(&host, "config set runtime.command docker.network_env --default").ok();
    assert_eq!(text(&host), format!("{after}\n[runtime]\n\n[docker]\n"));
    // What was set is what a start uses.
    call(&host, "config set log.level debug").ok();
    let _db = source(&host, "db", "3306");
    assert!(fs::read_to_string(host.path("log")).expect("there").contains(" debug oci-link"));
}

#[test]
fn a_cluster_is_set_in_one_call() {
    let host = host();
    let refused = call(&host, "config set cluster.name a").refused(3);
    assert!(refused.contains("missing field `networks`"), "{refused}");
    assert_eq!(text(&host), FILE);
    call(&host, "config set cluster.name a cluster.networks.a 10.77.0.0/24").ok();
    call(&host, "config set cluster.networks.b 10.78.0.0/24,10.79.0.0/24").ok();
    let networks = "{ a = [\"10.77.0.0/24\"], b = [\"10.78.0.0/24\", \"10.79.0.0/24\"] }";
    assert_eq!(text(&host), format!("{FILE}\n[cluster]\nname = \"a\"\nnetworks = {networks}\n"));
    assert_eq!(call(&host, "config get cluster.networks").ok(), format!("{networks}\n"));
    assert_eq!(call(&host, "config get cluster.networks.a").ok(), "10.77.0.0/24\n");
    assert_eq!(call(&host, "config get cluster.patience").ok(), "10m\n");
    let one = "{ a = [\"10.80.0.0/24\"] }";
    config(&host, &["set", "cluster.networks", one]).ok();
    assert_eq!(call(&host, "config get cluster.networks").ok(), format!("{one}\n"));
}

#[test]
fn what_is_wrong_is_refused_and_not_written() {
    let host = host();
    for (words, status, why) in [
        ("set firewall.backend iptable", 3, "firewall.backend \"iptable\": want auto"),
        ("set firewall.isolate /etc", 3, "firewall.isolate: bridge \"/etc\""),
        ("set links.wait soon", 3, "want a time"),
        ("set docker.network_env maybe", 3, "want true or false"),
        ("set firewall.backends auto", 2, "did you mean firewall.backend?"),
        ("set backend auto", 2, "did you mean firewall.backend?"),
        ("set nonsense 1", 2, "config show prints all keys"),
        ("get cluster.networks.", 2, "did you mean cluster.networks?"),
        ("set log.level", 2, "want config set log.level VALUE"),
        ("set", 2, "want config set KEY VALUE"),
        ("get", 2, "want config get KEY"),
        ("show log.level", 2, "config show takes no key"),
        ("get log.level --default", 2, "an option of config set"),
        ("list", 2, "possible values: show, get, set"),
    ] {
        let said = call(&host, &format!("config {words}")).refused(status);
        assert!(said.contains(why), "{words}: {said}");
        assert_eq!(text(&host), FILE, "{words}");
    }
    // A file that no start would read is repaired by the value that repairs it.
    fs::write(host.path("config.toml"), FILE.replace("warn", "loud")).expect("written");
    call(&host, "config show").refused(3);
    call(&host, "config set links.wait 9s").refused(3);
    call(&host, "config set log.level warn").ok();
    assert_eq!(text(&host), FILE);
    fs::write(host.path("config.toml"), "[log").expect("written");
    call(&host, "config set log.level warn").refused(3);
    assert_eq!(text(&host), "[log");
}

#[test]
fn a_missing_file_is_made_and_a_link_stays_one() {
    let host = host();
    fs::remove_file(host.path("config.toml")).expect("removed");
    call(&host, "config set links.wait 9s").ok();
    assert_eq!(text(&host), "[links]\nwait = \"9s\"\n");
    assert_eq!(fs::metadata(host.path("config.toml")).expect("there").mode() & 0o7777, 0o644);
    fs::rename(host.path("config.toml"), host.path("real.toml")).expect("moved");
    symlink("real.toml", host.path("config.toml")).expect("made");
    call(&host, "config set links.wait 8s").ok();
    assert!(host.path("config.toml").is_symlink());
    assert_eq!(text(&host), "[links]\nwait = \"8s\"\n");
    // A link of another user is not followed.
    std::os::unix::fs::lchown(host.path("config.toml"), Some(1500), None).expect("changed");
    call(&host, "config set links.wait 7s").refused(5);
    let left = fs::read_to_string(host.path("real.toml")).expect("there");
    assert_eq!(left, "[links]\nwait = \"8s\"\n");
}

/// A user's file is in the home directory of the user; root's is not touched.
#[test]
fn the_file_of_a_user() {
    let host = host();
    let script = "set -e
        mount -t tmpfs none /etc/oci-link 2>/dev/null || { mkdir -p /etc/oci-link; mount -t tmpfs none /etc/oci-link; }
        mount -t tmpfs none /home
        mkdir -p /home/u/ && chown 1500:1500 /home/u
        cp /etc/passwd /home/passwd && echo 'u:x:1500:1500::/home/u:/bin/sh' >>/home/passwd
        chmod 644 /home/passwd && mount --bind /home/passwd /etc/passwd
        printf '[links]\\nwait = \"9s\"\\n[log]\\nlevel = \"warn\"\\n' >/etc/oci-link/config.toml
        chmod 755 /etc/oci-link
        cp \"$1\" /home/oci-link && chmod 755 /home/oci-link /home
        as() { setpriv --reuid 1500 --regid 1500 --clear-groups /home/oci-link \"$@\"; }
        as config set runtime.command crun
        as config show";
    let mut shell = Command::new("unshare");
    shell.args(["-m", "sh", "-c", script, "sh", crate::support::OCI_LINK]);
    let said = host.run(&mut shell).ok();
    let row = |key: &str| {
        let row = said.lines().find(|line| line.starts_with(key));
        row.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let own = "/home/u/.config/oci-link/config.toml";
    assert_eq!(said.lines().next(), Some(format!("{own}: runtime.command = \"crun\"").as_str()));
    assert_eq!(row("runtime.command"), format!("runtime.command crun {own}"));
    assert_eq!(row("links.wait"), "links.wait 9s /etc/oci-link/config.toml");
    assert_eq!(row("log.level"), "log.level info default", "root's log is not the user's");
}
