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
        let source = Reference::new(source.strip_prefix('/').unwrap_or(source))?;
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
/// sources under one alias are refused, where Docker silently keeps the first.
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
    Ok(links)
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
    fn bounded() {
        let many = |count| (0..count).map(|n| format!("s{n}")).collect::<Vec<_>>().join(",");
        assert_eq!(parse_links(&many(MAX_LINKS)).map(|links| links.len()), Ok(MAX_LINKS));
        assert!(parse_links(&many(MAX_LINKS + 1)).is_err());
    }
}
