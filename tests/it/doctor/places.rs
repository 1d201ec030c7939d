//! Files and directories of ours: what is broken there is told, and does not break the doctor.

use super::{assert_well, command, config, doctor, mode, paste, report};
use crate::{
    cast::source,
    configure::site::Site,
    hazards::scene::with_mounts,
    support::{Host, Runtime},
};
use std::{
    fs::{self, Permissions},
    os::unix::fs::{PermissionsExt, chown, symlink},
};

fn host() -> (Host, Site) {
    (Host::open(Runtime::Runc), Site::new())
}

#[test]
fn a_state_directory_that_others_can_write_to() {
    let (host, site) = host();
    fs::set_permissions(host.state_dir(), Permissions::from_mode(0o777)).expect("set");
    let report = doctor(&host, &site, 12);
    let said = report.of("state directory");
    said.is("fault", "other users can write to it");
    assert_eq!(mode(&host.state_dir()), 0o777, "only looked at");
    paste(&host, &site, said.fix());
    // Every start repairs the rest.
    let report = doctor(&host, &site, 11);
    let said = report.of("state directory");
    said.is("warning", "755");
    paste(&host, &site, said.fix());
    assert_well(&host, &site);
}

#[test]
fn a_state_directory_of_another_user_or_elsewhere() {
    let (host, site) = host();
    chown(host.state_dir(), Some(1000), Some(1000)).expect("changed");
    let report = doctor(&host, &site, 12);
    let said = report.of("state directory");
    paste(&host, &site, said.is("fault", "belongs to another user").fix());
    assert_well(&host, &site);
    fs::rename(host.state_dir(), host.state_dir().with_file_name("moved")).expect("moved");
    symlink("moved", host.state_dir()).expect("made");
    let report = doctor(&host, &site, 12);
    let said = report.of("state directory");
    said.is("fault", "is a symbolic link or not a directory").is("fault", "--state-dir");
}

#[test]
fn a_state_directory_on_disk() {
    let (host, site) = host();
    let disk = host.path("disk");
    fs::create_dir(&disk).expect("made");
    fs::set_permissions(&disk, Permissions::from_mode(0o700)).expect("set");
    let asked = command(&host, &site, &["--json"]);
    let mount = r#"mount --bind "$1" "$2"; shift 2"#;
    let mut asked = with_mounts(mount, &[&disk, &host.state_dir()], &asked);
    let report = report(host.run(&mut asked), 11);
    assert_eq!(report.troubles(), ["warning state file system"]);
}

#[test]
fn records_that_cannot_be_read() {
    let (host, site) = host();
    let _db = source(&host, "db", "3306");
    let broken = host.path("state/broken");
    fs::create_dir(&broken).expect("made");
    fs::write(broken.join("x.json"), "{").expect("written");
    let report = doctor(&host, &site, 11);
    let said = report.of("unreadable records");
    paste(&host, &site, said.is("warning", "1 records").fix());
    assert_well(&host, &site);
    fs::remove_dir_all(host.path("state/wanted")).expect("removed");
    symlink("/", host.path("state/wanted")).expect("made");
    doctor(&host, &site, 12).of("links").is("fault", "wanted");
}

#[test]
fn a_config_file_that_is_wrong_or_others() {
    let (host, site) = host();
    config(&host, "[firewall]\nbackends = 'auto'\n");
    let report = doctor(&host, &site, 12);
    assert_eq!(report.troubles(), ["fault config.toml"]);
    report.of("config.toml").is("fault", "config.toml line 2: unknown field");
    report.of("backend").is("ok", "would be chosen");
    config(&host, "");
    fs::set_permissions(host.path("config.toml"), Permissions::from_mode(0o666)).expect("set");
    let report = doctor(&host, &site, 12);
    let said = report.of("config.toml");
    paste(&host, &site, said.is("fault", "mode 666").fix());
    assert_well(&host, &site);
}

/// A terminal that shows the report is not told what to do by the file's author.
#[test]
fn what_others_wrote_is_escaped() {
    let (host, site) = host();
    config(&host, "[runtime]\ncommand = \"/x\\u001b[31m\\ny\"\n");
    let report = doctor(&host, &site, 12);
    report.of("wrapped runtime").is("fault", "/x\\u{1b}[31m\\ny");
}

#[test]
fn a_log_that_cannot_be_written() {
    let (host, site) = host();
    fs::create_dir(host.path("log")).expect("made");
    doctor(&host, &site, 12).of("log").is("fault", "cannot be written");
}

#[test]
fn programs_that_are_not_what_they_should_be() {
    let (host, site) = host();
    let link = format!("{:?}", site.link());
    for text in [
        format!("[runtime]\ncommand = {link}\n[log]\n"),
        format!("runtime.command = {link}\n[log]\n"),
        "[log]\n[runtime]\n  command='/no/such/runc'".to_owned(),
        "[runtime]\ncommand = 'youki'\n".to_owned(),
    ] {
        config(&host, &text);
        let why = if text.contains(&link) { "is oci-link itself" } else { "no such program" };
        let report = doctor(&host, &site, 12);
        paste(&host, &site, report.of("wrapped runtime").is("fault", why).fix());
        assert_well(&host, &site);
    }
    config(&host, "");
    let crun = site.link().with_file_name("oci-link-crun");
    fs::write(&crun, "").expect("written");
    fs::remove_file(site.link()).expect("removed");
    let report = doctor(&host, &site, 11);
    assert_eq!(report.troubles(), ["warning oci-link-runtime", "warning oci-link-crun"]);
    for name in ["oci-link-runtime", "oci-link-crun"] {
        paste(&host, &site, report.of(name).fix());
    }
    assert_well(&host, &site);
}
