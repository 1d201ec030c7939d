use super::*;
use proptest::prelude::*;

mod legacy;

fn convert(text: &str, options: &ComposeOptions<'_>) -> Result<String> {
    super::convert(text, options).map(|converted| converted.text)
}

fn converted(text: &str) -> String {
    convert(text, &ComposeOptions::default()).unwrap_or_else(|error| panic!("{error}\n{text}"))
}

fn refused(text: &str) -> String {
    convert(text, &ComposeOptions::default()).expect_err("refused").to_string()
}

/// The services `text` after a service `db` that they can link to.
fn with_db(text: &str) -> String {
    format!("services:\n  db: {{image: db, container_name: shop_db}}\n{text}")
}

#[test]
fn nothing_to_do_changes_nothing() {
    for text in
        ["services: {}", "services:\n  a:\n    image: b", "services:\n", "{\"services\":{}}\n"]
    {
        assert_eq!(converted(text), text);
    }
}

#[test]
fn both_forms_of_annotations_and_of_depends_on() {
    let text = with_db(
        "  web:\n    links: [db]\n    annotations:\n    - a=b # c\n    depends_on:\n      x:\n        \
         condition: service_healthy\n    image: web\n  x: {image: x}\n",
    );
    let expected = with_db(
        "  web:\n    annotations:\n    - a=b # c\n    - \"org.oci-link.links=shop_db:db\"\n    \
         depends_on:\n      x:\n        condition: service_healthy\n      db: {\"condition\": \
         \"service_started\", \"restart\": true}\n    image: web\n  x: {image: x}\n",
    );
    assert_eq!(converted(&text), expected);
    assert_eq!(converted(&expected), expected);
}

#[test]
fn links_beside_an_annotation_join_it() {
    for (before, after) in [
        ("{org.oci-link.links: other}", "{org.oci-link.links: \"other,shop_db:db\"}"),
        ("[org.oci-link.links=none]", "[\"org.oci-link.links=shop_db:db\"]"),
        ("{org.oci-link.links: 'shop_db:db'}", "{org.oci-link.links: 'shop_db:db'}"),
        (
            "{org.oci-link.env: none}",
            "{\"org.oci-link.links\": \"shop_db:db\", org.oci-link.env: none}",
        ),
    ] {
        let web = |links: &str, annotations: &str, rest: &str| {
            with_db(&format!("  web:\n{links}    annotations: {annotations}\n{rest}"))
        };
        let expected = web("", after, "    depends_on: [db]\n");
        let text = web("    links: [db]\n", before, "    depends_on: [db]\n");
        assert_eq!(converted(&text), expected);
    }
}

#[test]
fn what_is_merged_is_not_lost_and_not_passed_on() {
    let text = with_db(
        "  base: &base\n    image: b\n    annotations: &a {one: 1, two: '2'}\n    links: [db]\n  \
         heir:\n    <<: *base\n    links: []\n  other:\n    annotations: *a\n    links: ['db:x']\n",
    );
    let new = converted(&text);
    let document = ComposeFile::parse(&new).unwrap();
    let value = document.value(document.root).unwrap();
    let annotations = |name: &str| {
        let service = value.get("services").and_then(|all| all.get(name));
        services::pairs(service.and_then(|service| service.get("annotations")))
    };
    let of = |links: Option<&str>| {
        let all = [("one", Some("1")), ("two", Some("2")), ("org.oci-link.links", links)];
        all.into_iter().filter_map(|(k, v)| Some((k.to_owned(), v?.to_owned()))).collect()
    };
    assert_eq!(annotations("base"), of(Some("shop_db:db")));
    assert_eq!(annotations("heir"), of(None), "{new}");
    assert_eq!(annotations("other"), of(Some("shop_db:x")));
}

#[test]
fn a_mapping_of_links_alone_is_left_empty() {
    let text = with_db("  web:\n    <<: *l\n    image: web\n");
    let text = format!("x-links: &l\n  links: [db]\n{text}");
    let expected = "x-links: &l\n  {}\nservices:";
    assert!(converted(&text).starts_with(expected), "{}", converted(&text));
}

#[test]
fn carriage_returns_and_no_last_newline() {
    let text = with_db("  web:\n    image: web\n    links:\n    - db").replace('\n', "\r\n");
    let expected = with_db(
        "  web:\n    image: web\n    annotations:\n      org.oci-link.links: \"shop_db:db\"\n    \
         depends_on:\n      db: {\"condition\": \"service_started\", \"restart\": true}\n",
    );
    assert_eq!(converted(&text), expected.replace('\n', "\r\n"));
}

