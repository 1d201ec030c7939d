//! Compose files under docker-compose 1, the last one that reads files of version 1.

use super::{ALL, CONFIG, rig};
use crate::each_engine;
use crate::rig::{Engine, Rig};

const WEB: &str = "shop_web_1";
const DB: &str = "shop_db_1";
/// What docker-compose makes of `links: [db, 'db:mysql']`.
const ALIASES: [&str; 4] = ["db", "db_1", "mysql", DB];
/// What the variables of all links begin with, those of `external_links` too.
const PREFIXES: [&str; 4] = ["DB_", "MYSQL_", "POSTS_", "SHOP_"];

/// At the top of a file of version 1, below `services` in one of version 2.
const SERVICES: [&str; 13] = [
    "web:",
    "  image: db",
    "  command: &server",
    "    - sh",
    "    - -c",
    "    - httpd -p 9999; exec httpd -f -p 3306",
    "  links:",
    "    - db",
    "    - db:mysql",
    "  external_links: ['outside:posts']",
    "db:",
    "  image: db",
    "  command: *server",
];

fn version_1() -> String {
    SERVICES.map(|line| format!("{line}\n")).concat()
}

/// Docker keeps the containers of its network apart.
fn version_2() -> String {
    let services = SERVICES.map(|line| format!("  {line}\n")).concat();
    let option = "com.docker.network.bridge.enable_icc: 'false'";
    format!(
        "version: '2'\nservices:\n{services}networks:\n  default:\n    driver_opts:\n      {option}\n"
    )
}

/// The variables of a link to an image `db` at `address`.
fn variables(alias: &str, address: &str) -> Vec<String> {
    let prefix = alias.to_uppercase();
    let port = |number: u16, protocol: &str| {
        let name = format!("{prefix}_PORT_{number}_{}", protocol.to_uppercase());
        [
            format!("{name}={protocol}://{address}:{number}"),
            format!("{name}_ADDR={address}"),
            format!("{name}_PORT={number}"),
            format!("{name}_PROTO={protocol}"),
        ]
    };
    let others = [
        format!("{prefix}_NAME=/{WEB}/{alias}"),
        format!("{prefix}_PORT=tcp://{address}:3306"),
        format!("{prefix}_ENV_COLOUR=green"),
        format!("{prefix}_ENV_DATABASE=shop"),
    ];
    [port(3306, "tcp"), port(7000, "udp"), others].concat()
}

/// As `Rig::links` has them, all ready but perhaps `posts`.
fn all_links(by: &str, posts: &str) -> Vec<String> {
    let others = ALIASES.map(|alias| format!("{alias} {by} ready"));
    let mut all = [vec![format!("posts {by} {posts}")], others.to_vec()].concat();
    all.sort();
    all
}

impl Rig {
    /// Makes the directory of a project `shop`, and a container that is none of the project's.
    fn project(&self, file: &str) {
        let version = self.machine.sh("docker-compose version --short");
        assert!(version.is_ok(), "docker-compose: apt-get install docker-compose");
        let version = version.ok();
        assert!(version.starts_with("1."), "docker-compose {version}: not that of Debian 12");
        self.machine.sh("mkdir /root/shop").ok();
        self.write("/root/shop/docker-compose.yml", file);
        self.with("outside", "");
    }

    fn compose(&self, command: &str) {
        self.machine.sh(&format!("cd /root/shop && docker-compose -p shop {command}")).ok();
    }

    fn sorted_links(&self) -> Vec<String> {
        let mut links = self.links(WEB);
        links.sort();
        links
    }

    /// What `docker inspect` says of its links. Docker has them in no order.
    fn dockers_links(&self) -> Vec<String> {
        let format = "{{range .HostConfig.Links}}{{println .}}{{end}}";
        let links = self.machine.sh(&format!("docker inspect --format '{format}' {WEB}")).ok();
        let mut links: Vec<String> = links.lines().map(str::to_owned).collect();
        links.sort();
        links
    }

    /// The variables of links that its first process was started with, each as often as it is there.
    fn link_variables(&self) -> Vec<String> {
        let mut all = PREFIXES.map(|prefix| self.told(WEB, prefix)).concat();
        all.sort();
        all
    }

    /// What `docker exec` starts has the variables of `alias`, each once, unless the command sets one.
    fn assert_exec_has(&self, alias: &str, address: &str) {
        let prefix = format!("{}_", alias.to_uppercase());
        let env = |options: &str| {
            let env = self.machine.sh(&format!("docker exec {options} {WEB} env")).ok();
            let of_link = env.lines().filter(|line| line.starts_with(&prefix));
            let mut of_link: Vec<String> = of_link.map(str::to_owned).collect();
            of_link.sort();
            of_link
        };
        let mut expected = variables(alias, address);
        expected.sort();
        assert_eq!(env(""), expected);
        let own = format!("{prefix}PORT=mine");
        expected.retain(|entry| !entry.starts_with(&format!("{prefix}PORT=")));
        expected.push(own.clone());
        expected.sort();
        assert_eq!(env(&format!("-e {own}")), expected);
    }

