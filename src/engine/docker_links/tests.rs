use super::*;
use crate::model::{ContainerId, ContainerName, Hostname, Owner, taken_over};
use serde_json::{Value, json};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

const RECORDED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/test-bundles/recorded/docker-links");

/// A directory of containers that is removed when it is dropped.
struct Containers(PathBuf);

impl Containers {
    fn new() -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("oci-link-links-{}-{}", std::process::id(), MADE.fetch_add(1, Relaxed));
        let directory = std::env::temp_dir().join(name);
        fs::create_dir(&directory).unwrap();
        Self(directory)
    }

    fn write(&self, id: &str, file: &str, text: &str) -> &Self {
        fs::create_dir_all(self.0.join(id)).unwrap();
        fs::write(self.0.join(id).join(file), text).unwrap();
        self
    }
}

impl Drop for Containers {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Every recorded container has the links that are expected of it, in their order.
#[test]
fn recorded_containers_have_the_expected_links() {
    let mut cases = 0;
    for entry in fs::read_dir(RECORDED).unwrap() {
        let directory = entry.unwrap().path();
        let parsed = |file: &str| -> Value {
            serde_json::from_slice(&fs::read(directory.join(file)).unwrap()).unwrap()
        };
        let (config, expected) = (parsed("config.v2.json"), parsed("expected.json"));
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let id = ContainerId::new(&text(&config["ID"])).unwrap();
        let name = ContainerName::new(text(&config["Name"]).trim_start_matches('/')).unwrap();
        let hostname = Hostname::new(&text(&config["Config"]["Hostname"])).unwrap();
        let owner = Owner { id: &id, names: [Some(&name), None], hostname: Some(&hostname) };
        let judge = |wanted| {
            let recorded = read(&directory, wanted).unwrap();
            let (taken, notes) = taken_over(&recorded, owner, |_| None);
            let links = taken.iter().map(|taken| {
                json!({
                    "source": taken.link.source.as_str(),
                    "alias": taken.link.alias.as_str(),
                    "declared_by": taken.declared_by.to_string(),
                })
            });
            (links.collect::<Vec<Value>>(), notes)
        };
        let shown = directory.display();
        let (links, notes) = judge(TakesOver::All);
        let all = expected["links"].as_array().unwrap();
        assert_eq!(&links, all, "{shown}");
        let left_out = expected["left_out"].as_array().unwrap();
        assert_eq!(notes.len(), left_out.len(), "{shown}: {notes:?}");
        let of_bridge = all.iter().filter(|link| link["declared_by"] == "docker").cloned();
        assert_eq!(judge(TakesOver::DefaultBridge).0, of_bridge.collect::<Vec<_>>(), "{shown}");
        assert_eq!(judge(TakesOver::None).0, Vec::<Value>::new(), "{shown}");
        cases += 1;
    }
    assert!(cases > 40, "{cases}");
}

#[test]
fn the_mode_of_the_network_decides_which_list_counts() {
    let host = |mode: &str| {
        let text = format!(r#"{{"Links":["db:x"],"NetworkMode":{mode}}}"#);
        on_default_bridge(text.as_bytes()).unwrap().len()
    };
    for bridge in ["\"\"", "\"default\"", "\"bridge\"", "null"] {
        assert_eq!(host(bridge), 1, "{bridge}");
    }
    for other in ["\"n1\"", "\"none\"", "\"host\"", "\"container:x\""] {
        assert_eq!(host(other), 0, "{other}");
    }
    let networks = |names: &[&str]| {
        let of = |name: &&str| format!(r#""{name}":{{"Links":["db:x"]}}"#);
        let all = names.iter().map(of).collect::<Vec<_>>().join(",");
        let text = format!(r#"{{"NetworkSettings":{{"Networks":{{{all}}}}}}}"#);
        let links = on_user_networks(text.as_bytes()).unwrap();
        links.into_iter().map(|link| link.network.unwrap_or_default()).collect::<Vec<_>>()
    };
    assert_eq!(networks(&["n2", "bridge", "n1"]), ["n1", "n2"]);
    assert!(networks(&["none"]).is_empty() && networks(&["host", "n1"]).is_empty());
    for text in ["{}", r#"{"NetworkSettings":null}"#, r#"{"NetworkSettings":{"Networks":null}}"#] {
        assert!(on_user_networks(text.as_bytes()).unwrap().is_empty(), "{text}");
    }
    let null = br#"{"NetworkSettings":{"Networks":{"n1":null}}}"#;
    assert!(on_user_networks(null).unwrap().is_empty());
}

/// None of these is more than an error, which becomes one line in the log.
#[test]
fn files_that_are_not_what_they_should_be() {
    let containers = Containers::new();
    let directory = containers.0.join("c");
    let is_refused = || {
        assert!(read(&directory, TakesOver::DefaultBridge).is_err());
        assert!(read(&directory, TakesOver::All).is_err());
    };
    is_refused();
    let on_bridge = r#"{"NetworkSettings":{"Networks":{"bridge":{}}}}"#;
    for bad in
        ["", "x", "[]", "null", r#"{"Links":{}}"#, r#"{"Links":"db"}"#, r#"{"Links":[1]}"#, "\u{0}"]
    {
        containers.write("c", "hostconfig.json", bad).write("c", "config.v2.json", on_bridge);
        is_refused();
    }
    for bad in ["x", r#"{"NetworkMode":1,"Links":["db"]}"#, &" ".repeat(5 << 20)] {
        containers.write("c", "hostconfig.json", bad);
        is_refused();
    }
    let good = r#"{"Links":["db"],"NetworkMode":"bridge"}"#;
    containers.write("c", "hostconfig.json", good);
    assert_eq!(read(&directory, TakesOver::All).unwrap().len(), 1);
    containers.write("c", "elsewhere", good);
    fs::remove_file(directory.join("hostconfig.json")).unwrap();
    symlink("elsewhere", directory.join("hostconfig.json")).unwrap();
    is_refused();
    fs::remove_file(directory.join("hostconfig.json")).unwrap();
    fs::create_dir(directory.join("hostconfig.json")).unwrap();
    is_refused();
    for bad in
        [r#"{"NetworkSettings":{"Networks":{"n":{"Links":{}}}}}"#, "1", "{\"NetworkSettings\":[1]}"]
    {
        assert!(on_user_networks(bad.as_bytes()).is_err(), "{bad}");
    }
}

#[test]
fn a_prefix_of_any_length_is_an_id_unless_it_is_a_name() {
    let containers = Containers::new();
    let [one, two, three] = ["abc1", "abd2", "ef03"].map(|start| start.repeat(16));
    let named = |name: &str| format!(r#"{{"ID":"x","Name":"/{name}"}}"#);
    containers.write(&one, "config.v2.json", &named("one")).write(
        &two,
        "config.v2.json",
        &named("ef"),
    );
    containers.write(&three, "config.v2.json", &named("three"));
    let of = |text: &str| {
        by_prefix(&containers.0, &Reference::new(text).unwrap()).map(|id| id.to_string())
    };
    assert_eq!(of("abc"), Some(one.clone()));
    assert_eq!(of(&one[..12]), Some(one.clone()));
    assert_eq!(of(&two[..63]), Some(two.clone()));
    assert_eq!(of("ab"), None, "two ids");
    assert_eq!(of("ef"), None, "a name");
    assert_eq!(of("ef0"), Some(three.clone()));
    for other in ["0", "db-1", "x", three.as_str()] {
        assert_eq!(of(other), None, "{other}");
    }
    assert_eq!(by_prefix(Path::new("/nowhere"), &Reference::new("ab").unwrap()), None);
}

#[test]
fn the_addresses_on_each_network() {
    let text = br#"{"NetworkSettings":{"Networks":{
        "n1":{"IPAddress":"172.18.0.2","GlobalIPv6Address":"fd00::2"},
        "n2":{"IPAddress":"","GlobalIPv6Address":""},"n3":null}}}"#;
    let networks = addresses_in(text).unwrap();
    let n1 = ["172.18.0.2", "fd00::2"].map(|text| text.parse::<IpAddr>().unwrap());
    assert_eq!(networks.on("n1"), Some(n1.as_slice()));
    for (name, expected) in [("n2", Some(0)), ("n3", Some(0)), ("n4", None)] {
        assert_eq!(networks.on(name).map(<[IpAddr]>::len), expected, "{name}");
    }
    let containers = Containers::new();
    assert!(Networks::of(&containers.0, "../x").is_err());
    let id = "0a".repeat(32);
    containers.write(&id, "config.v2.json", std::str::from_utf8(text).unwrap());
    assert_eq!(Networks::of(&containers.0, &id).unwrap(), networks);
}
