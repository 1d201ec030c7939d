//! Surroundings of tests: values in place of a client, an environment and files.

use super::Surroundings;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Help texts in the form of the clients, shortened.
pub(crate) const DOCKER_28: &str = "\
Options:
      --add-host list       Add a custom host-to-IP mapping
      --annotation map      Add an annotation to the container
  -d, --detach              Run container in background
      --link list           Add link to another container
      --new-flag            A later docker has it
      --new-value string    A later docker has it
  -x, --new-letter string   A later docker has it
      --runtime string      Runtime to use for this container
";
pub(crate) const DOCKER_20: &str = "\
Options:
      --link list        Add link to another container
      --runtime string   Runtime to use for this container
";
pub(crate) const PODMAN: &str = "\
Options:
      --annotation strings   Add annotations to container (key=value)
  -d, --detach               Run container in background
      --new-flag             A later podman has it
      --new-value string     A later podman has it
";

/// What a test says that there is.
#[derive(Debug, Default)]
pub(crate) struct Told {
    /// What the client prints; `None` if it fails.
    pub(crate) help: Option<&'static str>,
    pub(crate) variables: BTreeMap<&'static str, &'static str>,
    pub(crate) files: BTreeMap<&'static str, &'static str>,
    /// What the client was asked.
    pub(crate) asked: RefCell<Vec<Vec<OsString>>>,
}

impl Told {
    pub(crate) fn with_help(help: &'static str) -> Self {
        Self { help: Some(help), ..Self::default() }
    }
}

impl Surroundings for Told {
    fn output(&self, arguments: &[OsString]) -> Option<String> {
        self.asked.borrow_mut().push(arguments.to_vec());
        self.help.map(str::to_owned)
    }

    fn variable(&self, name: &str) -> Option<OsString> {
        self.variables.get(name).map(OsString::from)
    }

    fn read(&self, path: &Path) -> Option<Vec<u8>> {
        self.files.get(path.to_str()?).map(|text| text.as_bytes().to_vec())
    }

    fn entries(&self, directory: &Path) -> Vec<PathBuf> {
        let inside = self.files.keys().map(Path::new).filter(|path| path.starts_with(directory));
        let names = inside.filter_map(|path| path.strip_prefix(directory).ok()?.iter().next());
        names.map(|name| directory.join(name)).collect()
    }
}
