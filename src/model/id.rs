//! Container ids, as runtimes accept them, and the file names and display names that come of them.

use super::invalid::escape;
use super::{ContainerName, Instance, Invalid, Reference, digest};
use std::borrow::Cow;
use std::fmt;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Length limit of an id in bytes. Runtimes make a directory of that name.
const MAX_ID: usize = 255;
/// Length limit of a key that is not a plain id. With the tag of a namesake and a suffix it fits
/// into a file name, which has at most 255 bytes.
const MAX_ENCODED: usize = 200;
/// What every key contains that is not a plain id. No plain id contains it.
const MARK: char = '~';

/// An OCI container id, as runc, crun or youki accept it, and which of its namesakes is meant.
///
/// It is a file name of any bytes in UTF-8: 1 to 255 bytes without a slash and NUL. runc 1.1 and 1.3
/// accept ASCII letters, digits and `_+,-.`; crun and youki also spaces, `@`, `:` and others.
///
/// One id can belong to several running containers, for example below two roots of a runtime. The
/// first has the id alone; each further one has a tag of its instance too.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerId {
    text: String,
    tag: Option<u64>,
}

impl ContainerId {
    /// Checks `value`.
    pub fn new(value: &str) -> Result<Self, Invalid> {
        let refuse = |why| Err(Invalid::new("container id", value, why));
        match value {
            "" => refuse("is empty"),
            "." | ".." => refuse("is not a file name"),
            _ if value.len() > MAX_ID => refuse("is too long"),
            _ if value.contains(['/', '\0']) => refuse("has a character that is not allowed"),
            _ => Ok(Self { text: value.to_owned(), tag: None }),
        }
    }

    /// Returns the id as the runtime knows it. Only [`fmt::Display`] is safe in a message.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Length of the ids that engines draw at random, in hexadecimal digits.
    pub(crate) const ENGINE_LENGTH: usize = 64;

    /// Whether an engine drew the id at random: 64 hexadecimal digits. Of several containers with one
    /// id only the first counts.
    pub(crate) fn is_engine_id(&self) -> bool {
        let is_hex = self.text.bytes().all(|b| b.is_ascii_hexdigit());
        self.tag.is_none() && self.text.len() == Self::ENGINE_LENGTH && is_hex
    }

    /// Docker's short form of the id, escaped like the whole id.
    pub fn short(&self) -> String {
        escape(&self.text.chars().take(12).collect::<String>())
    }

    /// Returns the id for a log line: Docker's short form of an id that an engine drew, else the whole id.
    pub(crate) fn brief(&self) -> String {
        if self.is_engine_id() { self.short() } else { self.to_string() }
    }

    /// Returns the id of the namesake that runs as `instance`.
    #[must_use]
    pub(crate) fn namesake(&self, instance: &Instance) -> Self {
        let mut hasher = DefaultHasher::new();
        (instance.boot, instance.netns, instance.pid, instance.started).hash(&mut hasher);
        self.tagged(Some(hasher.finish()))
    }

    /// Returns the id with the tag of a namesake, or without one.
    #[must_use]
    pub(crate) fn tagged(&self, tag: Option<u64>) -> Self {
        Self { text: self.text.clone(), tag }
    }

    /// Returns the tag of a namesake; the first container of an id has none.
    pub(crate) fn tag(&self) -> Option<u64> {
        self.tag
    }

    /// Whether the id alone is its key, and may be a name.
    pub(crate) fn is_plain(&self) -> bool {
        self.tag.is_none() && ContainerName::new(&self.text).is_ok()
    }

    /// Returns the text under which files and indexes have the container: a file name of at most
    /// 250 bytes, and no two ids have the same.
    ///
    /// It is the id itself if that is a plain one. Other keys contain a tilde. A long one contains
    /// a hash.
    pub(crate) fn key(&self) -> Cow<'_, str> {
        let Some(tag) = self.tag else { return self.encoded(usize::MAX) };
        // Two tildes follow each other nowhere else but at the beginning.
        Cow::Owned(format!("{}{MARK}{MARK}{tag:016x}", self.encoded(MAX_ENCODED)))
    }

    /// Encodes the id. A plain one of more than `plain` bytes becomes a hash too.
    fn encoded(&self, plain: usize) -> Cow<'_, str> {
        if self.text.len() <= plain && ContainerName::new(&self.text).is_ok() {
            return Cow::Borrowed(&self.text);
        }
        let byte = |byte: u8| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'.' | b'+' | b'-' => {
                char::from(byte).to_string()
            }
            _ => format!("{MARK}{byte:02x}"),
        };
        let encoded: String = self.text.bytes().map(byte).collect();
        Cow::Owned(if encoded.len() > MAX_ENCODED {
            format!("{MARK}{MARK}{MARK}{}", digest::sha256(self.text.as_bytes()))
        } else {
            format!("{MARK}{encoded}")
        })
    }

    /// Returns the id of a key, if the key is that of a plain id.
    pub(crate) fn of_plain_key(key: &str) -> Option<Self> {
        Self::new(key).ok().filter(Self::is_plain)
    }

    /// Returns the display name of a container that has no name of its own.
    ///
    /// It is the id if that is a valid name. Otherwise it contains a tilde, so that no link can name
    /// it: a container must not be found under a name that only resembles its id.
    pub(crate) fn display_name(&self) -> String {
        if ContainerName::new(&self.text).is_ok() {
            return self.text.clone();
        }
        let allowed = |c: char| c.is_ascii_alphanumeric() || "_.+-".contains(c);
        let name: String =
            self.text.chars().map(|c| if allowed(c) { c } else { MARK }).take(200).collect();
        if name.contains(MARK) && name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            name
        } else {
            format!("{MARK}{name}")
        }
    }

    /// Returns the reference by which a link may name this id. Not every id can be named.
    pub(crate) fn reference(&self) -> Option<Reference> {
        Reference::new(&self.text).ok()
    }
}

