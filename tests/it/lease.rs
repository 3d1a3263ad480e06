//! Leases: of several processes that miss one entry, one runs, and the others have what it stored.
//! The processes are real ones (`herd`), and a run asks a source that counts and can be held.

mod around;
mod cluster;
mod dropped;
mod ending;
mod fault;
mod herd;
mod loss;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use fragkeys_tests::{Child, RedisServer};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use crate::support::ask;

/// What all runs, of all processes, ask.
struct Source {
    address: String,
    runs: mpsc::UnboundedReceiver<Run>,
    counts: Arc<Mutex<HashMap<u64, usize>>>,
}

/// A run that waits for its answer.
struct Run {
    id: u64,
    stream: BufReader<TcpStream>,
}

impl Source {
    async fn start() -> Source {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (sender, runs) = mpsc::unbounded_channel();
        let counts = Arc::<Mutex<HashMap<u64, usize>>>::default();
        let counted = counts.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (sender, counted) = (sender.clone(), counted.clone());
                tokio::spawn(async move {
                    let mut stream = BufReader::new(stream);
                    let mut line = String::new();
                    stream.read_line(&mut line).await.unwrap();
                    // Its process may have been killed by then.
                    let Ok(id) = line.trim_end().parse() else { return };
                    *counted.lock().unwrap().entry(id).or_default() += 1;
                    let _ = sender.send(Run { id, stream });
                });
            }
        });
        Source { address, runs, counts }
    }

    /// How many have begun.
    fn runs(&self) -> usize {
        self.counts.lock().unwrap().values().sum()
    }

    fn counts(&self) -> Vec<usize> {
        self.counts.lock().unwrap().values().copied().collect()
    }

    /// Answers all from now on, each with its id.
    fn open(&mut self) {
        let mut runs = std::mem::replace(&mut self.runs, mpsc::unbounded_channel().1);
        tokio::spawn(async move {
            while let Some(run) = runs.recv().await {
                let value = format!("row {}", run.id);
                run.answer(&value).await;
            }
        });
    }

    async fn next(&mut self) -> Run {
        let next = tokio::time::timeout(fragkeys_tests::wait::DEADLINE, self.runs.recv()).await;
        next.expect("a run begins").unwrap()
    }
}

impl Run {
    async fn answer(mut self, text: &str) {
        // One that has been killed takes none.
        let _ = self.stream.write_all(format!("{text}\n").as_bytes()).await;
    }
}

/// A process of the herd.
struct Herd(Child);

/// What its callers were given.
#[derive(Debug, PartialEq, Eq)]
struct Collected {
    answers: usize,
    values: usize,
    errors: usize,
    panics: usize,
}

impl Herd {
    /// One that keeps its leases, however long a busy machine keeps it waiting.
    fn start(server: &RedisServer, source: &Source) -> Herd {
        let envs = [("FRAGKEYS_URL", &*server.url()), ("HERD_LEASE_TIMEOUT", "60000")];
        Herd::start_with(source, &envs)
    }

    /// One whose leases end soon when nothing is heard of it.
    fn start_mortal(server: &RedisServer, source: &Source) -> Herd {
        Herd::start_with(source, &[("FRAGKEYS_URL", &server.url())])
    }

    fn start_with(source: &Source, envs: &[(&str, &str)]) -> Herd {
        let envs: Vec<_> =
            envs.iter().copied().chain([("HERD_SOURCE", source.address.as_str())]).collect();
        Herd(Child::start(env!("CARGO_BIN_EXE_herd"), &[], &envs))
    }

    fn ask(&mut self, command: &str) -> String {
        ask(&mut self.0, command)
    }

    fn call(&mut self, callers: usize, id: u64) {
        assert_eq!(self.ask(&format!("call row {callers} {id} 1")), "ok");
    }

    fn misses(&mut self) -> usize {
        self.ask("misses").parse().unwrap()
    }

    /// Until all its callers have found nothing, which they do just before they join.
    async fn wait_for_misses(&mut self, misses: usize) {
        let began = std::time::Instant::now();
        while self.misses() < misses {
            assert!(began.elapsed().as_secs() < 60, "of {misses} callers, {} miss", self.misses());
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    }

    fn collect(&mut self) -> Collected {
        let line = self.ask("collect");
        let numbers: Vec<u64> = line.split(' ').map(|word| word.parse().expect(&line)).collect();
        let number = |at: usize| usize::try_from(numbers[at]).unwrap();
        Collected { answers: number(0), values: number(1), errors: number(2), panics: number(3) }
    }

    /// All were answered, and alike.
    fn expect(&mut self, answers: usize) {
        self.expect_values(answers, 1);
    }

    fn expect_values(&mut self, answers: usize, values: usize) {
        assert_eq!(self.collect(), Collected { answers, values, errors: 0, panics: 0 });
    }
}

fn leases(server: &RedisServer) -> Vec<String> {
    server.keys("fragkeys:l:*")
}
