use std::io::{self, Read, Write};
use std::net::Ipv4Addr;
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use super::*;
use crate::redis_server::RedisServer;
use crate::resp::{Reply, RespClient};
use crate::wait::{DEADLINE, wait_until};

/// For what must not come: a wrong answer would be there by then, and a right
/// harness can't fail because of it.
const SHORT: Duration = Duration::from_millis(50);

fn setup() -> (RedisServer, Proxy, RespClient) {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port());
    let mut client = RespClient::connect(proxy.port()).unwrap();
    assert_eq!(ping(&mut client).unwrap(), Reply::Simple("PONG".into()));
    (server, proxy, client)
}

fn ping(client: &mut RespClient) -> io::Result<Reply> {
    client.command(&[b"PING"])
}

fn incr(mut client: RespClient, key: &'static str) -> thread::JoinHandle<io::Result<Reply>> {
    thread::spawn(move || client.command(&[b"INCR", key.as_bytes()]))
}

fn timed_out(result: io::Result<Reply>) -> bool {
    // The kind differs between systems.
    let kinds = [io::ErrorKind::WouldBlock, io::ErrorKind::TimedOut];
    result.is_err_and(|error| kinds.contains(&error.kind()))
}

#[test]
fn passes() {
    let (server, proxy, mut client) = setup();
    assert_eq!(proxy.url(), format!("redis://127.0.0.1:{}/", proxy.port()));
    let value = vec![b'x'; 3_000_000];
    client.command(&[b"SET", b"k", &value]).unwrap();
    assert_eq!(server.get_raw("k").as_deref(), Some(value.as_slice()));
    assert_eq!(client.command(&[b"GET", b"k"]).unwrap(), Reply::Bulk(Some(value)));
    assert_eq!(proxy.accepted(), 1);
}

#[test]
fn holds_and_passes_on() {
    let (server, proxy, client) = setup();
    assert!(!proxy.wait_held(Duration::ZERO));
    proxy.hold();
    let request = incr(client, "k");
    assert!(proxy.wait_held(DEADLINE));
    assert_eq!(server.get_raw("k"), None);
    proxy.pass();
    assert_eq!(request.join().unwrap().unwrap(), Reply::Int(1));
    assert!(!proxy.wait_held(Duration::ZERO));
}

#[test]
fn holds_what_servers_send_and_passes_it_on_in_order() {
    let (server, proxy, _client) = setup();
    let mut told = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).unwrap();
    told.set_read_timeout(Some(DEADLINE)).unwrap();
    told.write_all(b"HELLO 3\r\nCLIENT TRACKING ON\r\nGET k\r\n").unwrap();
    let mut greeting = Vec::new();
    while !greeting.ends_with(b"\r\n+OK\r\n_\r\n") {
        let mut byte = [0];
        told.read_exact(&mut byte).unwrap();
        greeting.extend(byte);
    }
    proxy.hold_replies();
    server.cli(&["SET", "k", "new"]);
    assert!(proxy.wait_held(DEADLINE), "nobody asked: it is the push");
    told.write_all(b"INCR n\r\n").unwrap();
    wait_until("the request to arrive", || server.get_raw("n").is_some());
    proxy.pass();
    let wanted = b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n:1\r\n";
    let mut came = vec![0; wanted.len()];
    told.read_exact(&mut came).unwrap();
    assert_eq!(came.escape_ascii().to_string(), wanted.escape_ascii().to_string());
}

#[test]
fn holding_does_not_block_the_sender() {
    let (server, proxy, mut client) = setup();
    proxy.hold();
    client.set_read_timeout(SHORT).unwrap();
    // More than the buffers of the system take.
    let value = vec![b'x'; 30_000_000];
    assert!(timed_out(client.command(&[b"SET", b"k", &value])));
    assert_eq!(server.get_raw("k"), None);
    proxy.pass();
    wait_until("the value to arrive", || server.keys("*") == ["k"]);
}

#[test]
fn black_hole_swallows() {
    let (server, proxy, mut client) = setup();
    proxy.black_hole();
    client.set_read_timeout(SHORT).unwrap();
    assert!(timed_out(client.command(&[b"INCR", b"lost"])));
    wait_until("the request to vanish", || proxy.discarded() == 1);
    proxy.pass();
    client.set_read_timeout(DEADLINE).unwrap();
    // Had the first request only been late, its reply would come first.
    assert_eq!(client.command(&[b"INCR", b"k"]).unwrap(), Reply::Int(1));
    assert_eq!(server.keys("*"), ["k"]);
}

#[test]
fn cuts_but_accepts_again() {
    let (_server, proxy, mut client) = setup();
    proxy.cut();
    assert!(ping(&mut client).is_err());
    let mut client = RespClient::connect(proxy.port()).unwrap();
    assert!(ping(&mut client).is_ok());
    assert_eq!(proxy.accepted(), 2);
}

#[test]
fn cut_ends_what_is_held() {
    let (server, proxy, client) = setup();
    proxy.hold();
    let request = incr(client, "k");
    assert!(proxy.wait_held(DEADLINE));
    proxy.cut();
    assert!(request.join().unwrap().is_err());
    wait_until("nothing to be held", || !proxy.wait_held(Duration::ZERO));
    proxy.pass();
    assert!(server.keys("*").is_empty());
}

