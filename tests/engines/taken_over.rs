//! Docker's own links under a real dockerd: unchanged commands, taken over by the wrapper.

mod compose_1;
mod renamed;

use crate::each_engine;
use crate::machine::wait_until;
use crate::rig::{Engine, Rig, With};
use crate::tool::Wish;

const CONFIG: &str = "[log]\nfile = \"/root/oci-link.log\"\n";
const ALL: &str = "[docker]\nlinks = \"all\"\n";

fn rig(engine: Engine, more: &str) -> Rig {
    let rig = Rig::start(engine, With::Wrapper);
    rig.write("/etc/oci-link/config.toml", &format!("{CONFIG}{more}"));
    let isolated = "docker network create -o com.docker.network.bridge.enable_icc=false";
    rig.machine.sh(&format!("{isolated} n1 && {isolated} n2")).ok();
    rig
}

impl Rig {
    /// Runs a container with these options.
    fn with(&self, name: &str, options: &str) {
        self.container(name).option(options.to_owned()).run().ok();
    }

    /// Creates a container that another command starts.
    fn create(&self, name: &str, options: &str) {
        let command = "sh -c 'httpd -p 9999; exec httpd -f -p 3306'";
        let wish = Wish { name, options: vec![options.to_owned()], command };
        self.machine.sh(&self.engine.run(&wish).replace("run --detach", "create")).ok();
    }

    /// Its variables that begin so, sorted.
    fn told(&self, name: &str, prefix: &str) -> Vec<String> {
        let mut environ = self.environ(name);
        environ.retain(|entry| entry.starts_with(prefix));
        environ.sort();
        environ
    }

    /// The lines of its hosts file with this name. `docker exec` fails once a source was recreated.
    fn lines(&self, name: &str, alias: &str) -> Vec<String> {
        let hosts = self.machine.sh(&format!("cat /proc/{}/root/etc/hosts", self.pid(name))).ok();
        let has = |line: &&str| line.split_whitespace().skip(1).any(|word| word == alias);
        hosts.lines().filter(has).map(str::to_owned).collect()
    }

    /// Whether it gets an answer; by its hosts file, without its name server.
    fn gets(&self, from: &str, host: &str, port: u16) -> bool {
        let pid = self.pid(from);
        let ask = format!("nsenter -t {pid} -n -m /bin/sh -c 'echo GET / | nc -w 2 {host} {port}'");
        let said = self.machine.sh(&ask);
        said.is_ok() && said.ok().contains("HTTP/")
    }

    #[track_caller]
    fn assert_gets(&self, from: &str, host: &str, port: u16) {
        let gets = (0..5).any(|_| self.gets(from, host, port));
        let rules = self.machine.sh("iptables -S; ipset save; oci-link ls; cat /root/oci-link.log");
        assert!(gets, "{from} does not reach {host}:{port}: {rules}");
    }

    /// `alias declared_by state` of each of its links.
    fn links(&self, name: &str) -> Vec<String> {
        let shown = self.machine.sh(&format!("oci-link inspect {name} --format json")).ok();
        let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
        let links = shown["links"].as_array().expect("a list").iter();
        let word = |it: &serde_json::Value, key: &str| it[key].as_str().unwrap_or("").to_owned();
        links
            .map(|it| {
                format!("{} {} {}", word(it, "alias"), word(it, "declared_by"), word(it, "state"))
            })
            .collect()
    }

    fn warnings(&self) -> Vec<String> {
        let log = self.machine.sh("cat /root/oci-link.log 2>/dev/null; true").ok();
        log.lines().filter(|line| line.contains("warn")).map(str::to_owned).collect()
    }

    /// What Docker says of its links. Nothing of ours changes it.
    fn inspected(&self, name: &str) -> String {
        let format =
            "{{json .HostConfig}} {{range .NetworkSettings.Networks}}{{json .Links}}{{end}}";
        self.machine.sh(&format!("docker inspect --format '{format}' {name}")).ok()
    }
}

