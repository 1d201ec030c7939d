use super::*;

#[track_caller]
fn changed(text: &str, key: &str, value: Option<&str>) -> String {
    let key = Key::parse(key).unwrap();
    let change = match value {
        Some(value) => Change::set(key, value).unwrap(),
        None => Change { key, value: None },
    };
    let edited = apply(text, &change).unwrap();
    assert_eq!(apply(&edited, &change).unwrap(), edited, "again");
    edited
}

#[test]
fn a_value_is_set_where_its_key_is() {
    for (text, expected) in [
        ("", "[runtime]\ncommand = \"crun\"\n"),
        ("# all\n# of it\n", "# all\n# of it\n[runtime]\ncommand = \"crun\"\n"),
        (
            "[runtime]\n# own\ncommand = 'runc' # why\n",
            "[runtime]\n# own\ncommand = \"crun\" # why\n",
        ),
        ("[runtime]\n[log]\n", "[runtime]\ncommand = \"crun\"\n[log]\n"),
        ("runtime.command = 'runc'\n[log]\n", "runtime.command = \"crun\"\n[log]\n"),
        ("runtime = { command = 'runc' } # x\n", "runtime = { command = \"crun\" } # x\n"),
        ("runtime = {}", "runtime = { command = \"crun\" }\n"),
        (
            "# a\n[log]\nlevel = 'warn' # b\n# c\n",
            "# a\n[log]\nlevel = 'warn' # b\n\n[runtime]\ncommand = \"crun\"\n# c\n",
        ),
        (
            "[log]\r\n[runtime]\r\ncommand = 'runc'\r\n",
            "[log]\r\n[runtime]\r\ncommand = \"crun\"\r\n",
        ),
    ] {
        assert_eq!(changed(text, "runtime.command", Some("crun")), expected, "{text}");
    }
    assert_eq!(
        changed("# a\n[log]\nlevel = 'warn'\n", "state_dir", Some("/x y")),
        "state_dir = \"/x y\"\n# a\n[log]\nlevel = 'warn'\n"
    );
    assert_eq!(changed("", "docker.network_env", Some("true")), "[docker]\nnetwork_env = true\n");
}

#[test]
fn a_list_keeps_the_comments_of_what_stays() {
    let text = "[firewall]\nisolate = [\n  \"cni0\", # of kubernetes\n  \"br0\", # old\n] # x\n";
    for (wanted, expected) in [
        ("cni0,br1", "\n  \"cni0\", # of kubernetes\n  \"br1\",\n"),
        ("br0", "\n  \"br0\", # old\n"),
        ("cni0 br0 br1", "\n  \"cni0\", # of kubernetes\n  \"br0\", # old\n  \"br1\",\n"),
        ("br0,cni0", "\"br0\", \"cni0\""),
    ] {
        let expected = format!("[firewall]\nisolate = [{expected}] # x\n");
        assert_eq!(changed(text, "firewall.isolate", Some(wanted)), expected, "{wanted}");
    }
    assert_eq!(changed("", "firewall.isolate", Some("")), "[firewall]\nisolate = []\n");
    let set = changed("", "firewall.isolate", Some("[ \"a\" , \"b\" ]"));
    assert_eq!(set, "[firewall]\nisolate = [ \"a\" , \"b\" ]\n");
    for (wanted, expected) in [
        ("b a", "\"b\", \"a\""),
        ("b", " \"b\" "),
        ("a", " \"a\" "),
        ("a,b,c", " \"a\",  \"b\", \"c\" "),
        ("", ""),
    ] {
        let expected = format!("[firewall]\nisolate = [{expected}]\n");
        assert_eq!(changed(&set, "firewall.isolate", Some(wanted)), expected, "{wanted}");
    }
}

#[test]
fn networks_of_hosts() {
    let one =
        changed("[cluster]\nname = 'a'\n", "cluster.networks.a", Some("10.0.0.0/24,10.0.1.0/24"));
    let line = "networks = { a = [\"10.0.0.0/24\", \"10.0.1.0/24\"] }\n";
    assert_eq!(one, format!("[cluster]\nname = 'a'\n{line}"));
    let two = changed(&one, "cluster.networks.b", Some("10.9.0.0/24"));
    assert!(two.ends_with(", b = [\"10.9.0.0/24\"] }\n"), "{two}");
    let table = "[cluster]\nname = 'a'\n[cluster.networks]\na = ['10.0.0.0/24']\n";
    assert_eq!(
        changed(table, "cluster.networks.b", Some("10.9.0.0/24")),
        format!("{table}b = [\"10.9.0.0/24\"]\n")
    );
    let whole = changed(table, "cluster.networks", Some("{ c = [\"10.9.0.0/24\"] }"));
    assert_eq!(whole, "[cluster]\nname = 'a'\nnetworks = { c = [\"10.9.0.0/24\"] }\n");
}

#[test]
fn a_key_is_removed_and_comments_stay() {
    for (text, expected) in [
        ("", ""),
        ("[runtime]\n# own\ncommand = 'runc' # why\n[log]\n", "[runtime]\n# own\n[log]\n"),
        ("# a\nruntime.command = 'x'\n# b", "# a\n# b"),
        ("runtime = { command = 'x' }\n# b", "runtime = {}\n# b"),
    ] {
        assert_eq!(changed(text, "runtime.command", None), expected, "{text}");
    }
    let text = "[firewall]\nbackend = 'auto'\nisolate = [\n  'a', # b\n]\nbind = 'auto'\n";
    assert_eq!(
        changed(text, "firewall.isolate", None),
        "[firewall]\nbackend = 'auto'\nbind = 'auto'\n"
    );
}

#[test]
fn values_that_cannot_be() {
    let wrong = |key: &str, value: &str| Change::set(Key::parse(key).unwrap(), value).unwrap_err();
    assert_eq!(wrong("docker.network_env", "yes"), "want true or false");
    assert!(wrong("firewall.isolate", "[1]").starts_with("want a list"));
    assert!(wrong("firewall.isolate", "[\"a\"").starts_with("want a list"));
    assert!(wrong("cluster.networks", "a").contains("cluster.networks.HOST"));
    let change = Change::set(Key::parse("log.level").unwrap(), "warn").unwrap();
    assert_eq!(apply("log = 'x'", &change).unwrap_err(), "log is not a table");
    assert!(apply("[log", &change).is_err());
}
