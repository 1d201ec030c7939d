//! `compose`: converts the links of a Compose file to our annotations.

use super::say;
use crate::cli::Compose;
use crate::compose::{ComposeOptions, convert};
use crate::error::{Context, Error, Kind, Result};
use std::io::{Read, stdin};

/// The largest Compose file that is read, in bytes. Compose itself needs longer than we do for such
/// a file.
const MAX_FILE: u64 = 1 << 20;

/// Converts standard input to standard output. There is no time limit, because a user may type the
/// input.
pub(crate) fn run(arguments: &Compose) -> Result<()> {
    let what = || "standard input";
    let mut bytes = Vec::new();
    stdin().take(MAX_FILE + 1).read_to_end(&mut bytes).context(Kind::Input, what)?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(Error::new(Kind::Input, format!("{}: more than {MAX_FILE} bytes", what())));
    }
    let text = std::str::from_utf8(&bytes).context(Kind::Input, what)?;
    let options = ComposeOptions { runtime: arguments.runtime.as_deref(), ports: arguments.ports };
    say(&convert(text, &options)?)
}
