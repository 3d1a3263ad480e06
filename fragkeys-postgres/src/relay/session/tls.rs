//! With TLS or without.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio_postgres::config::SslMode;
use tokio_postgres::{Client, Config, NoTls};

use super::{Driver, Relay};
use crate::error::{Error, ErrorKind};

/// How connections are made.
pub(in crate::relay) enum Tls {
    None,
    #[cfg(feature = "tls")]
    Rustls(tokio_postgres_rustls::MakeRustlsConnect),
}

impl Tls {
    /// As `sslmode` in the URL says: with TLS where that is `require`, or where it is the default
    /// and the server can.
    #[cfg(feature = "tls")]
    pub(in crate::relay) fn of(relay: &Relay) -> Result<Self, Error> {
        use tokio_rustls::rustls;

        if relay.database.get_ssl_mode() == SslMode::Disable {
            return Ok(Tls::None);
        }
        let refused = |why: String| Error::new(ErrorKind::Config, why);
        let roots = roots(relay.authority.as_deref())?;
        // The one that was chosen at build time, and not a process's default, which nobody need have set.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| refused(format!("TLS cannot be set up: {error}")))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Tls::Rustls(tokio_postgres_rustls::MakeRustlsConnect::new(config)))
    }

    /// See above; without the feature there is none.
    #[cfg(not(feature = "tls"))]
    pub(in crate::relay) fn of(relay: &Relay) -> Result<Self, Error> {
        if relay.database.get_ssl_mode() != SslMode::Require {
            return Ok(Tls::None);
        }
        let message =
            "the database's URL asks for TLS: build `fragkeys-postgres` with the feature `tls`";
        Err(Error::new(ErrorKind::Config, message))
    }

    pub(super) async fn connect(
        &self,
        database: &Config,
        woken: &Arc<Notify>,
    ) -> Result<(Client, Driver), tokio_postgres::Error> {
        match self {
            Tls::None => {
                let (client, connection) = database.connect(NoTls).await?;
                Ok((client, Driver::start(connection, woken.clone())))
            }
            #[cfg(feature = "tls")]
            Tls::Rustls(tls) => {
                let (client, connection) = database.connect(tls.clone()).await?;
                Ok((client, Driver::start(connection, woken.clone())))
            }
        }
    }
}

#[cfg(feature = "tls")]
fn roots(authority: Option<&[u8]>) -> Result<tokio_rustls::rustls::RootCertStore, Error> {
    use tokio_rustls::rustls::RootCertStore;
    use tokio_rustls::rustls::pki_types::CertificateDer;
    use tokio_rustls::rustls::pki_types::pem::PemObject as _;

    let mut roots = RootCertStore::empty();
    let Some(pem) = authority else {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        return Ok(roots);
    };
    let refused = || Error::new(ErrorKind::Config, "the authority is no certificate in PEM");
    for certificate in CertificateDer::pem_slice_iter(pem) {
        roots.add(certificate.map_err(|_| refused())?).map_err(|_| refused())?;
    }
    if roots.is_empty() { Err(refused()) } else { Ok(roots) }
}
