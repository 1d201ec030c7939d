//! Which kind of network a container of docker gets.

/// What links mean on the networks of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Network {
    /// The default bridge, on which Docker's links are hosts lines and variables.
    DefaultBridge,
    /// A user-defined network, on which they are names in Docker's DNS.
    UserDefined,
    /// None, or that of the host or of another container: Docker refuses links or ignores them.
    Unlinkable,
}

impl Network {
    /// The kind for the values of `--network` and `--net`.
    pub(crate) fn of<'v>(values: impl Iterator<Item = &'v [u8]>) -> Self {
        let mut kind = Self::DefaultBridge;
        for value in values {
            match name(value).as_slice() {
                b"" | b"default" | b"bridge" => {}
                b"none" | b"host" => return Self::Unlinkable,
                name if name.starts_with(b"container:") => return Self::Unlinkable,
                _ => kind = Self::UserDefined,
            }
        }
        kind
    }
}

/// The network that a value names: all of it, or the field `name` of `name=n1,alias=db`.
fn name(value: &[u8]) -> Vec<u8> {
    if !value.contains(&b'=') {
        return value.to_owned();
    }
    let text = String::from_utf8_lossy(value);
    let fields = text.split(',').map(|field| field.trim_matches('"').split_once('='));
    let named = fields.flatten().find(|(key, _)| key.trim().eq_ignore_ascii_case("name"));
    named.map(|(_, name)| name.trim().as_bytes().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_notation() {
        use Network::{DefaultBridge, Unlinkable, UserDefined};
        for (values, kind) in [
            (&[][..], DefaultBridge),
            (&[""], DefaultBridge),
            (&["default"], DefaultBridge),
            (&["bridge"], DefaultBridge),
            (&["name=bridge,ip=1.2.3.4"], DefaultBridge),
            (&["n1"], UserDefined),
            (&["bridge", "n1"], UserDefined),
            (&["alias=db,name=n1"], UserDefined),
            (&["Bridge"], UserDefined),
            (&["none"], Unlinkable),
            (&["host"], Unlinkable),
            (&["container:db"], Unlinkable),
            (&["n1", "host"], Unlinkable),
        ] {
            assert_eq!(Network::of(values.iter().map(|v| v.as_bytes())), kind, "{values:?}");
        }
    }
}
