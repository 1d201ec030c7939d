use super::*;
use crate::model::sample::record;
use crate::model::{ContainerId, Flow};

/// A small example: web is linked twice to api and once to a missing queue. api and auth are linked
/// to each other, and both to db, which is dead. job has no links.
fn world() -> Graph {
    let db = record("db", "5432", &["10.0.0.2/24"]);
    let auth = record("auth", "8443", &["10.0.0.3/24", "fd00::3/64"]);
    let api = record("api", "8080-8083,53/udp", &["10.0.0.4/24", "fd00::4/64"]);
    let web = record("web", "none", &["10.0.0.5/24"]).linked(&["api", "api:backend", "queue:q"]);
    let job = record("job", "none", &["10.0.0.6/24"]);
    let auth_linked = auth.clone().linked(&["api", "db"]);
    let api_linked = api.clone().linked(&["auth", "db:store"]);
    let records = [
        connected(api_linked, &[Some(&auth), Some(&db)]),
        connected(auth_linked, &[Some(&api), Some(&db)]),
        db,
        ready(job),
        connected(web, &[Some(&api), Some(&api), None]),
    ];
    Graph::of(&records, |record| record.name.as_str() != "db", |_, _| "")
}

fn ready(record: Record) -> Record {
    Record { phase: Phase::Ready, ..record }
}

/// The record `recipient` with its links connected to `sources`.
fn connected(recipient: Record, sources: &[Option<&Record>]) -> Record {
    let mut recipient = ready(recipient);
    let from = recipient.network.addresses()[0].ip();
    for (link_state, source) in recipient.links.iter_mut().zip(sources) {
        let Some(source) = source else { continue };
        link_state.source = Some(source.id.clone());
        let to = source.network.addresses()[0].ip();
        recipient.flows.extend(source.ports.iter().map(|ports| Flow {
            from,
            to,
            ports,
            bridge: None,
        }));
    }
    recipient
}

/// Compares the output with a file in `tests/golden/graph`. With `BLESS` set in the environment,
/// the file is written first.
fn assert_golden(file: &str, drawn: &str) {
    let path = format!("{}/tests/golden/graph/{file}", env!("CARGO_MANIFEST_DIR"));
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, drawn).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert_eq!(drawn, expected, "{file}");
}

#[test]
fn every_form_of_a_small_world() {
    let world = world();
    assert_golden("world.txt", &text(&world));
    assert_golden("world.dot", &dot(&world));
    assert_golden("world.mmd", &mermaid(&world));
    assert_golden("world.svg", &svg(&world));
    assert!(well_formed(&svg(&world)));
}

#[test]
fn a_link_that_is_not_connected_leads_to_the_container_with_its_name() {
    let id = "0123456789abcdef".repeat(4);
    let other = format!("{}{}", &id[..12], "0".repeat(52));
    let mut named = record(&id, "none", &[]);
    named.name = crate::model::ContainerName::new("db").unwrap();
    let of = |link: &str| {
        let web = ready(record("web", "none", &[])).linked(&[link]);
        let graph =
            Graph::of(&[named.clone(), record(&other, "none", &[]), web], |_| false, |_, _| "");
        let edge = graph.edges[0].clone();
        assert!(!edge.connected);
        (edge.source, graph.nodes.len())
    };
    assert_eq!(of("db"), (0, 3));
    assert_eq!(of(&format!("{id}:x")), (0, 3));
    assert_eq!(of("0123456789abc:x"), (0, 3));
    assert_eq!(of("0123456789ab:x"), (3, 4), "two ids begin so");
    assert_eq!(of("01234567:x"), (3, 4), "too short for a prefix");
    assert_eq!(of("absent"), (3, 4));
    assert_eq!(of("web"), (3, 4), "no link to itself");
}

