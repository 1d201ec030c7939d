use super::*;

const ID: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn judged(links: &[(&str, Option<&str>)]) -> (Vec<String>, Vec<String>) {
    let recorded = links.iter().map(|(text, network)| RecordedLink {
        text: (*text).to_owned(),
        network: network.map(str::to_owned),
    });
    let (id, web) = (ContainerId::new(ID).unwrap(), ContainerName::new("web").unwrap());
    let hostname = Hostname::new("own-host").unwrap();
    let owner = Owner { id: &id, names: [Some(&web), None], hostname: Some(&hostname) };
    let resolve = |source: &Reference| {
        (source.as_str() == "0123").then(|| Reference::new(ID).unwrap()).or_else(|| {
            (source.as_str() == "ab").then(|| Reference::new(&"ab".repeat(32)).unwrap())
        })
    };
    let (taken, notes) = taken_over(&recorded.collect::<Vec<_>>(), owner, resolve);
    (taken.iter().map(ToString::to_string).collect(), notes)
}

fn on_bridge(links: &[&str]) -> (Vec<String>, Vec<String>) {
    judged(&links.iter().map(|text| (*text, None)).collect::<Vec<_>>())
}

#[test]
fn forms_of_one_link() {
    let (taken, notes) = on_bridge(&["db:mysql", "db", "/db:/web2/x", "/cache", "ab:y"]);
    let id = "ab".repeat(32);
    let expected =
        ["db:mysql=docker", "db:db=docker", "db:x=docker", "cache:cache=docker"].map(str::to_owned);
    assert_eq!(taken, [expected.as_slice(), &[format!("{id}:y=docker")]].concat());
    assert_eq!(notes, Vec::<String>::new());
}

#[test]
fn what_is_no_link_is_left_out_with_a_line_each() {
    for bad in
        ["", "a:b:c", "a:", ":b", "db:a b", "db:x/y", "db:localhost", "db:own-host", "db:OWN-host"]
    {
        let (taken, notes) = on_bridge(&[bad, "db:ok"]);
        assert_eq!((taken, notes.len()), (vec!["db:ok=docker".to_owned()], 1), "{bad}: {notes:?}");
    }
    for own in ["web", "web:x", ID, "0123:x"] {
        let (taken, notes) = on_bridge(&[own]);
        assert_eq!((taken.len(), notes.len()), (0, 1), "{own}");
        assert!(notes[0].contains("itself"), "{notes:?}");
    }
    let (taken, notes) = judged(&[("db:x", Some("a b")), ("db:x", Some("n1"))]);
    assert_eq!((taken, notes.len()), (vec!["db:x=docker:n1".to_owned()], 1));
}

#[test]
fn the_first_of_an_alias_on_the_bridge_and_the_last_on_a_network() {
    let (taken, notes) = on_bridge(&["db:m", "db2:m", "db:m", "db2:M"]);
    assert_eq!((taken, notes.len()), (vec!["db:m=docker".to_owned()], 0));
    let n1 = Some("n1");
    let (taken, notes) = judged(&[
        ("two:db", n1),
        ("one:db", n1),
        ("x:y", n1),
        ("x:y", n1),
        ("two:db", Some("n2")),
        ("two:db", None),
    ]);
    let expected = ["one:db=docker:n1", "x:y=docker:n1", "two:db=docker:n2", "two:db=docker"];
    assert_eq!((taken, notes.len()), (expected.map(str::to_owned).to_vec(), 0));
}

#[test]
fn too_many_links_are_none() {
    let many = |count: usize| -> Vec<String> { (0..count).map(|n| format!("db:a{n}")).collect() };
    let of = |links: Vec<String>| on_bridge(&links.iter().map(String::as_str).collect::<Vec<_>>());
    assert_eq!(of(many(MAX_LINKS)).0.len(), MAX_LINKS);
    for count in [MAX_LINKS + 1, MAX_RECORDED + 1] {
        let (taken, notes) = of(many(count));
        assert_eq!((taken.len(), notes.len()), (0, 1), "{count}");
    }
    assert_eq!(of(vec!["db:x".to_owned(); MAX_RECORDED]).0.len(), 1);
    assert_eq!(of(vec!["db:x".to_owned(); MAX_RECORDED + 1]).0.len(), 0);
    let (_, notes) = of(vec!["a:b:c".to_owned(); 100]);
    assert_eq!(notes.len(), MAX_NAMED + 1);
}

#[test]
fn texts_are_read_back() {
    for text in ["db:mysql=docker", "db:x=docker:shop_default"] {
        assert_eq!(EngineLink::parse(text).map(|link| link.to_string()), Ok(text.to_owned()));
    }
    for bad in ["db:x", "db:x=annotation", "db:x=connect", "db:x=docker:", "db:x=", "=docker", ""] {
        assert!(EngineLink::parse(bad).is_err(), "{bad}");
    }
    for text in ["annotation", "connect", "docker", "docker:n1"] {
        assert_eq!(DeclaredBy::parse(text).map(|by| by.to_string()), Ok(text.to_owned()));
    }
    assert!(DeclaredBy::parse("podman").is_err());
}
