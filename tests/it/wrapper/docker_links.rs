//! Docker's own links, which its files name, are taken over. Whatever is wrong with one, its container
//! starts.

mod renamed;
mod trouble;

use crate::cast::{end, inspect};
use crate::support::{Bundle, Container, Host, OPEN, Proto, Runtime, SHUT, each_runtime};
use serde_json::{Value, json};
use std::{fs, path::PathBuf, process::Command};

/// Docker's ids are 64 hexadecimal digits. Here they are made of the name.
fn id(name: &str) -> String {
    let digits = name.bytes().fold(String::new(), |digits, byte| format!("{digits}{byte:02x}"));
    format!("{digits:0<64}")
}

fn directory(host: &Host, name: &str) -> PathBuf {
    host.path("docker").join("containers").join(id(name))
}

/// What Docker's files have of a container.
struct Files {
    links: Value,
    mode: &'static str,
    networks: Value,
}

/// On the default bridge, with these links.
fn on_bridge(links: &[&str]) -> Files {
    Files { links: json!(links), mode: "bridge", networks: json!({ "bridge": { "Links": null } }) }
}

/// On the network `n1`. The client names its links in both files.
fn on_n1(links: &[&str]) -> Files {
    let networks = json!({ "n1": { "Links": links, "IPAddress": "" } });
    Files { links: json!(links), mode: "n1", networks }
}

impl Files {
    fn write(&self, host: &Host, name: &str) {
        let place = directory(host, name);
        fs::create_dir_all(&place).expect("a directory");
        let config = json!({
            "ID": id(name),
            "Name": format!("/{name}"),
            "State": { "Running": false, "Pid": 0 },
            "Config": {
                "Hostname": name,
                "Env": ["PATH=/bin", "COLOUR=green"],
                "ExposedPorts": { "3306/tcp": {} },
            },
            "NetworkSettings": { "Networks": self.networks },
        });
        let host_config = json!({ "Links": self.links, "NetworkMode": self.mode });
        fs::write(place.join("config.v2.json"), config.to_string()).expect("written");
        fs::write(place.join("hostconfig.json"), host_config.to_string()).expect("written");
    }
}

/// A container of Docker's. `lines` are those that Docker wrote into its hosts file.
fn bundle<'h>(host: &'h Host, name: &str, files: &Files, lines: &str) -> Bundle<'h> {
    files.write(host, name);
    let hosts = directory(host, name).join("hosts");
    fs::write(&hosts, format!("127.0.0.1\tlocalhost\n{lines}")).expect("written");
    let bundle = host.container(&id(name)).bind(&hosts, "/etc/hosts");
    bundle.edit(|config| config["hostname"] = name.into())
}

fn starts(container: Container<'_>) -> Container<'_> {
    container.create().ok();
    container.start().ok();
    container
}

fn db(host: &Host) -> Container<'_> {
    starts(bundle(host, "db", &on_bridge(&[]), "").build())
}

fn configured(host: &Host, more: &str) {
    let config = fs::read_to_string(host.path("config.toml")).expect("readable");
    fs::write(host.path("config.toml"), format!("{config}{more}\n")).expect("written");
}

fn warnings(host: &Host) -> Vec<String> {
    let log = fs::read_to_string(host.path("log")).unwrap_or_default();
    log.lines().filter(|line| line.contains("warn")).map(str::to_owned).collect()
}

fn with_prefix(container: &Container<'_>, prefix: &str) -> Vec<String> {
    let mut environ = container.environ();
    environ.retain(|entry| entry.starts_with(prefix));
    environ.sort();
    environ
}

/// `alias declared_by state` of each link.
fn links(host: &Host, name: &str) -> Vec<String> {
    let shown = inspect(host, &id(name));
    let text = |link: &Value, key: &str| link[key].as_str().expect("a text").to_owned();
    let links = shown["links"].as_array().expect("a list").iter();
    links
        .map(|it| {
            format!("{} {} {}", text(it, "alias"), text(it, "declared_by"), text(it, "state"))
        })
        .collect()
}

fn lines_with<'a>(hosts: &'a str, name: &str) -> Vec<&'a str> {
    hosts.lines().filter(|line| line.split_whitespace().skip(1).any(|word| word == name)).collect()
}