#[test]
fn namesakes_are_told_apart_by_their_ids() {
    let mut other = record("0123456789abcdef", "none", &[]);
    other.name = crate::model::ContainerName::new("db").unwrap();
    let graph = Graph::of(&[record("db", "none", &[]), other], |_| true, |_, _| "");
    let names: Vec<_> = graph.nodes.iter().map(|node| node.name.as_str()).collect();
    assert_eq!(names, ["db (db)", "db (0123456789ab)"]);
}

/// Checked names cannot contain such text, but renderers must not rely on that.
#[test]
fn hostile_text_comes_out_harmless() {
    let evil = "\u{1b}[2J\n\u{202e}\"]; & <script>|x|</text> \\\" #quot; -->";
    let node = || Node { name: evil.into(), addresses: vec![evil.into()], state: NodeState::Ready };
    let edge = Edge {
        recipient: 0,
        source: 1,
        alias: evil.into(),
        ports: evil.into(),
        connected: true,
        remark: "",
    };
    let graph = Graph { nodes: vec![node(), node()], edges: vec![edge] };
    let details = Details {
        id: evil.into(),
        host: Some(evil.into()),
        ports: vec![evil.into()],
        gets: vec![evil.into()],
        gives: vec![evil.into()],
    };
    let page = html(&graph, &[details]);
    for tag in ["<script", "</script>", "<!--", "-->"] {
        assert_eq!(page.matches(tag).count(), usize::from(tag.contains("script")) * 2, "{tag}");
    }
    let data = page.split("application/json\">").nth(1).unwrap().split("</script>").next().unwrap();
    let data: serde_json::Value = serde_json::from_str(data).unwrap();
    assert_eq!(data["containers"][0]["gives"][0], plain(evil));
    assert_eq!(data["links"][0]["alias"], plain(evil));
    for drawn in [text(&graph), dot(&graph), mermaid(&graph), svg(&graph), page] {
        assert!(drawn.chars().all(|c| c == '\n' || c == ' ' || c.is_ascii_graphic()), "{drawn:?}");
    }
    assert_eq!(text(&graph).lines().count(), 3);
    assert!(!svg(&graph).contains("<script") && !mermaid(&graph).contains("<script"));
    assert!(well_formed(&svg(&graph)));
    let lines = mermaid(&graph);
    assert!(lines.lines().all(|line| line.matches('"').count() % 2 == 0), "{lines}");
    for line in dot(&graph).lines() {
        let unescaped = line.replace("\\\\", "").replace("\\\"", "");
        assert!(unescaped.matches('"').count() % 2 == 0 && unescaped.is_ascii(), "{line}");
    }
}

/// Draws cycles, long paths, parallel links and an empty graph.
#[test]
fn every_shape_is_drawn() {
    let node =
        |at: usize| Node { name: format!("n{at}"), addresses: vec![], state: NodeState::Ready };
    let edge = |(recipient, source): (usize, usize)| Edge {
        recipient,
        source,
        alias: "x".into(),
        ports: String::new(),
        connected: true,
        remark: "",
    };
    let shapes: [(usize, &[(usize, usize)]); 6] = [
        (0, &[]),
        (3, &[]),
        (3, &[(0, 1), (1, 2), (2, 0)]),
        (2, &[(0, 1), (1, 0), (0, 1)]),
        (5, &[(0, 1), (1, 2), (2, 3), (0, 3), (4, 3), (3, 0)]),
        (4, &[(3, 2), (2, 1), (1, 0), (3, 0), (0, 3)]),
    ];
    for (nodes, edges) in shapes {
        let nodes = (0..nodes).map(node).collect();
        let graph = Graph { nodes, edges: edges.iter().copied().map(edge).collect() };
        let drawn = svg(&graph);
        assert!(well_formed(&drawn), "{drawn}");
        assert!(!drawn.contains("NaN") && !drawn.contains("inf"), "{drawn}");
        assert_eq!(drawn.matches("class=\"link\"").count(), edges.len());
        assert_eq!(drawn.matches("class=\"box\"").count(), graph.nodes.len());
        let heights = vec![40.0; graph.nodes.len()];
        let layout = layout::lay_out(&graph, &heights);
        for (edge, route) in graph.edges.iter().zip(&layout.routes) {
            let column = |at: usize| layout.nodes[at].unwrap().0;
            let (from, to) = (column(edge.recipient), column(edge.source));
            assert_eq!(route.column, from.min(to));
            assert_eq!(route.steps.len(), from.abs_diff(to));
            assert_eq!(route.backward, from > to);
        }
    }
}

