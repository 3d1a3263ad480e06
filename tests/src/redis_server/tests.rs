use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};

use super::*;
use crate::resp::{Reply, RespClient};

fn answers(port: u16) -> bool {
    TcpStream::connect(("127.0.0.1", port)).is_ok()
}

#[test]
fn starts_and_stops() {
    let server = RedisServer::start();
    assert!(server.is_running());
    assert_eq!(server.cli(&["PING"]), "PONG");
    assert!(server.cli(&["INFO", "server"]).contains(&format!("process_id:{}", server.pid())));
    assert_eq!(server.url(), format!("redis://127.0.0.1:{}/", server.port()));
    let socket = server.socket_url();
    let socket = Path::new(socket.strip_prefix("redis+unix://").unwrap());
    std::os::unix::net::UnixStream::connect(socket).unwrap();
    let (port, directory) = (server.port(), server.directory.path().to_owned());
    drop(server);
    assert!(!answers(port));
    assert!(!directory.exists());
}

#[test]
fn servers_do_not_share_data() {
    let (one, two) = (RedisServer::start(), RedisServer::start());
    one.set_raw("k", b"1");
    assert_eq!(two.get_raw("k"), None);
}

#[test]
fn reads_and_writes_raw_data() {
    let server = RedisServer::start();
    let bytes = b"\r\n\0\xff$-1".as_slice();
    server.set_raw("b:1", bytes);
    server.set_raw("a:2", b"");
    assert_eq!(server.get_raw("b:1").as_deref(), Some(bytes));
    assert_eq!(server.get_raw("a:2").as_deref(), Some(b"".as_slice()));
    assert_eq!(server.get_raw("none"), None);
    assert_eq!(server.keys("*:*"), ["a:2", "b:1"]);
    assert_eq!(server.cli(&["INCR", "k"]), "1");
    assert_eq!(server.cli(&["GET", "none"]), "(nil)");
    assert!(matches!(server.command(&[b"NONSENSE"]), Reply::Error(_)));
    server.flushall();
    assert!(server.keys("*").is_empty());
}

#[test]
fn counts_commands() {
    let server = RedisServer::start();
    assert_eq!(server.command_calls("get"), 0);
    for _ in 0..3 {
        server.cli(&["GET", "k"]);
    }
    server.cli(&["SCRIPT", "EXISTS", "x"]);
    assert_eq!(server.command_calls("GET"), 3);
    assert_eq!(server.command_calls("set"), 0);
    server.reset_stats();
    assert_eq!(server.command_calls("get"), 0);
}

#[test]
fn restarts_on_the_same_port_without_data() {
    let mut server = RedisServer::start();
    let (port, pid) = (server.port(), server.pid());
    server.set_raw("k", b"v");
    let mut client = RespClient::connect(port).unwrap();
    server.kill();
    server.kill();
    assert!(!server.is_running());
    assert!(!answers(port));
    assert!(client.command(&[b"PING"]).is_err());
    server.restart();
    assert_eq!(server.port(), port);
    assert_ne!(server.pid(), pid);
    assert_eq!(server.get_raw("k"), None);
    server.restart();
    assert_eq!(server.cli(&["PING"]), "PONG");
}

#[test]
fn pauses_and_resumes() {
    let server = RedisServer::start();
    let mut client = RespClient::connect(server.port()).unwrap();
    client.command(&[b"PING"]).unwrap();
    client.set_read_timeout(Duration::from_millis(50)).unwrap();
    server.pause();
    assert!(server.is_running());
    assert!(client.command(&[b"PING"]).is_err());
    server.resume();
    assert_eq!(server.cli(&["PING"]), "PONG");
    server.pause();
    // Drop has to end a paused server too.
    drop(server);
}

#[test]
fn takes_more_arguments() {
    let server = RedisServer::start_with(&["--maxmemory", "3mb", "--requirepass", "secret"]);
    assert_eq!(server.cli(&["CONFIG", "GET", "maxmemory"]), "maxmemory\n3145728");
    let mut stranger = RespClient::connect(server.port()).unwrap();
    assert!(matches!(stranger.command(&[b"PING"]).unwrap(), Reply::Error(_)));
}

#[test]
#[should_panic(expected = "nonsense-option")]
fn a_failed_start_shows_the_log() {
    let _ = RedisServer::start_with(&["--nonsense-option", "1"]);
}

#[test]
fn notices_a_server_that_dies_by_itself() {
    let server = RedisServer::start();
    server.signal(Signal::KILL);
    wait_until("the server to die", || !server.is_running());
}

/// The test runs itself in a second process, which it kills.
#[test]
fn the_watchdog_ends_the_server_of_a_killed_process() {
    const VICTIM: &str = "FRAGKEYS_TEST_VICTIM";
    if std::env::var_os(VICTIM).is_some() {
        let server = RedisServer::start();
        server.pause();
        println!("\n@server {} {}", server.port(), server.directory.path().display());
        let mut line = String::new();
        let _ = std::io::stdin().read_line(&mut line);
        return;
    }
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture"])
        .arg("redis_server::tests::the_watchdog_ends_the_server_of_a_killed_process")
        .env(VICTIM, "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines();
    let found = lines.map_while(Result::ok).find_map(|line| {
        let (port, directory) = line.strip_prefix("@server ")?.split_once(' ')?;
        Some((port.parse::<u16>().unwrap(), directory.to_owned()))
    });
    let (port, directory) = found.expect("the victim starts a server");
    assert!(answers(port) && Path::new(&directory).exists());
    victim.kill().unwrap();
    victim.wait().unwrap();
    wait_until("the watchdog to kill the server", || !answers(port));
    wait_until("the watchdog to clean up", || !Path::new(&directory).exists());
}
