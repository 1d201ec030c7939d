//! `man`: writes the manual pages. Pages of commands are generated from the definitions that
//! `--help` uses; those of files and annotations are written by hand.

use crate::cli::{Man, help};
use crate::error::{Context, Kind, Result};
use crate::sys::file::shown;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

const BY_HAND: [(&str, &str); 2] = [
    ("oci-link.toml.5", include_str!("man/oci-link.toml.5")),
    ("oci-link-annotations.7", include_str!("man/oci-link-annotations.7")),
];
/// The version in the footer of the pages.
const SOURCE: &str = concat!("oci-link ", env!("CARGO_PKG_VERSION"));
/// Text that the page of the program adds to the generated one.
const BESIDES: &str = include_str!("man/oci-link.1");

/// Writes all pages into a directory, which is created if it is missing.
pub(crate) fn run(arguments: &Man) -> Result<()> {
    let directory = &arguments.directory;
    make(directory).context(Kind::Usage, || shown(directory))?;
    for (name, page) in pages().context(Kind::Internal, || "manual pages")? {
        let path = directory.join(name);
        // Everyone must be able to read manual pages; our umask is 0077.
        let written = fs::write(&path, page)
            .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(0o644)));
        written.context(Kind::Usage, || shown(&path))?;
    }
    Ok(())
}

fn make(directory: &Path) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    fs::create_dir(directory)?;
    fs::set_permissions(directory, Permissions::from_mode(0o755))
}

/// The file names and contents of all pages.
fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut program = help::command();
    program.build();
    let mut pages = Vec::new();
    for command in program.get_subcommands().filter(|command| !command.is_hide_set()) {
        let page = clap_mangen::Man::new(command.clone()).source(SOURCE);
        let mut text = Vec::new();
        page.render(&mut text)?;
        text.extend_from_slice(b".SH SEE ALSO\n.BR oci\\-link (1)\n");
        pages.push((page.get_filename(), text));
    }
    let page = clap_mangen::Man::new(program).source(SOURCE);
    let mut text = Vec::new();
    page.render(&mut text)?;
    text.extend_from_slice(BESIDES.as_bytes());
    text.extend_from_slice(
        b".SH SEE ALSO\n.BR oci\\-link.toml (5),\n.BR oci\\-link\\-annotations (7)\n",
    );
    pages.push((page.get_filename(), text));
    pages.extend(BY_HAND.map(|(name, text)| (name.to_owned(), text.as_bytes().to_vec())));
    Ok(pages)
}
