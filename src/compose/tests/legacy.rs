//! What Compose itself makes of links and of files of version 1, in the converted file.

use super::{converted, refused, with_db};
use crate::compose::{ComposeOptions, convert};

/// Compose restarts the recipients of a link together with its source.
#[test]
fn a_list_of_dependencies_becomes_a_mapping() {
    let started = "{\"condition\": \"service_started\"}";
    let restarted = "{\"condition\": \"service_started\", \"restart\": true}";
    for (before, after) in [
        ("[x]", format!(" {{x: {started}, db: {restarted}}}")),
        ("[\"x\", y]", format!(" {{\"x\": {started}, y: {started}, db: {restarted}}}")),
        ("[x,\n      y]", format!(" {{x: {started},\n      y: {started}, db: {restarted}}}")),
        (
            "\n    - x # a\n    # b",
            format!("\n      x: {started} # a\n      db: {restarted}\n    # b"),
        ),
        (
            "\n      - x\n      - 'y'",
            format!("\n        x: {started}\n        'y': {started}\n        db: {restarted}"),
        ),
        (
            "{x: {condition: service_healthy}}",
            format!(" {{\"db\": {restarted}, x: {{condition: service_healthy}}}}"),
        ),
        ("[db, x]", " [db, x]".to_owned()),
        ("{db: {condition: service_healthy}}", " {db: {condition: service_healthy}}".to_owned()),
    ] {
        let rest = "  x: {image: x}\n  y: {image: y}\n";
        let web = |links: &str, depends: &str| {
            let depends = if depends.starts_with('\n') {
                depends.to_owned()
            } else {
                format!(" {}", depends.trim_start())
            };
            let annotations = "    annotations: {org.oci-link.links: \"shop_db:db\"}\n";
            with_db(&format!("  web:\n{annotations}{links}    depends_on:{depends}\n{rest}"))
        };
        let expected = web("", &after);
        assert_eq!(converted(&web("    links: [db]\n", before)), expected);
        assert_eq!(converted(&expected), expected);
    }
    // What cannot be keys as it is written is written again.
    for before in ["[x, x]", "\n    -  x\n    - y", "\n    - &a x\n    - y", "*d"] {
        let text = format!(
            "x-d: &d [x]\n{}",
            with_db(&format!(
                "  web:\n    links: [db]\n    depends_on: {before}\n  x: {{image: x}}\n  y: {{image: y}}\n"
            ))
        );
        let new = converted(&text);
        assert!(
            new.contains(&format!("    depends_on:\n      db: {restarted}\n      x: {started}\n")),
            "{new}"
        );
    }
}

#[test]
fn keys_of_the_first_version_are_renamed() {
    let old = "web:\n  dockerfile: D # c\n  build: ./web\n  log_driver: syslog\n  log_opt:\n    tag: \
               web\n    n: 1\n  external_links: [blog_db_1:posts]\nhost:\n  image: h\n  net: \
               host\nside:\n  net: 'container:web'\n  image: s\nother:\n  image: o\n  net: \
               container:o\nheir:\n  extends: host\n  image: i\n";
    let new = "services:\n  web:\n    network_mode: bridge\n    build: {\"context\": ./web, \
               \"dockerfile\": D}\n    logging: {\"driver\": syslog, \"options\": {\"tag\": web, \
               \"n\": 1}}\n    annotations:\n      org.oci-link.links: \"blog_db_1:posts\"\n  host:\n    \
               image: h\n    network_mode: host\n  side:\n    network_mode: \"service:web\"\n    \
               image: s\n  other:\n    image: o\n    network_mode: container:o\n  heir:\n    extends: \
               host\n    image: i\n";
    assert_eq!(converted(old), new);
    assert_eq!(converted(new), new);
    for (text, why) in [
        ("a: {image: x, dockerfile: D}", "dockerfile is a key of Compose version 1"),
        ("a: {build: {context: x}, dockerfile: D}", "dockerfile is a key"),
        ("a: {image: x, net: [host]}", "net is a key"),
        ("a: {image: x, log_driver: d, logging: {}}", "log_driver is a key"),
    ] {
        assert!(refused(text).contains(why), "{text}: {}", refused(text));
    }
    let text = "{\"a\": {\"image\": \"x\", \"net\": \"host\", \"log_driver\": \"d\"}}";
    let expected = "{\"services\": {\"a\": {\"image\": \"x\", \"network_mode\": \"host\", \
                    \"logging\": {\"driver\": \"d\"}}}}";
    assert_eq!(converted(text), expected);
}

/// The first format has volumes of one name for all projects.
#[test]
fn named_volumes_are_declared_with_their_driver() {
    let old = "# of mine\ndb:\n  volume_driver: flocker # c\n  image: d\n  net: host\n  volumes:\n    - data:/var/lib\n    - ./etc:/etc\nweb:\n  \
               image: w\n  net: host\n  volumes: ['cache:/c:ro', /tmp]\n";
    let new = "# of mine\nvolumes:\n  \"cache\": {\"name\": \"cache\"}\n  \"data\": {\"name\": \"data\", \
               \"driver\": \"flocker\"}\nservices:\n  db:\n    image: d\n    network_mode: host\n    volumes:\n      - \
               data:/var/lib\n      - ./etc:/etc\n  web:\n    image: w\n    network_mode: host\n    volumes: ['cache:/c:ro', \
               /tmp]\n";
    assert_eq!(converted(old), new);
    assert_eq!(converted(new), new);
    let text = "{\"a\": {\"image\": \"x\", \"net\": \"host\", \"volume_driver\": \"f\", \"volumes\": [\"v:/v\"]}}";
    let expected = "{\"volumes\": {\"v\": {\"name\": \"v\", \"driver\": \"f\"}}, \"services\": {\"a\": \
                    {\"image\": \"x\", \"net";
    assert!(converted(text).starts_with(expected), "{}", converted(text));
    let alone = "a: {image: x, net: host, volume_driver: f}\n";
    let json = "{\"a\": {\"image\": \"x\", \"net\": \"host\", \"volume_driver\": \"f\"}}";
    assert!(converted(json).ends_with("\"network_mode\": \"host\"}}}"), "{}", converted(json));
    assert_eq!(converted(alone), "services:\n  a: {image: x, network_mode: host}\n");
    let two = "a: {image: x, volumes: [v:/v]}\nb: {image: x, volume_driver: f, volumes: [v:/v]}\n";
    assert!(refused(two).contains("line 2: volume \"v\" has several drivers"), "{}", refused(two));
    let heir =
        "a: {image: x, net: host, volume_driver: f, volumes: [v:/v]}\nb: {extends: a, image: y}\n";
    assert!(
        converted(heir).starts_with("volumes:\n  \"v\": {\"name\": \"v\", \"driver\": \"f\"}\n"),
        "{}",
        converted(heir)
    );
}

#[test]
fn a_summary_names_services_that_take_part_in_no_link() {
    let said = |text: &str, runtime| {
        convert(text, &ComposeOptions { runtime, ports: false }).unwrap().summary
    };
    let text =
        "services:\n  web: {links: [db, 'db:x'], image: w}\n  db: {image: d}\n  mail: {image: m}\n";
    let alone =
        "no link in this file: mail; if another project links to them, add org.oci-link.name";
    let all = "2 links of 1 service converted";
    assert_eq!(said(text, None), [all.to_owned(), alone.to_owned()]);
    assert_eq!(said(text, Some("r")), [all.to_owned(), format!("{alone} and runtime")]);
    assert_eq!(said("services: {a: {image: x}}", None), ["0 links of 0 services converted"]);
}
