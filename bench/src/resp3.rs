//! A connection that tracks: just enough RESP3 to ask for pushes and to see them.

use std::io;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// What the server says.
#[derive(Debug, PartialEq)]
pub enum Frame {
    /// A push: the keys that changed, none for all of them.
    Invalidation(Vec<Vec<u8>>),
    /// Anything else.
    Reply(Item),
}

#[derive(Debug, PartialEq)]
pub enum Item {
    Line(Vec<u8>),
    Text(Vec<u8>),
    List(Vec<Item>),
}

/// One connection to a port of 127.0.0.1.
pub struct Connection {
    stream: TcpStream,
    /// What has come and is not read yet, from `start` on.
    buffer: Vec<u8>,
    start: usize,
}

impl Connection {
    /// Connects and speaks RESP3.
    ///
    /// # Errors
    ///
    /// When the server does not take it.
    pub async fn open(port: u16) -> io::Result<Self> {
        let stream = TcpStream::connect(("127.0.0.1", port)).await?;
        stream.set_nodelay(true)?;
        let mut connection = Connection { stream, buffer: Vec::new(), start: 0 };
        connection.ask(&[&["HELLO", "3"]]).await?;
        Ok(connection)
    }

    /// Sends commands at once and gives their replies. Pushes that come before are lost.
    ///
    /// # Errors
    ///
    /// When the connection is lost, or the server answers with an error.
    pub async fn ask(&mut self, commands: &[&[&str]]) -> io::Result<Vec<Item>> {
        self.send(commands).await?;
        let mut replies = Vec::new();
        while replies.len() < commands.len() {
            match self.next().await? {
                Frame::Reply(Item::Line(line)) if line.starts_with(b"-") => {
                    return Err(io::Error::other(String::from_utf8_lossy(&line)));
                }
                Frame::Reply(reply) => replies.push(reply),
                Frame::Invalidation(_) => {}
            }
        }
        Ok(replies)
    }

    /// Sends commands and waits for nothing.
    ///
    /// # Errors
    ///
    /// When the connection is lost.
    pub async fn send(&mut self, commands: &[&[&str]]) -> io::Result<()> {
        let mut bytes = Vec::new();
        for command in commands {
            bytes.extend(format!("*{}\r\n", command.len()).into_bytes());
            for word in *command {
                bytes.extend(format!("${}\r\n{word}\r\n", word.len()).into_bytes());
            }
        }
        self.stream.write_all(&bytes).await
    }

    /// The next thing that the server says. Nothing is lost when its future is dropped.
    ///
    /// # Errors
    ///
    /// When the connection is lost.
    pub async fn next(&mut self) -> io::Result<Frame> {
        loop {
            let mut rest = &self.buffer[self.start..];
            let length = rest.len();
            let is_push = rest.first() == Some(&b'>');
            if let Some(item) = take(&mut rest) {
                self.start += length - rest.len();
                return Ok(if is_push {
                    Frame::Invalidation(keys(item))
                } else {
                    Frame::Reply(item)
                });
            }
            self.buffer.drain(..self.start);
            self.start = 0;
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

/// The keys of a push such as `invalidate` and a list.
fn keys(push: Item) -> Vec<Vec<u8>> {
    let Item::List(mut parts) = push else { return Vec::new() };
    let Some(Item::List(keys)) = parts.pop() else { return Vec::new() };
    let text = |item| match item {
        Item::Text(text) => Some(text),
        _ => None,
    };
    keys.into_iter().filter_map(text).collect()
}

/// One item, if all of it is there.
fn take(bytes: &mut &[u8]) -> Option<Item> {
    let end = bytes.windows(2).position(|pair| pair == b"\r\n")?;
    let (line, rest) = (&bytes[..end], &bytes[end + 2..]);
    let kind = *line.first()?;
    let number = || std::str::from_utf8(&line[1..]).ok()?.parse::<usize>().ok();
    let (item, rest) = match kind {
        b'$' | b'=' => match number() {
            Some(length) => (Item::Text(rest.get(..length)?.to_vec()), rest.get(length + 2..)?),
            None => (Item::Line(line.to_vec()), rest),
        },
        b'*' | b'>' | b'~' | b'%' => {
            let count = number()? * if kind == b'%' { 2 } else { 1 };
            let mut rest = rest;
            let items = (0..count).map(|_| take(&mut rest)).collect::<Option<_>>()?;
            (Item::List(items), rest)
        }
        _ => (Item::Line(line.to_vec()), rest),
    };
    *bytes = rest;
    Some(item)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_nothing_before_all_of_it_is_there() {
        let push = b">2\r\n$10\r\ninvalidate\r\n*1\r\n$3\r\nkey\r\n";
        for end in 0..push.len() {
            assert_eq!(take(&mut &push[..end]), None, "{end} bytes");
        }
        let mut bytes = &[&push[..], b"+OK\r\n"].concat()[..];
        assert_eq!(keys(take(&mut bytes).unwrap()), [b"key"]);
        assert_eq!(take(&mut bytes), Some(Item::Line(b"+OK".to_vec())));
        assert!(bytes.is_empty());
    }

    #[test]
    fn takes_what_has_no_text() {
        let mut bytes = &b"*2\r\n_\r\n$-1\r\n"[..];
        let nothing = |line: &[u8]| Item::Line(line.to_vec());
        assert_eq!(take(&mut bytes), Some(Item::List(vec![nothing(b"_"), nothing(b"$-1")])));
        assert_eq!(keys(Item::List(vec![nothing(b"+x"), nothing(b"_")])), Vec::<Vec<u8>>::new());
    }
}
