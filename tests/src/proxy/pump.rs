//! The threads that carry the data of a connection.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Instant;

use super::state::{Direction, Shared, Verdict};

/// A piece of data and when it came.
type Piece = (Instant, Vec<u8>);

/// Takes over a connection a client has made.
pub(super) fn serve(client: TcpStream, shared: &Arc<Shared>) {
    let Some((id, port)) = shared.open(&client) else { return };
    let thread = thread::spawn({
        let shared = Arc::clone(shared);
        // Nothing listens there, most likely: the client is to notice.
        move || connect(id, client, port, &shared).unwrap_or_else(|_| shared.close(id))
    });
    shared.add_thread(thread);
}

fn connect(id: u64, client: TcpStream, port: u16, shared: &Arc<Shared>) -> std::io::Result<()> {
    let server = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    server.set_nodelay(true)?;
    let (client2, server2) = (client.try_clone()?, server.try_clone()?);
    if !shared.attach(id, &server) {
        // Closed meanwhile, with the client told; the server notices now.
        return Ok(());
    }
    let open = Arc::new(AtomicUsize::new(2));
    carry(id, Direction::Request, client, server2, shared, &open);
    carry(id, Direction::Reply, server, client2, shared, &open);
    Ok(())
}

/// One thread reads ahead without limit while another waits for what is to be
/// done, so that the sender never notices that its data doesn't get through.
fn carry(
    id: u64,
    direction: Direction,
    from: TcpStream,
    to: TcpStream,
    shared: &Arc<Shared>,
    open: &Arc<AtomicUsize>,
) {
    let (sender, receiver) = mpsc::channel();
    shared.add_thread(thread::spawn(move || read(from, &sender)));
    let (shared2, open) = (Arc::clone(shared), Arc::clone(open));
    let writer = thread::spawn(move || {
        let finished = write(id, direction, to, &receiver, &shared2);
        // A direction may end by itself; the connection goes on in the other.
        if !finished || open.fetch_sub(1, Ordering::SeqCst) == 1 {
            shared2.close(id);
        }
    });
    shared.add_thread(writer);
}

/// The end of the channel stands for the end of the stream.
fn read(mut from: TcpStream, sender: &Sender<Piece>) {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match from.read(&mut buffer) {
            Ok(0) | Err(_) => return,
            Ok(count) => {
                let piece = (Instant::now(), buffer[..count].to_vec());
                if sender.send(piece).is_err() {
                    return;
                }
            }
        }
    }
}

/// False when the connection is over in both directions.
fn write(
    id: u64,
    direction: Direction,
    mut to: TcpStream,
    pieces: &Receiver<Piece>,
    shared: &Shared,
) -> bool {
    for (arrived, mut piece) in pieces {
        match shared.judge(id, direction, arrived, &mut piece) {
            Verdict::Close => return false,
            Verdict::Discard => {}
            Verdict::Write => {
                let written = to.write_all(&piece);
                shared.written();
                if written.is_err() {
                    return false;
                }
            }
        }
    }
    to.shutdown(Shutdown::Write).is_ok()
}
