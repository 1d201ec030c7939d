//! `prepare` edits a bundle's config.json: the hooks and the sources' variables go in, and not a
//! byte of anything else changes.

mod refusals;
mod rich_config;

use crate::{
    cast::{end, prepared, recipient, source},
    lifecycle::networks::{move_to_second, second},
    support::{Container, Host, Runtime, each_runtime},
};
use rich_config::RichConfig;
use serde_json::{Value, json};
use std::{
    fs,
    os::unix::fs::{MetadataExt, chown},
};

/// The text of a container's config.json.
fn config(container: &Container) -> String {
    fs::read_to_string(container.bundle().join("config.json")).expect("config.json is there")
}

/// What config.json makes of the environment.
fn env(container: &Container) -> Vec<String> {
    let config: Value = serde_json::from_str(&config(container)).expect("config.json is JSON");
    let env = config["process"]["env"].as_array().expect("process.env is a list");
    env.iter().map(|entry| entry.as_str().expect("a string").to_owned()).collect()
}

/// The link variables of alias `mysql` in it.
fn mysql(container: &Container) -> Vec<String> {
    env(container).into_iter().filter(|entry| entry.starts_with("MYSQL_")).collect()
}

fn rewrite<'h>(host: &'h Host, id: &str, text: &str) -> Container<'h> {
    let container = host.container(id).build();
    fs::write(container.bundle().join("config.json"), text).expect("written");
    container
}

