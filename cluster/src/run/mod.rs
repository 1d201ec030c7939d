//! `oci-link-cluster run`: connects, copies in both directions, and connects again, for ever.

mod backoff;
mod desk;
mod mirror;
mod publish;

pub(crate) use desk::Desk;

use crate::config::Config;
use crate::config::endpoint::Endpoint;
use crate::error::{Error, Result};
use crate::etcd::{Client, Connection, Failure, Outcome, Tls};
use crate::incarnation::Incarnation;
use crate::log::say;
use crate::names::Place;
use crate::notify;
use crate::offers::Offers;
use crate::spool::Spool;
use backoff::Backoff;
use bytes::Bytes;
use publish::Publisher;
use std::cell::RefCell;
use std::collections::HashMap;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Notify;
use tokio::time::sleep;

/// What both directions use.
pub(crate) struct Shared {
    /// The configuration.
    pub(crate) config: Config,
    /// The copies of other hosts' records.
    pub(crate) spool: RefCell<Spool>,
    /// What is reported.
    pub(crate) desk: RefCell<Desk>,
    /// Own records that are out, and the hash of each; `None`: another content than wanted.
    pub(crate) out: RefCell<HashMap<Place, Option<u64>>>,
    /// An own record that should be out has gone.
    pub(crate) disturbed: Notify,
}

impl Shared {
    /// The key that says which machine publishes this host's name.
    pub(crate) fn presence_key(&self) -> Bytes {
        Place::presence(&self.config.name).key().into()
    }

    /// Changes what is reported, and writes it where readers look.
    pub(crate) fn report(&self, change: impl FnOnce(&mut Desk)) {
        let mut desk = self.desk.borrow_mut();
        change(&mut desk);
        let spool = self.spool.borrow();
        desk.write(&spool, self.out.borrow().len());
    }
}

/// Runs until a signal. Returns an error only if the configuration can never work, or if the spool cannot
/// be used.
pub(crate) fn run(config: Config, spool: &Path, offers: &Path) -> Result<()> {
    Tls::load(&config)?;
    let refuse = |cause: std::io::Error| Error::cluster(format!("{}: {cause}", spool.display()));
    let opened = Spool::open(spool).map_err(refuse)?;
    let incarnation = Incarnation::of(&opened, &config.name).map_err(refuse)?;
    let offers = Offers::new(&config.name, offers);
    let desk = Desk::new(&config, &opened);
    let shared = Shared {
        config,
        spool: RefCell::new(opened),
        desk: RefCell::new(desk),
        out: RefCell::default(),
        disturbed: Notify::new(),
    };
    let mut publisher = Publisher::new(&shared, offers, incarnation);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|cause| Error::cluster(cause.to_string()))?;
    runtime.block_on(async {
        let stop = |kind| signal(kind).map_err(|cause| Error::cluster(cause.to_string()));
        let mut terminated = stop(SignalKind::terminate())?;
        let mut interrupted = stop(SignalKind::interrupt())?;
        notify::tell("READY=1");
        // The copies, and the own records in etcd, stay: a restart must be seen by no container.
        tokio::select! {
            _ = terminated.recv() => {}
            _ = interrupted.recv() => {}
            () = stay_connected(&shared, &mut publisher) => {}
        }
        notify::tell("STOPPING=1");
        Ok(())
    })
}

/// Connects to one member after the other.
async fn stay_connected(shared: &Shared, publisher: &mut Publisher) {
    let endpoints = shared.config.endpoints.clone();
    let mut backoff = Backoff::new(endpoints.len());
    loop {
        let endpoint = &endpoints[backoff.member()];
        let proofs = shared.desk.borrow().proofs();
        let failure = match session(shared, publisher, endpoint).await {
            Ok(never) => match never {},
            Err(failure) => failure,
        };
        if shared.desk.borrow().proofs() > proofs {
            backoff.reset();
        }
        shared.report(|desk| desk.connection_lost(endpoint, &failure));
        sleep(backoff.next()).await;
    }
}

/// Works with one member until that fails.
async fn session(
    shared: &Shared,
    publisher: &mut Publisher,
    endpoint: &Endpoint,
) -> Outcome<std::convert::Infallible> {
    let tls = Tls::load(&shared.config).map_err(|error| Failure::lost(error.to_string()))?;
    let connected = Connection::open(endpoint, tls.settings).await;
    let has_ended = unix_time() > tls.certificate.not_after;
    shared.desk.borrow_mut().certificate_ends(tls.certificate.not_after);
    let mut connection = connected.map_err(|failure| explained(shared, failure, has_ended))?;
    let client = Client::new(connection.channel.clone());
    // With TLS 1.3 a member refuses a certificate after the handshake, at the first call.
    let version =
        client.version().await.map_err(|failure| explained(shared, failure, has_ended))?;
    shared.desk.borrow_mut().connected(endpoint, version);
    Err(tokio::select! {
        failure = mirror::run(shared, &client) => failure,
        failure = publisher.run(shared, &client) => failure,
        failure = connection.lost() => failure,
    })
}

/// A failed handshake says little of its reason if that is the time of the certificate.
fn explained(shared: &Shared, failure: Failure, has_ended: bool) -> Failure {
    if has_ended {
        Failure::lost(format!("{}: the certificate has ended", shared.config.cert.display()))
    } else {
        failure
    }
}

/// The time of this host's clock, which only certificates are compared with.
pub(crate) fn unix_time() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| i64::try_from(now.as_secs()).unwrap_or(i64::MAX))
}

/// Milliseconds of a duration.
pub(crate) fn milliseconds(time: std::time::Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Logs a line when what it says begins.
pub(crate) fn say_once(before: &mut Option<String>, now: Option<&str>) {
    if before.as_deref() != now {
        match now {
            Some(problem) => say(problem),
            None => say("connected, and the copies are complete"),
        }
        *before = now.map(ToOwned::to_owned);
    }
}
