//! The ports that `expose` and `ports` of a service make reachable.

use super::yaml::Value;
use crate::model::{Invalid, PortSet};

/// The container side of all ports, in the form of the annotation `org.oci-link.ports`.
pub(crate) fn exposed(service: &Value) -> Result<Vec<String>, Invalid> {
    let mut all = Vec::new();
    for key in ["expose", "ports"] {
        let Some(Value::List(items)) = service.get(key) else { continue };
        for item in items {
            let port = match item {
                Value::Map(_) => {
                    let text = |key| item.get(key).and_then(Value::text);
                    let protocol = text("protocol").unwrap_or("tcp");
                    format!("{}/{protocol}", text("target").unwrap_or_default())
                }
                item => {
                    let text = item.text().unwrap_or_default();
                    text[last_colon(text).map_or(0, |at| at + 1)..].to_owned()
                }
            };
            // Ports with variables cannot be checked: Compose replaces variables only when the file
            // is used.
            if !port.contains('$') {
                PortSet::parse(&port)?;
            }
            if !all.contains(&port) {
                all.push(port);
            }
        }
    }
    Ok(all)
}

/// The offset of the last `:` outside of a variable such as `${A:-b}`.
pub(crate) fn last_colon(text: &str) -> Option<usize> {
    let mut depth = 0usize;
    let mut last = None;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            ':' if depth == 0 => last = Some(at),
            _ => {}
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compose::yaml::ComposeFile;

    fn of(text: &str) -> Result<Vec<String>, String> {
        let document = ComposeFile::parse(text).unwrap();
        exposed(&document.value(document.root).unwrap()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_containers_side() {
        let text = "expose: [3000, '53/udp']\nports:\n- 80\n- 8080:80\n- 127.0.0.1:8443:443/tcp\n\
                    - '${PORT:-9000}:9000-9001'\n- '[::1]:1:2'\n- target: 7\n  protocol: udp\n";
        let ports = ["3000", "53/udp", "80", "443/tcp", "9000-9001", "2", "7/udp"];
        assert_eq!(of(text), Ok(ports.map(String::from).to_vec()));
        assert_eq!(of("ports: ['80:${INSIDE:-80}']"), Ok(vec!["${INSIDE:-80}".into()]));
        assert!(of("ports: ['80:http']").is_err());
        assert_eq!(of("image: x"), Ok(vec![]));
    }
}