/// The numbers of the attributes `names` of the first tag in `xml`.
fn numbers<const N: usize>(xml: &str, names: [&str; N]) -> [f64; N] {
    names.map(|name| {
        let (_, value) = xml.split_once(&format!(" {name}=\"")).unwrap();
        value.split('"').next().unwrap().parse().unwrap()
    })
}

/// Whatever the number of links at one side of a box, each begins and ends at a side of its boxes.
#[test]
fn n92_edges_meet_their_boxes() {
    let named = |name: String| Node { name, addresses: vec![], state: NodeState::Ready };
    let edge = |(recipient, source): (usize, usize)| Edge {
        recipient,
        source,
        alias: "x".into(),
        ports: "80/tcp".into(),
        connected: recipient % 2 == 0,
        remark: "",
    };
    let star = (1..40).map(|from| (from, 0)).chain([(0, 41), (0, 42), (41, 42), (42, 1)]);
    let circle = (0..20).flat_map(|_| [(0, 1), (1, 0), (1, 2), (2, 0)]);
    for links in [star.collect::<Vec<_>>(), circle.collect(), vec![(0, 1), (2, 1), (1, 3), (0, 3)]]
    {
        // Boxes of one column have different widths.
        let nodes =
            (0..43).map(|at| named("n".repeat(1 + at * 5 % 23) + &at.to_string())).collect();
        let graph = Graph { nodes, edges: links.into_iter().map(edge).collect() };
        let drawn = svg(&graph);
        let boxes: Vec<[f64; 4]> = drawn
            .split("<rect class=\"box\"")
            .skip(1)
            .map(|tag| numbers(tag, ["x", "y", "width", "height"]))
            .collect();
        let paths = drawn.split("<path class=\"link\" d=\"M").skip(1);
        for (edge, path) in graph.edges.iter().zip(paths) {
            let backward = path.split('>').next().unwrap().contains("marker-start");
            let path = path.split('"').next().unwrap();
            let (begin, rest) = path.split_once('H').unwrap();
            let (begin_x, begin_y) = begin.split_once(' ').unwrap();
            let (curves, end_x) = rest.rsplit_once('H').unwrap();
            let end_y = curves.rsplit(' ').next().unwrap();
            let [begin_x, begin_y, end_x, end_y] =
                [begin_x, begin_y, end_x, end_y].map(|text| text.parse::<f64>().unwrap());
            let (left, right) = if backward {
                (boxes[edge.source], boxes[edge.recipient])
            } else {
                (boxes[edge.recipient], boxes[edge.source])
            };
            assert!((left[0] + left[2] - begin_x).abs() < 0.2, "{left:?} {path}");
            assert!((right[0] - end_x).abs() < 0.2, "{right:?} {path}");
            for (y, [_, top, _, height]) in [(begin_y, left), (end_y, right)] {
                assert!(y > top + 5.0 && y < top + height - 5.0, "{y} of {top} + {height}: {path}");
            }
        }
    }
}

/// Boxes in one column do not overlap.
#[test]
fn nothing_overlaps() {
    let node =
        |at: usize| Node { name: format!("n{at}"), addresses: vec![], state: NodeState::Ready };
    let links =
        (0..40).flat_map(|from| [(from, (from * 7 + 3) % 40), (from, (from * 11 + 5) % 40)]);
    let links = links.filter(|(from, to)| from != to);
    let edges = links.map(|(recipient, source)| Edge {
        recipient,
        source,
        alias: "x".into(),
        ports: String::new(),
        connected: true,
        remark: "",
    });
    let graph = Graph { nodes: (0..40).map(node).collect(), edges: edges.collect() };
    let layout = layout::lay_out(&graph, &[40.0; 40]);
    let places: Vec<_> = layout.nodes.iter().flatten().collect();
    for (at, (column, middle)) in places.iter().enumerate() {
        for (other, y) in &places[at + 1..] {
            assert!(column != other || (middle - y).abs() >= 40.0, "{places:?}");
        }
        assert!((20.0..=layout.height - 20.0).contains(middle), "{middle} of {}", layout.height);
    }
}

