//! `connect` and `disconnect`: links of containers that run.

use crate::cli::{Connect, Disconnect};
use crate::error::Result;
use crate::host::Host;
use crate::lifecycle::connect;
use crate::model::{Alias, Link, Reference};

/// Makes one.
pub(crate) fn run(host: &Host, arguments: &Connect) -> Result<()> {
    let recipient = Reference::new(&arguments.recipient)?;
    connect::connect(host, &recipient, Link::parse(&arguments.link)?)
}

/// Ends one.
pub(crate) fn end(host: &Host, arguments: &Disconnect) -> Result<()> {
    let recipient = Reference::new(&arguments.recipient)?;
    connect::disconnect(host, &recipient, &Alias::new(&arguments.alias)?)
}
