//! What TLS trusts, and how we show who we are: settings, read when they are used.

use std::fmt;
use std::path::PathBuf;

/// How to trust a Redis server that is spoken to by TLS, and to show it who we are.
///
/// Without any of it, for `rediss://` alone, the server's certificate must be signed by an
/// authority that this system trusts (`SSL_CERT_FILE` and `SSL_CERT_DIR` are respected), and no
/// client certificate is shown. The server is always verified, its name included: there is no
/// way to turn that off.
///
/// Files are read when the cache is built, and again at each connection, so that certificates
/// can be renewed. Keys are never printed.
///
/// ```
/// # use fragkeys_runtime::{Config, Tls};
/// let config = Config::redis("rediss://redis.internal:6380")
///     .tls(Tls::new().ca_file("/etc/redis/ca.pem").client_cert_file("client.pem", "client.key"));
/// ```
#[derive(Clone, Default)]
#[must_use = "settings do nothing until `Config::tls` has them"]
pub struct Tls {
    pub(crate) authorities: Vec<Pem>,
    pub(crate) client: Option<ClientCertificate>,
}

/// Where text in the PEM format is.
#[derive(Clone)]
pub(crate) enum Pem {
    Text(Vec<u8>),
    File(PathBuf),
}

#[derive(Clone)]
pub(crate) struct ClientCertificate {
    pub(crate) chain: Pem,
    pub(crate) key: Pem,
}

impl Tls {
    /// The system's authorities, and no client certificate.
    pub fn new() -> Self {
        Tls::default()
    }

    /// Trusts this authority, given as PEM, instead of those of the system. Several are
    /// possible, in one text or by several calls.
    pub fn ca_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.authorities.push(Pem::Text(pem.into()));
        self
    }

    /// As [`ca_pem`](Self::ca_pem), from a file.
    pub fn ca_file(mut self, path: impl Into<PathBuf>) -> Self {
        self.authorities.push(Pem::File(path.into()));
        self
    }

    /// Shows this certificate to the server: a certificate with the chain that leads to its
    /// authority, and its private key, both as PEM. Default: none.
    pub fn client_cert_pem(
        mut self,
        certificate: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        let (chain, key) = (Pem::Text(certificate.into()), Pem::Text(key.into()));
        self.client = Some(ClientCertificate { chain, key });
        self
    }

    /// As [`client_cert_pem`](Self::client_cert_pem), from two files.
    pub fn client_cert_file(
        mut self,
        certificate: impl Into<PathBuf>,
        key: impl Into<PathBuf>,
    ) -> Self {
        let (chain, key) = (Pem::File(certificate.into()), Pem::File(key.into()));
        self.client = Some(ClientCertificate { chain, key });
        self
    }
}

/// Paths are shown, contents are not.
impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pem::Text(_) => f.write_str("PEM"),
            Pem::File(path) => path.fmt(f),
        }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("authorities", &self.authorities)
            .field("client_certificate", &self.client.as_ref().map(|client| &client.chain))
            .finish()
    }
}