/// One line of printable ASCII. A namesake is shown with the beginning of its tag.
impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&escape(&self.text))?;
        match self.tag {
            Some(tag) => write!(f, "{MARK}{:08x}", tag >> 32),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn id(text: &str) -> ContainerId {
        ContainerId::new(text).unwrap()
    }

    fn instance(netns: u64, pid: i32) -> Instance {
        Instance { boot: 1, netns, pid, started: 4 }
    }

    /// Ids that resemble each other, or the encoding of another one.
    fn odd() -> Vec<String> {
        let mut odd: Vec<String> = [
            "a,b",
            "+x",
            "-x",
            ".x",
            "..x",
            "...",
            "x.json",
            ".json",
            "a b",
            " ",
            "a@b",
            "a:b",
            "é",
            "e\u{301}",
            "a\nb",
            "a\tb",
            "a\\b",
            "a\"b",
            "~",
            "~~",
            "~x",
            "a~b",
            "~a,b",
            "~~2c",
            ",",
            "a~2cb",
            "a%2cb",
            "%",
            "*",
            "a*b",
            "a\u{1}b",
            "\u{1b}[2J",
            "\u{202e}x",
            "日本語",
            "🦀",
            "a~0000000000000000",
            "~a~0000000000000000",
            ",,00000000000000",
            "$(id)",
            "`id`",
            "a;b",
            "a|b",
            "#",
            "'",
        ]
        .map(str::to_owned)
        .to_vec();
        for one in ["x", "é", ",", "日", "🦀", "~"] {
            for length in [1, 50, 63, 66, 67, 84, 100, 199, 200, 239, 240, 241, 254, 255] {
                odd.push(one.repeat(length / one.len()));
                odd.push(format!("{}.", one.repeat((length - 1) / one.len())));
            }
        }
        odd.retain(|text| ContainerId::new(text).is_ok());
        odd
    }

    #[test]
    fn what_is_no_directory_of_a_runtime() {
        let long = "x".repeat(256);
        for bad in ["", ".", "..", "/", "a/b", "../x", "a\0b", "\0", &long] {
            assert!(ContainerId::new(bad).is_err(), "{bad:?}");
        }
        assert!(odd().len() > 100);
    }

    #[test]
    fn every_key_is_a_file_name_of_its_own() {
        let mut keys = HashSet::new();
        let mut all: Vec<ContainerId> =
            odd().iter().collect::<HashSet<_>>().into_iter().map(|text| id(text)).collect();
        for plain in ["db", "a", "new", "a.json", "k8s_web_pod_ns_0", "_x"] {
            assert_eq!(id(plain).key(), plain);
            all.push(id(plain));
        }
        let namesakes =
            |id: &ContainerId| [(1, 2), (2, 2), (1, 3)].map(|(n, p)| id.namesake(&instance(n, p)));
        all.extend(all.clone().iter().flat_map(namesakes));
        for id in &all {
            let key = id.key().into_owned();
            assert!(keys.insert(key.clone()), "{key} twice");
            assert!(key.len() <= 250 && !key.starts_with('.'), "{key}");
            assert!(
                key.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.+-~".contains(&b)),
                "{key}"
            );
            assert_eq!(key.contains('~'), !id.is_plain(), "{key}");
            assert_eq!(
                ContainerId::of_plain_key(&key).as_ref() == Some(id),
                id.is_plain(),
                "{key}"
            );
        }
    }

    #[test]
    fn what_is_shown_is_one_harmless_line() {
        for text in odd() {
            for shown in [
                id(&text).to_string(),
                id(&text).brief(),
                id(&text).short(),
                id(&text).display_name(),
            ] {
                let harmless = shown.chars().all(|c| c.is_ascii_graphic() || c == ' ');
                assert!(harmless && !shown.is_empty(), "{shown:?}");
            }
        }
        assert_eq!(id("a\nb").to_string(), r"a\nb");
        assert_eq!(id("db").short(), "db");
        assert_eq!(id("0123456789abcdef").short(), "0123456789ab");
        assert_eq!(id("0123456789abcdef").brief(), "0123456789abcdef", "chosen by a user");
        assert_eq!(id(&"0123456789abcdef".repeat(4)).brief(), "0123456789ab");
        let namesake = id("db").namesake(&instance(1, 2));
        assert!(namesake.to_string().starts_with("db~"), "{namesake}");
        assert_eq!(namesake.brief(), namesake.to_string());
        assert_eq!(namesake.as_str(), "db");
        assert_eq!(namesake, id("db").namesake(&instance(1, 2)), "always the same");
    }

    /// A derived name is shown, and no link can mean it.
    #[test]
    fn a_derived_name_is_no_reference() {
        for text in odd() {
            let name = ContainerName::from(&id(&text));
            let own = ContainerName::new(&text).is_ok();
            assert_eq!(name.is_derived(), !own, "{text:?}");
            assert_eq!(name.reference().is_some(), own, "{text:?}");
            assert!(!own || name.as_str() == text, "{text:?}");
            assert_eq!(ContainerName::of_record(name.as_str(), &id(&text)), Ok(name));
        }
        assert!(ContainerName::of_record("a~b", &id("a,c")).is_err());
        assert_eq!(id("a,b").display_name(), "a~b");
        assert_eq!(id(".x").display_name(), "~.x");
    }
}