/// Whether the text is well-formed XML: elements are closed, attributes are quoted, and `&` and `<`
/// occur only as markup.
fn well_formed(xml: &str) -> bool {
    let mut open = Vec::new();
    let mut rest = xml.trim_end();
    while let Some(at) = rest.find('<') {
        let Some(end) = rest[at..].find('>') else { return false };
        if !references(&rest[..at]) || (open.is_empty() && !rest[..at].is_empty()) {
            return false;
        }
        let tag = &rest[at + 1..at + end];
        rest = &rest[at + end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            if open.pop() != Some(name) {
                return false;
            }
            continue;
        }
        let name = tag.split([' ', '/']).next().unwrap_or_default();
        let attributes = tag[name.len()..].trim_end_matches('/');
        if name.is_empty() || attributes.matches('"').count() % 2 != 0 {
            return false;
        }
        let mut parts = attributes.split('"');
        while let (Some(key), Some(value)) = (parts.next(), parts.next()) {
            if !key.starts_with(' ') || !key.ends_with('=') || !references(value) {
                return false;
            }
        }
        if !tag.ends_with('/') {
            open.push(name);
        }
    }
    open.is_empty() && rest.is_empty()
}

/// Whether every `&` begins one of the predefined XML references.
fn references(text: &str) -> bool {
    let known = ["amp;", "lt;", "gt;", "quot;"];
    text.split('&').skip(1).all(|rest| known.iter().any(|name| rest.starts_with(name)))
}

#[test]
fn the_test_can_tell_xml_from_other_text() {
    assert!(well_formed("<a b=\"c\"><d/>x &amp; y</a>\n"));
    for bad in ["<a>", "<a></b>", "<a b=c\"></a>", "<a>&x</a>", "<a></a>x", "<a b=\"&\"/>", "x<a/>"]
    {
        assert!(!well_formed(bad), "{bad}");
    }
}

#[test]
fn a_source_without_a_record_is_waited_for() {
    let mut web = ready(record("web", "none", &["10.0.0.5/24"]).linked(&["db"]));
    web.links[0].source = Some(ContainerId::new("gone").unwrap());
    let graph = Graph::of(&[web], |_| true, |_, _| "");
    assert_eq!(graph.nodes[1].state, NodeState::Waiting);
    assert!(!graph.edges[0].connected);
}

#[test]
fn an_edge_says_why_it_waits_or_that_it_is_routed() {
    let db = record("db", "80", &["10.1.0.2/24"]);
    let mut web = ready(record("web", "none", &["10.0.0.5/24"]).linked(&["db", "mq"]));
    let label = |records: &[Record], remark: &'static str| {
        let graph = Graph::of(
            records,
            |_| true,
            |_, link_state| {
                if link_state.link.alias.as_str() == "db" { remark } else { "" }
            },
        );
        graph.edges.iter().map(Edge::label).collect::<Vec<_>>()
    };
    let all = [web.clone(), db.clone()];
    let waits = ["db waiting: the source shares no network", "mq waiting"];
    assert_eq!(label(&all, "the source shares no network"), waits);
    web.links[0].source = Some(db.id.clone());
    let ports = db.ports.iter().next().unwrap();
    let [from, to] = [&web, &db].map(|record| record.network.addresses()[0].ip());
    web.flows = vec![crate::model::Flow { from, to, ports, bridge: None }];
    assert_eq!(label(&[web, db], "routed"), ["db 80/tcp (routed)", "mq waiting"]);
}