#[test]
fn refuses() {
    let (_server, proxy, mut client) = setup();
    proxy.refuse();
    assert!(ping(&mut client).is_err());
    let refused = RespClient::connect(proxy.port()).and_then(|mut client| ping(&mut client));
    assert!(refused.is_err());
    proxy.pass();
    assert!(ping(&mut RespClient::connect(proxy.port()).unwrap()).is_ok());
}

#[test]
fn corrupts_replies_only() {
    let (server, proxy, client) = setup();
    proxy.corrupt(7);
    // The changed reply may have lost its end.
    client.set_read_timeout(SHORT).unwrap();
    let reply = incr(client, "k").join().unwrap();
    assert!(!matches!(reply, Ok(Reply::Int(1))), "{reply:?}");
    wait_until("the request", || server.get_raw("k").as_deref() == Some(b"1"));
}

#[test]
fn delays() {
    let (_server, proxy, mut client) = setup();
    let delay = Duration::from_millis(30);
    proxy.delay(delay);
    let start = Instant::now();
    assert!(ping(&mut client).is_ok());
    assert!(start.elapsed() >= 2 * delay);
    proxy.delay(Duration::from_secs(3600));
    let request = incr(client, "k");
    proxy.pass();
    assert_eq!(request.join().unwrap().unwrap(), Reply::Int(1));
}

#[test]
fn a_hook_holds_until_the_release() {
    let (server, proxy, client) = setup();
    let mut other = RespClient::connect(proxy.port()).unwrap();
    let wanted = |request: &[u8]| request.windows(4).any(|window| window == b"slow");
    proxy.on_request(Box::new(
        move |request| {
            if wanted(request) { Action::Hold } else { Action::Forward }
        },
    ));
    let request = incr(client, "slow");
    assert!(proxy.wait_held(DEADLINE));
    // The other connections go on.
    assert_eq!(other.command(&[b"INCR", b"fast"]).unwrap(), Reply::Int(1));
    assert_eq!(server.keys("*"), ["fast"]);
    proxy.clear_hook();
    proxy.release();
    assert_eq!(request.join().unwrap().unwrap(), Reply::Int(1));
}

#[test]
fn a_hook_puts_something_else_in_the_place_of_a_request() {
    let (server, proxy, mut client) = setup();
    let mut actions = [Action::Replace(b"*2\r\n$4\r\nINCR\r\n$5\r\nother\r\n")].into_iter();
    proxy.on_request(Box::new(move |_| actions.next().unwrap_or(Action::Forward)));
    assert_eq!(ping(&mut client).unwrap(), Reply::Int(1));
    assert_eq!(ping(&mut client).unwrap(), Reply::Simple("PONG".into()));
    assert_eq!(server.keys("*"), ["other"]);
}

#[test]
fn a_hook_sees_drops_and_cuts() {
    let (server, proxy, mut client) = setup();
    let (sender, seen) = mpsc::channel();
    let mut actions = [Action::Drop, Action::Forward, Action::Cut].into_iter();
    proxy.on_request(Box::new(move |request| {
        sender.send(request.to_vec()).unwrap();
        actions.next().unwrap()
    }));
    client.set_read_timeout(SHORT).unwrap();
    assert!(timed_out(client.command(&[b"INCR", b"dropped"])));
    wait_until("the request to vanish", || proxy.discarded() == 1);
    client.set_read_timeout(DEADLINE).unwrap();
    assert_eq!(client.command(&[b"INCR", b"k"]).unwrap(), Reply::Int(1));
    assert!(!timed_out(client.command(&[b"INCR", b"cut"])));
    assert_eq!(seen.try_recv().unwrap(), b"*2\r\n$4\r\nINCR\r\n$7\r\ndropped\r\n");
    assert_eq!(seen.try_iter().count(), 2);
    assert_eq!(server.keys("*"), ["k"]);
}

#[test]
fn closing_passes_through() {
    let (mut server, proxy, mut client) = setup();
    let clients = || server.cli(&["INFO", "clients"]);
    let second = RespClient::connect(proxy.port()).unwrap();
    wait_until("the second connection", || clients().contains("connected_clients:3"));
    drop(second);
    wait_until("its end", || clients().contains("connected_clients:2"));
    server.kill();
    assert!(ping(&mut client).is_err());
    // Nothing listens behind the proxy now.
    assert!(ping(&mut RespClient::connect(proxy.port()).unwrap()).is_err());
    server.restart();
    assert!(ping(&mut RespClient::connect(proxy.port()).unwrap()).is_ok());
}

#[test]
fn drop_closes_everything() {
    let (_server, proxy, mut client) = setup();
    proxy.hold();
    drop(proxy);
    assert!(ping(&mut client).is_err());
}

#[test]
fn half_closes_towards_the_client_alone() {
    let (server, proxy, mut client) = setup();
    proxy.half_close();
    let error = client.command(&[b"INCR", b"k"]).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
    wait_until("the request to arrive", || server.get_raw("k").is_some());
}

#[test]
fn leads_new_connections_elsewhere() {
    let (_server, proxy, mut old) = setup();
    let other = RedisServer::start();
    proxy.lead_to(other.port());
    let mut new = RespClient::connect(proxy.port()).unwrap();
    assert_eq!(new.command(&[b"INCR", b"k"]).unwrap(), Reply::Int(1));
    assert!(other.get_raw("k").is_some());
    assert_eq!(ping(&mut old).unwrap(), Reply::Simple("PONG".into()));
}
