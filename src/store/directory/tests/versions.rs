//! The version of a record: an earlier oci-link skips what it would take for something else.

use super::*;
use crate::model::DeclaredBy;

/// The previous version would make one rule for each port of a range. It skips the record instead.
#[test]
fn ranges_come_back_in_a_record_of_version_2() {
    let scratch = Scratch::new("ranges");
    let [from, to] = ["10.0.0.2", "10.0.0.3"].map(|ip| ip.parse().unwrap());
    let flow = |ports| Flow { from, to, ports: port(ports), bridge: None };
    let web = |ports, flows| Record { flows, ..record("web", ports, &[]) };
    for (web, version) in [
        (web("80,81,82", vec![flow("80"), flow("81")]), 1),
        (web("80,16384-32768/udp", vec![]), 2),
        (web("80", vec![flow("80"), flow("16384-32768/udp")]), 2),
    ] {
        let stored = scratch.put(&Record { revision: web.revision, ..web });
        assert_eq!(scratch.1.get(&stored.id).unwrap().as_ref(), Some(&stored));
        let path = scratch.0.join("records").join(record_path("web"));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(&format!("\"version\":{version},")), "{text}");
        if version == 2 {
            assert!(text.contains("\"16384-32768/udp\""), "{text}");
        }
        std::fs::remove_file(&path).unwrap();
    }
}

/// The previous version would take a link of Docker's for one of an annotation, and route it.
#[test]
fn links_of_docker_make_a_record_of_version_2() {
    let scratch = Scratch::new("declared");
    for (declared_by, version) in
        [(DeclaredBy::Annotation, 1), (DeclaredBy::Connect, 1), (DeclaredBy::Docker, 2)]
    {
        let mut web = record("web", "", &[]).linked(&["db"]);
        web.links[0].declared_by = declared_by;
        let stored = scratch.put(&web);
        assert_eq!(scratch.1.get(&web.id).unwrap(), Some(stored));
        let path = scratch.0.join("records").join(record_path("web"));
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(&format!("\"version\":{version},")), "{text}");
        std::fs::remove_file(&path).unwrap();
    }
}
