//! Renders the graph as one HTML page with search, filters and details. It loads nothing: its content
//! security policy allows only its own style and script, by their hashes.

use super::svg::{Drawing, draw};
use super::{Graph, plain};
use serde_json::{Value, json};

const PAGE: &str = include_str!("page/page.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");
/// Hashes of `STYLE` and `SCRIPT`. `the_policy_allows_the_style_and_the_script` prints new ones.
const STYLE_HASH: &str = "sha256-EjnXrG4FKvNaZbbQMjOQ5yyLXykJDxAR+0a9Zdk+n5Y=";
const SCRIPT_HASH: &str = "sha256-jy8h6xsdAVsB87eYF14w7VTQ+R7pHIPPik3f10mnMFQ=";

/// What the page shows of a container beside its node.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Details {
    /// The complete id.
    pub(crate) id: String,
    /// The host, if there are several.
    pub(crate) host: Option<String>,
    /// The exposed ports.
    pub(crate) ports: Vec<String>,
    /// Names of the variables that its links give it.
    pub(crate) gets: Vec<String>,
    /// Names of the variables that its recipients receive.
    pub(crate) gives: Vec<String>,
}

/// The page. `details` has an entry for each of the first nodes of `graph`; the other nodes have none.
pub(crate) fn html(graph: &Graph, details: &[Details]) -> String {
    let Drawing { width, height, body } = draw(graph);
    let drawing = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width:.0} {height:.0}\" \
         width=\"{width:.0}\" height=\"{height:.0}\" role=\"img\" \
         aria-label=\"Containers and their links. The list contains the same.\">{body}</svg>"
    );
    let data = data(graph, details).to_string();
    // JSON allows these escapes in strings, and has the characters nowhere else.
    let data = data.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026");
    let parts = [
        ("<!--style-hash-->", STYLE_HASH),
        ("<!--script-hash-->", SCRIPT_HASH),
        ("<!--style-->", STYLE),
        ("<!--drawing-->", &drawing),
        ("<!--data-->", &data),
        ("<!--script-->", SCRIPT),
    ];
    let (mut out, mut rest) = (String::new(), PAGE);
    for (mark, text) in parts {
        if let Some((before, after)) = rest.split_once(mark) {
            out.push_str(before);
            out.push_str(text);
            rest = after;
        }
    }
    out + rest
}

/// What the script reads: containers and links by their numbers, in the order of the drawing.
fn data(graph: &Graph, details: &[Details]) -> Value {
    let none = Details::default();
    let containers = graph.nodes.iter().enumerate().map(|(at, node)| {
        let Details { id, host, ports, gets, gives } = details.get(at).unwrap_or(&none);
        // A container of another host is named as in the link: `name@host`.
        let named = node.name.rsplit_once('@').map(|(_, host)| host.to_owned());
        let host = named.or_else(|| host.clone());
        json!({
            "name": plain(&node.name),
            "id": plain(id),
            "host": host.map(|host| plain(&host)),
            "state": node.state.word().unwrap_or("ready"),
            "addresses": all_plain(&node.addresses),
            "ports": all_plain(ports),
            "gets": all_plain(gets),
            "gives": all_plain(gives),
        })
    });
    let links = graph.edges.iter().map(|edge| {
        json!({
            "recipient": edge.recipient,
            "source": edge.source,
            "alias": plain(&edge.alias),
            "what": plain(&edge.what()),
        })
    });
    json!({ "containers": containers.collect::<Value>(), "links": links.collect::<Value>() })
}

fn all_plain(texts: &[String]) -> Vec<String> {
    texts.iter().map(|text| plain(text)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    /// The source expression of a content security policy for `text`, computed by coreutils.
    fn hash(text: &str) -> String {
        let script = "sha256sum | cut -c 1-64 | tr a-f A-F | basenc --base16 -d | base64";
        let mut shell = Command::new("sh");
        let shell = shell.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = shell.spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
        let output = child.wait_with_output().unwrap();
        format!("sha256-{}", String::from_utf8(output.stdout).unwrap().trim())
    }

    #[test]
    fn the_policy_allows_the_style_and_the_script() {
        assert_eq!([STYLE_HASH, SCRIPT_HASH], [hash(STYLE), hash(SCRIPT)]);
    }

    #[test]
    fn the_page_has_all_its_parts_and_loads_nothing() {
        let page = html(&Graph { nodes: Vec::new(), edges: Vec::new() }, &[]);
        assert!(!page.contains("<!--") && page.ends_with("</html>\n"), "{page}");
        for loads in ["src=", "url(http", "@import", "fetch(", "href="] {
            assert!(!page.contains(loads), "{loads}");
        }
    }
}
