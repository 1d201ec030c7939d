//! Reads, compares and replaces configuration files. Each file is replaced in one step.

use crate::error::{Context, Error, Kind, Result};
use crate::sys::file::{read_text, replace, shown};
use crate::sys::site::whose;
use std::fs::{self, OpenOptions, Permissions};
use std::io::{ErrorKind, Write};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};

/// The largest configuration file that is read, in bytes.
const MAX: u64 = 1 << 20;

/// The change of one file.
#[derive(Debug)]
pub(crate) struct FileChange {
    /// The path that the engine uses. A symbolic link at this path stays one.
    pub(crate) path: PathBuf,
    /// The current content; `None` if the file does not exist.
    pub(crate) before: Option<String>,
    /// The wanted content; `None` removes the file.
    pub(crate) after: Option<String>,
    /// Description of the change, for messages.
    pub(crate) meaning: String,
    /// Whether the path is to be a symbolic link; `after` is its target then.
    pub(crate) is_link: bool,
}

/// Reads a file. Returns `None` if it does not exist.
pub(crate) fn current(path: &Path) -> Result<Option<String>> {
    match fs::symlink_metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        _ => read_text(&target(path)?, MAX, Kind::Input).map(Some),
    }
}

/// Resolves symbolic links: configuration files are often links into another directory.
fn target(path: &Path) -> Result<PathBuf> {
    fs::canonicalize(path).context(Kind::Input, || shown(path))
}

impl FileChange {
    /// The change of a file that belongs to us alone: `after` is its new content, `None` removes
    /// it.
    pub(crate) fn whole(path: PathBuf, after: Option<String>, meaning: &str) -> Result<Self> {
        let before = current(&path)?;
        Ok(Self { path, before, after, meaning: meaning.to_owned(), is_link: false })
    }

    /// A new symbolic link at `path` to the file `name` in the same directory.
    pub(crate) fn link(path: PathBuf, name: &str) -> Self {
        let meaning = format!("a link to {name}");
        Self { path, before: None, after: Some(name.to_owned()), meaning, is_link: true }
    }

    /// Whether the file changes at all.
    pub(crate) fn is_one(&self) -> bool {
        self.before != self.after
    }

    /// The word for this change in messages.
    pub(crate) fn verb(&self) -> &'static str {
        match (&self.before, &self.after) {
            (None, _) => "create",
            (_, None) => "remove",
            _ => "change",
        }
    }

    /// Carries out the change. A process that reads the file at any moment sees the old or the new
    /// content, never a part.
    pub(crate) fn carry_out(&self) -> Result<()> {
        match &self.after {
            // symlink() fails if another process created the file meanwhile.
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

/// Creates a new file with mode 0644. Fails if the file exists.
fn create(path: &Path, text: &str) -> Result<()> {
    let Some(directory) = path.parent() else {
        return Err(Error::new(Kind::Internal, "a file without a directory"));
    };
    let mut name = path.file_name().unwrap_or_default().to_owned();
    // Engines read every *.toml, *.conf and *.json file of a drop-in directory. This name has
    // another ending.
    name.push(format!(".oci-link-{}", std::process::id()));
    let temporary = path.with_file_name(name);
    let written = (|| {
        make_directories(directory)?;
        let mut file = OpenOptions::new().write(true).create_new(true).open(&temporary)?;
        file.write_all(text.as_bytes())?;
        file.set_permissions(Permissions::from_mode(0o644))?;
        file.sync_all()?;
        // Unlike rename(), link() fails if another process created the file meanwhile.
        fs::hard_link(&temporary, path)
    })();
    let _ = fs::remove_file(&temporary);
    written.context(Kind::Input, || shown(path))
}

/// Creates a directory and its parents: as root with mode 0755, because rootless engines read these
/// directories too and our umask is 0077; in the home directory of a user with mode 0700, as the XDG
/// specification wants it.
fn make_directories(directory: &Path) -> std::io::Result<()> {
    if directory.exists() {
        return Ok(());
    }
    directory.parent().map_or(Ok(()), make_directories)?;
    fs::create_dir(directory)?;
    let mode = if whose().uid().is_some() { 0o700 } else { 0o755 };
    fs::set_permissions(directory, Permissions::from_mode(mode))
}
