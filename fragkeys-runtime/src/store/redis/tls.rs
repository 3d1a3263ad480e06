//! TLS to a server, by rustls with ring.
//!
//! The driver's own TLS was refused: it takes whichever cryptography the process has installed,
//! and panics where there is none or more than one; and it reads the system's authorities anew
//! at each connection, even where they are not wanted.

use std::error::Error as _;
use std::io;
use std::sync::Arc;

use redis::RedisError;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::{self, AlertDescription, CertificateError, ClientConfig, RootCertStore};

use crate::error::{Error, ErrorKind};
use crate::tls::{ClientCertificate, Pem, Tls};

/// Makes connections with TLS.
#[derive(Clone)]
pub(super) struct Dialler {
    tls: Arc<Tls>,
    /// The system's authorities, where no others are given.
    system: Option<Arc<RootCertStore>>,
}

impl Dialler {
    /// Reads all that the settings name, so that a mistake in them is found at once.
    pub(super) fn open(tls: Tls) -> Result<Self, Error> {
        let system = if tls.authorities.is_empty() { Some(system_authorities()?) } else { None };
        let dialler = Dialler { tls: Arc::new(tls), system };
        dialler.config()?;
        Ok(dialler)
    }

    /// The settings as they are now: files may have been renewed.
    fn config(&self) -> Result<ClientConfig, Error> {
        let authorities = match &self.system {
            Some(system) => system.clone(),
            None => Arc::new(own_authorities(&self.tls.authorities)?),
        };
        let provider = Arc::new(default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|_| unusable("TLS cannot be set up with these settings"))?
            .with_root_certificates(authorities);
        match &self.tls.client {
            None => Ok(config.with_no_client_auth()),
            Some(client) => {
                let (chain, key) = read_client(client)?;
                config.with_client_auth_cert(chain, key).map_err(|_| {
                    unusable("the client's private key does not belong to its certificate, or is of a kind that is not supported")
                })
            }
        }
    }

    pub(super) async fn connect(&self, host: &str, port: u16) -> io::Result<TlsStream<TcpStream>> {
        let config = self.config().map_err(io::Error::other)?;
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let stream = TcpStream::connect((host, port)).await?;
        stream.set_nodelay(true)?;
        TlsConnector::from(Arc::new(config)).connect(name, stream).await
    }

    /// What to do about a connection that failed, where that is about TLS.
    pub(super) fn advice(&self, error: &RedisError) -> Option<String> {
        let cause = error.source()?.downcast_ref::<Arc<dyn std::error::Error + Send + Sync>>()?;
        let error = cause.downcast_ref::<io::Error>()?;
        match error.get_ref().and_then(|cause| cause.downcast_ref::<rustls::Error>()) {
            Some(rustls::Error::InvalidCertificate(flaw)) => Some(of_certificate(flaw)),
            Some(rustls::Error::AlertReceived(alert)) => Some(self.of_alert(*alert)),
            Some(rustls::Error::InvalidMessage(_)) => Some(
                "it does not speak TLS at this port: use `redis://`, or the port of `tls-port`"
                    .to_owned(),
            ),
            Some(other) => Some(other.to_string()),
            // One that waits for a line of its own protocol says nothing.
            None if error.kind() == io::ErrorKind::TimedOut => Some(
                "it did not answer in time: if it does not speak TLS at this port, use `redis://`, \
                 or the port of `tls-port`"
                    .to_owned(),
            ),
            // Its alert can be lost with the connection.
            None if self.tls.client.is_none() && is_cut(error) => Some(format!(
                "{error}; perhaps it wants a client certificate, see `Tls::client_cert_file`"
            )),
            None => None,
        }
    }

    fn of_alert(&self, alert: AlertDescription) -> String {
        let is_about_client = matches!(
            alert,
            AlertDescription::CertificateRequired
                | AlertDescription::BadCertificate
                | AlertDescription::UnsupportedCertificate
                | AlertDescription::CertificateRevoked
                | AlertDescription::CertificateExpired
                | AlertDescription::CertificateUnknown
                | AlertDescription::UnknownCA
                | AlertDescription::HandshakeFailure
                | AlertDescription::AccessDenied
        );
        match (is_about_client, &self.tls.client) {
            (true, None) => {
                "it wants a client certificate: give one with `Tls::client_cert_file`".to_owned()
            }
            (true, Some(_)) => {
                format!("it does not accept the client certificate ({alert:?})")
            }
            (false, _) => format!("it refused TLS ({alert:?})"),
        }
    }
}

fn of_certificate(flaw: &CertificateError) -> String {
    match flaw {
        // The second where an authority of the same name is trusted.
        CertificateError::UnknownIssuer | CertificateError::BadSignature => {
            "its certificate is signed by no authority that is trusted here: give its own with `Tls::ca_file`".to_owned()
        }
        CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
            "its certificate has expired: renew it".to_owned()
        }
        CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => {
            "its certificate is not valid yet: check the clocks".to_owned()
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            "its certificate is for another host name: connect by a name that it lists".to_owned()
        }
        other => format!("its certificate cannot be verified: {other}"),
    }
}

fn is_cut(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

fn system_authorities() -> Result<Arc<RootCertStore>, Error> {
    let found = rustls_native_certs::load_native_certs();
    let mut authorities = RootCertStore::empty();
    // Some systems have certificates among them that nobody can read.
    authorities.add_parsable_certificates(found.certs);
    if authorities.is_empty() {
        return Err(unusable(
            "this system has no authorities to trust: install its `ca-certificates`, or give one with `Tls::ca_file`",
        ));
    }
    Ok(Arc::new(authorities))
}

fn own_authorities(given: &[Pem]) -> Result<RootCertStore, Error> {
    let mut authorities = RootCertStore::empty();
    for pem in given {
        for certificate in read_certificates(pem, "an authority")? {
            authorities.add(certificate).map_err(|_| {
                unusable(format!("{pem:?} holds something else than an authority's certificate"))
            })?;
        }
    }
    Ok(authorities)
}

fn read_client(
    client: &ClientCertificate,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), Error> {
    let chain = read_certificates(&client.chain, "the client's certificate")?;
    let key = PrivateKeyDer::from_pem_slice(&read(&client.key)?).map_err(|_| {
        unusable(format!(
            "no private key could be read from {:?}: it must be PEM, and not encrypted",
            client.key
        ))
    })?;
    Ok((chain, key))
}

fn read_certificates(pem: &Pem, whose: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(pem)?).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        _ => Err(unusable(format!("{whose} could not be read from {pem:?}: it must be PEM"))),
    }
}

fn read(pem: &Pem) -> Result<Vec<u8>, Error> {
    match pem {
        Pem::Text(text) => Ok(text.clone()),
        Pem::File(path) => std::fs::read(path)
            .map_err(|error| unusable(format!("{} cannot be read: {error}", path.display()))),
    }
}

fn unusable(message: impl Into<std::borrow::Cow<'static, str>>) -> Error {
    Error::new(ErrorKind::Config, message)
}