each_runtime! {
    fn a_link_of_docker_has_variables_a_line_and_rules(runtime) {
        let host = Host::isolated(runtime).wrapped();
        let source = db(&host);
        let unlinked = starts(bundle(&host, "other", &on_bridge(&[]), "").build());
        let stale = "10.77.0.99\tmysql 0a0b db\n10.77.0.99\tkept\n";
        let web = bundle(&host, "web", &on_bridge(&["db:mysql", "/db:/web/two"]), stale).build();
        let web = starts(web);
        let [ip, _] = source.addresses();
        let expected = [
            "MYSQL_ENV_COLOUR=green".to_owned(),
            "MYSQL_NAME=/web/mysql".to_owned(),
            format!("MYSQL_PORT=tcp://{ip}:3306"),
            format!("MYSQL_PORT_3306_TCP=tcp://{ip}:3306"),
            format!("MYSQL_PORT_3306_TCP_ADDR={ip}"),
            "MYSQL_PORT_3306_TCP_PORT=3306".to_owned(),
            "MYSQL_PORT_3306_TCP_PROTO=tcp".to_owned(),
        ];
        assert_eq!(with_prefix(&web, "MYSQL_"), expected);
        let hosts = web.hosts();
        // One line for each family.
        let lines = lines_with(&hosts, "mysql");
        assert!(lines.len() == 2 && lines[0].starts_with(&format!("{ip}\tmysql ")), "{hosts}");
        assert!(!hosts.contains("10.77.0.99\tmysql") && hosts.contains("10.77.0.99\tkept\n"), "{hosts}");
        assert_eq!(links(&host, "web"), ["mysql docker ready", "two docker ready"]);
        assert_eq!(web.reach(&source, Proto::Tcp, 3306), OPEN);
        assert_eq!(web.reach(&source, Proto::Tcp, 9999), SHUT);
        assert_eq!(unlinked.reach(&source, Proto::Tcp, 3306), SHUT);
        let listed = host.run(&mut host.oci_link(&["ls"])).ok();
        assert!(listed.contains("db (mysql, two) (docker)"), "{listed}");
        [&web, &unlinked, &source].into_iter().for_each(end);
        let left = fs::read_to_string(directory(&host, "web").join("hosts")).expect("there");
        assert_eq!(left, "127.0.0.1\tlocalhost\n10.77.0.99\tkept\n");
        host.assert_nothing_left();
    }

    fn a_source_that_comes_later_is_linked(runtime) {
        let host = Host::isolated(runtime).wrapped();
        let web = starts(bundle(&host, "web", &on_bridge(&["db:mysql"]), "").build());
        assert_eq!(links(&host, "web"), ["mysql docker waiting"]);
        let source = db(&host);
        assert_eq!(links(&host, "web"), ["mysql docker ready"]);
        assert_eq!(web.reach(&source, Proto::Tcp, 3306), OPEN);
        assert_eq!(lines_with(&web.hosts(), "mysql").len(), 2);
        end(&source);
        assert!(lines_with(&web.hosts(), "mysql").is_empty());
        end(&web);
        host.assert_nothing_left();
    }

    /// Docker 28 and older set the variables themselves, in their own version.
    fn variables_of_docker_win(runtime) {
        let host = Host::open(runtime).wrapped();
        let _db = db(&host);
        let web = bundle(&host, "web", &on_bridge(&["db:mysql", "db:two"]), "");
        let web = starts(web.env("MYSQL_NAME=/web/mysql").env("MYSQL_PORT=docker").build());
        assert_eq!(with_prefix(&web, "MYSQL_"), ["MYSQL_NAME=/web/mysql", "MYSQL_PORT=docker"]);
        assert_eq!(with_prefix(&web, "TWO_").len(), 7);
        // A user's variable of that name is not Docker's.
        let api = bundle(&host, "api", &on_bridge(&["db:mysql"]), "").env("MYSQL_NAME=mine").build();
        let api = starts(api);
        assert!(with_prefix(&api, "MYSQL_NAME=") == ["MYSQL_NAME=mine"]);
        assert_eq!(with_prefix(&api, "MYSQL_").len(), 7);
    }

    fn the_annotation_replaces_links_of_docker(runtime) {
        let host = Host::open(runtime).wrapped();
        let _db = db(&host);
        for (name, value, expected) in
            [("web", "db:other", vec!["other annotation ready"]), ("api", "none", vec![])]
        {
            let web = bundle(&host, name, &on_bridge(&["db:mysql"]), "").annotate("links", value);
            let web = starts(web.build());
            assert_eq!(links(&host, name), expected);
            assert!(with_prefix(&web, "MYSQL_").is_empty() && !web.hosts().contains("mysql"));
        }
        // An annotation of the name of our option is no link.
        let forged = bundle(&host, "forged", &on_bridge(&[]), "");
        let forged = forged.edit(|config| {
            config["annotations"]["org.oci-link.engine-links"] = "db:x=docker".into();
        });
        let _forged = starts(forged.build());
        assert!(links(&host, "forged").is_empty());
    }

    fn the_configuration_decides_which_links_are_taken_over(runtime) {
        let host = Host::isolated(runtime).wrapped();
        let source = starts(bundle(&host, "db", &on_n1(&[]), "").build());
        let usual = starts(bundle(&host, "usual", &on_n1(&["db:mysql"]), "").build());
        assert!(links(&host, "usual").is_empty());
        assert_eq!(usual.reach(&source, Proto::Tcp, 3306), SHUT);
        configured(&host, "[docker]\nlinks = \"all\"");
        let web = starts(bundle(&host, "web", &on_n1(&["db:mysql"]), "").build());
        assert_eq!(links(&host, "web"), ["mysql docker:n1 ready"]);
        assert!(with_prefix(&web, "MYSQL_").is_empty() && !web.hosts().contains("mysql"));
        assert_eq!(web.reach(&source, Proto::Tcp, 3306), OPEN);
        configured(&host, "network_env = true");
        let told = starts(bundle(&host, "told", &on_n1(&["db:mysql"]), "").build());
        assert_eq!(with_prefix(&told, "MYSQL_").len(), 7);
        let config = fs::read_to_string(host.path("config.toml")).expect("readable");
        fs::write(host.path("config.toml"), config.replace("all", "none")).expect("written");
        let none = starts(bundle(&host, "none", &on_bridge(&["db:mysql"]), "").build());
        assert!(links(&host, "none").is_empty() && with_prefix(&none, "MYSQL_").is_empty());
    }

    /// Both containers are on two networks. The link names the addresses on its own.
    fn a_link_stays_on_its_network(runtime) {
        let host = Host::isolated(runtime).wrapped();
        configured(&host, "[docker]\nlinks = \"all\"\nnetwork_env = true");
        let networks = |ip: &str, links: &[&str]| {
            let given = |prefix: &str| if ip.is_empty() { String::new() } else { format!("{prefix}.{ip}") };
            Files {
                links: json!([]),
                mode: "n1",
                networks: json!({
                    "n1": { "Links": null, "IPAddress": given("10.77.0") },
                    "n2": { "Links": links, "IPAddress": given("10.78.0") },
                }),
            }
        };
        let both = |name: &str, links: &[&str]| {
            let container = bundle(&host, name, &networks("", links), "").build();
            container.ip(&format!("addr add 10.78.0.{}/24 dev eth0", container.number()));
            starts(container)
        };
        let source = both("db", &[]);
        networks(&source.number().to_string(), &[]).write(&host, "db");
        let web = both("web", &["db:data", "absent:x"]);
        let to = format!("10.78.0.{}", source.number());
        assert!(with_prefix(&web, "DATA_PORT=").contains(&format!("DATA_PORT=tcp://{to}:3306")));
        assert_eq!(links(&host, "web"), ["data docker:n2 ready", "x docker:n2 waiting"]);
        let flows = inspect(&host, &id("web"))["flows"].clone();
        let flows: Vec<_> = flows.as_array().expect("a list").iter().map(|flow| flow["to"].clone()).collect();
        assert_eq!(flows, [json!(to)]);
        // Only the source is on the network of the link.
        let alone = Files { mode: "n1", ..on_n1(&["db:posts"]) };
        let alone = bundle(&host, "alone", &alone, "").build();
        alone.ip("addr flush dev eth0 scope global\naddr add 10.79.0.9/24 dev eth0");
        let alone = starts(alone);
        assert_eq!(links(&host, "alone"), ["posts docker:n1 waiting"]);
        assert!(inspect(&host, &id("alone"))["flows"].as_array().expect("a list").is_empty());
        [&alone, &web, &source].into_iter().for_each(end);
        host.assert_nothing_left();
    }

    fn an_id_prefix_stays_with_its_container(runtime) {
        let host = Host::open(runtime).wrapped();
        let source = db(&host);
        let link = format!("{}:mysql", &id("db")[..5]);
        let _web = starts(bundle(&host, "web", &on_bridge(&[&link]), "").build());
        assert_eq!(links(&host, "web"), ["mysql docker ready"]);
        assert_eq!(inspect(&host, &id("web"))["links"][0]["source"], json!(id("db")));
        // Another container with this beginning of an id comes.
        end(&source);
        let other = format!("{}{}", &id("db")[..5], "f".repeat(59));
        starts(host.container(&other).build());
        assert_eq!(links(&host, "web"), ["mysql docker waiting"]);
        let _db = db(&host);
        assert_eq!(links(&host, "web"), ["mysql docker ready"]);
    }
}

