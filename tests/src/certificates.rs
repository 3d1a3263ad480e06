//! Certificates for servers and clients with TLS, of an authority of their own.

use std::fs;
use std::path::PathBuf;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};
use tempfile::TempDir;

use crate::RedisServer;

/// The option that takes the port with TLS.
pub(crate) const TLS_PORT: &str = "--tls-port";

/// An authority that nobody trusts by itself, and files of what it signed, in a temporary
/// directory.
pub struct Certificates {
    directory: TempDir,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// The files of a certificate and of its key.
#[derive(Debug, Clone)]
pub struct Signed {
    /// The certificate, as PEM.
    pub certificate: PathBuf,
    /// Its private key, as PEM.
    pub key: PathBuf,
}

/// What is wrong with a certificate of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    /// Nothing: it is for `127.0.0.1` and `localhost`.
    None,
    /// It is for `elsewhere.example` alone.
    OtherName,
    /// Its time is over.
    Expired,
}

impl Certificates {
    /// A new authority, with a key of its own.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.distinguished_name.push(DnType::CommonName, "fragkeys tests");
        let key = KeyPair::generate().expect("a key");
        let issuer = CertifiedIssuer::self_signed(params, key).expect("an authority");
        let directory = tempfile::tempdir().expect("a temporary directory");
        let certificates = Self { directory, issuer };
        fs::write(certificates.ca_file(), certificates.ca_pem()).expect("write a certificate");
        certificates
    }

    /// The authority's certificate, as PEM.
    #[must_use]
    pub fn ca_pem(&self) -> String {
        self.issuer.pem()
    }

    /// The file of [`Self::ca_pem`].
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// A certificate for a server.
    #[must_use]
    pub fn server(&self, flaw: Flaw) -> Signed {
        let names = match flaw {
            Flaw::OtherName => vec!["elsewhere.example".to_owned()],
            Flaw::None | Flaw::Expired => vec!["127.0.0.1".to_owned(), "localhost".to_owned()],
        };
        let mut params = CertificateParams::new(names).expect("names of a server");
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        if flaw == Flaw::Expired {
            params.not_before = date_time_ymd(2001, 1, 1);
            params.not_after = date_time_ymd(2002, 1, 1);
        }
        self.sign("server", &params)
    }

    /// A certificate for a client.
    #[must_use]
    pub fn client(&self) -> Signed {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "a client");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign("client", &params)
    }

    /// What makes a server speak TLS, but for the port.
    pub(crate) fn tls_args(&self, server: &Signed, needs_client: bool) -> Vec<String> {
        let needs_client = if needs_client { "yes" } else { "no" };
        [
            ("--tls-cert-file", server.certificate.display().to_string()),
            ("--tls-key-file", server.key.display().to_string()),
            ("--tls-ca-cert-file", self.ca_file().display().to_string()),
            ("--tls-auth-clients", needs_client.to_owned()),
        ]
        .into_iter()
        .flat_map(|(option, value)| [option.to_owned(), value])
        .collect()
    }

    fn sign(&self, name: &str, params: &CertificateParams) -> Signed {
        let key_pair = KeyPair::generate().expect("a key");
        let signed = params.signed_by(&key_pair, &self.issuer).expect("a signed certificate");
        let folder = tempfile::Builder::new().prefix(name).tempdir_in(self.directory.path());
        // Goes with the directory around it.
        let folder = folder.expect("a temporary directory").keep();
        let (certificate, key) = (folder.join("certificate.pem"), folder.join("key.pem"));
        fs::write(&certificate, signed.pem()).expect("write a certificate");
        fs::write(&key, key_pair.serialize_pem()).expect("write a key");
        Signed { certificate, key }
    }
}

impl Default for Certificates {
    fn default() -> Self {
        Self::new()
    }
}

impl std::fmt::Debug for Certificates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Certificates").field("directory", &self.directory).finish_non_exhaustive()
    }
}

impl RedisServer {
    /// [`Self::start_with`] on one more port, where it speaks TLS. The methods of this type go on
    /// speaking to the other one. `needs_client` is whether it wants a client's certificate.
    ///
    /// # Panics
    ///
    /// As [`Self::start`].
    #[must_use]
    pub fn start_tls(
        authority: &Certificates,
        server: &Signed,
        needs_client: bool,
        args: &[&str],
    ) -> Self {
        let tls_args = authority.tls_args(server, needs_client);
        let args: Vec<&str> =
            tls_args.iter().map(String::as_str).chain(args.iter().copied()).collect();
        Self::begin(None, &[TLS_PORT], &args)
    }

    /// `rediss://127.0.0.1:PORT/`, of a server that was started with TLS.
    #[must_use]
    pub fn tls_url(&self) -> String {
        format!("rediss://127.0.0.1:{}/", self.tls_port())
    }

    /// The port with TLS, of a server that was started with TLS.
    #[must_use]
    pub fn tls_port(&self) -> u16 {
        self.other_port(TLS_PORT).expect("a server with TLS")
    }
}
