//! containers/storage, where podman and CRI-O keep containers and images.
//!
//! `<graph>/<driver>-images` holds the configuration of each image. `<graph>/<driver>-containers`
//! lists the containers with the image of each.

use super::image_config::Config;
use super::known;
use crate::error::{Error, Kind, Result};
use crate::model::{ContainerId, ContainerName, PortSet, Variable};
use crate::oci::json::{self, Key};
use crate::sys::file;
use serde::Deserialize;
use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// Size limit of a container list: room for ten thousand containers of half a kilobyte.
pub(super) const MAX_LIST: u64 = 8 << 20;
/// The container lists in `<graph>/<driver>-containers`. The second has the containers that were
/// started with `--rm`.
pub(super) const LISTS: [&str; 2] = ["containers.json", "volatile-containers.json"];
/// Size limit of an image's configuration. Most of it is the image's history, or the exposed ports: each
/// is named by itself, and perhaps again in the history.
const MAX_IMAGE: u64 = 8 << 20;

/// A container's entry in the container list.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct StoredContainer {
    pub(crate) name: Option<ContainerName>,
    image: Option<ImageId>,
}

/// What an image configures for its containers.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Image {
    pub(crate) ports: PortSet,
    pub(crate) environment: Vec<Variable>,
}

/// An image id, safe as a path component: 64 lower-case hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ImageId(String);

impl ImageId {
    pub(crate) fn new(value: &str) -> Option<Self> {
        let digits = value.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        (value.len() == 64 && digits).then(|| Self(value.to_owned()))
    }
}

/// The part of a graph root that belongs to one storage driver.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct GraphRoot {
    root: PathBuf,
    driver: String,
}

impl GraphRoot {
    /// Derives the graph root from a directory in `<graph>/<driver>-containers/<id>/`, such as
    /// podman's bundles.
    pub(crate) fn of_container(directory: &Path, id: &ContainerId) -> Option<Self> {
        let mut above = directory.ancestors().skip_while(|path| !path.ends_with(id.as_str()));
        let containers = above.nth(1)?;
        let driver = containers.file_name()?.to_str()?.strip_suffix("-containers")?;
        Some(Self { root: containers.parent()?.to_path_buf(), driver: driver.to_owned() })
    }

    /// Derives the graph root from a root filesystem, `<graph>/<driver>/<layer>/merged`.
    pub(crate) fn of_rootfs(root: &Path) -> Option<Self> {
        let driver = root.parent()?.parent()?;
        let name = driver.file_name()?.to_str()?.to_owned();
        Some(Self { root: driver.parent()?.to_path_buf(), driver: name })
    }

    /// Returns the directory with the lists of containers.
    pub(crate) fn containers(&self) -> PathBuf {
        self.root.join(format!("{}-containers", self.driver))
    }

    /// Returns the list entry of container `id`. Containers started with `--rm` are in the volatile
    /// list.
    ///
    /// It is an error if neither list has the container.
    pub(crate) fn entry(&self, id: &ContainerId) -> Result<StoredContainer> {
        let containers = self.containers();
        for list in LISTS {
            let path = containers.join(list);
            if !path.exists() {
                continue;
            }
            if let Some(entry) = parse_list(&file::read(&path, MAX_LIST, Kind::Input)?, id)? {
                return Ok(entry);
            }
        }
        Err(Error::new(
            Kind::Input,
            format!("{}: does not list the container", file::shown(&containers)),
        ))
    }

    /// Returns the image of a listed container. An entry without an image is an error.
    pub(crate) fn image_of(&self, entry: &StoredContainer) -> Result<Image> {
        let none = || Error::new(Kind::Input, "containers.json: the container has no image");
        self.image(entry.image.as_ref().ok_or_else(none)?)
    }

    /// Reads the configuration of an image.
    ///
    /// An image id is the digest of the configuration, and the file's name is derived from this
    /// digest.
    pub(crate) fn image(&self, image: &ImageId) -> Result<Image> {
        let images = self.root.join(format!("{}-images", self.driver));
        let key = format!("sha256:{}", image.0);
        let blob = images.join(&image.0).join(format!("={}", base64(key.as_bytes())));
        parse_image(&file::read(&blob, MAX_IMAGE, Kind::Input)?)
    }
}

#[derive(Deserialize)]
struct Listed<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow, default)]
    names: Option<Vec<Key<'a>>>,
    #[serde(borrow, default)]
    image: Option<Cow<'a, str>>,
}

/// Reads containers.json and returns the entry of container `id`.
pub(crate) fn parse_list(text: &[u8], id: &ContainerId) -> Result<Option<StoredContainer>> {
    let all: Vec<Listed<'_>> = json::parse("containers.json", text)?;
    Ok(all.iter().find(|listed| listed.id == id.as_str()).map(|listed| StoredContainer {
        name: listed.names.iter().flatten().next().and_then(|n| known(ContainerName::new(&n.0))),
        image: listed.image.as_deref().and_then(ImageId::new),
    }))
}

/// Reads containers.json and returns the id and the names of each container.
pub(crate) fn names_in(text: &[u8]) -> Result<Vec<(String, Vec<String>)>> {
    let all: Vec<Listed<'_>> = json::parse("containers.json", text)?;
    let names = |listed: &Listed<'_>| {
        listed.names.iter().flatten().map(|name| name.0.clone().into_owned()).collect()
    };
    Ok(all.iter().map(|listed| (listed.id.clone().into_owned(), names(listed))).collect())
}

#[derive(Deserialize)]
struct ImageFile<'a> {
    #[serde(borrow, default)]
    config: Option<Config<'a>>,
}

/// Reads an image's configuration.
pub(crate) fn parse_image(text: &[u8]) -> Result<Image> {
    let file: ImageFile<'_> = json::parse("image configuration", text)?;
    let config = file.config.unwrap_or_default();
    Ok(Image { ports: config.ports(), environment: config.environment() })
}

/// Encodes as in RFC 4648, with padding. containers/storage uses it for the name of a file whose
/// key contains a colon.
pub(super) fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for digit in 0..4 {
            let value = (bits >> (18 - 6 * digit)) & 63;
            text.push(if digit > chunk.len() { '=' } else { char::from(DIGITS[value as usize]) });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_as_in_the_rfc() {
        let pairs =
            [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foobar", "Zm9vYmFy")];
        for (bytes, text) in pairs {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
    }

    #[test]
    fn an_image_id_is_no_path() {
        assert!(ImageId::new(&"0a".repeat(32)).is_some());
        for bad in ["", "../../x", &"0A".repeat(32), &"0a".repeat(33), &"/".repeat(64)] {
            assert!(ImageId::new(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn a_graph_is_told_by_its_paths() {
        let id = ContainerId::new("c1").unwrap();
        let graph = Some(GraphRoot { root: "/g/storage".into(), driver: "vfs".into() });
        let of = |path: &str| GraphRoot::of_container(Path::new(path), &id);
        assert_eq!(of("/g/storage/vfs-containers/c1/userdata"), graph);
        assert_eq!(of("/g/storage/vfs-containers/c1/userdata/hosts"), graph);
        assert_eq!(of("/g/storage/vfs-containers/c2/userdata"), None);
        assert_eq!(of("/g/storage/c1/userdata"), None);
        assert_eq!(of("/c1"), None);
        assert_eq!(GraphRoot::of_rootfs(Path::new("/g/storage/vfs/layer/merged")), graph);
        assert_eq!(GraphRoot::of_rootfs(Path::new("/rootfs")), None);
    }
}
