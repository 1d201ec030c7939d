//! Configuration files: read, compared, and replaced in one step.

use crate::error::{Context, Error, Kind, Result};
use crate::sys::file::{read_text, replace, shown};
use std::fs::{self, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// No engine's configuration is larger.
const MAX: u64 = 1 << 20;

/// What is to become of one file.
#[derive(Debug)]
pub(crate) struct FileChange {
    /// As an engine knows it; may be a symbolic link, which stays one.
    pub(crate) path: PathBuf,
    /// What it says now; none: it is not there.
    pub(crate) before: Option<String>,
    /// What it is to say; none: it is to go.
    pub(crate) after: Option<String>,
    /// What that means.
    pub(crate) meaning: String,
    /// Whether it is a symbolic link, and `after` is where it leads.
    pub(crate) is_link: bool,
}

/// What a file says; none if there is no such file.
pub(crate) fn current(path: &Path) -> Result<Option<String>> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        _ => read_text(&target(path)?, MAX, Kind::Input).map(Some),
    }
}

/// Where symbolic links lead: configuration is often kept elsewhere and linked.
fn target(path: &Path) -> Result<PathBuf> {
    fs::canonicalize(path).context(Kind::Input, || shown(path))
}

impl FileChange {
    /// A file that is all ours: says `after`, or is not there.
    pub(crate) fn whole(path: PathBuf, after: Option<String>, meaning: &str) -> Result<Self> {
        let before = current(&path)?;
        Ok(Self { path, before, after, meaning: meaning.to_owned(), is_link: false })
    }

    /// A link to the file called `name` beside it, where nothing is yet.
    pub(crate) fn link(path: PathBuf, name: &str) -> Self {
        let meaning = format!("a link to {name}");
        Self { path, before: None, after: Some(name.to_owned()), meaning, is_link: true }
    }

    /// Whether there is something to do.
    pub(crate) fn is_one(&self) -> bool {
        self.before != self.after
    }

    /// One word for it.
    pub(crate) fn verb(&self) -> &'static str {
        match (&self.before, &self.after) {
            (None, _) => "create",
            (_, None) => "remove",
            _ => "change",
        }
    }

    /// Does it. Who reads the file at any moment finds the old or the new, never a part.
    pub(crate) fn carry_out(&self) -> Result<()> {
        match &self.after {
            // This too fails if somebody else made it meanwhile.
            Some(name) if self.is_link => {
                symlink(name, &self.path).context(Kind::Input, || shown(&self.path))
            }
            Some(text) if self.before.is_some() => {
                replace(&target(&self.path)?, text.as_bytes(), Kind::Input)
            }
            Some(text) => create(&self.path, text),
            None => fs::remove_file(&self.path).context(Kind::Input, || shown(&self.path)),
        }
    }
}

fn create(path: &Path, text: &str) -> Result<()> {
    let Some(directory) = path.parent() else {
        return Err(Error::new(Kind::Internal, "a file without a directory"));
    };
    let mut name = path.file_name().unwrap_or_default().to_owned();
    // Engines read every *.toml, *.conf and *.json of a drop-in directory: this is none.
    name.push(format!(".oci-link-{}", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = (|| {
        make_directories(directory)?;
        let mut file = OpenOptions::new().write(true).create_new(true).open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.set_permissions(Permissions::from_mode(0o644))?;
        file.sync_all()?;
        // Unlike a rename, this fails if somebody else made the file meanwhile.
        fs::hard_link(&temporary, path)
    })();
    let _ = fs::remove_file(&temporary);
    written.context(Kind::Input, || shown(path))
}

/// Our umask keeps others out, but engines of users without power read these directories too.
fn make_directories(directory: &Path) -> std::io::Result<()> {
    if directory.exists() {
        return Ok(());
    }
    directory.parent().map_or(Ok(()), make_directories)?;
    fs::create_dir(directory)?;
    fs::set_permissions(directory, Permissions::from_mode(0o755))
}
