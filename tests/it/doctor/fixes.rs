//! Each fix is pasted as it is printed, and the finding is gone. Hosts of other tests of doctor have more of them;
//! here are those that change config.toml, and one host with many problems. Fixes with `apt-get`, `docker`,
//! `systemctl`, `useradd` and `loginctl` are in `tests/engines/fixes.rs`, which also lists the few that no test pastes.

use super::{config, doctor, paste, report};
use crate::{
    cast::{recipient, source},
    configure::site::Site,
    lifecycle::{by_hand, host_of},
    support::{Host, Outcome, Runtime},
};
use oci_link::testing::BackendName;
use serde_json::Value;
use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, chown},
    process::Command,
};

/// What doctor prints with config.toml as the only option.
fn by_file(host: &Host, site: &Site) -> Outcome {
    let mut command = Command::new(site.program());
    command.arg("--config").arg(host.path("config.toml"));
    host.run(command.arg("doctor").arg("--root").arg(site.path("/")).arg("--json"))
}

/// The checks that are not ok.
fn problems(outcome: Outcome) -> Vec<Value> {
    let report: Value = serde_json::from_str(&outcome.said()).expect("JSON");
    let checks = report["checks"].as_array().expect("a list").iter();
    checks.filter(|check| check["verdict"] != "ok").cloned().collect()
}

/// Pastes each fix until there is none left. Returns the fixes.
fn cure(host: &Host, site: &Site, ask: &dyn Fn() -> Outcome) -> Vec<String> {
    let mut fixes = Vec::new();
    loop {
        let before = problems(ask());
        let Some(check) = before.iter().find(|check| check["fix"].is_string()) else {
            assert_eq!(before, [Value::Null; 0], "no command for them");
            return fixes;
        };
        let fix = check["fix"].as_str().expect("a text");
        match fix.strip_prefix("oci-link configure ") {
            // The files of engines are those of the site.
            Some(words) => drop(site.configure(words).ok()),
            None => paste(host, site, fix),
        }
        let after = problems(ask());
        let same = |other: &Value| {
            (&other["subject"], &other["detail"]) == (&check["subject"], &check["detail"])
        };
        assert!(!after.iter().any(same), "{fix} changes nothing: {check}");
        fixes.push(fix.to_owned());
    }
}

/// The fixes, without the path of config.toml.
fn of_config(host: &Host, site: &Site, text: &str) -> Vec<String> {
    config(host, text);
    let fixes = cure(host, site, &|| by_file(host, site));
    let file = format!("oci-link --config {} config set ", host.path("config.toml").display());
    fixes.into_iter().map(|fix| fix.replace(&file, "set ")).collect()
}

