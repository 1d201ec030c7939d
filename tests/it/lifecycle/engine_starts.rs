//! `org.oci-link.missing=auto`: the engine's files tell whether the engine will start a source by
//! itself. The bundles here lie where docker and podman would have them.

mod refusals;
mod waits;

use super::knows;
use crate::{
    cast::{end, inspect},
    support::{Bundle, Container, Host, OPEN, Proto, Runtime, each_runtime},
};
use serde_json::{Value, json};
use std::{
    fs,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/test-bundles/recorded");
/// Long enough that what does not wait is seen not to have waited.
const A_MOMENT: Duration = Duration::from_millis(300);
/// Far below `[links] wait`, far above what a busy machine takes to refuse.
const SOON: Duration = Duration::from_secs(15);

/// A container in Docker's files.
#[derive(Clone)]
struct InDocker {
    name: &'static str,
    policy: &'static str,
    by_hand: bool,
    pid: Option<i64>,
    annotations: Value,
}

/// It does not run, and Docker starts it by itself.
fn restarts(name: &'static str) -> InDocker {
    InDocker { name, policy: "always", by_hand: false, pid: None, annotations: json!({}) }
}

/// Docker's ids are 64 hexadecimal digits. Here they are made of the name.
fn id(name: &str) -> String {
    let digits = name.bytes().fold(String::new(), |digits, byte| format!("{digits}{byte:02x}"));
    format!("{digits:0<64}")
}

fn directory(host: &Host, name: &str) -> PathBuf {
    host.path("docker").join("containers").join(id(name))
}

/// Replaces a file as dockerd does: no reader sees half of it.
fn replace(path: PathBuf, value: &Value) {
    let new = path.with_extension("new");
    fs::write(&new, value.to_string()).expect("written");
    fs::rename(new, path).expect("renamed");
}

impl InDocker {
    fn writes(&self, host: &Host) {
        let recorded = fs::read_to_string(format!("{RECORDED}/docker-28.5/config.v2.json"));
        let mut config: Value = serde_json::from_str(&recorded.expect("recorded")).expect("JSON");
        config["ID"] = id(self.name).into();
        config["Name"] = format!("/{}", self.name).into();
        config["State"]["Running"] = self.pid.is_some().into();
        config["State"]["Pid"] = self.pid.unwrap_or(0).into();
        // Later than the start of a dockerd of this host.
        config["State"]["StartedAt"] = "2200-01-01T00:00:00Z".into();
        config["HasBeenManuallyStopped"] = self.by_hand.into();
        let host_config = json!({ "NetworkMode": "bridge", "Annotations": self.annotations,
            "RestartPolicy": { "Name": self.policy, "MaximumRetryCount": 0 } });
        let directory = directory(host, self.name);
        fs::create_dir_all(&directory).expect("made");
        replace(directory.join("config.v2.json"), &config);
        replace(directory.join("hostconfig.json"), &host_config);
    }
}

/// A container that docker made.
fn by_docker<'h>(host: &'h Host, name: &str) -> Bundle<'h> {
    let hosts = directory(host, name).join("hosts");
    fs::create_dir_all(directory(host, name)).expect("made");
    fs::write(&hosts, "127.0.0.1\tlocalhost\n").expect("written");
    let bundle = host.container(&id(name)).bind(&hosts, "/etc/hosts");
    bundle.edit(|config| config["hostname"] = name.into())
}

fn web<'h>(host: &'h Host, links: &str) -> Container<'h> {
    InDocker { policy: "no", ..restarts("web") }.writes(host);
    by_docker(host, "web").annotate("links", links).build()
}

/// The wrapper, with a time to wait that no test waits for.
fn docker(runtime: Runtime, wait: &str) -> Host {
    let host = Host::isolated(runtime).wrapped();
    let config = fs::read_to_string(host.path("config.toml")).expect("readable");
    let config = format!("{config}[links]\nwait = \"{wait}\"\n");
    fs::write(host.path("config.toml"), config).expect("written");
    host
}

fn log(host: &Host) -> String {
    fs::read_to_string(host.path("log")).expect("a log")
}

