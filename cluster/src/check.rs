//! `oci-link-cluster check`: whether this host can take part; changes nothing.

use crate::clock::boottime_ms;
use crate::config::Config;
use crate::error::{Error, Result, one_line};
use crate::etcd::{Client, Connection, Outcome, RangeRequest, Tls};
use crate::incarnation::Incarnation;
use crate::names::{PREFIX, Place, end_of};
use crate::print;
use crate::run::unix_time;
use crate::spool::Seen;
use std::fs;
use std::path::Path;

/// A certificate that ends sooner than this is warned of.
const SOON: i64 = 14 * 86_400;
/// The oldest etcd that keeps one host from another's leases.
const OLDEST: (u32, u32) = (3, 5);

/// What is printed, and how many faults were found.
struct Checks {
    faults: usize,
    first: String,
}

/// Checks and prints a line for each check. An error names the first fault.
pub(crate) fn run(config: &Config, spool: &Path, offers: &Path) -> Result<()> {
    let tls = Tls::load(config)?;
    let mut checks = Checks { faults: 0, first: String::new() };
    ok(&format!("{}: host {}", config.file.display(), config.name));
    certificate(config, &tls)?;
    checks.directories(config, spool, offers);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|cause| Error::cluster(cause.to_string()))?;
    runtime.block_on(checks.cluster(config, &tls, spool));
    match checks.faults {
        0 => Ok(()),
        1 => Err(Error::cluster(checks.first)),
        more => Err(Error::cluster(format!("{} ({more} faults)", checks.first))),
    }
}

impl Checks {
    fn fault(&mut self, text: &str) {
        print(&format!("fault    {}\n", one_line(text)));
        if self.faults == 0 {
            text.clone_into(&mut self.first);
        }
        self.faults += 1;
    }

    /// The spool and `offers`, and how old the copies are.
    fn directories(&mut self, config: &Config, spool: &Path, offers: &Path) {
        match Seen::read(spool) {
            Err(cause) => self.fault(&format!("{}: {cause}", spool.display())),
            Ok(seen) => {
                let fresh = seen.view.and_then(|view| view.fresh_ms);
                let age = fresh.and_then(|at| boottime_ms().checked_sub(at));
                let age = age.map_or("never fresh".to_owned(), |ms| format!("age {ms} ms"));
                let runs = if seen.runs { "runs" } else { "does not run" };
                ok(&format!("{}: {age}; oci-link-cluster {runs}", spool.display()));
            }
        }
        match fs::read_dir(offers) {
            Ok(_) => ok(&format!("{}: readable", offers.display())),
            Err(cause) => {
                warn(&format!(
                    "{}: {cause}; nothing of {} is published",
                    offers.display(),
                    config.name
                ));
            }
        }
    }

    async fn cluster(&mut self, config: &Config, tls: &Tls, spool: &Path) {
        let mut usable = None;
        for endpoint in &config.endpoints {
            let attempt = async {
                let connection = Connection::open(endpoint, tls.settings.clone()).await?;
                let client = Client::new(connection.channel.clone());
                let version = client.version().await?;
                Outcome::Ok((connection, client, version))
            };
            match attempt.await {
                Err(failure) => self.fault(&format!("{endpoint}: {failure}")),
                Ok((connection, client, version)) => {
                    match version {
                        None => warn(&format!("{endpoint}: does not tell its version; want 3.5")),
                        Some(version) if is_too_old(&version) => {
                            self.fault(&format!("{endpoint}: etcd {version}, want 3.5 or newer"));
                        }
                        Some(version) => ok(&format!("{endpoint}: etcd {version}")),
                    }
                    usable = Some((connection, client));
                }
            }
        }
        if let Some((_connection, client)) = usable {
            self.permissions(config, &client).await;
            self.clone_of(config, &client, spool).await;
        }
    }

    /// What the certificate's role allows, and whether the store takes anything.
    async fn permissions(&mut self, config: &Config, client: &Client) {
        if let Ok(Some(alarm)) = client.alarm().await {
            self.fault(&format!("alarm: {alarm}"));
        }
        let read = RangeRequest {
            key: PREFIX.into(),
            range_end: end_of(PREFIX).into(),
            limit: 1,
            keys_only: true,
            ..RangeRequest::default()
        };
        match client.range(&read).await {
            Ok(_) => ok(&format!("may read {PREFIX}")),
            Err(failure) => self.fault(&format!("may not read {PREFIX}: {failure}")),
        }
        let own = format!("{PREFIX}{}/", config.name);
        let mut denied = None;
        for key in ["self", "offer/0", "want/0"] {
            denied = denied.or(client.may_write(format!("{own}{key}").into()).await.err());
        }
        match denied {
            None => ok(&format!("may write {own}")),
            Some(failure) => self.fault(&format!("may not write {own}: {failure}")),
        }
        // No host can have this name.
        let other = format!("{PREFIX}-/self");
        if client.may_write(other.into()).await.is_ok() {
            warn(&format!(
                "may write the records of other hosts too: \
                 give {} a role for {own}, and turn authentication on",
                config.name
            ));
        }
    }

    /// Whether another machine publishes this host's name.
    async fn clone_of(&mut self, config: &Config, client: &Client, spool: &Path) {
        let key = Place::presence(&config.name).key();
        // A failure has been printed already.
        let Ok((_, holder)) = client.get(key.into()).await else { return };
        let kept = Seen::read(spool).ok().and_then(|seen| seen.incarnation);
        let kept = kept.and_then(|bytes| Incarnation::parse(&bytes, &config.name));
        let mine = kept.map(|kept| kept.presence());
        match holder {
            None => ok(&format!("no machine publishes {}", config.name)),
            Some(holder) if mine.as_deref().map(str::as_bytes) == Some(&holder.value[..]) => {
                ok(&format!("this machine publishes {}", config.name));
            }
            Some(_) => {
                self.fault(&format!("host name {:?} is published by another machine", config.name));
            }
        }
    }
}

/// The name and the times of the certificate.
fn certificate(config: &Config, tls: &Tls) -> Result<()> {
    let (now, path) = (unix_time(), config.cert.display());
    let certificate = &tls.certificate;
    if now > certificate.not_after {
        return Err(Error::config(format!("{path}: the certificate has ended")));
    }
    if now < certificate.not_before {
        return Err(Error::config(format!("{path}: the certificate has not begun")));
    }
    let days = (certificate.not_after - now) / 86_400;
    let text = format!("{path}: CN {}, ends in {days} days", certificate.common_name);
    if certificate.not_after - now < SOON {
        warn(&text);
    } else {
        ok(&text);
    }
    Ok(())
}

fn ok(text: &str) {
    print(&format!("ok       {}\n", one_line(text)));
}

fn warn(text: &str) {
    print(&format!("warning  {}\n", one_line(text)));
}

fn is_too_old(version: &str) -> bool {
    let mut numbers = version.split('.').map_while(|number| number.parse::<u32>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) => (major, minor) < OLDEST,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for version in ["3.5.30", "3.6.0-rc.1", "4.0", "3.10.1"] {
            assert!(!is_too_old(version), "{version}");
        }
        for version in ["3.4.23", "2.3.8", "3", "", "x.y", "3.x"] {
            assert!(is_too_old(version), "{version}");
        }
    }
}
