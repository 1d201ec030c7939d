//! Names of hosts and records, and where a record is: a key in etcd, a file in the spool, a file in
//! `offers`.
//!
//! Nothing of a key reaches a path unless it passes the grammar here.

/// All keys of this version begin with this.
pub(crate) const PREFIX: &str = "/oci-link/v1/";
/// Length limit of a host name in bytes.
const MAX_HOST: usize = 63;
/// Length limit of an id in bytes. With a host name and an ending it fits into a file name.
const MAX_ID: usize = 180;

/// Whether `name` is a host name: `[a-z0-9][a-z0-9.-]{0,62}`, and the last character is neither `.`
/// nor `-`.
pub(crate) fn is_host_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'.' || b == b'-';
    name.len() <= MAX_HOST
        && name.bytes().all(allowed)
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && !name.ends_with(['.', '-'])
}

/// Whether `id` can be a part of a file name: 1 to 180 bytes, no slash, no control character, no name
/// of a directory. Runtimes accept nearly all other characters in ids.
fn is_id(id: &str) -> bool {
    (1..=MAX_ID).contains(&id.len())
        && id != "."
        && id != ".."
        && !id.chars().any(|c| c == '/' || c.is_control())
}

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Kind {
    /// A source that its host shares.
    Offer,
    /// A recipient with sources on other hosts.
    Want,
    /// A host is there.
    Presence,
}

/// The place of a record.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Place {
    /// The host that published it.
    pub(crate) host: String,
    /// What it says.
    pub(crate) kind: Kind,
    /// The container; empty for [`Kind::Presence`].
    pub(crate) id: String,
}

impl Place {
    /// The place of the presence of `host`.
    pub(crate) fn presence(host: &str) -> Self {
        Self { host: host.to_owned(), kind: Kind::Presence, id: String::new() }
    }

    /// Reads a key of etcd. Returns `None` for keys that are no record's.
    pub(crate) fn of_key(key: &[u8]) -> Option<Self> {
        let rest = std::str::from_utf8(key).ok()?.strip_prefix(PREFIX)?;
        let (host, rest) = rest.split_once('/')?;
        if !is_host_name(host) {
            return None;
        }
        if rest == "self" {
            return Some(Self::presence(host));
        }
        let (kind, id) = rest.split_once('/')?;
        let kind = match kind {
            "offer" => Kind::Offer,
            "want" => Kind::Want,
            _ => return None,
        };
        is_id(id).then(|| Self { host: host.to_owned(), kind, id: id.to_owned() })
    }

    /// Reads the name of a file in the spool. Returns `None` for other files.
    pub(crate) fn of_spool(name: &str) -> Option<Self> {
        if let Some(host) = name.strip_suffix(".host") {
            return is_host_name(host).then(|| Self::presence(host));
        }
        let (host, rest) = name.split_once('~')?;
        is_host_name(host).then(|| Self::of_record(host, rest)).flatten()
    }

    /// Reads the name of a file in `offers` of `host`. Returns `None` for other files.
    pub(crate) fn of_offers(host: &str, name: &str) -> Option<Self> {
        (!name.starts_with('.')).then(|| Self::of_record(host, name)).flatten()
    }

    /// Reads the id of a container and the kind of its record.
    fn of_record(host: &str, name: &str) -> Option<Self> {
        let (id, kind) = match (name.strip_suffix(".offer"), name.strip_suffix(".want")) {
            (Some(id), _) => (id, Kind::Offer),
            (_, Some(id)) => (id, Kind::Want),
            _ => return None,
        };
        is_id(id).then(|| Self { host: host.to_owned(), kind, id: id.to_owned() })
    }

    /// The key in etcd.
    pub(crate) fn key(&self) -> String {
        let Self { host, id, .. } = self;
        match self.kind {
            Kind::Offer => format!("{PREFIX}{host}/offer/{id}"),
            Kind::Want => format!("{PREFIX}{host}/want/{id}"),
            Kind::Presence => format!("{PREFIX}{host}/self"),
        }
    }

