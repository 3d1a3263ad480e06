//! Servers that are no Redis at all.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use crate::acceptor::Acceptor;
use crate::rng::Rng;

/// The connections that are open, so that drop can close them.
type Connections = Arc<Mutex<HashMap<u64, (TcpStream, JoinHandle<()>)>>>;

/// A server that accepts connections and requests, but makes no sense. Drop
/// closes everything.
#[derive(Debug)]
pub struct GarbageServer {
    acceptor: Acceptor,
    connections: Connections,
}

impl GarbageServer {
    /// Answers each piece of data that arrives with 1 to 64 random bytes. Each
    /// connection has its own sequence, made from `seed` and its number.
    #[must_use]
    pub fn random(seed: u64) -> Self {
        Self::start(Some(seed))
    }

    /// Takes everything and never answers.
    #[must_use]
    pub fn silent() -> Self {
        Self::start(None)
    }

    /// `redis://127.0.0.1:PORT/`
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port())
    }

    /// The port on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.acceptor.port()
    }

    fn start(seed: Option<u64>) -> Self {
        let connections = Connections::default();
        let acceptor = Acceptor::start({
            let connections = Arc::clone(&connections);
            let count = Mutex::new(0_u64);
            move |stream| {
                let mut count = count.lock().unwrap_or_else(PoisonError::into_inner);
                *count += 1;
                let rng = seed.map(|seed| Rng::new(seed ^ count.rotate_left(32)));
                accept(stream, *count, rng, &connections);
            }
        });
        Self { acceptor, connections }
    }
}

impl Drop for GarbageServer {
    fn drop(&mut self) {
        self.acceptor.stop();
        let open = std::mem::take(&mut *lock(&self.connections));
        for (stream, thread) in open.into_values() {
            let _ = stream.shutdown(Shutdown::Both);
            let _ = thread.join();
        }
    }
}

fn accept(stream: TcpStream, number: u64, rng: Option<Rng>, connections: &Connections) {
    let Ok(second) = stream.try_clone() else { return };
    // Locked until it is entered, so that the thread can't leave before.
    let mut open = lock(connections);
    let thread = thread::spawn({
        let connections = Arc::clone(connections);
        move || {
            serve(stream, rng);
            lock(&connections).remove(&number);
        }
    });
    open.insert(number, (second, thread));
}

fn serve(mut stream: TcpStream, mut rng: Option<Rng>) {
    let mut buffer = [0; 4096];
    while matches!(stream.read(&mut buffer), Ok(count) if count > 0) {
        let Some(rng) = &mut rng else { continue };
        let answer: Vec<u8> = (0..=rng.below(64)).map(|_| rng.byte()).collect();
        if stream.write_all(&answer).is_err() {
            return;
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn connect(server: &GarbageServer) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", server.port())).unwrap();
        stream.set_read_timeout(Some(crate::wait::DEADLINE)).unwrap();
        stream
    }

    fn first_answer(seed: u64) -> Vec<u8> {
        let server = GarbageServer::random(seed);
        let mut stream = connect(&server);
        stream.write_all(b"PING\r\n").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        answer
    }

    #[test]
    fn answers_depend_on_the_seed_only() {
        let answer = first_answer(1);
        assert!((1..=64).contains(&answer.len()));
        assert_eq!(first_answer(1), answer);
        assert_ne!(first_answer(2), answer);
    }

    #[test]
    fn silence_is_silent_and_drop_ends_it() {
        let server = GarbageServer::silent();
        let mut stream = connect(&server);
        stream.write_all(b"PING\r\n").unwrap();
        stream.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        assert!(stream.read(&mut [0; 1]).is_err());
        stream.set_read_timeout(Some(crate::wait::DEADLINE)).unwrap();
        drop(server);
        match stream.read(&mut [0; 1]) {
            Ok(count) => assert_eq!(count, 0),
            Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
        }
    }
}
