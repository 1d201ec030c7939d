//! `watch`: sees to the links of this host until it is told to end.

use crate::config::{Config, Overrides};
use crate::error::Result;
use crate::host::Host;
use crate::sys::daemon::service::Manager;
use crate::watch::{self, Ended};

/// What was said on the command line holds whatever config.toml says later.
pub(crate) fn run(host: Host, overrides: &Overrides) -> Result<()> {
    let manager = Manager::find();
    let mut host = host;
    while watch::run(&host, &manager)? == Ended::ToBeginAnew {
        let config = Config::load(overrides.clone()).unwrap_or_else(|error| {
            log::error!("config.toml is not used, the previous settings stay: {error}");
            host.config.clone()
        });
        host = Host::open(config)?;
    }
    Ok(())
}