/// A source on two networks: the hosts line and the rules are for the shared one, and so are variables.
#[test]
fn the_variables_name_the_address_on_the_network_of_both() {
    let host = Host::open(Runtime::Crun);
    host.lay_second_bridge();
    let db = host.container("db").annotate("ports", "3306").hooks().build();
    host.plug_into_second(&db);
    db.run().ok();
    let port = |ip: std::net::IpAddr| format!("MYSQL_PORT=tcp://{ip}:3306");
    let web = host.container("web").annotate("links", "db:mysql").build();
    move_to_second(&host, &web);
    web.prepare().ok();
    web.run().ok();
    assert!(mysql(&web).contains(&port(second(&db))), "{:?}", mysql(&web));
    assert!(web.hosts().contains(&format!("{}\tmysql", second(&db))), "{}", web.hosts());
    let near = prepared(&host, "near", "db:mysql");
    assert!(mysql(&near).contains(&port(db.addresses()[0])), "{:?}", mysql(&near));
    // Where the network is not known, or the path leads elsewhere, it is the first address.
    let fifo = host.path("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).expect("made");
    for path in [fifo, host.path("missing"), host.path("config.toml"), "/proc/self/ns/net".into()] {
        let lost = host.container("lost").annotate("links", "db:mysql").build();
        let text = config(&lost);
        let own = lost.netns().path().display().to_string();
        assert!(text.contains(&own), "{text}");
        let text = text.replace(&own, &path.display().to_string());
        fs::write(lost.bundle().join("config.json"), text).expect("written");
        lost.prepare().ok();
        assert!(
            mysql(&lost).contains(&port(db.addresses()[0])),
            "{}: {:?}",
            path.display(),
            mysql(&lost)
        );
    }
    [&web, &db].into_iter().for_each(end);
}

#[test]
fn only_the_environment_and_the_hooks_change() {
    let host = Host::open(Runtime::Runc);
    let _db = source(&host, "db", "3306");
    for hooks in [RichConfig::FOREIGN_HOOKS, ""] {
        let rich = RichConfig::new("db:mysql", hooks);
        let web = rewrite(&host, "web", &rich.text());
        web.prepare().ok();

        let (env, hooks) = rich.changed_parts(&config(&web));
        let old: Value = serde_json::from_str(&rich.env).expect("JSON");
        let (env, old) = (env.as_array().expect("a list"), old.as_array().expect("a list"));
        assert_eq!(&env[..old.len()], old);
        assert_eq!(env.len() - old.len(), mysql(&web).len());
        assert!(env.contains(&json!("MYSQL_PORT_3306_TCP_PORT=3306")), "{env:?}");

        let paths = |stage: &str| -> Vec<&str> {
            let hooks = hooks[stage].as_array().into_iter().flatten();
            hooks.filter_map(|hook| hook["path"].as_str()?.rsplit('/').next()).collect()
        };
        let foreign: &[&str] = if rich.hooks.is_empty() { &[] } else { &["network"] };
        assert_eq!(paths("createRuntime"), [foreign, &["oci-link"]].concat());
        assert_eq!(paths("poststop"), ["oci-link"]);
        assert_eq!(paths("startContainer").len(), foreign.len());
    }
}

#[test]
fn the_rest_means_what_it_meant() {
    let host = Host::open(Runtime::Runc);
    let _db = source(&host, "db", "3306");
    let rich = RichConfig::new("db:mysql", RichConfig::FOREIGN_HOOKS);
    let web = rewrite(&host, "web", &rich.text());
    web.prepare().ok();
    let rest = |text: &str| -> Value {
        let mut config: Value = serde_json::from_str(text).expect("JSON");
        config["process"]["env"].take();
        config["hooks"].take();
        config
    };
    assert_eq!(rest(&config(&web)), rest(&rich.text()));
    assert_eq!(rest(&config(&web))["process"]["rlimits"][0]["hard"], json!(u64::MAX));
}

#[test]
fn a_config_of_podmans_size_is_what_is_tested() {
    let length = RichConfig::new("db:mysql", RichConfig::FOREIGN_HOOKS).text().len();
    assert!((16 << 10..24 << 10).contains(&length), "{length}");
}

#[test]
fn twice_is_once() {
    let host = Host::open(Runtime::Runc);
    let _db = source(&host, "db", "3306,33060/udp");
    for text in [
        RichConfig::new("db:mysql", RichConfig::FOREIGN_HOOKS).text(),
        RichConfig::new("db:mysql", "").text(),
        config(&host.container("plain").annotate("links", "db:mysql").build()),
    ] {
        let web = rewrite(&host, "web", &text);
        web.prepare().ok();
        let once = config(&web);
        assert_ne!(once, text);
        web.prepare().ok();
        assert_eq!(config(&web), once);
    }
}

#[test]
fn a_source_that_moved_replaces_its_old_variables() {
    let host = Host::open(Runtime::Runc);
    let db = source(&host, "db", "3306");
    let web = prepared(&host, "web", "db:mysql");
    let before = mysql(&web);
    let [old, _] = db.addresses();
    end(&db);
    drop(db);

    let db = source(&host, "db", "3306");
    let [new, _] = db.addresses();
    assert_ne!(old, new);
    web.prepare().ok();
    let moved = |entry: &String| entry.replace(&old.to_string(), &new.to_string());
    assert_eq!(mysql(&web), before.iter().map(moved).collect::<Vec<_>>());

    // A source that became another one leaves nothing of its old self.
    end(&db);
    drop(db);
    let _db = source(&host, "db", "5432");
    web.prepare().ok();
    assert!(!mysql(&web).iter().any(|entry| entry.contains("3306")), "{:?}", mysql(&web));
    assert_eq!(mysql(&web).len(), before.len());
}

#[test]
fn own_variables_win() {
    let host = Host::open(Runtime::Runc);
    let _db = source(&host, "db", "3306");
    let web = host.container("web").annotate("links", "db:mysql").env("MYSQL_NAME=mine").build();
    for _ in 0..2 {
        web.prepare().ok();
        let names: Vec<_> =
            mysql(&web).into_iter().filter(|entry| entry.starts_with("MYSQL_NAME=")).collect();
        assert_eq!(names, ["MYSQL_NAME=mine"]);
    }
}

#[test]
fn a_source_keeps_its_secrets() {
    let host = Host::open(Runtime::Runc);
    let db = host.container("db").annotate("env", "MYSQL_*,!*PASSWORD*");
    let db = db.env("MYSQL_USER=shop").env("MYSQL_PASSWORD=secret").env("OTHER=1").hooks().build();
    db.run().ok();
    let web = prepared(&host, "web", "db");
    let passed: Vec<_> =
        env(&web).into_iter().filter(|entry| entry.starts_with("DB_ENV_")).collect();
    assert_eq!(passed, ["DB_ENV_MYSQL_USER=shop"]);
    assert!(!config(&web).contains("secret"));
}

#[test]
fn owner_and_mode_are_kept() {
    let host = Host::open(Runtime::Runc);
    let web = host.container("web").build();
    let path = web.bundle().join("config.json");
    chown(&path, Some(1234), Some(5678)).expect("root may");
    fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o640)).expect("may");
    let before = config(&web);
    web.prepare().ok();
    assert_ne!(config(&web), before);
    let file = path.metadata().expect("it is there");
    assert_eq!((file.uid(), file.gid(), file.mode() & 0o7777), (1234, 5678, 0o640));
    let files = fs::read_dir(web.bundle()).expect("a directory").count();
    assert_eq!(files, 2, "config.json and rootfs, no temporary file");
}

each_runtime! {
    /// What `db` got of its own source is not its own: `web` must not get it from `db`.
    fn link_variables_are_not_passed_on(runtime) also youki {
        let host = Host::open(runtime);
        let _store = source(&host, "store", "9000");
        let db = host.container("db").annotate("ports", "3306").annotate("links", "store");
        let db = db.env("OWN=1").build();
        db.prepare().ok();
        db.run().ok();
        let web = recipient(&host, "web", "db");

        let names = |container: &Container| -> Vec<String> {
            let environ = container.environ();
            environ.iter().filter_map(|entry| Some(entry.split_once('=')?.0.to_owned())).collect()
        };
        assert!(names(&db).contains(&"STORE_PORT_9000_TCP".to_owned()), "{:?}", names(&db));
        let web = names(&web);
        assert!(web.contains(&"DB_ENV_OWN".to_owned()), "{web:?}");
        assert!(!web.iter().any(|name| name.contains("STORE")), "{web:?}");
    }
}
