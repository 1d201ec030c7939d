//! Reads the text of `--help`, which both clients print in the form of pflag.

use super::words::Name;

/// Text further to the right continues a description.
const MOST_INDENT: usize = 8;

/// The options that a help text lists.
#[derive(Debug)]
pub(crate) struct Help {
    options: Vec<HelpOption>,
}

#[derive(Debug, PartialEq, Eq)]
struct HelpOption {
    name: String,
    letter: Option<u8>,
    takes_value: bool,
}

impl Help {
    pub(crate) fn parse(text: &str) -> Self {
        Self { options: text.lines().filter_map(option).collect() }
    }

    /// Whether the option of this name exists.
    pub(crate) fn lists(&self, name: &str) -> bool {
        self.takes_value(Name::Long(name.as_bytes())).is_some()
    }

    /// Whether an option takes a value; `None` if it is not listed.
    pub(crate) fn takes_value(&self, name: Name<'_>) -> Option<bool> {
        let found = self.options.iter().find(|option| match name {
            Name::Long(name) => option.name.as_bytes() == name,
            Name::Letter(letter) => option.letter == Some(letter),
        });
        found.map(|option| option.takes_value)
    }
}

/// Reads a line such as `  -m, --memory bytes      Memory limit`.
///
/// One blank and a word after the name are the type of its value. `type[="default"]` is one whose
/// value is only taken after `=`.
fn option(line: &str) -> Option<HelpOption> {
    let text = line.trim_start_matches([' ', '\t']);
    if line.len() - text.len() > MOST_INDENT {
        return None;
    }
    let (letter, text) = match text.as_bytes() {
        [b'-', letter, b',', b' ', ..] => (Some(*letter), text.get(4..)?),
        _ => (None, text),
    };
    let text = text.strip_prefix("--")?;
    let length = text.find([' ', '\t', '[', '=', ',']).unwrap_or(text.len());
    let (name, rest) = text.split_at_checked(length)?;
    let word = rest.strip_prefix(' ').unwrap_or_default();
    let word = word.split([' ', '\t']).next().unwrap_or_default();
    let takes_value = !word.is_empty() && !word.contains("[=");
    (!name.is_empty()).then(|| HelpOption { name: name.to_owned(), letter, takes_value })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_both_clients() {
        let help = Help::parse(
            "Options:\n      --add-host list     Add a host\n  -a, --attach list   Attach\n      \
             --help              \n  -d, --detach        Run in background\n      --cgroupns \
             string\n                          --fake is not one\n      --memory-swap \
             <number>[<unit>]   Limit\n      --pull string[=\"always\"]   Pull\n      --device \
             DEVICE_NAME:WEIGHT   x\n      --init",
        );
        for (name, takes_value) in [
            ("add-host", Some(true)),
            ("attach", Some(true)),
            ("help", Some(false)),
            ("detach", Some(false)),
            ("cgroupns", Some(true)),
            ("memory-swap", Some(true)),
            ("pull", Some(false)),
            ("device", Some(true)),
            ("init", Some(false)),
            ("fake", None),
            ("add", None),
            ("", None),
        ] {
            assert_eq!(help.takes_value(Name::Long(name.as_bytes())), takes_value, "{name}");
        }
        assert_eq!(help.takes_value(Name::Letter(b'a')), Some(true));
        assert_eq!(help.takes_value(Name::Letter(b'd')), Some(false));
        assert_eq!(help.takes_value(Name::Letter(b'x')), None);
        assert!(help.lists("init") && !help.lists("link"));
    }

    #[test]
    fn any_text_is_read() {
        for text in ["", "-", "--", "-é, --x", "  -, --", "--é y", "-x, é", "\u{feff}--a"] {
            let _ = Help::parse(text);
        }
    }
}
