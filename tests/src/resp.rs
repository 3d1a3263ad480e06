//! A minimal blocking RESP2 client, independent of the client under test.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// Long enough for a busy machine, short enough that a paused server fails a
/// test instead of hanging it.
const IO_TIMEOUT: Duration = Duration::from_secs(10);

/// What a server answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A status such as `OK`.
    Simple(String),
    /// An error, with its code.
    Error(String),
    /// An integer.
    Int(i64),
    /// A byte string, or nil.
    Bulk(Option<Vec<u8>>),
    /// A list, or nil.
    Array(Option<Vec<Reply>>),
}

impl Reply {
    /// The reply as plain text: `(nil)` for nil, the elements of a list on
    /// lines of their own.
    #[must_use]
    pub fn to_text(&self) -> String {
        match self {
            Self::Simple(text) => text.clone(),
            Self::Error(text) => format!("(error) {text}"),
            Self::Int(number) => number.to_string(),
            Self::Bulk(Some(bytes)) => String::from_utf8_lossy(bytes).into_owned(),
            Self::Array(Some(replies)) => {
                replies.iter().map(Self::to_text).collect::<Vec<_>>().join("\n")
            }
            Self::Bulk(None) | Self::Array(None) => "(nil)".to_owned(),
        }
    }
}

/// One connection to a server.
#[derive(Debug)]
pub struct RespClient {
    stream: BufReader<TcpStream>,
}

impl RespClient {
    /// Connects to a port of 127.0.0.1.
    ///
    /// # Errors
    ///
    /// When nothing listens there, or not in time.
    pub fn connect(port: u16) -> io::Result<Self> {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let stream = TcpStream::connect_timeout(&address, IO_TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(IO_TIMEOUT))?;
        let client = Self { stream: BufReader::new(stream) };
        client.set_read_timeout(IO_TIMEOUT)?;
        Ok(client)
    }

    /// Changes how long [`Self::command`] waits for a reply; 10 seconds unless
    /// told.
    ///
    /// # Errors
    ///
    /// When the timeout is zero.
    pub fn set_read_timeout(&self, timeout: Duration) -> io::Result<()> {
        self.stream.get_ref().set_read_timeout(Some(timeout))
    }

    /// Sends one command and waits for its reply. An error the server answers
    /// with is a [`Reply::Error`].
    ///
    /// # Errors
    ///
    /// When the connection fails, times out or carries something that isn't
    /// RESP2.
    pub fn command(&mut self, args: &[&[u8]]) -> io::Result<Reply> {
        let mut request = format!("*{}\r\n", args.len()).into_bytes();
        for arg in args {
            request.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
            request.extend_from_slice(arg);
            request.extend_from_slice(b"\r\n");
        }
        self.stream.get_mut().write_all(&request)?;
        read_reply(&mut self.stream)
    }
}

fn read_reply(from: &mut impl BufRead) -> io::Result<Reply> {
    let line = read_line(from)?;
    let (kind, rest) = line.split_at_checked(1).ok_or_else(|| malformed("an empty line"))?;
    match kind {
        "+" => Ok(Reply::Simple(rest.to_owned())),
        "-" => Ok(Reply::Error(rest.to_owned())),
        ":" => rest.parse().map(Reply::Int).map_err(|_| malformed(&line)),
        "$" => read_bulk(from, rest).map(Reply::Bulk),
        "*" => {
            let Some(count) = parse_length(rest)? else { return Ok(Reply::Array(None)) };
            let replies = (0..count).map(|_| read_reply(from)).collect::<io::Result<_>>()?;
            Ok(Reply::Array(Some(replies)))
        }
        _ => Err(malformed(&line)),
    }
}

fn read_bulk(from: &mut impl BufRead, length: &str) -> io::Result<Option<Vec<u8>>> {
    let Some(length) = parse_length(length)? else { return Ok(None) };
    let mut bytes = Vec::new();
    // `take`, rather than a buffer of that size up front: a corrupt length
    // must not allocate gigabytes.
    from.take(length.saturating_add(2)).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != length.saturating_add(2) {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    if !bytes.ends_with(b"\r\n") {
        return Err(malformed("a string without its end"));
    }
    bytes.truncate(bytes.len() - 2);
    Ok(Some(bytes))
}

/// `None` for -1, which stands for nil.
fn parse_length(text: &str) -> io::Result<Option<u64>> {
    if text == "-1" {
        return Ok(None);
    }
    text.parse().map(Some).map_err(|_| malformed(text))
}

fn read_line(from: &mut impl BufRead) -> io::Result<String> {
    let mut line = Vec::new();
    from.read_until(b'\n', &mut line)?;
    if !line.ends_with(b"\n") {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    line.pop();
    if line.pop() != Some(b'\r') {
        return Err(malformed("a line without its carriage return"));
    }
    String::from_utf8(line).map_err(|_| malformed("a line that isn't UTF-8"))
}

fn malformed(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not RESP2: {what:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(bytes: &[u8]) -> io::Result<Reply> {
        read_reply(&mut &*bytes)
    }

    #[test]
    fn reads_every_kind() {
        assert_eq!(parse(b"+OK\r\n").unwrap(), Reply::Simple("OK".into()));
        assert_eq!(parse(b"-ERR no\r\n").unwrap(), Reply::Error("ERR no".into()));
        assert_eq!(parse(b":-7\r\n").unwrap(), Reply::Int(-7));
        assert_eq!(parse(b"$4\r\na\r\nb\r\n").unwrap(), Reply::Bulk(Some(b"a\r\nb".to_vec())));
        assert_eq!(parse(b"$0\r\n\r\n").unwrap(), Reply::Bulk(Some(Vec::new())));
        assert_eq!(parse(b"$-1\r\n").unwrap(), Reply::Bulk(None));
        assert_eq!(parse(b"*-1\r\n").unwrap(), Reply::Array(None));
        let nested = Reply::Array(Some(vec![Reply::Int(1), Reply::Array(Some(Vec::new()))]));
        assert_eq!(parse(b"*2\r\n:1\r\n*0\r\n").unwrap(), nested);
    }

    #[test]
    fn refuses_what_is_not_resp() {
        let bad: [&[u8]; 8] =
            [b"", b"\r\n", b"+OK", b"+OK\n", b"?\r\n", b":x\r\n", b"$-2\r\n", b"$2\r\nabcd"];
        for bytes in bad {
            assert!(parse(bytes).is_err(), "{bytes:?}");
        }
        assert!(parse(b"$18446744073709551615\r\nab\r\n").is_err());
    }
}
