//! Reads options as the clients do (pflag with interspersed arguments turned off): options end at
//! the first word that is none, or at `--`.

use crate::error::Result;
use std::ffi::OsString;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;

/// The name of an option, without dashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Name<'a> {
    Long(&'a [u8]),
    Letter(u8),
}

impl Name<'_> {
    /// The option as it is typed, in one printable line.
    pub(crate) fn typed(self) -> String {
        match self {
            Self::Long(name) => format!("--{}", String::from_utf8_lossy(name).escape_debug()),
            Self::Letter(letter) => format!("-{}", char::from(letter)),
        }
    }
}

/// An option of a command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Given<'a> {
    pub(crate) name: Name<'a>,
    pub(crate) value: Option<&'a [u8]>,
    /// The words that contain it; letters of one cluster share them.
    pub(crate) words: Range<usize>,
}

/// The options in a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options<'a> {
    pub(crate) given: Vec<Given<'a>>,
    /// The index of the first word after them; `--` is not one of them.
    pub(crate) end: usize,
}

impl<'a> Options<'a> {
    /// The options that have one of these names.
    pub(crate) fn all<'s>(
        &'s self,
        names: &'s [Name<'s>],
    ) -> impl DoubleEndedIterator<Item = &'s Given<'a>> {
        self.given.iter().filter(|given| names.contains(&given.name))
    }
}

/// How many words there are before the first word that the caller does not want to be read.
pub(crate) type Wanted<'w> = dyn Fn(&[Given<'_>], usize) -> bool + 'w;

/// Reads the options of `words` from index `start` on.
///
/// `takes_value` tells which options have a value. It is not asked about an option with `=`. The
/// result is `None` for a line that the client refuses, and as soon as `wanted`, which gets the
/// options until then and the index of the next word, is false.
pub(crate) fn read<'a>(
    words: &'a [OsString],
    start: usize,
    wanted: &Wanted<'_>,
    takes_value: &mut dyn FnMut(Name<'_>) -> Result<bool>,
) -> Result<Option<Options<'a>>> {
    let mut options = Options { given: Vec::new(), end: start };
    while let Some(word) = words.get(options.end).map(|word| word.as_bytes()) {
        if !wanted(&options.given, options.end) {
            return Ok(None);
        }
        let next = words.get(options.end + 1).map(|word| word.as_bytes());
        let (at, before) = (options.end, options.given.len());
        let took_next = match word {
            b"--" | b"-" | b"" => return Ok(Some(options)),
            [b'-', b'-', body @ ..] => long(body, next, &mut options.given, takes_value)?,
            [b'-', letters @ ..] => cluster(letters, next, &mut options.given, takes_value)?,
            _ => return Ok(Some(options)),
        };
        let Some(took_next) = took_next else { return Ok(None) };
        options.end = at + 1 + usize::from(took_next);
        for given in &mut options.given[before..] {
            given.words = at..options.end;
        }
    }
    Ok(Some(options))
}

/// Reads the option `body`, written after `--`. Returns whether the next word is its value, and
/// `None` if the client refuses it.
fn long<'a>(
    body: &'a [u8],
    next: Option<&'a [u8]>,
    given: &mut Vec<Given<'a>>,
    takes_value: &mut dyn FnMut(Name<'_>) -> Result<bool>,
) -> Result<Option<bool>> {
    if matches!(body.first(), None | Some(b'-' | b'=')) {
        return Ok(None);
    }
    if let Some(at) = body.iter().position(|byte| *byte == b'=') {
        add(given, Name::Long(&body[..at]), Some(&body[at + 1..]));
        return Ok(Some(false));
    }
    let name = Name::Long(body);
    if !takes_value(name)? {
        add(given, name, None);
        return Ok(Some(false));
    }
    let Some(value) = next else { return Ok(None) };
    add(given, name, Some(value));
    Ok(Some(true))
}

/// Reads letters written after one `-`. The result is that of [`long`].
fn cluster<'a>(
    letters: &'a [u8],
    next: Option<&'a [u8]>,
    given: &mut Vec<Given<'a>>,
    takes_value: &mut dyn FnMut(Name<'_>) -> Result<bool>,
) -> Result<Option<bool>> {
    for (at, letter) in letters.iter().enumerate() {
        if !letter.is_ascii_alphanumeric() {
            return Ok(None);
        }
        let (name, rest) = (Name::Letter(*letter), &letters[at + 1..]);
        // pflag takes `=` for a separator only if a value follows it.
        if let [b'=', value @ ..] = rest {
            if !value.is_empty() {
                add(given, name, Some(value));
                return Ok(Some(false));
            }
        }
        if !takes_value(name)? {
            add(given, name, None);
            continue;
        }
        if !rest.is_empty() {
            add(given, name, Some(rest));
            return Ok(Some(false));
        }
        let Some(value) = next else { return Ok(None) };
        add(given, name, Some(value));
        return Ok(Some(true));
    }
    Ok(Some(false))
}

fn add<'a>(given: &mut Vec<Given<'a>>, name: Name<'a>, value: Option<&'a [u8]>) {
    given.push(Given { name, value, words: 0..0 });
}
