//! What the threads of a proxy share, and the decision about each piece.

use std::collections::HashMap;
use std::net::{Shutdown, TcpStream};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::{Action, Hook};
use crate::rng::Rng;

/// How long a new mode waits for writes under way. One can be stuck for good,
/// since the peer need not read.
const SETTLE: Duration = Duration::from_secs(1);

#[derive(Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    /// Notified of every change of the state.
    changed: Condvar,
    /// Apart from the state, as a hook is foreign code.
    pub(super) hook: Mutex<Option<Hook>>,
}

#[derive(Default)]
pub(super) struct State {
    /// Where new connections lead to.
    port: u16,
    pub(super) accepted: u64,
    pub(super) discarded: u64,
    mode: Mode,
    stopped: bool,
    /// The sockets of each open connection: the client and then the server.
    connections: HashMap<u64, Vec<TcpStream>>,
    threads: Vec<JoinHandle<()>>,
    held: usize,
    releases: u64,
    writing: usize,
}

#[derive(Default)]
pub(super) enum Mode {
    #[default]
    Pass,
    Hold,
    HoldReplies,
    BlackHole,
    Refuse,
    Corrupt(Rng),
    Delay(Duration),
}

impl Mode {
    fn holds(&self, direction: Direction) -> bool {
        match self {
            Mode::Hold => true,
            Mode::HoldReplies => direction == Direction::Reply,
            _ => false,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Request,
    Reply,
}

/// The fate of a piece.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// To be written, and then [`Shared::written`] to be called.
    Write,
    Discard,
    /// The connection is closed.
    Close,
}

impl Shared {
    pub(super) fn to(port: u16) -> Self {
        Shared { state: Mutex::new(State { port, ..State::default() }), ..Shared::default() }
    }

    pub(super) fn lead_to(&self, port: u16) {
        self.lock().port = port;
    }

