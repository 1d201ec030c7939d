//! Registers the runtime with CRI-O, in a drop-in file of crio.conf.

use super::file::FileChange;
use super::{Registering, template};
use crate::error::Result;

const DROP_IN: &str = "/etc/crio/crio.conf.d/50-oci-link.conf";

/// The files in which CRI-O may set `hooks_dir`. A path that ends in `/` is a directory of files.
pub(crate) const FILES: [&str; 2] = ["/etc/crio/crio.conf", "/etc/crio/crio.conf.d/"];

/// The table that contains `hooks_dir`.
pub(crate) const TABLE: &[&str] = &["crio", "runtime"];

pub(crate) fn plan(request: &Registering) -> Result<Vec<FileChange>> {
    let text = template::runtime(include_str!("../../hooks/crio.conf"), request)?;
    let after = (!request.remove).then_some(text);
    Ok(vec![FileChange::whole(request.at(DROP_IN), after, &request.meaning())?])
}
