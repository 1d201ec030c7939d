//! Parses `source[:alias]` in Docker's grammar (docker/cli opts, moby runconfig/opts `ParseLink`).

use super::{Alias, Invalid, Reference};

/// Limit of links per container: more than legacy applications have, and few enough for a fast
/// start.
pub(crate) const MAX_LINKS: usize = 256;

/// One declared link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// The source that the link names.
    pub(crate) source: Reference,
    /// The source's name inside the recipient.
    pub(crate) alias: Alias,
}

impl Link {
    /// Parses one `source[:alias]`.
    ///
    /// `docker inspect` prints `/name:/recipient/alias`, which is parsed as `name:alias`. Reserved
    /// aliases such as `localhost` are refused.
    pub(crate) fn parse(value: &str) -> Result<Self, Invalid> {
        let (source, alias) = match value.split_once(':') {
            _ if value.is_empty() => {
                return Err(Invalid::new("link", value, "empty string specified for links"));
            }
            None => (value, None),
            Some((source, alias))
                if alias.is_empty() || alias.contains(':') || source.is_empty() =>
            {
                return Err(Invalid::new(
                    "link",
                    value,
                    "bad format for links: want source[:alias]",
                ));
            }
            Some((source, alias)) => (source, Some(alias)),
        };
        let inspected = source.starts_with('/');
        let source = Reference::of_link(source.strip_prefix('/').unwrap_or(source))?;
        let alias = match alias {
            None => Alias::from(&source),
            Some(path) if inspected => Alias::new(path.rsplit('/').next().unwrap_or(path))?,
            Some(alias) => Alias::new(alias)?,
        };
        if alias.is_reserved() {
            return Err(Invalid::new(
                "alias",
                alias.as_str(),
                "reserved, because every container has this name",
            ));
        }
        Ok(Self { source, alias })
    }
}

/// Parses the whole annotation: links separated by commas or white space, in order.
///
/// `none` means no links; it overrides an image's annotation. A repeated link counts once. Two
/// sources under one alias are refused, where Docker silently keeps the first. So are two aliases
/// whose variables can have the same name, where Docker sets such a variable twice.
pub(crate) fn parse_links(value: &str) -> Result<Vec<Link>, Invalid> {
    let mut links: Vec<Link> = Vec::new();
    if value.trim() == "none" {
        return Ok(links);
    }
    for item in value.split([',', ' ', '\t', '\n']).filter(|item| !item.is_empty()) {
        let link = Link::parse(item)?;
        match links.iter().find(|known| known.alias.same_host(link.alias.as_str())) {
            Some(known) if *known == link => continue,
            Some(known) => {
                let both =
                    format!("{}:{} and {}:{}", known.source, known.alias, link.source, link.alias);
                return Err(Invalid::new("links", &both, "two sources have the same alias"));
            }
            None => links.push(link),
        }
        if links.len() > MAX_LINKS {
            return Err(Invalid::new("links", value, "more than 256 links"));
        }
    }
    if links.is_empty() {
        return Err(Invalid::new("links", value, "empty string specified for links"));
    }
    must_differ(&links)?;
    Ok(links)
}

/// Refuses two links whose variables can have the same name.
fn must_differ(links: &[Link]) -> Result<(), Invalid> {
    let prefixes: Vec<String> = links.iter().map(|link| link.alias.variable_prefix()).collect();
    for (at, later) in prefixes.iter().enumerate() {
        for (before, earlier) in prefixes[..at].iter().enumerate() {
            if overlap(earlier, later) || overlap(later, earlier) {
                let [one, other] = [&links[before], &links[at]];
                let both =
                    format!("{}:{} and {}:{}", one.source, one.alias, other.source, other.alias);
                return Err(Invalid::new(
                    "links",
                    &both,
                    "their variables can have the same names: change one alias",
                ));
            }
        }
    }
    Ok(())
}

