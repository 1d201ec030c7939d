//! `watch`: runs the daemon that repairs and removes links as containers change.

use crate::cli::Watch;
use crate::config::{Config, Overrides};
use crate::error::Result;
use crate::host::Host;
use crate::sys::daemon::service::Manager;
use crate::watch::{self, Ended};

/// Runs until a stop is requested. After a reload, options of the command line still override
/// config.toml. An invalid config.toml is logged, and the previous configuration stays.
pub(crate) fn run(host: Host, overrides: &Overrides, arguments: &Watch) -> Result<()> {
    let manager = Manager::find();
    let metrics = arguments.metrics.as_deref();
    let mut host = host;
    while watch::run(&host, &manager, metrics)? == Ended::ToBeginAnew {
        let config = Config::load(overrides.clone()).unwrap_or_else(|error| {
            log::error!("config.toml is not used, the previous settings stay: {error}");
            host.config.clone()
        });
        host = Host::open(config)?;
    }
    Ok(())
}
