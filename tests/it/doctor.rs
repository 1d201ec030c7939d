//! `doctor`: each problem is found and named, and its fix repairs it. A host without problems is well,
//! and no check changes the host.

mod between_hosts;
mod containers;
mod docker;
mod engines;
mod fixes;
mod forward;
mod hosts;
mod masquerade;
mod networks;
mod places;

use crate::{
    configure::site::Site,
    support::{Host, Outcome},
};
use serde_json::Value;
use std::{fs, path::Path, process::Command};

/// What the doctor said.
struct Report {
    text: String,
    checks: Vec<Value>,
}

impl Report {
    /// The only check of `subject`.
    #[track_caller]
    fn of(&self, subject: &str) -> Said<'_> {
        let mut found = self.checks.iter().filter(|check| check["subject"] == subject);
        let check = found.next().unwrap_or_else(|| panic!("no {subject} in\n{}", self.text));
        assert!(found.next().is_none(), "several {subject} in\n{}", self.text);
        Said(check)
    }

    /// All but those that are ok, as `verdict subject`.
    fn troubles(&self) -> Vec<String> {
        let text = |check: &Value, key: &str| check[key].as_str().expect("a text").to_owned();
        let bad = self.checks.iter().filter(|check| check["verdict"] != "ok");
        bad.map(|check| text(check, "verdict") + " " + &text(check, "subject")).collect()
    }
}

/// One check.
struct Said<'r>(&'r Value);

impl Said<'_> {
    #[track_caller]
    fn is(&self, verdict: &str, detail: &str) -> &Self {
        let said = self.0["detail"].as_str().expect("a detail");
        assert!(self.0["verdict"] == verdict && said.contains(detail), "{}", self.0);
        assert!(verdict != "ok" || self.0["fix"].is_null(), "{}", self.0);
        self
    }

    fn fix(&self) -> &str {
        self.0["fix"].as_str().unwrap_or_default()
    }
}

/// `oci-link doctor` on a host, with the engines' files of `site`.
fn command(host: &Host, site: &Site, words: &[&str]) -> Command {
    let mut command = Command::new(site.program());
    command.args(host.global_options()).arg("doctor").arg("--root").arg(site.path("/")).args(words);
    command
}

fn report(outcome: Outcome, status: i32) -> Report {
    let text = outcome.ended(status);
    let value: Value = serde_json::from_str(&text).unwrap_or_else(|why| panic!("{why}: {text}"));
    let verdict = match status {
        0 => "ok",
        11 => "warning",
        12 => "fault",
        _ => panic!("{status} is no verdict"),
    };
    assert_eq!(value["verdict"], verdict, "{text}");
    let checks = value["checks"].as_array().expect("a list").clone();
    Report { text, checks }
}

/// What it says of the host as it is.
#[track_caller]
fn doctor(host: &Host, site: &Site, status: i32) -> Report {
    report(host.run(&mut command(host, site, &["--json"])), status)
}

/// Pastes a fix into a shell. What it writes for the next boot does not reach this machine.
#[track_caller]
fn paste(host: &Host, site: &Site, fix: &str) {
    assert!(!fix.is_empty(), "no command");
    // A minimal Debian 13 has no modules-load.d.
    let private = "for dir in /etc/sysctl.d /etc/modules-load.d; do ! [ -d $dir ] || mount -t tmpfs none $dir; done";
    let fix = format!("{private}; {fix}");
    let bin = site.program().parent().expect("a directory").display().to_string();
    let path = format!("{bin}:/usr/sbin:/usr/bin:/sbin:/bin");
    host.run(Command::new("unshare").args(["-m", "sh", "-ec", &fix]).env("PATH", path)).ok();
}

/// All is well again.
#[track_caller]
fn assert_well(host: &Host, site: &Site) {
    assert_eq!(doctor(host, site, 0).troubles(), [""; 0]);
}

fn config(host: &Host, text: &str) {
    fs::write(host.path("config.toml"), text).expect("written");
}

fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::MetadataExt;
    fs::symlink_metadata(path).expect("there").mode() & 0o7777
}