    /// The name of the file in the spool.
    pub(crate) fn spool_name(&self) -> String {
        let Self { host, id, .. } = self;
        match self.kind {
            Kind::Offer => format!("{host}~{id}.offer"),
            Kind::Want => format!("{host}~{id}.want"),
            Kind::Presence => format!("{host}.host"),
        }
    }

    /// The name of the file in `offers`, or `None` for [`Kind::Presence`].
    pub(crate) fn offers_name(&self) -> Option<String> {
        match self.kind {
            Kind::Offer => Some(format!("{}.offer", self.id)),
            Kind::Want => Some(format!("{}.want", self.id)),
            Kind::Presence => None,
        }
    }
}

/// The first key after all keys that begin with `prefix`, which ends in a slash.
pub(crate) fn end_of(prefix: &str) -> Vec<u8> {
    let mut end = prefix.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_names() {
        let longest = "a".repeat(63);
        for good in ["a", "7", "host-1", "db.example.org", longest.as_str()] {
            assert!(is_host_name(good), "{good}");
        }
        let too_long = "a".repeat(64);
        for bad in
            ["", ".", "-a", "a-", "a.", "A", "a~b", "a/b", "a b", "ä", "a\n", too_long.as_str()]
        {
            assert!(!is_host_name(bad), "{bad:?}");
        }
    }

    #[test]
    fn a_record_has_one_place_in_each_directory() {
        for (key, spool, offers) in [
            ("/oci-link/v1/b/offer/6f00", "b~6f00.offer", Some("6f00.offer")),
            ("/oci-link/v1/b/want/x~y.offer", "b~x~y.offer.want", Some("x~y.offer.want")),
            ("/oci-link/v1/b/offer/~a@b c", "b~~a@b c.offer", Some("~a@b c.offer")),
            ("/oci-link/v1/b.c/self", "b.c.host", None),
        ] {
            let place = Place::of_key(key.as_bytes()).unwrap();
            assert_eq!(place.key(), key);
            assert_eq!(place.spool_name(), spool);
            assert_eq!(place.offers_name().as_deref(), offers);
            assert_eq!(Place::of_spool(spool), Some(place.clone()));
            if let Some(offers) = offers {
                assert_eq!(Place::of_offers(&place.host, offers), Some(place));
            }
        }
    }

    #[test]
    fn other_keys_and_files_are_no_records() {
        let long = format!("/oci-link/v1/b/offer/{}", "x".repeat(181));
        for key in [
            "/oci-link/v1/",
            "/oci-link/v2/b/self",
            "/oci-link/v1/b/self/x",
            "/oci-link/v1/b/other/x",
            "/oci-link/v1/b/offer/",
            "/oci-link/v1/b/offer/..",
            "/oci-link/v1/b/offer/../../etc/passwd",
            "/oci-link/v1/b/offer/a/b",
            "/oci-link/v1/b/offer/a\nb",
            "/oci-link/v1/b/offer/a\0b",
            "/oci-link/v1/../offer/a",
            "/oci-link/v1//offer/a",
            "/oci-link/v1/B/offer/a",
            "/oci-link/v1/b~c/offer/a",
            long.as_str(),
        ] {
            assert_eq!(Place::of_key(key.as_bytes()), None, "{key:?}");
        }
        assert_eq!(Place::of_key(b"/oci-link/v1/b/offer/\xff"), None);
        for file in
            ["view", ".status", ".host", "b~.offer", "b~x", "B~x.offer", "~x.offer", "b~x.host~"]
        {
            assert_eq!(Place::of_spool(file), None, "{file}");
        }
        for file in [".x.offer", ".offer", "x.json", "x"] {
            assert_eq!(Place::of_offers("b", file), None, "{file}");
        }
    }

    #[test]
    fn a_file_name_of_the_longest_parts_fits() {
        let place = Place { host: "h".repeat(63), kind: Kind::Offer, id: "i".repeat(180) };
        assert!(place.spool_name().len() <= 255);
        assert_eq!(Place::of_key(place.key().as_bytes()), Some(place));
    }

    #[test]
    fn the_end_of_a_prefix() {
        assert_eq!(end_of(PREFIX), b"/oci-link/v10");
    }
}
