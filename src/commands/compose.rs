//! `compose`: converts the links of a Compose file to our annotations.

use super::say;
use crate::cli::Compose;
use crate::compose::{ComposeOptions, convert};
use crate::error::{Context, Error, Kind, Result};
use crate::sys::file::{self, Followed, shown};
use std::fs;
use std::io::{IsTerminal, Read, Write, stderr, stdin};
use std::path::Path;

/// The largest Compose file that is read, in bytes. Compose itself needs longer than we do for such
/// a file.
const MAX_FILE: u64 = 1 << 20;

/// Converts a file or standard input. There is no time limit, because a program may write the input
/// slowly. Nothing is written if the input cannot be converted.
pub(crate) fn run(arguments: &Compose) -> Result<()> {
    let input = match &arguments.file {
        Some(path) => Input::File(path, file::follow(path, MAX_FILE, Kind::Input)?),
        None => Input::Standard(standard_input()?),
    };
    let text = std::str::from_utf8(input.bytes()).context(Kind::Input, || input.name())?;
    let options = ComposeOptions { runtime: arguments.runtime.as_deref(), ports: arguments.ports };
    let converted = convert(text, &options)?;
    match (&arguments.output, &input) {
        (Some(path), _) => {
            fs::write(path, &converted.text).context(Kind::Input, || shown(path))?;
        }
        (None, Input::File(path, old)) if arguments.in_place => {
            if old.bytes != converted.text.as_bytes() {
                file::replace_followed(path, old, converted.text.as_bytes(), Kind::Input)?;
            }
        }
        _ => say(&converted.text)?,
    }
    for line in converted.summary {
        // The result does not depend on the summary.
        let _ = writeln!(stderr(), "oci-link: {line}");
    }
    Ok(())
}

/// A Compose file and where it is from.
enum Input<'a> {
    File(&'a Path, Followed),
    Standard(Vec<u8>),
}

impl Input<'_> {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::File(_, file) => &file.bytes,
            Self::Standard(bytes) => bytes,
        }
    }

    fn name(&self) -> String {
        match self {
            Self::File(path, _) => shown(path),
            Self::Standard(_) => "standard input".to_owned(),
        }
    }
}

fn standard_input() -> Result<Vec<u8>> {
    if stdin().is_terminal() {
        let message = "no Compose file: want oci-link compose FILE, or the file on standard input";
        return Err(Error::new(Kind::Usage, message));
    }
    let what = || "standard input";
    let mut bytes = Vec::new();
    stdin().take(MAX_FILE + 1).read_to_end(&mut bytes).context(Kind::Input, what)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(Error::new(Kind::Input, format!("{}: more than {MAX_FILE} bytes", what())));
    }
    Ok(bytes)
}