/// Which files a program opens below `prefix`, as strace says.
fn opened(host: &Host, container: &Container<'_>, command: &str) -> Vec<String> {
    let trace = host.path(&format!("trace-{command}"));
    let mut plain = host.runtime(&[command]);
    if command == "create" {
        plain.arg("--bundle").arg(container.bundle());
    }
    plain.arg(container.bundle().file_name().expect("an id"));
    let mut strace = Command::new("strace");
    strace.args(["-qq", "-e", "trace=open,openat,openat2", "-o"]).arg(&trace);
    strace.arg(plain.get_program()).args(plain.get_args());
    host.run(&mut strace).ok();
    // What follows the exec of the runtime is not ours.
    let trace = fs::read_to_string(trace).expect("strace wrote it");
    let is_docker = |line: &&str| line.contains("/docker/containers/") && line.contains(".json");
    let lines = trace.lines().filter(is_docker);
    lines.map(str::to_owned).collect()
}

#[test]
fn a_container_without_links_opens_one_more_file_at_create() {
    let host = Host::open(Runtime::Runc).wrapped();
    let plain = bundle(&host, "plain", &on_bridge(&[]), "").build();
    let files = opened(&host, &plain, "create");
    assert_eq!(files.len(), 1, "{files:#?}");
    assert!(files[0].contains("hostconfig.json"), "{files:#?}");
    let files = opened(&host, &plain, "start");
    assert_eq!(files.len(), 1, "as before: {files:#?}");
    assert!(files[0].contains("config.v2.json"), "{files:#?}");
}
