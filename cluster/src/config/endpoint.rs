//! The address of a member of etcd.

use std::fmt;

/// The port of etcd for clients.
const PORT: u16 = 2379;

/// `https://HOST[:PORT]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Endpoint {
    /// A name or an address, without the brackets of IPv6.
    pub(crate) host: String,
    /// The port.
    pub(crate) port: u16,
}

impl Endpoint {
    /// Parses an endpoint. Anything but a host and a port is refused, and so is plain `http`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("{text:?}: {why}");
        let Some(rest) = text.strip_prefix("https://") else {
            return Err(wrong("want https://HOST:PORT"));
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.strip_prefix('[') {
            Some(rest) => {
                let (host, port) = rest.split_once(']').ok_or_else(|| wrong("lacks a ]"))?;
                if host.parse::<std::net::Ipv6Addr>().is_err() {
                    return Err(wrong("has no IPv6 address between [ and ]"));
                }
                (host, port.strip_prefix(':').or(port.is_empty().then_some("")))
            }
            None => match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, Some("")),
            },
        };
        let is_host = |c: char| c.is_ascii_alphanumeric() || ".-_:".contains(c);
        if host.is_empty() || host.len() > 253 || !host.chars().all(is_host) {
            return Err(wrong("has no host name or address"));
        }
        let port = match port {
            Some("") => PORT,
            Some(port) => port.parse().map_err(|_| wrong("has no port"))?,
            None => return Err(wrong("want https://HOST:PORT")),
        };
        if port == 0 { Err(wrong("has no port")) } else { Ok(Self { host: host.to_owned(), port }) }
    }

    /// `HOST:PORT`, with brackets around an IPv6 address.
    pub(crate) fn authority(&self) -> String {
        let Self { host, port } = self;
        if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "https://{}", self.authority())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form() {
        for (text, shown) in [
            ("https://10.99.0.1:2379", "https://10.99.0.1:2379"),
            ("https://etcd-1.example.org", "https://etcd-1.example.org:2379"),
            ("https://[fd00::1]:4001/", "https://[fd00::1]:4001"),
            ("https://[fd00::1]", "https://[fd00::1]:2379"),
        ] {
            assert_eq!(Endpoint::parse(text).unwrap().to_string(), shown);
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "10.0.0.1:2379",
            "http://10.0.0.1:2379",
            "https://",
            "https://:2379",
            "https://a:0",
            "https://a:b",
            "https://a:65536",
            "https://a/b",
            "https://u@a:1",
            "https://[a]:1",
            "https://[fd00::1",
            "https://[fd00::1]x",
            "https://fd00::1",
            "https://a b",
            "HTTPS://a",
        ] {
            assert!(Endpoint::parse(text).is_err(), "{text}");
        }
    }
}
