//! Tests of what annotations declare, and of what happens to bad values.

use super::*;

#[test]
fn keys_are_those_that_are_read() {
    let source = include_str!("../annotations.rs");
    let declared = source.split("pub(crate) fn declared").nth(1).unwrap();
    let declared = declared.split("/// Returns the value of any").next().unwrap();
    let mut read: Vec<&str> =
        declared.split("value(\"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    read.sort_by_key(|read| KEYS.iter().position(|key| key == read));
    assert_eq!(read, KEYS, "Annotations::declared and KEYS differ");
    for key in KEYS {
        let documented = source.contains(&format!("/// `{PREFIX}{key}`"));
        assert!(documented, "Declared has no field for {PREFIX}{key}");
        for (name, text) in [
            ("reference.md", include_str!("../../../docs/reference.md")),
            ("annotations.7", include_str!("../../commands/man/oci-link-annotations.7")),
        ] {
            assert!(text.replace('\\', "").contains(key), "{name} lacks {key}");
        }
    }
}

fn annotations(pairs: &[(&str, &str)]) -> Annotations {
    let mut all = Annotations::default();
    for (key, value) in pairs {
        all.add((*key).to_owned(), (*value).to_owned());
    }
    all
}

fn ours(pairs: &[(&str, &str)]) -> Annotations {
    let mut all = Annotations::default();
    for (key, value) in pairs {
        all.add(format!("{PREFIX}{key}"), (*value).to_owned());
    }
    all
}

#[test]
fn our_ports_win_over_the_images() {
    let both = [(IMAGE_PORTS, "80/tcp"), ("org.oci-link.ports", "none")];
    let ports = |pairs: &[_]| annotations(pairs).declared().unwrap().ports.map(|p| p.is_empty());
    assert_eq!(ports(&both), Some(true));
    assert_eq!(ports(&both[..1]), Some(false));
    assert_eq!(ports(&[(IMAGE_PORTS, "what?")]), None);
    assert_eq!(ports(&[]), None);
}

/// Values that are refused where there are links, and only there.
const BAD: [(&str, &str); 18] = [
    ("name", "a b"),
    ("name", ""),
    ("name", "a~b"),
    ("name", "../x"),
    ("name", "a\nb"),
    ("ports", "x"),
    ("ports", "80/icmp"),
    ("ports", "0"),
    ("ports", "1-65535,x"),
    ("env", "A="),
    ("env", "a b c="),
    ("missing", "x"),
    ("missing", "wait=1h"),
    ("missing", ""),
    ("isolate", "yes"),
    ("share", "B"),
    ("share", ""),
    ("share", "*"),
];

#[test]
fn a_bad_value_is_an_error_where_there_are_links() {
    for (key, value) in BAD {
        let linked = ours(&[("links", "db"), (key, value)]);
        let alone = ours(&[(key, value)]);
        let none = ours(&[("links", "none"), (key, value)]);
        assert!(linked.declared().is_err(), "{key}={value:?}");
        assert_eq!(linked.declared().unwrap_err().kind, Kind::Input, "{key}={value:?}");
        for harmless in [alone, none] {
            assert!(!harmless.declare_links());
            let declared = harmless.declared().unwrap();
            assert!(declared.links.is_empty() && declared.name.is_none(), "{key}={value:?}");
            assert_eq!(declared.missing, Missing::default(), "{key}={value:?}");
            assert_eq!(declared.share, Share::None, "{key}={value:?}");
            if key == "ports" {
                assert!(declared.ports.is_some_and(|ports| ports.is_empty()), "{value:?}");
            }
            assert_eq!(declared.env.allows("SECRET"), key != "env", "{key}={value:?}");
        }
    }
}

#[test]
fn bad_links_are_always_an_error() {
    for value in ["", " ", ",", "a:b:c", ":", "db:localhost", "a b:", "é", "a:x,b:x"] {
        assert!(ours(&[("links", value)]).declared().is_err(), "{value:?}");
    }
    for (length, fits) in [(64 * 1024, true), (64 * 1024 + 1, false)] {
        let value = format!("db{}", " ".repeat(length - 2));
        assert_eq!(ours(&[("links", &value)]).declared().is_ok(), fits, "{length}");
        assert!(ours(&[("name", &"x".repeat(length))]).declared().is_ok(), "no links");
    }
}

#[test]
fn isolation_is_asked_for_by_three_words() {
    let isolate = |pairs: &[_]| ours(pairs).declared().map(|declared| declared.isolate);
    for (value, directions) in
        [("in", Isolate::In), ("out", Isolate::Out), ("both", Isolate::Both), (" in ", Isolate::In)]
    {
        assert_eq!(isolate(&[("isolate", value)]).unwrap(), Some(directions), "{value}");
        assert!(ours(&[("isolate", value)]).declare_links(), "{value}");
        // Its other values are checked as those of a container with links.
        assert!(isolate(&[("isolate", value), ("ports", "x")]).is_err());
    }
    for value in ["none", " none", "", "IN", "yes"] {
        assert_eq!(isolate(&[("isolate", value)]).unwrap(), None, "{value}");
        assert!(!ours(&[("isolate", value)]).declare_links(), "{value}");
    }
    // Two values: runc would take the last one, and crun the first.
    let mut both = ours(&[("isolate", "none")]);
    both.add("org.oci-link.isolate".to_owned(), "in".to_owned());
    assert!(both.declared().is_err() && both.declare_links());
}

#[test]
fn share_alone_is_no_reason_to_refuse_a_start() {
    let shared = |value| ours(&[("share", value)]).declared().unwrap().share;
    assert_eq!(shared("all"), Share::All);
    assert_eq!(shared(" c, b").to_string(), "b,c");
    assert_eq!(shared("none"), Share::None);
    assert!(!ours(&[("share", "all")]).declare_links());
    assert_eq!(ours(&[]).declared().unwrap().share, Share::None, "nothing leaves by default");
}

#[test]
fn unknown_keys_are_errors_where_there_are_links() {
    for (key, meant) in [
        ("link", "links"),
        ("Links", "links"),
        ("LINKS", "links"),
        ("port", "ports"),
        ("nam", "name"),
        ("environment", ""),
        ("x", ""),
        ("", ""),
    ] {
        let error = ours(&[("links", "db"), (key, "db")]).declared().unwrap_err().to_string();
        assert!(error.contains(&format!("{PREFIX}{key}\"")), "{error}");
        let hint = format!("did you mean {PREFIX}{meant}?");
        assert_eq!(error.contains(&hint), !meant.is_empty(), "{error}");
        assert!(ours(&[(key, "db")]).declared().is_ok(), "{key}");
        assert!(!ours(&[(key, "db")]).declare_links(), "{key}");
    }
    for key in ["links/web", "nonsense/web", "share", "from", "isolate/x", "/", "link/"] {
        assert!(ours(&[("links", "db"), (key, "none")]).declared().is_ok(), "{key}");
    }
    assert!(annotations(&[("org.oci-links", "x")]).declared().is_ok());
    let long = "x".repeat(1 << 20);
    let error = ours(&[("links", "db"), (&long, "")]).declared().unwrap_err().to_string();
    assert!(error.len() < 200, "{error}");
}

#[test]
fn doubled_keys() {
    let read = |text: &str| serde_json::from_str::<Annotations>(text).unwrap();
    let twice = read(r#"{"org.oci-link.links":"db","org.oci-link.links":"db"}"#);
    assert_eq!(twice.declared().unwrap().links.len(), 1);
    for text in [
        r#"{"org.oci-link.links":"db","org.oci-link.links":"mysql"}"#,
        r#"{"org.oci-link.links":"none","org.oci-link.links":"mysql"}"#,
        r#"{"org.oci-link.links":"mysql","org.oci-link.links":"none"}"#,
        r#"{"org.oci-link.links":"db","org.oci-link.name":"a","org.oci-link.name":"b"}"#,
    ] {
        let error = read(text).declared().unwrap_err().to_string();
        assert!(error.contains("occurs twice"), "{error}");
    }
    let twice = read(r#"{"org.oci-link.name":"a","org.oci-link.n\u0061me":"b"}"#);
    assert_eq!(twice.declared().unwrap().name, None);
    assert_eq!(read(r#"{"io.x":"1","io.x":"2"}"#).get("io.x"), Some("2"));
}

#[test]
fn state_and_config_must_agree_on_ours() {
    let config = ours(&[("links", "db"), ("other/x", "1")]);
    assert!(config.must_agree(&ours(&[("links", "db"), ("other/x", "1")])).is_ok());
    assert!(config.must_agree(&ours(&[("links", "dc"), ("other/x", "1")])).is_err());
    assert!(config.must_agree(&ours(&[])).is_err());
    assert!(ours(&[]).must_agree(&config).is_err());
    let image = annotations(&[(IMAGE_PORTS, "80/tcp")]);
    let other = annotations(&[(IMAGE_PORTS, "81/tcp")]);
    assert!(image.must_agree(&other).is_ok(), "without links it is logged");
    let linked = |port| annotations(&[(IMAGE_PORTS, port), ("org.oci-link.links", "db")]);
    assert!(linked("80/tcp").must_agree(&linked("81/tcp")).is_err());
    assert!(ours(&[("name", "")]).must_agree(&ours(&[])).is_ok(), "null, as runc reports it");
}

#[test]
fn only_what_is_read_is_kept() {
    let many: Vec<_> = (0..100_000).map(|n| format!("\"com.example.k{n}\":\"v\"")).collect();
    let text = format!("{{{},\"org.oci-link.name\":\"x\"}}", many.join(","));
    assert_eq!(serde_json::from_str::<Annotations>(&text).unwrap().0.len(), 1);
    for text in ["null", "{}", r#"{"org.oci-link.name":null}"#, r#"{"org.oci-link.name":1}"#] {
        assert_eq!(serde_json::from_str::<Annotations>(text).unwrap(), Annotations::default());
    }
}

#[test]
fn which_bytes_declare_links() {
    let config = |annotations: &str| format!("{{\"annotations\":{annotations}}}");
    for (text, expected) in [
        (config(r#"{"org.oci-link.links":"db"}"#), true),
        (config(r#"{"org.oci-link.links":"a:b:c"}"#), true),
        (config(r#"{"org.oci-link.links":"none"}"#), false),
        (config(r#"{"org.oci-link.links":" none\n"}"#), false),
        (config(r#"{"org.oci-link.links":null}"#), false),
        (config(r#"{"org.oci-link.links":["db"]}"#), false),
        (config(r#"{"org.oci-link.links":"none","org.oci-link.links":"db"}"#), true),
        (config(r#"{"org.oci-link.isolate":"both"}"#), true),
        (config(r#"{"org.oci-link.isolate":"none"}"#), false),
        (config(r#"{"org.oci-link.links/web":"db"}"#), false),
        (config(r#"{"org.oci-link.link":"db"}"#), false),
        (config(r#"{"org.oci-link.name":"!","org.oci-link.ports":"x"}"#), false),
        (config("{}"), false),
        (config("null"), false),
        (config("[]"), false),
        (config(r#"{"a":1},"annotations":{"org.oci-link.links":"db"}"#), true),
        (config(r#"{"org.oci-link.links":"db"}"#) + " trailing", true),
        (config(r#"{"org.oci-link.links":"db""#), false),
        ("{}".to_owned(), false),
        (String::new(), false),
        ("[[[".to_owned(), false),
        ("null".to_owned(), false),
    ] {
        assert_eq!(declares_links(text.as_bytes()), expected, "{text}");
    }
    assert!(declares_links(b"{\"x\":\"\xff\",\"annotations\":{\"org.oci-link.links\":\"db\"}}"));
    assert!(!declares_links(b"\xff\xfe\0"));
    let deep = "[".repeat(1_000_000);
    assert!(!declares_links(deep.as_bytes()));
    let deep = format!("{deep}{}", "]".repeat(1_000_000));
    let deep = format!(r#"{{"x":{deep},"annotations":{{"y":{deep},"org.oci-link.links":"db"}}}}"#);
    assert!(declares_links(deep.as_bytes()));
}
