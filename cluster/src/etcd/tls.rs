//! What TLS needs: the certificates and the key of config.toml.

use crate::certificate::Certificate;
use crate::config::Config;
use crate::error::{Error, Result};
use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::rustls::client::Resumption;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

/// Upper bound for the size of a file with certificates or a key.
const MAX_FILE: u64 = 1 << 20;

/// TLS settings, and what this host's certificate says.
pub(crate) struct Tls {
    /// The settings.
    pub(crate) settings: Arc<ClientConfig>,
    /// The certificate of this host.
    pub(crate) certificate: Certificate,
}

impl Tls {
    /// Reads the files that `config` names. They are read for each connection, so that renewed ones count.
    ///
    /// An error says what can never work: a file that is missing, a key that others can read or that
    /// belongs to another certificate, a certificate with another name than this host's.
    pub(crate) fn load(config: &Config) -> Result<Self> {
        let authorities = certificates(&config.ca)?;
        let chain = certificates(&config.cert)?;
        let key = PrivateKeyDer::from_pem_slice(&read(&config.key, true)?)
            .map_err(|_| refuse(&config.key, "has no private key in PEM"))?;
        let certificate = Certificate::parse(chain[0].as_ref())
            .map_err(|why| refuse(&config.cert, &format!("is no certificate: {why}")))?;
        if certificate.common_name != config.name {
            let why = format!(
                "is for {:?} (CN), but cluster.name is {:?}",
                certificate.common_name, config.name
            );
            return Err(refuse(&config.cert, &why));
        }
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(authority).map_err(|error| refuse(&config.ca, &error.to_string()))?;
        }
        let mut settings = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::config(error.to_string()))?
            .with_root_certificates(roots)
            .with_client_auth_cert(chain, key)
            .map_err(|error| {
                refuse(&config.key, &format!("does not fit the certificate: {error}"))
            })?;
        settings.alpn_protocols = vec![b"h2".to_vec()];
        // A resumed session would go on with a certificate that has been replaced or has ended.
        settings.resumption = Resumption::disabled();
        Ok(Self { settings: Arc::new(settings), certificate })
    }
}

fn refuse(path: &Path, why: &str) -> Error {
    Error::config(format!("{}: {why}", path.display()))
}

/// The certificates of a PEM file, at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let all: std::result::Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(&read(path, false)?).collect();
    match all {
        Ok(all) if !all.is_empty() => Ok(all),
        _ => Err(refuse(path, "has no certificate in PEM")),
    }
}

/// Reads a file. A secret one must not be accessible to others than its owner and group.
fn read(path: &Path, secret: bool) -> Result<Vec<u8>> {
    let fail = |cause: std::io::Error| refuse(path, &cause.to_string());
    let file = File::open(path).map_err(fail)?;
    let about = file.metadata().map_err(fail)?;
    if !about.is_file() || about.len() > MAX_FILE {
        return Err(refuse(path, "is no file of at most 1 MiB"));
    }
    let mode = about.permissions().mode() & 0o777;
    if secret && mode & 0o007 != 0 {
        let why = format!("has mode {mode:04o}: others can read the key; want 0640 or 0600");
        return Err(refuse(path, &why));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut bytes).map_err(fail)?;
    Ok(bytes)
}