/// Trailing empty lines belong to a block scalar only if its header has a `+`.
#[test]
fn what_is_last_ends_where_it_ends() {
    for (last, rest) in [
        ("command: |\n      a\n", "\n\n"),
        ("command: >+2 # x\n      a\n\n\n", ""),
        ("command: a\n      b\n", "# c\n\n"),
        ("build:\n", "\n"),
        ("command:\n    - \"a\n\n      b\" # c\n", "    # d\n"),
        ("user: &u !!str x\n", ""),
    ] {
        let linked = "annotations: [org.oci-link.links=shop_db]";
        let text = with_db(&format!("  web:\n    {linked}\n    {last}{rest}  o: {{image: o}}\n"));
        let options = ComposeOptions { runtime: Some("r"), ports: false };
        let new = convert(&text, &options).unwrap_or_else(|error| panic!("{error}: {text}"));
        let expected = format!("    {last}    runtime: r\n{rest}  o: {{image: o}}\n");
        assert!(new.ends_with(&expected), "{new}");
    }
}

#[test]
fn the_first_version() {
    let text = "\u{feff}# top\nweb:\n  image: w\n  links: [db]\n  command: |\n    a\n\n      b\n# of db\ndb:\n  build: .\n";
    let new = converted(text);
    assert!(
        new.starts_with(
            "\u{feff}# top\nservices:\n  web:\n    network_mode: bridge\n    image: w\n"
        ),
        "{new}"
    );
    assert!(new.contains("\n    command: |\n      a\n\n        b\n  # of db\n  db:\n"), "{new}");
    let said = refused("web: {image: w, volume_driver: [x]}");
    assert!(said.contains("line 1: service \"web\": volume_driver is a key of Compose version 1"));
    let flow = converted("{\"web\": {\"image\": \"w\"}}");
    assert_eq!(flow, "{\"services\": {\"web\": {\"network_mode\": \"bridge\", \"image\": \"w\"}}}");
}

#[test]
fn what_cannot_be_linked_is_refused_with_its_line() {
    for (service, why) in [
        (
            "links: [gone]",
            "line 4: service web: link \"gone\": no other service of this file has this name",
        ),
        ("links: [web]", "link \"web\": no other service of this file has this name"),
        ("links: ['db:a b']", "alias \"a b\""),
        ("links: [\"db:a\\nb\"]", "alias \"a\\nb\""),
        (
            "links: ['db:localhost']",
            "alias \"localhost\": reserved, because every container has this name",
        ),
        ("links: ['db:x', 'other:x']", "two sources have the same alias"),
        ("external_links: [\"a\\nb\"]", "link source \"a\\nb\""),
        ("external_links: [\"$a,b\"]", "not allowed"),
        ("links: {db: x}", "links is not a list"),
        ("links:\n    - db\n    - 'other:a b'", "line 6: service web: alias \"a b\""),
        (
            "links:\n    - db\n    - a: b",
            "line 6: service web: links: want \"name:alias\", found a mapping",
        ),
        ("external_links: [[a]]", "external_links: want \"name:alias\", found a list"),
        ("external_links:\n    - ok\n    - \"a\\nb\"", "line 6: service web: link source"),
        (
            "links: ['db:${ALIAS}']",
            "line 4: service web: variables are not supported in links: convert the output of \
             \"docker compose config\"",
        ),
        ("links: [$DB]", "variables are not supported in links"),
        ("links: !reset [db]", "line 4: links: have a YAML tag"),
        ("links: [db]\n    network_mode: host", "network_mode \"host\" can't be used with links"),
        ("links: [db]\n    network_mode: 'service:db'", "can't be used with links"),
        ("links: [db]\n    extends: {file: other.yml, service: x}", "of another file"),
        ("links: [alone]", "service alone: network_mode \"host\" can't be linked to"),
        ("extends: web\n    links: [db]", "extends itself"),
    ] {
        let rest = "  other: {image: o}\n  alone: {image: a, network_mode: host}\n";
        let error = refused(&with_db(&format!("  web:\n    {service}\n{rest}")));
        assert!(error.contains(why), "{service}: {error}");
        assert!(!error.contains('\n'), "{error:?}");
    }
}

#[test]
fn what_is_no_compose_file() {
    for text in [
        "",
        "# nothing",
        "a",
        "[1]",
        "a: 1",
        "version: '2'",
        "a: &a [*a]",
        "a: *b",
        "a: b\n---\na: c",
        "services: {a: {image: x}, a: {image: y}}",
        "services: {'a b': {image: x}}",
        "? [a]\n: b",
        "a: \"",
        "\0",
        "services: {a: {<<: x}}",
    ] {
        let error = refused(text);
        assert!(!error.contains('\n') && !error.is_empty(), "{text:?}: {error:?}");
    }
    let deep = format!("{}{}", "[".repeat(100), "]".repeat(100));
    assert!(refused(&deep).contains("nested too deeply"));
    assert!(refused(&"- ".repeat(100_000)).contains("line 1"));
    let twice = |n: u32| format!("a{n}: &a{n} [*a{0}, *a{0}]\n", n - 1);
    let bomb = (1..25).map(twice).collect::<String>();
    assert!(
        refused(&format!("a0: &a0 x\n{bomb}services: {{a: *a24}}"))
            .contains("aliases expand to too much text")
    );
}