each_engine! {
    fn a_link_on_the_default_bridge(engine) on [docker_20, docker_28] {
        let rig = rig(engine, "");
        rig.container("db").run().ok();
        rig.create("web", "--link db:mysql");
        let before = rig.inspected("web");
        rig.restart("web");
        rig.container("unlinked").run().ok();
        let told = rig.told("web", "MYSQL_");
        assert_eq!(told.len(), 12, "{told:#?}");
        assert!(told.contains(&"MYSQL_NAME=/web/mysql".to_owned()), "{told:#?}");
        let address = rig.address("db");
        assert_eq!(rig.lines("web", "mysql").len(), 1, "{:?}", rig.lines("web", "mysql"));
        assert!(rig.lines("web", "mysql")[0].starts_with(&format!("{address}\tmysql ")));
        assert_eq!(rig.links("web"), ["mysql docker ready"]);
        rig.assert_gets("web", "mysql", 3306);
        assert!(!rig.gets("web", "mysql", 9999), "another port");
        assert!(!rig.gets("unlinked", &address.to_string(), 3306), "another container");
        assert_eq!(rig.inspected("web"), before);
        // With a given variable, `exec` has that one. Docker 28 adds the others itself.
        let exec = rig.machine.sh("docker exec -e MYSQL_PORT=mine web env").ok();
        assert_eq!(exec.lines().filter(|line| line.starts_with("MYSQL_")).count(), 12, "{exec}");
        assert!(exec.contains("MYSQL_PORT=mine"), "{exec}");
        // The source stops, and another container takes its address.
        rig.kill("db");
        assert!(rig.lines("web", "mysql").is_empty(), "{:?}", rig.lines("web", "mysql"));
        rig.container("filler").run().ok();
        rig.restart("db");
        let moved = rig.address("db");
        assert_ne!(moved, address);
        assert_eq!(rig.lines("web", "mysql").len(), 1, "{:?}", rig.lines("web", "mysql"));
        assert!(rig.lines("web", "mysql")[0].starts_with(&format!("{moved}\t")));
        rig.assert_gets("web", "mysql", 3306);
        // The same with a new container of that name.
        rig.remove("db");
        rig.container("filler2").run().ok();
        rig.container("db").run().ok();
        let again = rig.address("db");
        assert_eq!(rig.lines("web", "mysql").len(), 1, "{:?}", rig.lines("web", "mysql"));
        assert!(rig.lines("web", "mysql")[0].starts_with(&format!("{again}\t")));
        rig.assert_gets("web", "mysql", 3306);
        for name in ["web", "unlinked", "filler", "filler2", "db"] {
            rig.remove(name);
        }
        assert_eq!(rig.remains(), Vec::<String>::new());
    }

    fn a_link_on_another_network(engine) on [docker_20, docker_28] {
        let rig = rig(engine, ALL);
        rig.with("db", "--network n1");
        rig.with("outside", "");
        rig.with("web", "--network n1 --link db:mysql --link outside:posts");
        rig.with("unlinked", "--network n1");
        assert!(rig.told("web", "MYSQL_").is_empty() && rig.told("web", "POSTS_").is_empty());
        assert!(rig.lines("web", "mysql").is_empty() && rig.lines("web", "posts").is_empty());
        assert_eq!(rig.links("web"), ["mysql docker:n1 ready", "posts docker:n1 waiting"]);
        assert_eq!(rig.warnings().len(), 1, "{:?}", rig.warnings());
        let address = rig.address("db").to_string();
        rig.assert_gets("web", &address, 3306);
        rig.assert_reaches("web", "mysql", 3306);
        assert!(!rig.gets("web", &address, 9999), "another port");
        assert!(!rig.gets("unlinked", &address, 3306), "another container");
        assert!(!rig.gets("web", &rig.address("outside").to_string(), 3306), "another network");
        let listed = rig.machine.sh("oci-link ls").ok();
        assert!(listed.contains("db:mysql (docker:n1)"), "{listed}");
        // A recipient that starts first.
        rig.with("early", "--network n1 --link later:x");
        assert_eq!(rig.links("early"), ["x docker:n1 waiting"]);
        rig.with("later", "--network n1");
        wait_until("link", || rig.links("early") == ["x docker:n1 ready"]);
        rig.assert_gets("early", &rig.address("later").to_string(), 3306);
        // With variables.
        rig.write("/etc/oci-link/config.toml", &format!("{CONFIG}{ALL}network_env = true\n"));
        rig.with("told", "--network n1 --link db:mysql --link outside:posts");
        assert_eq!(rig.told("told", "MYSQL_").len(), 12, "{:?}", rig.told("told", "MYSQL_"));
        assert!(rig.told("told", "POSTS_").is_empty());
    }

    fn a_link_of_network_connect_has_the_addresses_there(engine) on [docker_20, docker_28] {
        let rig = rig(engine, &format!("{ALL}network_env = true\n"));
        rig.create("db", "--network n1");
        rig.machine.sh("docker network connect n2 db && docker start db").ok();
        rig.create("web", "--network n1");
        rig.machine.sh("docker network connect --link db:data n2 web && docker start web").ok();
        // Docker 28 gives out eth0 and eth1 in any order.
        let address_on = |network: &str| {
            let format = format!("{{{{.NetworkSettings.Networks.{network}.IPAddress}}}}");
            rig.machine.sh(&format!("docker inspect --format '{format}' db")).ok()
        };
        let (here, there) = (address_on("n1"), address_on("n2"));
        assert_eq!(rig.links("web"), ["data docker:n2 ready"]);
        assert!(rig.told("web", "DATA_PORT=").contains(&format!("DATA_PORT=tcp://{there}:3306")));
        let shown = rig.machine.sh("oci-link inspect web --format json").ok();
        let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
        let flows = shown["flows"].as_array().expect("a list");
        assert!(!flows.is_empty() && flows.iter().all(|flow| flow["to"] == there), "{flows:?}");
        rig.assert_gets("web", &there, 3306);
        assert!(!rig.gets("web", &here, 3306), "on n1");
    }

    fn links_that_cannot_be_taken_over_refuse_nothing(engine) on [docker_20, docker_28] {
        let rig = rig(engine, ALL);
        rig.with("db", "");
        rig.with("db2", "");
        rig.with("web", "--link db:mysql --link db2:mysql");
        assert_eq!(rig.links("web"), ["mysql docker ready"]);
        let address = rig.address("db");
        assert!(rig.lines("web", "mysql")[0].starts_with(&format!("{address}\t")));
        for (name, options, links) in [
            ("own", "--hostname mysql --link db:mysql", vec![]),
            ("reserved", "--link db:localhost --link db:ok", vec!["ok docker ready"]),
        ] {
            let before = rig.warnings().len();
            rig.with(name, options);
            assert_eq!(rig.links(name), links, "{name}");
            assert_eq!(rig.warnings().len() - before, 1, "{:?}", rig.warnings());
        }
        let id = rig.machine.sh("docker inspect --format '{{.Id}}' db").ok();
        rig.with("prefix", &format!("--link {}:mysql", &id[..8]));
        assert_eq!(rig.links("prefix"), ["mysql docker ready"]);
        for (name, source) in [("ndb", "n1"), ("ndb2", "n1")] {
            rig.with(name, &format!("--network {source}"));
        }
        rig.with("nweb", "--network n1 --link ndb:mysql --link ndb2:mysql");
        let shown = rig.machine.sh("oci-link inspect nweb --format json").ok();
        assert!(shown.contains("ndb2") && rig.links("nweb").len() == 1, "{shown}");
        if engine != Engine::docker_20 {
            // The client of 20.10 refuses it.
            rig.with("none", "--network none --link db:x");
            assert!(rig.links("none").is_empty());
            rig.with("other", "--annotation org.oci-link.links=db:other --link db:mysql");
            assert_eq!(rig.links("other"), ["other annotation ready"]);
            rig.with("nothing", "--annotation org.oci-link.links=none --link db:mysql");
            assert!(rig.links("nothing").is_empty());
        }
    }

    /// It was created before oci-link was the default runtime. Its recipients need not wait for that.
    fn a_source_without_oci_link(engine) on [docker_20, docker_28] {
        let rig = rig(engine, "");
        rig.with("db", "--runtime runc");
        rig.with("stopped", "--runtime runc");
        rig.kill("stopped");
        rig.with("web", "--link db:mysql");
        let listed = rig.machine.sh("oci-link ls").ok();
        assert!(listed.contains("db (by docker)") && !listed.contains("stopped"), "{listed}");
        assert_eq!(rig.links("web"), ["mysql docker ready"]);
        let address = rig.address("db");
        let lines = rig.lines("web", "mysql");
        assert!(lines.len() == 1 && lines[0].starts_with(&format!("{address}\t")), "{lines:?}");
        assert_eq!(rig.told("web", "MYSQL_").len(), 12);
        let permitted = || {
            let shown = rig.machine.sh("oci-link inspect web --format json").ok();
            let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
            shown["flows"].as_array().map_or(0, Vec::len)
        };
        assert_eq!(permitted(), 0, "without watch");
        let watch = || {
            let watch = "echo $$ >/root/watch.pid; exec oci-link watch";
            rig.machine.daemon(&format!("sh -c '{watch}'"), "/root/watch.log");
            wait_until("rules", || permitted() == 2);
        };
        watch();
        rig.assert_gets("web", "mysql", 3306);
        let end_watch = || {
            let end = "kill $(cat /root/watch.pid); while kill -0 $(cat /root/watch.pid); do sleep 0.05; done";
            rig.machine.sh(&format!("{end} 2>/dev/null; true")).ok();
        };
        end_watch();
        assert_eq!(permitted(), 0, "watch has ended");
        watch();
        // watch notices its end.
        rig.kill("db");
        wait_until("end of the link", || rig.links("web") == ["mysql docker waiting"]);
        assert!(rig.lines("web", "mysql").is_empty());
        end_watch();
        // The next hook notices it.
        rig.restart("db");
        rig.with("api", "--link db:mysql");
        assert_eq!(rig.links("api"), ["mysql docker ready"]);
        assert_eq!(rig.links("web"), ["mysql docker ready"], "it waited for that name");
        rig.kill("db");
        rig.with("other", "");
        assert_eq!(rig.links("api"), ["mysql docker waiting"]);
        // And so does gc.
        rig.restart("db");
        rig.with("next", "--link db:mysql");
        assert_eq!(rig.links("next"), ["mysql docker ready"]);
        rig.kill("db");
        rig.machine.sh("oci-link gc").ok();
        assert_eq!(rig.links("next"), ["mysql docker waiting"]);
        if engine != Engine::docker_20 {
            // Annotation links of docker's containers find it too. Their recipients are refused without it.
            rig.restart("db");
            rig.with("told", "--annotation org.oci-link.links=db:x");
            assert_eq!(rig.links("told"), ["x annotation ready"]);
            assert_eq!(rig.told("told", "X_").len(), 12);
        }
        for name in ["told", "next", "other", "api", "web", "db", "stopped"] {
            rig.machine.sh(&format!("docker rm --force {name}; true")).ok();
        }
        rig.machine.sh("oci-link gc").ok();
        assert_eq!(rig.remains(), Vec::<String>::new());
    }

    fn links_of_a_compose_file(engine) on [docker_28] {
        let rig = rig(engine, ALL);
        let file = |mode: &str| {
            format!(
                "services:\n  web:\n    image: db\n    command: sleep 86400\n    links: [db, 'db:mysql']\n{mode}\
                 \x20 db:\n    image: db\n    command: [sh, -c, 'exec httpd -f -p 3306']\n{mode}"
            )
        };
        let up = |project: &str| {
            let up = "up -d --scale db=2 --scale web=1";
            rig.machine.sh(&format!("cd /root/{project} && docker compose -p {project} {up}")).ok();
        };
        for (project, mode, by, expected) in [
            ("shop", "", "docker:shop_default", 1),
            ("flat", "    network_mode: bridge\n", "docker", 0),
        ] {
            rig.machine.sh(&format!("mkdir -p /root/{project}")).ok();
            rig.write(&format!("/root/{project}/compose.yaml"), &file(mode));
            up(project);
            let web = format!("{project}-web-1");
            let mut links = rig.links(&web);
            links.sort();
            let alias = format!("{project}-db-1");
            let mut all: Vec<String> = ["db", "db-1", "mysql", &alias]
                .map(|alias| format!("{alias} {by} ready"))
                .to_vec();
            all.sort();
            assert_eq!(links, all, "{project}");
            // Docker uses the first of an alias on the default bridge, the last on a network.
            let format = if expected == 1 { "{{json .NetworkSettings.Networks}}" } else { "{{json .HostConfig.Links}}" };
            let typed = rig.machine.sh(&format!("docker inspect --format '{format}' {web}")).ok();
            let sources: Vec<&str> =
                typed.match_indices(":mysql").map(|(at, _)| &typed[at - 1..at]).collect();
            let source = if expected == 1 { sources.last() } else { sources.first() };
            if let (1, Some(number)) = (expected, source) {
                let shown = rig.machine.sh(&format!("oci-link inspect {web} --format json")).ok();
                let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
                let mysql = shown["links"].as_array().expect("a list").iter();
                let mysql = mysql.clone().find(|it| it["alias"] == "mysql").expect("mysql");
                assert_eq!(mysql["source"], format!("{project}-db-{number}"), "{typed}");
            }
        }
    }
}
