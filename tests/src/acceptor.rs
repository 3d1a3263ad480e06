//! A listening socket with a thread that hands out its connections.

use std::io;
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Listens on a free port of 127.0.0.1 until dropped.
#[derive(Debug)]
pub(crate) struct Acceptor {
    port: u16,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Acceptor {
    /// Calls `serve` with each connection, one after the other.
    pub(crate) fn start(serve: impl Fn(TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("bind to 127.0.0.1");
        let port = listener.local_addr().expect("address of the listener").port();
        let stop = Arc::new(AtomicBool::new(false));
        let thread = thread::spawn({
            let stop = Arc::clone(&stop);
            move || accept(&listener, &stop, serve)
        });
        Self { port, stop, thread: Some(thread) }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Stops listening; returns once the thread has ended.
    pub(crate) fn stop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.stop.store(true, Ordering::SeqCst);
        // Wakes the thread up; where that fails, the listener is gone already.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
        let _ = thread.join();
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        self.stop();
    }
}

fn accept(listener: &TcpListener, stop: &AtomicBool, serve: impl Fn(TcpStream)) {
    loop {
        let accepted = listener.accept();
        if stop.load(Ordering::SeqCst) {
            return;
        }
        match accepted {
            Ok((stream, _)) => {
                // Small packets must not wait for each other in a test.
                let _ = stream.set_nodelay(true);
                serve(stream);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // Most likely out of file descriptors: others may be freed soon.
            Err(_) => thread::sleep(Duration::from_millis(10)),
        }
    }
}
