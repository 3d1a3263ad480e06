//! In place of TLS, where the feature `tls` is off: nobody has a [`Dialler`].

use std::io;

use redis::RedisError;
use tokio::net::TcpStream;

use crate::error::{Error, ErrorKind};
use crate::tls::Tls;

#[derive(Clone)]
pub(super) enum Dialler {}

impl Dialler {
    pub(super) fn open(_: Tls) -> Result<Self, Error> {
        let message = "`rediss://` needs TLS: turn on fragkeys' feature `tls`";
        Err(Error::new(ErrorKind::Config, message))
    }

    pub(super) async fn connect(&self, _: &str, _: u16) -> io::Result<TcpStream> {
        match *self {}
    }

    pub(super) fn advice(&self, _: &RedisError) -> Option<String> {
        match *self {}
    }
}
