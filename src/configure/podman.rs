//! Registers the runtime with podman, in a drop-in file of containers.conf.

use super::file::FileChange;
use super::hooks::Setting;
use super::{Registering, template};
use crate::error::Result;

const DROP_IN: &str = "/etc/containers/containers.conf.d/oci-link.conf";

/// The files in which podman may set `hooks_dir`.
pub(crate) const HOOKS: Setting = Setting {
    files: &[
        "/usr/share/containers/containers.conf",
        "/etc/containers/containers.conf",
        "/etc/containers/containers.conf.d/",
    ],
    table: &["engine"],
};

pub(crate) fn plan(request: &Registering) -> Result<Vec<FileChange>> {
    let text = template::runtime(include_str!("../../hooks/podman.conf"), request)?;
    let after = (!request.remove).then_some(text);
    Ok(vec![FileChange::whole(request.at(DROP_IN), after, &request.meaning())?])
}
