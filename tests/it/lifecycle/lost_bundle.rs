//! crun's hooks that are not told where config.json is (crun#2025): a copy of it is where crun keeps
//! its containers.

use crate::{
    cast::{end, inspect, source},
    support::{Bundle, Container, Host, OCI_LINK, OPEN, Outcome, Proto, Runtime, SHUT},
};
use std::{fs, path::Path, process::Command};

/// A container below crun's own root; gone when dropped.
struct Usual<'h>(&'h Host, String);

impl Usual<'_> {
    fn call(&self, arguments: &[&str]) -> Outcome {
        self.0.run(Command::new("crun").args(arguments).arg(&self.1))
    }
}

impl Drop for Usual<'_> {
    fn drop(&mut self) {
        let _ = self.call(&["delete", "--force"]);
    }
}

/// Its hooks are told that the bundle is `told`.
fn told<'h>(host: &Host, bundle: Bundle<'h>, told: &str) -> Bundle<'h> {
    let options = host.global_options().join(" ");
    bundle.hooks().edit(|config| {
        let lie = format!("/bin/sed 's|\"bundle\":\"[^\"]*\"|\"bundle\":\"{told}\"|'");
        let script = format!("{lie} | {OCI_LINK} {options} hook createRuntime");
        let arguments = ["sh", "-c", &script];
        config["hooks"]["createRuntime"][0] =
            serde_json::json!({ "path": "/bin/sh", "args": arguments });
    })
}

/// `web`, started under an id of its own, and linked to `db` in the file that it mounts.
#[track_caller]
fn assert_linked(web: &Container, id: &Usual, db: &Container, hosts: &Path, call: &[&str]) {
    id.call(call).ok();
    let [address, _] = db.addresses();
    let text = fs::read_to_string(hosts).expect("the file is there");
    assert!(text.contains(&format!("{address}\tdb db\n")), "{text}");
    assert_eq!(web.reach(db, Proto::Tcp, 3306), OPEN);
    assert_eq!(web.reach(db, Proto::Tcp, 3307), SHUT);
    assert_eq!(inspect(id.0, &id.1)["links"][0]["connected"], "db");
    id.call(&["delete", "--force"]).ok();
    assert_eq!(fs::read_to_string(hosts).expect("the file is there"), "127.0.0.1\tlocalhost\n");
}

#[test]
fn the_copy_that_crun_keeps_is_read() {
    let host = Host::isolated(Runtime::Crun);
    let db = source(&host, "db", "3306");
    let hosts = host.path("hosts");
    fs::write(&hosts, "127.0.0.1\tlocalhost\n").expect("written");
    let elsewhere = host.path("elsewhere.json").display().to_string();
    let id = Usual(&host, format!("web-{}", host.netns().name()));
    for (name, bundle) in [("root", "/"), ("gone", "/nowhere/at/all")] {
        let web = host.container(name).annotate("links", "db").bind(&hosts, "/etc/hosts");
        let web = told(&host, web, bundle).build();
        let bundle = web.bundle().display().to_string();
        assert_linked(&web, &id, &db, &hosts, &["run", "--detach", "--bundle", &bundle]);
    }

    // A config.json that is in no bundle. The root filesystem is found from the bundle.
    let web = host.container("moved").annotate("links", "db").bind(&hosts, "/etc/hosts").hooks();
    let web = web.build();
    let bundle = web.bundle().display().to_string();
    fs::rename(web.bundle().join("config.json"), &elsewhere).expect("one file system");
    let run = ["run", "--detach", "--config", &elsewhere, "--bundle", &bundle];
    assert_linked(&web, &id, &db, &hosts, &run);
    end(&db);
    host.assert_nothing_left();
}

#[test]
fn a_relative_root_leads_nowhere() {
    let host = Host::isolated(Runtime::Crun);
    let db = source(&host, "db", "3306");
    let id = Usual(&host, format!("web-{}", host.netns().name()));
    let web = told(&host, host.container("web").annotate("links", "db"), "/").build();
    let bundle = web.bundle().display().to_string();
    assert!(!id.call(&["run", "--detach", "--bundle", &bundle]).refused(1).is_empty());
    let log = fs::read_to_string(host.path("log")).unwrap_or_default();
    assert!(log.contains("/rootfs: ENOENT"), "{log}");
    end(&db);
    host.assert_nothing_left();
}