    /// Only web gets an answer of `db`, on no other port, and not the other way.
    fn assert_shut(&self, unlinked: &str, db: &str) {
        assert!(!self.gets(WEB, db, 9999), "another port");
        assert!(!self.gets(unlinked, db, 3306), "another container");
        assert!(!self.gets(DB, &self.address(WEB).to_string(), 3306), "the other way");
    }

    /// Ends all; nothing stays.
    fn down(&self, others: &[&str]) {
        for name in others {
            self.remove(name);
        }
        self.compose("down -t 0");
        assert_eq!(self.remains(), Vec::<String>::new());
    }
}

each_engine! {
    fn a_file_of_version_1(engine) on [docker_20] {
        let rig = rig(engine, "");
        rig.project(&version_1());
        rig.compose("up -d");
        let (db, outside) = (rig.address(DB).to_string(), rig.address("outside").to_string());
        // Docker's own variables, none of them twice.
        let mut expected = ALIASES.map(|alias| variables(alias, &db)).concat();
        expected.extend(variables("posts", &outside));
        expected.sort();
        assert_eq!(rig.link_variables(), expected);
        rig.assert_exec_has("mysql", &db);
        let aliases = ALIASES.map(|alias| (alias, &db)).into_iter().chain([("posts", &outside)]);
        for (alias, address) in aliases {
            let lines = rig.lines(WEB, alias);
            let is_its_own = |line: &&String| line.split_whitespace().nth(1) == Some(alias);
            assert_eq!(lines.iter().filter(is_its_own).count(), 1, "{alias}: {lines:?}");
            let is_there = |line: &String| line.starts_with(&format!("{address}\t"));
            assert!(lines.iter().all(is_there), "{alias}: {lines:?}");
            rig.assert_gets(WEB, alias, 3306);
        }
        rig.assert_shut("outside", &db);
        assert!(!rig.gets(WEB, &outside, 9999), "another port");
        assert_eq!(rig.sorted_links(), all_links("docker", "ready"));
        let listed = rig.machine.sh("oci-link ls").ok();
        for link in [format!("{DB} ({}) (docker)", ALIASES.join(", ")), "outside:posts (docker)".to_owned()] {
            assert!(listed.contains(&link), "{link}: {listed}");
        }
        assert_eq!(rig.warnings(), Vec::<String>::new());
        // Docker and docker-compose see links of Docker's, unchanged.
        let mut dockers = ALIASES.map(|alias| format!("/{DB}:/{WEB}/{alias}")).to_vec();
        dockers.push(format!("/outside:/{WEB}/posts"));
        dockers.sort();
        assert_eq!(rig.dockers_links(), dockers);
        let pid = rig.pid(WEB);
        rig.compose("up -d");
        assert_eq!(rig.pid(WEB), pid, "made again");
        rig.compose("restart -t 0 web");
        assert_ne!(rig.pid(WEB), pid);
        assert_eq!(rig.dockers_links(), dockers);
        assert_eq!(rig.link_variables(), expected);
        assert_eq!(rig.lines(WEB, "mysql").len(), 1, "{:?}", rig.lines(WEB, "mysql"));
        rig.assert_gets(WEB, "mysql", 3306);
        rig.down(&["outside"]);
    }

    fn a_file_of_version_2(engine) on [docker_20] {
        let rig = rig(engine, ALL);
        rig.project(&version_2());
        rig.compose("up -d");
        rig.with("unlinked", "--network shop_default");
        let db = rig.address(DB).to_string();
        assert_eq!(rig.link_variables(), Vec::<String>::new());
        for alias in ALIASES.into_iter().chain(["posts"]) {
            assert!(rig.lines(WEB, alias).is_empty(), "{alias}: {:?}", rig.lines(WEB, alias));
        }
        // Its network is not that of `outside`.
        assert_eq!(rig.sorted_links(), all_links("docker:shop_default", "waiting"));
        assert_eq!(rig.warnings().len(), 1, "{:?}", rig.warnings());
        let listed = rig.machine.sh("oci-link ls").ok();
        let link = format!("{DB} ({}) (docker:shop_default)", ALIASES.join(", "));
        assert!(listed.contains(&link), "{link}: {listed}");
        rig.assert_gets(WEB, &db, 3306);
        for alias in ALIASES {
            rig.assert_reaches(WEB, alias, 3306);
        }
        rig.assert_shut("unlinked", &db);
        assert!(!rig.gets(WEB, &rig.address("outside").to_string(), 3306), "another network");
        // With variables.
        rig.write("/etc/oci-link/config.toml", &format!("{CONFIG}{ALL}network_env = true\n"));
        rig.compose("up -d -t 0 --force-recreate --no-deps web");
        let mut expected = ALIASES.map(|alias| variables(alias, &db)).concat();
        expected.sort();
        assert_eq!(rig.link_variables(), expected);
        rig.assert_exec_has("mysql", &db);
        assert!(rig.lines(WEB, "mysql").is_empty(), "{:?}", rig.lines(WEB, "mysql"));
        assert_eq!(rig.sorted_links(), all_links("docker:shop_default", "waiting"));
        rig.assert_gets(WEB, &db, 3306);
        rig.assert_shut("unlinked", &db);
        // Links of other networks are taken over if the host's configuration says so, only then.
        rig.write("/etc/oci-link/config.toml", CONFIG);
        rig.compose("up -d -t 0 --force-recreate --no-deps web");
        assert_eq!(rig.links(WEB), Vec::<String>::new());
        assert_eq!(rig.link_variables(), Vec::<String>::new());
        assert!(!rig.gets(WEB, &db, 3306), "a rule of the container before it");
        rig.down(&["unlinked", "outside"]);
    }

    /// The container of `run` is linked to its own service too, on the default bridge.
    fn a_container_of_run(engine) on [docker_20] {
        for (file, more, by, own) in [
            (version_1(), "", "docker", true),
            (version_2(), ALL, "docker:shop_default", false),
        ] {
            let rig = rig(engine, more);
            rig.project(&file);
            rig.compose("up -d");
            rig.compose("run -d --name once web");
            let posts = if own { "ready" } else { "waiting" };
            let mut expected = all_links(by, posts);
            if own {
                expected.extend(["web", "web_1", WEB].map(|alias| format!("{alias} {by} ready")));
            }
            expected.sort();
            let mut links = rig.links("once");
            links.sort();
            assert_eq!(links, expected);
            rig.assert_gets("once", &rig.address(DB).to_string(), 3306);
            assert_eq!(rig.gets("once", &rig.address(WEB).to_string(), 3306), own);
            assert!(!rig.gets("once", &rig.address(DB).to_string(), 9999), "another port");
            rig.remove("once");
            rig.down(&["outside"]);
        }
    }

    /// docker-compose gives `db` and `mysql` to one of the two, in no order.
    fn a_service_of_two_containers(engine) on [docker_20] {
        for (file, more, by) in [(version_1(), "", "docker"), (version_2(), ALL, "docker:shop_default")] {
            let rig = rig(engine, more);
            rig.project(&file);
            rig.compose("up -d --scale db=2");
            let posts = if more.is_empty() { "ready" } else { "waiting" };
            let mut expected = all_links(by, posts);
            expected.extend(["db_2", "shop_db_2"].map(|alias| format!("{alias} {by} ready")));
            expected.sort();
            assert_eq!(rig.sorted_links(), expected);
            let shown = rig.machine.sh(&format!("oci-link inspect {WEB} --format json")).ok();
            let shown: serde_json::Value = serde_json::from_str(&shown).expect("JSON");
            let links = shown["links"].as_array().expect("a list");
            let dockers = if more.is_empty() {
                rig.dockers_links()
            } else {
                let format = "{{range .NetworkSettings.Networks.shop_default.Links}}{{println .}}{{end}}";
                let typed = rig.machine.sh(&format!("docker inspect --format '{format}' {WEB}")).ok();
                typed.lines().map(str::to_owned).collect()
            };
            for alias in ["db", "mysql", "db_1", "db_2"] {
                let has_alias = |link: &&String| link.rsplit([':', '/']).next() == Some(alias);
                let dockers: Vec<&String> = dockers.iter().filter(has_alias).collect();
                let source = dockers[0].trim_start_matches('/').split(':').next();
                let link = links.iter().find(|it| it["alias"] == alias).expect("a link");
                assert_eq!((dockers.len(), link["source"].as_str()), (1, source), "{alias}: {dockers:?}");
            }
            for number in [1, 2] {
                rig.assert_gets(WEB, &rig.address(&format!("shop_db_{number}")).to_string(), 3306);
            }
            rig.down(&["outside"]);
        }
    }

    /// docker-compose renames the old container, creates the new one and removes the old one.
    fn a_source_that_is_created_again(engine) on [docker_20] {
        for (file, more, by) in [(version_1(), "", "docker"), (version_2(), ALL, "docker:shop_default")] {
            let rig = rig(engine, more);
            rig.project(&file);
            rig.compose("up -d");
            let (before, web) = (rig.address(DB), rig.pid(WEB));
            rig.compose("stop -t 0 db");
            let network = if more.is_empty() { "" } else { "--network shop_default" };
            rig.with("filler", network);
            rig.compose("up -d -t 0 --force-recreate --no-deps db");
            assert_ne!(rig.address(DB), before);
            assert_eq!(rig.pid(WEB), web, "web was created again");
            let db = rig.address(DB).to_string();
            let posts = if more.is_empty() { "ready" } else { "waiting" };
            assert_eq!(rig.sorted_links(), all_links(by, posts));
            rig.assert_gets(WEB, &db, 3306);
            let elements = rig.machine.sh("ipset save").ok();
            assert!(!elements.contains(&format!("{before},")), "{elements}");
            if more.is_empty() {
                let lines = rig.lines(WEB, "mysql");
                assert!(lines.len() == 1 && lines[0].starts_with(&format!("{db}\t")), "{lines:?}");
            } else {
                // On the default bridge Docker's own rules stay.
                assert!(!rig.gets(WEB, &before.to_string(), 3306), "the old address");
                rig.assert_reaches(WEB, "mysql", 3306);
            }
            rig.remove("filler");
            rig.down(&["outside"]);
        }
    }
}
