//! `connect` and `disconnect`: change the links of running containers.

use crate::cli::{Connect, Disconnect};
use crate::error::Result;
use crate::host::Host;
use crate::lifecycle::{connect, remote};
use crate::model::Alias;

/// Adds a link to a running container.
pub(crate) fn run(host: &Host, arguments: &Connect) -> Result<()> {
    let recipient = remote::named(host, &arguments.recipient)?;
    connect::connect(host, &recipient, remote::link(host, &arguments.link)?)
}

/// Removes a link of a running container, by its alias.
pub(crate) fn end(host: &Host, arguments: &Disconnect) -> Result<()> {
    let recipient = remote::named(host, &arguments.recipient)?;
    connect::disconnect(host, &recipient, &Alias::new(&arguments.alias)?)
}
