//! Bytes from strangers in Redis: every one a clean miss, and the cache goes on.

use fragkeys::{Cache, tagged_cache, with_cache};
use fragkeys_tests::{RedisServer, RespClient};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::support::redis_cache;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
enum Shape {
    Dot,
    Line(Vec<Shape>),
    Named { name: String, sizes: Vec<u64>, inside: Option<Box<Shape>> },
}

fn drawing() -> Shape {
    let name = "a drawing".to_owned();
    let inside = Some(Box::new(Shape::Line(vec![Shape::Dot; 3])));
    Shape::Named { name, sizes: vec![1, 2, u64::MAX], inside }
}

/// xorshift: the same bytes in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}

/// 10^5 wrong entries of all kinds; none is read, and none does harm.
#[tokio::test]
async fn i4_damaged_and_foreign_entries_are_clean_misses() {
    const TRIES: u64 = 100_000;
    let server = RedisServer::start();
    let mut client = RespClient::connect(server.port()).unwrap();
    let cache = redis_cache(&server).await;
    let entry = cache.entry("drawing").tag("T");
    entry.set(&drawing()).await.unwrap();
    let key = entry.key().await.unwrap();
    let real = server.get_raw(&key).unwrap();
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    for _ in 0..TRIES {
        let mut bytes = real.clone();
        match random.below(5) {
            0 => {
                bytes = {
                    let length = random.below(300);
                    random.bytes(length)
                }
            }
            1 => bytes.truncate(random.below(real.len())),
            2 => bytes[random.below(real.len())] ^= 1 << random.below(8),
            3 => bytes.extend({
                let length = 1 + random.below(20);
                random.bytes(length)
            }),
            _ => {
                // A real head, so that all the checks behind it are reached.
                let head = random.below(real.len());
                bytes.truncate(head);
                let length = random.below(300);
                bytes.extend(random.bytes(length));
            }
        }
        if bytes == real {
            continue;
        }
        client.command(&[b"SET", key.as_bytes(), &bytes]).unwrap();
        assert_eq!(entry.get::<Shape>().await.unwrap(), None, "{bytes:?}");
    }
    client.command(&[b"SET", key.as_bytes(), &real]).unwrap();
    assert_eq!(entry.get::<Shape>().await.unwrap(), Some(drawing()));
    assert_eq!(cache.stats().faults, 0);
}

/// A stranger who knows the format and seals what he likes: still no panic, no endless
/// work and no stack overflow in the codec.
#[tokio::test]
async fn i5_a_well_sealed_bomb_is_a_miss() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    let entry = cache.entry("bomb");
    entry.set(&Shape::Dot).await.unwrap();
    let key = entry.key().await.unwrap();
    let real = server.get_raw(&key).unwrap();
    let payload_at = real.len() - 1; // `Dot` is one byte.
    let deep_lines = [1_u8, 1].repeat(500_000);
    let endless_line = [&[1_u8, 253][..], &[0xff; 8]].concat();
    let endless_name = [&[2_u8, 253][..], &[0xff; 7], &[0x7f]].concat();
    for payload in [deep_lines, endless_line, endless_name, vec![9], vec![]] {
        server.set_raw(&key, &sealed_again(&real[..payload_at], &payload));
        assert_eq!(entry.get::<Shape>().await.unwrap(), None);
        assert_eq!(cache.stats().faults, 0);
    }
    server.set_raw(&key, &sealed_again(&real[..payload_at], &[0]));
    assert_eq!(entry.get::<Shape>().await.unwrap(), Some(Shape::Dot), "the seal was right");

    let units = cache.entry("units");
    units.set(&vec![(); 3]).await.unwrap();
    let key = units.key().await.unwrap();
    let real = server.get_raw(&key).unwrap();
    let claim = [&[253_u8][..], &(1_u64 << 40).to_le_bytes()].concat();
    server.set_raw(&key, &sealed_again(&real[..real.len() - 1], &claim));
    assert_eq!(units.get::<Vec<()>>().await.unwrap(), None);
}

/// The head of an entry with another payload and the checksum that fits.
fn sealed_again(head: &[u8], payload: &[u8]) -> Vec<u8> {
    let mut bytes = [head, payload].concat();
    let checksum = xxh3_64(&bytes[8..]);
    bytes[..8].copy_from_slice(&checksum.to_le_bytes());
    bytes
}

#[tagged_cache(tags = ["T"], vary_on = [id])]
async fn answer(id: u64) -> String {
    format!("answer {id}")
}

async fn ask(cache: &Cache) -> String {
    with_cache(cache.clone(), answer(1)).await
}

/// Keys that hold another type than a string: a miss, and the next store replaces it.
#[tokio::test]
async fn i5_another_type_at_an_entrys_key_is_a_miss() {
    let server = RedisServer::start();
    let cache = redis_cache(&server).await;
    ask(&cache).await;
    let key = server.keys("fragkeys:v:*").remove(0);
    for command in ["RPUSH", "SADD"] {
        server.cli(&["DEL", &key]);
        server.cli(&[command, &key, "stranger"]);
        assert_eq!(ask(&cache).await, "answer 1");
        assert_eq!(server.cli(&["TYPE", &key]), "string");
        let hits = cache.stats().hits;
        assert_eq!(ask(&cache).await, "answer 1");
        assert_eq!(cache.stats().hits, hits + 1);
    }
}