    pub(super) fn half_close_all(&self) {
        for sockets in self.lock().connections.values() {
            if let Some(client) = sockets.first() {
                // Fails when the client has closed it before.
                let _ = client.shutdown(Shutdown::Write);
            }
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn set_mode(&self, mode: Mode) {
        let mut state = self.lock();
        state.mode = mode;
        self.changed.notify_all();
        self.settle(state);
    }

    pub(super) fn cut_all(&self) {
        let mut state = self.lock();
        for (_, sockets) in state.connections.drain() {
            close(&sockets);
        }
        self.changed.notify_all();
        self.settle(state);
    }

    pub(super) fn release(&self) {
        self.lock().releases += 1;
        self.changed.notify_all();
    }

    pub(super) fn wait_held(&self, timeout: Duration) -> bool {
        let nothing = |state: &mut State| state.held == 0;
        let waited = self.changed.wait_timeout_while(self.lock(), timeout, nothing);
        waited.unwrap_or_else(PoisonError::into_inner).0.held > 0
    }

    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.cut_all();
    }

    /// Waits for the threads of all connections, after [`Self::stop`].
    pub(super) fn join(&self) {
        loop {
            let threads = std::mem::take(&mut self.lock().threads);
            if threads.is_empty() {
                return;
            }
            for thread in threads {
                let _ = thread.join();
            }
        }
    }

    /// Enters a connection that a client has made; gives its number and where
    /// it leads to. `None` where it is to be closed.
    pub(super) fn open(&self, client: &TcpStream) -> Option<(u64, u16)> {
        let mut state = self.lock();
        state.accepted += 1;
        state.threads.retain(|thread| !thread.is_finished());
        if state.stopped || matches!(state.mode, Mode::Refuse) {
            return None;
        }
        let id = state.accepted;
        let client = client.try_clone().ok()?;
        state.connections.insert(id, vec![client]);
        Some((id, state.port))
    }

    /// Adds the other side. False if the connection has been closed meanwhile.
    pub(super) fn attach(&self, id: u64, server: &TcpStream) -> bool {
        let Ok(server) = server.try_clone() else { return false };
        let mut state = self.lock();
        state.connections.get_mut(&id).map(|sockets| sockets.push(server)).is_some()
    }

    pub(super) fn close(&self, id: u64) {
        if let Some(sockets) = self.lock().connections.remove(&id) {
            close(&sockets);
        }
        self.changed.notify_all();
    }

    pub(super) fn add_thread(&self, thread: JoinHandle<()>) {
        self.lock().threads.push(thread);
    }

    /// Blocks until it is clear what becomes of a piece, which may change it.
    pub(super) fn judge(
        &self,
        id: u64,
        direction: Direction,
        arrived: Instant,
        piece: &mut Vec<u8>,
    ) -> Verdict {
        let action =
            if direction == Direction::Request { self.ask(piece) } else { Action::Forward };
        let mut state = self.lock();
        match action {
            Action::Forward => {}
            Action::Drop => return discard(&mut state),
            Action::Cut => return Verdict::Close,
            Action::Replace(other) => *piece = other.to_vec(),
            Action::Hold => {
                let releases = state.releases;
                let held = |state: &State| state.releases == releases;
                state = self.hold_while(state, id, held);
            }
        }
        loop {
            if !state.connections.contains_key(&id) {
                return Verdict::Close;
            }
            if state.mode.holds(direction) {
                state = self.hold_while(state, id, |state| state.mode.holds(direction));
                continue;
            }
            match &mut state.mode {
                Mode::Delay(delay) => {
                    let left = (arrived + *delay).saturating_duration_since(Instant::now());
                    if !left.is_zero() {
                        let waited = self.changed.wait_timeout(state, left);
                        state = waited.unwrap_or_else(PoisonError::into_inner).0;
                        continue;
                    }
                }
                Mode::BlackHole => return discard(&mut state),
                Mode::Refuse => return Verdict::Close,
                Mode::Corrupt(rng) if direction == Direction::Reply => corrupt(rng, piece),
                Mode::Pass | Mode::Hold | Mode::HoldReplies | Mode::Corrupt(_) => {}
            }
            state.writing += 1;
            return Verdict::Write;
        }
    }

    pub(super) fn written(&self) {
        self.lock().writing -= 1;
        self.changed.notify_all();
    }

    fn ask(&self, piece: &[u8]) -> Action {
        let mut hook = self.hook.lock().unwrap_or_else(PoisonError::into_inner);
        hook.as_mut().map_or(Action::Forward, |hook| hook(piece))
    }

    /// Waits as something held, for as long as the connection is open and
    /// `condition` holds.
    fn hold_while<'a>(
        &self,
        mut state: MutexGuard<'a, State>,
        id: u64,
        condition: impl Fn(&State) -> bool,
    ) -> MutexGuard<'a, State> {
        state.held += 1;
        self.changed.notify_all();
        let mut state = self
            .changed
            .wait_while(state, |state| state.connections.contains_key(&id) && condition(state))
            .unwrap_or_else(PoisonError::into_inner);
        state.held -= 1;
        state
    }

    /// Waits until nothing is being written under an earlier decision.
    fn settle(&self, state: MutexGuard<'_, State>) {
        drop(self.changed.wait_timeout_while(state, SETTLE, |state| state.writing > 0));
    }
}

fn close(sockets: &[TcpStream]) {
    for socket in sockets {
        // Fails when the peer has closed it before.
        let _ = socket.shutdown(Shutdown::Both);
    }
}

fn discard(state: &mut State) -> Verdict {
    state.discarded += 1;
    Verdict::Discard
}

fn corrupt(rng: &mut Rng, piece: &mut [u8]) {
    let chosen = rng.below(piece.len());
    for (at, byte) in piece.iter_mut().enumerate() {
        if at == chosen || rng.below(8) == 0 {
            // Never zero, which would change nothing.
            *byte ^= rng.byte() | 1;
        }
    }
}
