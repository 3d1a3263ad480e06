//! A TCP proxy that breaks connections on demand.

use std::fmt;
use std::net::TcpStream;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use crate::acceptor::Acceptor;
use crate::rng::Rng;

mod pump;
mod state;
#[cfg(test)]
mod tests;

use state::{Mode, Shared};

/// What becomes of a piece of data that a client sends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// It goes on to the server.
    Forward,
    /// It waits for [`Proxy::release`], and what follows on its connection
    /// waits behind it.
    Hold,
    /// It vanishes.
    Drop,
    /// It vanishes and its connection is closed.
    Cut,
    /// This goes on to the server in its place.
    Replace(&'static [u8]),
}

/// Decides about the requests of the clients, see [`Proxy::on_request`].
pub type Hook = Box<dyn FnMut(&[u8]) -> Action + Send>;

/// A proxy on a port of 127.0.0.1 with faults that can be switched while it
/// runs. It forwards everything until told otherwise.
///
/// [`pass`](Self::pass), [`hold`](Self::hold), [`hold_replies`](Self::hold_replies),
/// [`black_hole`](Self::black_hole), [`refuse`](Self::refuse),
/// [`corrupt`](Self::corrupt) and [`delay`](Self::delay) are modes, of which one
/// is on at a time. A mode is in force when the method returns: nothing is
/// forwarded under the former one from then on. The end of a stream passes in
/// every mode, but not before the data it follows.
pub struct Proxy {
    acceptor: Acceptor,
    shared: Arc<Shared>,
}

impl Proxy {
    /// Starts a proxy to a port of 127.0.0.1, where nothing has to listen yet:
    /// while nothing does, connections are accepted and closed.
    #[must_use]
    pub fn to(port: u16) -> Self {
        let shared = Arc::new(Shared::to(port));
        let acceptor = Acceptor::start({
            let shared = Arc::clone(&shared);
            move |client: TcpStream| pump::serve(client, &shared)
        });
        Self { acceptor, shared }
    }

    /// `redis://127.0.0.1:PORT/`, with the port of the proxy.
    #[must_use]
    pub fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/", self.port())
    }

    /// The port of the proxy.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.acceptor.port()
    }

    /// How many connections have been accepted so far, refused ones included.
    #[must_use]
    pub fn accepted(&self) -> u64 {
        self.shared.lock().accepted
    }

    /// How many pieces of data have vanished so far, by [`Self::black_hole`] or
    /// by a hook: a way to know that a request has arrived and is lost.
    #[must_use]
    pub fn discarded(&self) -> u64 {
        self.shared.lock().discarded
    }

    /// Forwards everything, first of all what [`Self::hold`] or
    /// [`Self::hold_replies`] kept back. A hook remains, and so does what it holds.
    pub fn pass(&self) {
        self.shared.set_mode(Mode::Pass);
    }

    /// Accepts everything and keeps it back, in both directions, until another
    /// mode decides about it.
    pub fn hold(&self) {
        self.shared.set_mode(Mode::Hold);
    }

    /// Keeps back all that servers send, pushes as well as replies, until another
    /// mode decides about it. What clients send goes on.
    pub fn hold_replies(&self) {
        self.shared.set_mode(Mode::HoldReplies);
    }

    /// Accepts everything and throws it away, in both directions.
    pub fn black_hole(&self) {
        self.shared.set_mode(Mode::BlackHole);
    }

    /// Closes the connections there are. New ones are accepted; the mode stays.
    pub fn cut(&self) {
        self.shared.cut_all();
    }

    /// Closes the connections there are towards the clients alone: what they
    /// send still reaches the server, and they get the end of the stream.
    pub fn half_close(&self) {
        self.shared.half_close_all();
    }

    /// Leads new connections to another port, as a name does after a failover.
    /// Those there are stay where they are.
    pub fn lead_to(&self, port: u16) {
        self.shared.lead_to(port);
    }

    /// Closes the connections there are, and new ones at once.
    pub fn refuse(&self) {
        self.shared.set_mode(Mode::Refuse);
        self.shared.cut_all();
    }

    /// Changes about one byte in eight of the replies, at least one of each
    /// piece that arrives. The same `seed` gives the same changes if the same
    /// pieces arrive in the same order.
    pub fn corrupt(&self, seed: u64) {
        self.shared.set_mode(Mode::Corrupt(Rng::new(seed)));
    }

    /// Forwards everything `delay` after it has arrived, in both directions.
    pub fn delay(&self, delay: Duration) {
        self.shared.set_mode(Mode::Delay(delay));
    }

    /// Calls `hook` with each piece of data a client sends, before the mode
    /// applies, and does what it says. Replaces an earlier hook.
    ///
    /// A piece is what one read from the connection gave: usually one request
    /// or pipeline, but never more than 64 KiB. The pieces of all connections
    /// come one at a time. The hook must not block, nor set or clear hooks.
    pub fn on_request(&self, hook: Hook) {
        *self.shared.hook.lock().unwrap_or_else(PoisonError::into_inner) = Some(hook);
    }

    /// Removes the hook. What it holds stays held until [`Self::release`].
    pub fn clear_hook(&self) {
        *self.shared.hook.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Lets everything go on that a hook holds. What waits behind it is then
    /// put to the hook.
    pub fn release(&self) {
        self.shared.release();
    }

    /// Blocks until something is being held, by [`Self::hold`],
    /// [`Self::hold_replies`] or a hook. False when nothing is after `timeout`.
    #[must_use]
    pub fn wait_held(&self, timeout: Duration) -> bool {
        self.shared.wait_held(timeout)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stop();
        self.acceptor.stop();
        self.shared.join();
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proxy").field("port", &self.port()).finish_non_exhaustive()
    }
}