/// Whether a link with the prefix `short` can have a variable of a link with the prefix `long`.
///
/// `DB_ENV_…` are variables that the source of `DB` chose. `DB_PORT_80_TCP_PORT` is the number of a
/// port of `DB`, and the default port of an alias `DB_PORT_80_TCP`.
fn overlap(short: &str, long: &str) -> bool {
    let Some(rest) = long.strip_prefix(short) else { return false };
    let is_port = |rest: &str| {
        let (number, protocol) = rest.split_once('_').unwrap_or_default();
        number.parse::<u16>().is_ok() && ["TCP", "UDP", "SCTP"].contains(&protocol)
    };
    matches!(rest, "" | "_ENV")
        || rest.starts_with("_ENV_")
        || rest.strip_prefix("_PORT_").is_some_and(is_port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(value: &str) -> Result<(String, String), String> {
        Link::parse(value)
            .map(|link| (link.source.to_string(), link.alias.to_string()))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn dockers_grammar() {
        let pair = |source: &str, alias: &str| Ok((source.to_owned(), alias.to_owned()));
        assert_eq!(parsed("n"), pair("n", "n"));
        assert_eq!(parsed("n:a"), pair("n", "a"));
        assert_eq!(parsed("/foo:/c1/bar"), pair("foo", "bar"));
        assert_eq!(parsed("/foo"), pair("foo", "foo"));
        let id = "0f".repeat(32);
        assert_eq!(parsed(&id), pair(&id, &id));
    }

    #[test]
    fn what_is_not_a_link() {
        assert!(parsed("").is_err_and(|e| e.contains("empty string specified for links")));
        for bad in ["a:b:c", "a:", ":b", ":"] {
            assert!(parsed(bad).is_err_and(|e| e.contains("bad format for links")), "{bad}");
        }
        assert!(parsed("foo:/c1/bar").is_err(), "a path is an alias only after a path");
        assert!(parsed("db:localhost").is_err());
    }

    #[test]
    fn lists() {
        let links = parse_links("mysql:db, redis\tcache:c,mysql:db mysql:db2");
        let aliases: Vec<_> =
            links.iter().flatten().map(|link| link.alias.as_str().to_owned()).collect();
        assert_eq!(aliases, ["db", "redis", "c", "db2"]);
        assert!(parse_links(" , ").is_err());
        assert_eq!(parse_links("none"), Ok(vec![]));
    }

    #[test]
    fn one_alias_for_two_sources_names_both() {
        let error = parse_links("a:db,b:DB").map_err(|error| error.to_string());
        assert_eq!(error, Err(r#"links "a:db and b:DB": two sources have the same alias"#.into()));
    }

    #[test]
    fn aliases_with_the_same_variables() {
        let error = parse_links("a:my-db b:my_db").map_err(|error| error.to_string());
        let expected = "links \"a:my-db and b:my_db\": their variables can have the same names: \
                        change one alias";
        assert_eq!(error, Err(expected.to_owned()));
        for bad in [
            "b:db a:db-env",
            "a:db_env b:db",
            "b:db c:x a:DB-ENV-X",
            "a:my-db a:my_db",
            "a:db b:db-port-80-tcp",
            "a:db-port-2905_sctp b:db",
        ] {
            assert!(parse_links(bad).is_err_and(|e| e.to_string().contains("same names")), "{bad}");
        }
        for good in [
            "a:db b:db2",
            "a:db b:db-envoy",
            "a:db b:db-port",
            "a:db b:db-port-x-tcp",
            "a:db b:db-port-80",
            "a:db b:my-db",
            "a:db b:db.env",
            "a:db b:env",
        ] {
            assert!(parse_links(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn bounded() {
        let many = |count| (0..count).map(|n| format!("s{n}")).collect::<Vec<_>>().join(",");
        assert_eq!(parse_links(&many(MAX_LINKS)).map(|links| links.len()), Ok(MAX_LINKS));
        assert!(parse_links(&many(MAX_LINKS + 1)).is_err());
    }
}