#[test]
fn a_fix_of_config_toml_is_a_command() {
    let (host, site) = (Host::open(Runtime::Runc), Site::new());
    let quiet = format!("state_dir = {:?}\n[log]\nfile = {:?}\n", host.state_dir(), host.path("l"));
    assert_eq!(of_config(&host, &site, &quiet), [""; 0]);
    let with = |table: &str| format!("{quiet}{table}");
    let none = "set runtime.command --default";
    assert_eq!(of_config(&host, &site, &with("[runtime]\ncommand = '/no/such' # mine\n")), [none]);
    let link = format!("[runtime] # of podman\ncommand = {:?}\n", site.link());
    assert_eq!(of_config(&host, &site, &with(&link)), [none]);
    let text = fs::read_to_string(host.path("config.toml")).expect("there");
    assert_eq!(text, with("[runtime] # of podman\n"));

    // A file where a directory is, and a directory on disk.
    fs::create_dir(host.path("directory")).expect("made");
    let log = quiet.replace("/l\"", "/directory\"");
    // On a machine without a system log another file follows.
    assert_eq!(of_config(&host, &site, &log)[0], "set log.file --default");
    let missing = host.path("logs/of/oci-link/log");
    let log = quiet.replace(&host.path("l").display().to_string(), &missing.display().to_string());
    let above = missing.parent().expect("a directory").display();
    let made = format!("mkdir -p {above} && touch {}", missing.display());
    assert_eq!(of_config(&host, &site, &log), [made]);
    let disk = host.path("disk");
    fs::create_dir(&disk).expect("made");
    fs::set_permissions(&disk, Permissions::from_mode(0o700)).expect("set");
    let on_disk =
        quiet.replace(&host.state_dir().display().to_string(), &disk.display().to_string());
    assert_eq!(of_config(&host, &site, &on_disk), ["set state_dir /run/oci-link"]);

    // What cannot be done here.
    by_hand(&host, &["sysctl -qw net.bridge.bridge-nf-call-ip6tables=0"]);
    let bound = of_config(&host, &site, &with("[firewall]\nbind = 'port'\n"));
    let switch = "net.bridge.bridge-nf-call-ip6tables=1";
    let switch = format!("sysctl -w {switch} && echo {switch} >>/etc/sysctl.d/oci-link.conf");
    assert_eq!(bound.join("\n"), switch);
    by_hand(&host, &["sysctl -qw net.bridge.bridge-nf-call-ip6tables=0"]);
    config(&host, &with("[firewall]\nbind = 'port'\n"));
    let said = report(by_file(&host, &site), 12);
    let fix = said.of("bind").is("fault", "links are refused").fix().to_owned();
    assert!(fix.ends_with(" config set firewall.bind auto"), "{fix}");
    paste(&host, &site, &fix);
    report(by_file(&host, &site), 11).of("bind").is("ok", "IPv6: ");

    site.write("/etc/docker/daemon.json", "{ \"iptables\": false }");
    site.configure("docker").ok();
    by_hand(&host, &["sysctl -qw net.bridge.bridge-nf-call-ip6tables=1"]);
    let isolated = of_config(&host, &site, &with("[firewall]\n# none yet\nisolate = []\n"));
    assert_eq!(isolated, ["set firewall.isolate docker0"]);
    let text = fs::read_to_string(host.path("config.toml")).expect("there");
    assert_eq!(text, with("[firewall]\n# none yet\nisolate = [\"docker0\"]\n"));
}

#[test]
fn every_fix_of_a_broken_host_can_be_pasted() {
    let (host, site) = (host_of(BackendName::Iptables, Runtime::Runc), Site::new());
    let _db = source(&host, "db", "3306");
    let _web = recipient(&host, "web", "db");
    let dead = recipient(&host, "dead", "db");
    dead.kill();
    by_hand(
        &host,
        &[
            "iptables -D FORWARD -j OCI-LINK",
            "ip6tables -F OCI-LINK-ISOLATE",
            "sysctl -qw net.bridge.bridge-nf-filter-vlan-tagged=0",
            "nft add table inet other",
            "nft add chain inet other forward { type filter hook forward priority 5; policy drop; }",
            "iptables -t nat -A POSTROUTING -s 10.77.0.0/24 -j MASQUERADE",
        ],
    );
    let broken = host.path("state/broken");
    fs::create_dir(&broken).expect("made");
    fs::write(broken.join("x.json"), "{").expect("written");
    fs::write(site.wrapper("crun"), "").expect("written");
    site.write("/usr/bin/dockerd", "");
    let file = host.path("config.toml");
    fs::set_permissions(&file, Permissions::from_mode(0o666)).expect("set");
    let ask = || host.run(&mut super::command(&host, &site, &["--json"]));
    let mut fixes = cure(&host, &site, &ask);
    chown(&file, Some(1500), None).expect("changed");
    fs::set_permissions(host.state_dir(), Permissions::from_mode(0o777)).expect("set");
    fixes.extend(cure(&host, &site, &ask));
    assert!(fixes.len() >= 9, "{fixes:#?}");
    assert_eq!(doctor(&host, &site, 0).troubles(), [""; 0]);
}