fn starts(container: &Container) {
    container.create().ok();
    container.start().ok();
}

fn is_told(container: &Container, variable: &str) -> bool {
    container.environ().iter().any(|entry| entry.starts_with(variable))
}

/// Two names of one container: that of its annotation, and Docker's.
#[test]
fn a_source_is_also_found_under_the_name_that_docker_gave_it() {
    let host = docker(Runtime::Runc, "1m");
    restarts("shop-db-1").writes(&host);
    let db = by_docker(&host, "shop-db-1").annotate("name", "db").annotate("ports", "3306").build();
    starts(&db);
    let web = web(&host, "shop-db-1:one db:two");
    starts(&web);
    for alias in ["one", "two"] {
        assert!(knows(&web, alias, &db), "{alias}: {}", web.hosts());
    }
    assert_eq!(inspect(&host, "shop-db-1")["name"], "db");
    let me = web_with(&host, "me-1", "me-1:self").create().refused(4);
    assert!(me.contains("a container cannot be linked to itself"), "{me}");
    end(&web);
    end(&db);
}

/// `EXPOSE 16384-32768/udp`: Docker lists each port.
#[test]
fn n35_docker_lists_each_port_of_a_range() {
    let host = docker(Runtime::Runc, "1m");
    let file = directory(&host, "pbx").join("config.v2.json");
    restarts("pbx").writes(&host);
    let text = fs::read_to_string(&file).expect("readable");
    let mut config: Value = serde_json::from_str(&text).expect("JSON");
    let ports = (16384..=32768).map(|number| (format!("{number}/udp"), json!({})));
    config["Config"]["ExposedPorts"] = ports.collect::<serde_json::Map<_, _>>().into();
    config["Config"]["Env"] = json!(["REALM=office"]);
    replace(file, &config);
    let pbx = by_docker(&host, "pbx").build();
    starts(&pbx);
    assert_eq!(inspect(&host, "pbx")["ports"], json!(["16384-32768/udp"]));
    let web = web(&host, "pbx");
    starts(&web);
    for port in [16384, 20_000, 32768] {
        assert_eq!(web.reach(&pbx, Proto::Udp, port), OPEN, "{port}");
    }
    for variable in ["PBX_ENV_REALM=office", "PBX_PORT_16384_UDP_PORT_END=32768", "PBX_NAME="] {
        assert!(is_told(&web, variable), "{variable}");
    }
    end(&web);
    end(&pbx);
}

/// A container in Docker's files, whose annotation gives it another name.
fn web_with<'h>(host: &'h Host, name: &'static str, links: &str) -> Container<'h> {
    InDocker { policy: "no", ..restarts(name) }.writes(host);
    by_docker(host, name).annotate("name", "another").annotate("links", links).build()
}

