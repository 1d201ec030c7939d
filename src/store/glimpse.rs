//! A look at one record, for a command that must not wait for anything.

use super::directory::record_path;
use crate::error::Kind;
use crate::model::ContainerId;
use crate::sys::file;
use crate::sys::private_dir::Directory;
use serde::Deserialize;
use serde::de::IgnoredAny;
use std::path::{Path, PathBuf};

/// Upper bound for the size of a record that is looked at, in bytes.
const MAX_RECORD: u64 = 32 << 20;

/// What a record says about a container with links. The names are those of `format`.
#[derive(Debug, Deserialize)]
pub(crate) struct Glimpse {
    links: Vec<IgnoredAny>,
    /// The container's bundle. Records of earlier versions have none.
    #[serde(default)]
    pub(crate) bundle: Option<PathBuf>,
}

/// Looks at the record of the container `id`. Returns `None` if it has no links, or no record that can be
/// read.
///
/// Takes no lock and creates nothing. For a container without links one file is opened.
pub(crate) fn of_linked(state_dir: &Path, id: &ContainerId) -> Option<Glimpse> {
    let path = state_dir.join("records").join(record_path(&id.key()));
    let bytes = file::read(&path, MAX_RECORD, Kind::State).ok()?;
    let glimpse: Glimpse = serde_json::from_slice(&bytes).ok()?;
    if glimpse.links.is_empty() {
        return None;
    }
    // The file counts only if no other user can have written it.
    Directory::look(state_dir).ok()?.map(|_| glimpse)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Record, sample};
    use crate::store::format;
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn only_a_container_with_links_has_one() {
        let top = Path::new("/var/lib").join(format!("oci-link-glimpse-{}", std::process::id()));
        let record = sample::record("web", "80", &["10.0.0.2/24"]);
        let linked = Record { bundle: Some("/b".into()), ..record.clone() }.linked(&["db:db"]);
        let path = top.join("records").join(record_path(&record.id.key()));
        let put = |bytes: &[u8]| {
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, bytes).unwrap();
        };
        assert!(of_linked(&top, &record.id).is_none());
        put(&format::encode(&linked).unwrap());
        fs::set_permissions(&top, Permissions::from_mode(0o700)).unwrap();
        let bundle = of_linked(&top, &record.id).and_then(|glimpse| glimpse.bundle);
        assert_eq!(bundle, Some("/b".into()));
        fs::set_permissions(&top, Permissions::from_mode(0o777)).unwrap();
        assert!(of_linked(&top, &record.id).is_none(), "other users can write there");
        fs::set_permissions(&top, Permissions::from_mode(0o700)).unwrap();
        put(&format::encode(&record).unwrap());
        assert!(of_linked(&top, &record.id).is_none());
        for broken in [&b""[..], b"{", b"[]", b"{\"links\":1}"] {
            put(broken);
            assert!(of_linked(&top, &record.id).is_none());
        }
        fs::remove_dir_all(&top).unwrap();
    }
}
