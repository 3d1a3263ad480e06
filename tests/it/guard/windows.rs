//! Every window of two guards of one tag, a reader, and a bump by somebody else.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use fragkeys::{Cache, Config, Tag, guard, tagged_cache, with_cache};
use fragkeys_tests::RedisServer;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::JoinHandle;

use crate::support::patient;

/// A row of a database, and where a slow reader of it waits.
#[derive(Default)]
struct Row(AtomicU64);

impl Row {
    fn value(&self) -> u64 {
        self.0.load(Ordering::SeqCst)
    }

    fn write(&self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

#[tagged_cache(tags = ["Case:<id>"], vary_on = [id], key_name = "windows")]
async fn read(row: &Row, gate: Option<Gate>, id: u64) -> u64 {
    let value = row.value();
    if let Some(mut gate) = gate {
        gate.1.send(()).await.unwrap();
        gate.0.recv().await.unwrap();
    }
    value
}

struct Gate(Receiver<()>, Sender<()>);

/// A task that goes on step by step, and says when each is done.
struct Actor {
    go: Sender<()>,
    done: Receiver<()>,
    task: JoinHandle<()>,
}

impl Actor {
    fn start<F: Future<Output = ()> + Send + 'static>(act: impl FnOnce(Gate) -> F) -> Self {
        let ((go, may_go), (is_done, done)) = (channel(1), channel(1));
        Actor { go, done, task: tokio::spawn(act(Gate(may_go, is_done))) }
    }

    async fn step(&mut self) {
        // A reader that found the entry has ended already.
        let _ = self.go.send(()).await;
        let _ = self.done.recv().await;
    }
}

/// Begins, commits, ends: three steps.
fn writer(cache: Cache, row: Arc<Row>, id: u64) -> Actor {
    Actor::start(|Gate(mut may_go, is_done)| async move {
        may_go.recv().await;
        let write = async {
            is_done.send(()).await.unwrap();
            may_go.recv().await;
            row.write();
            is_done.send(()).await.unwrap();
            may_go.recv().await;
        };
        with_cache(cache, guard([Tag::new("Case", id)], write)).await;
        is_done.send(()).await.unwrap();
    })
}

/// Begins to run, and ends: two steps.
fn reader(cache: Cache, row: Arc<Row>, id: u64) -> Actor {
    Actor::start(|Gate(mut may_go, is_done)| async move {
        may_go.recv().await;
        let ended = is_done.clone();
        with_cache(cache, read(&row, Some(Gate(may_go, is_done)), id)).await;
        let _ = ended.send(()).await;
    })
}

/// All orders in which two writers of three steps each can go on: whose turn it is.
fn orders() -> Vec<[usize; 6]> {
    (0_u32..64)
        .filter(|bits| bits.count_ones() == 3)
        .map(|bits| std::array::from_fn(|step| usize::from(bits >> step & 1 == 1)))
        .collect()
}

/// A bump by somebody who knows nothing of guards.
enum Stranger<'a> {
    Bumps,
    Increments(&'a RedisServer),
}

async fn every_window(cache: Cache, stranger: Stranger<'_>) {
    let mut id = 0;
    for order in orders() {
        for begins in 0..=6 {
            for ends in begins..=6 {
                id += 1;
                one_window(&cache, &stranger, order, (begins, ends), id).await;
            }
        }
    }
    assert_eq!(id, 20 * 28);
}

async fn one_window(
    cache: &Cache,
    stranger: &Stranger<'_>,
    order: [usize; 6],
    (begins, ends): (usize, usize),
    id: u64,
) {
    let row = Arc::new(Row::default());
    let probe = async |when: &str| {
        let seen = with_cache(cache.clone(), read(&row, None, id)).await;
        let case = format!("{when}: {order:?}, a reader from {begins} to {ends}, case {id}");
        assert_eq!(seen, row.value(), "{case}");
    };
    let mut writers = [(); 2].map(|()| writer(cache.clone(), row.clone(), id));
    let mut slow = reader(cache.clone(), row.clone(), id);
    // Not with each case does somebody else bump, and not always at the same point.
    let strange = (id % 9) as usize;
    for step in 0..=6 {
        if step == begins {
            slow.step().await;
        }
        if step == ends {
            slow.step().await;
        }
        probe("before a step").await;
        if step == strange {
            match stranger {
                Stranger::Bumps => drop(cache.invalidate([Tag::new("Case", id)]).await.unwrap()),
                Stranger::Increments(server) => {
                    server.cli(&["INCR", &format!("fragkeys:t:Case:{id}")]);
                }
            }
            probe("after a stranger's bump").await;
        }
        if let Some(turn) = order.get(step) {
            writers[*turn].step().await;
        }
    }
    probe("at the end").await;
    let before = cache.stats().hits;
    probe("again").await;
    assert_eq!(cache.stats().hits, before + 1, "it is cached again: {order:?}, case {id}");
    for actor in writers.into_iter().chain([slow]) {
        actor.task.await.unwrap();
    }
}

/// Nobody waits for the slow reader.
async fn alone(config: Config) -> Cache {
    config.flight_wait(std::time::Duration::ZERO).build().await.unwrap()
}

#[tokio::test]
async fn no_reader_is_behind_in_any_window_in_memory() {
    every_window(alone(Config::memory()).await, Stranger::Bumps).await;
}

#[tokio::test]
async fn no_reader_is_behind_in_any_window_in_redis() {
    let server = RedisServer::start();
    every_window(alone(patient(server.url())).await, Stranger::Bumps).await;
    assert_eq!(server.keys("fragkeys:g:*"), [""; 0], "no guard is left behind");
}

#[tokio::test]
async fn no_reader_is_behind_in_any_window_with_a_foreign_incr() {
    let server = RedisServer::start();
    every_window(alone(patient(server.url())).await, Stranger::Increments(&server)).await;
}