#[test]
fn a_runtime_that_is_there_is_no_other() {
    let text =
        |runtime: &str| format!("services: {{a: {{links: [b]}}, b: {{runtime: {runtime}}}}}");
    let give = |text: &str, runtime| {
        convert(text, &ComposeOptions { runtime: Some(runtime), ports: false })
            .map_err(|e| e.to_string())
    };
    assert!(give(&text("link"), "link").is_ok());
    assert!(give(&text("nvidia"), "link").is_err_and(|e| e.contains("runtime \"nvidia\"")));
    assert!(give(&text("nvidia"), "a\nb").is_err());
    // A source that is linked by a hand-written annotation gets the runtime too.
    let by_hand =
        "services:\n  a:\n    annotations: [org.oci-link.links=c]\n  b:\n    container_name: c\n";
    assert_eq!(give(by_hand, "link").unwrap().matches("runtime: link").count(), 2);
}

/// A file with services `a` to `d`. Each has a random choice of entries, in one of several
/// notations.
fn anything() -> impl Strategy<Value = String> {
    let say = |ways: &'static [&'static str]| prop::option::of(prop::sample::select(ways));
    let service = (
        say(&[
            "links:\n    - a\n    - b:x # why",
            "links: [b, 'c:x']",
            "links: []",
            "links: &l [a]",
        ]),
        say(&["external_links: [q, r:s]", "external_links:\n      - $q:r"]),
        say(&[
            "annotations:\n      k: v\n      # kept",
            "annotations:\n    - k=v\n    - org.oci-link.name=n",
            "annotations: {k: v,}",
            "annotations: *m-annotations",
            "annotations:",
            "annotations:\n      <<: *m-annotations\n      org.oci-link.links: 'a'",
        ]),
        say(&[
            "depends_on: [a,\n      b]",
            "depends_on:\n      a:\n        condition: service_healthy",
            "depends_on:\n    - b",
        ]),
        say(&["<<: *a", "<<: [*b, *m]", "<<: *m", "extends: a", "extends: {service: b}"]),
        say(&[
            "image: a # b",
            "command: >+\n      a\n\n",
            "container_name: n",
            "ports: [80, '1:2']",
        ]),
        any::<usize>(),
    );
    let service = service.prop_map(|(a, b, c, d, e, f, turn)| {
        let mut entries: Vec<&str> = [a, b, c, d, e, f].into_iter().flatten().collect();
        let length = entries.len().max(1);
        entries.rotate_left(turn % length);
        entries
    });
    let merged = prop::sample::select(vec!["links: [a]", "links: ['b:y']", "image: m"]);
    (merged, prop::collection::vec(service, 4)).prop_map(|(merged, services)| {
        let mut text =
            format!("x-m: &m\n  {merged}\n  annotations: &m-annotations {{m: n}}\nservices:\n");
        for (name, entries) in ["a", "b", "c", "d"].into_iter().zip(services) {
            let lines = entries.iter().map(|entry| format!("    {entry}\n"));
            let lines = lines.collect::<String>();
            let nothing = if entries.is_empty() { "    tty: true\n" } else { "" };
            text = format!("{text}  {name}: &{name}\n{lines}{nothing}");
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Conversion is idempotent. [`convert`] itself checks that the result has the wanted content.
    #[test]
    fn twice_is_once(text in anything(), runtime: bool, ports: bool) {
        let options = ComposeOptions { runtime: runtime.then_some("oci-link"), ports };
        match convert(&text, &options) {
            Ok(once) => {
                let twice = convert(&once, &options).map_err(|error| error.to_string());
                prop_assert_eq!(twice, Ok(once), "{}", text);
            }
            Err(error) => prop_assert!(!error.to_string().contains('\n')),
        }
    }

    #[test]
    fn any_text_is_answered(text in "\\PC{0,60}|[ab:&*<\\-\\[\\]{}'\"|>#!,?% \n\t]{0,60}") {
        let _ = convert(&format!("services:\n  a:\n    {text}"), &ComposeOptions::default());
        let _ = convert(&text, &ComposeOptions { runtime: Some("x"), ports: true });
    }
}