each_runtime! {
    fn h21_a_source_that_docker_will_start_is_waited_for(runtime) {
        for policy in ["always", "unless-stopped", "on-failure"] {
            let host = docker(runtime, "50s");
            InDocker { policy, ..restarts("db") }.writes(&host);
            let web = web(&host, "db:mysql");
            let db = by_docker(&host, "db").build();
            thread::scope(|scope| {
                let created = scope.spawn(|| web.create().ok());
                thread::sleep(A_MOMENT);
                assert!(!created.is_finished(), "{policy}: {}", log(&host));
                starts(&db);
                created.join().expect("web is created");
            });
            web.start().ok();
            assert!(is_told(&web, "MYSQL_PORT_3306_TCP_ADDR="), "{:?}", web.environ());
            assert!(knows(&web, "mysql", &db));
            assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
            [&web, &db].into_iter().for_each(end);
            host.assert_nothing_left();
        }
    }

    fn h21_a_wait_for_docker_is_bounded_and_then_a_refusal(runtime) {
        let host = docker(runtime, "700ms");
        restarts("db").writes(&host);
        let begun = Instant::now();
        let complaint = web(&host, "db:mysql").create().refused(4);
        assert!(begun.elapsed() >= Duration::from_millis(700));
        assert_eq!(
            complaint,
            "oci-link: Cannot link to a non running container: /db AS /web/mysql: waited 700 ms\n"
        );
        host.assert_nothing_left();
    }

    fn h21_containers_in_a_circle_do_not_wait_for_each_other(runtime) {
        let host = docker(runtime, "50s");
        let links = |source: &str| json!({ "org.oci-link.links": source });
        let circle = [("a", "b"), ("b", "c"), ("c", "a")];
        for (name, source) in circle {
            InDocker { annotations: links(source), ..restarts(name) }.writes(&host);
        }
        let all = circle.map(|(name, source)| {
            let container = by_docker(&host, name).annotate("links", source).build();
            container.create().within(SOON).ok();
            container.start().within(SOON).ok();
            container
        });
        let [a, b, c] = &all;
        for (from, to, alias) in [(a, b, "b"), (b, c, "c"), (c, a, "a")] {
            assert!(knows(from, alias, to), "{}", from.hosts());
            assert_eq!(from.reach(to, Proto::Tcp, 3306), OPEN);
        }
        assert!(is_told(c, "A_PORT_3306_TCP="), "its source ran when it was created");
        assert!(!is_told(a, "B_PORT"));
        let said = log(&host);
        assert!(said.contains("b does not run: the variables for b are missing"), "{said}");
        all.iter().for_each(end);
        host.assert_nothing_left();
    }

    fn h21_podmans_sources_are_deferred_after_a_short_wait(runtime) {
        let host = docker(runtime, "700ms");
        in_podman(&host, &[("web", "web"), ("0d0b", "db")]);
        let web = by_podman(&host, "web").annotate("links", "db:mysql").build();
        let begun = Instant::now();
        web.create().ok();
        assert!(begun.elapsed() >= Duration::from_millis(700), "{:?}", begun.elapsed());
        web.start().within(SOON).ok();
        assert!(!is_told(&web, "MYSQL_"));
        assert!(log(&host).contains("db does not run: the variables for mysql are missing"));
        assert_eq!(inspect(&host, "web")["links"][0]["connected"], Value::Null);
        let db = by_podman(&host, "0d0b").annotate("name", "db").annotate("ports", "3306");
        let db = db.build();
        starts(&db);
        assert!(knows(&web, "mysql", &db), "{}", web.hosts());
        assert_eq!(web.reach(&db, Proto::Tcp, 3306), OPEN);
        let said = |words: &[&str]| host.run(&mut host.oci_link(words)).said();
        assert!(said(&["ls"]).contains("db:mysql (no variables)"), "{}", said(&["ls"]));
        let cause = "web started before db: it lacks the variables of mysql";
        assert!(said(&["doctor"]).contains(cause), "{}", said(&["doctor"]));
        // It stays so when the link is planned again, and ends with a new start.
        end(&db);
        starts(&db);
        assert_eq!(inspect(&host, "web")["links"][0]["variables"], false);
        end(&web);
        starts(&web);
        assert!(said(&["ls"]).contains("db:mysql ") && !said(&["ls"]).contains("no variables"));
        [&web, &db].into_iter().for_each(end);
        host.assert_nothing_left();
    }
}

/// Writes podman's list of containers: ids and names.
fn in_podman(host: &Host, all: &[(&str, &str)]) {
    // The rootfs of a bundle here is where podman's would be with a driver called `bundles`.
    let directory = host.path("bundles-containers");
    fs::create_dir_all(&directory).expect("made");
    let list: Vec<Value> =
        all.iter().map(|(id, name)| json!({ "id": id, "names": [name], "image": "" })).collect();
    fs::write(directory.join("containers.json"), json!(list).to_string()).expect("written");
}

fn by_podman<'h>(host: &'h Host, id: &str) -> Bundle<'h> {
    host.container(id)
        .edit(|config| config["annotations"]["io.container.manager"] = "libpod".into())
}

fn edit(container: &Container, change: impl FnOnce(&mut Value)) {
    let path = container.bundle().join("config.json");
    let mut config = serde_json::from_slice(&fs::read(&path).expect("a bundle")).expect("JSON");
    change(&mut config);
    fs::write(path, config.to_string()).expect("written");
}
