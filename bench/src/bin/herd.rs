//! Many callers at once of one missing key, in one process and in four: how many runs is that? And
//! when the one that runs is dropped: how many of the others still wait after five seconds?

use std::fmt::Write as _;
use std::io::BufRead as _;
use std::time::Duration;

use fragkeys_bench::herd::{Asked, NAMES, RUN, open, runs};
use fragkeys_bench::machine;
use fragkeys_bench::results::Results;
use fragkeys_tests::{Child, RedisServer};
use tokio::task::JoinSet;

const CALLERS: usize = 1_000;
const PROCESSES: usize = 4;
/// Who waits when the one that runs is dropped.
const WAITING: usize = 100;
const GIVEN_UP: Duration = Duration::from_secs(5);
/// The argument that makes this program one of the processes.
const CALL: &str = "call";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [CALL, name, url] => {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
            runtime.expect("a runtime").block_on(obey(name, url));
        }
        [] => measure(true),
        ["--smoke"] => measure(false),
        other => panic!("unknown arguments {other:?}"),
    }
}

/// One of the processes: a line for each command.
async fn obey(name: &str, url: &str) {
    let asked = open(name, url).await;
    // Connected, and whatever is worked out at a first call.
    asked(0).await;
    println!("ready");
    for line in std::io::stdin().lock().lines() {
        let line = line.expect("a command");
        let words: Vec<u64> = line.split(' ').map(|word| word.parse().expect("a number")).collect();
        let before = runs();
        let callers = usize::try_from(words[1]).expect("a number of callers");
        let told = if words[2] == 0 {
            herd(&asked, words[0], callers).await;
            runs() - before
        } else {
            hung(&asked, words[0], callers, before).await
        };
        println!("{told}");
    }
}

fn call(calls: &mut JoinSet<()>, asked: &Asked, id: u64, callers: usize) {
    for _ in 0..callers {
        calls.spawn(asked(id));
    }
}

async fn herd(asked: &Asked, id: u64, callers: usize) {
    let mut calls = JoinSet::new();
    call(&mut calls, asked, id, callers);
    while let Some(answer) = calls.join_next().await {
        answer.expect("no call panics");
    }
}

/// How many have no answer, long after the one that ran was dropped.
async fn hung(asked: &Asked, id: u64, callers: usize, before: u64) -> u64 {
    let leader = tokio::spawn(asked(id));
    while runs() == before {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let mut calls = JoinSet::new();
    call(&mut calls, asked, id, callers);
    tokio::time::sleep(RUN / 2).await;
    leader.abort();
    let all = async { while calls.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(GIVEN_UP, all).await;
    calls.len() as u64
}

fn measure(is_kept: bool) {
    let mut table = String::from(
        "| | runs, 1 process | runs, 4 processes | callers hung |\n|---|---:|---:|---:|\n",
    );
    for name in NAMES {
        let server = RedisServer::start();
        let program = std::env::current_exe().expect("the path of this program");
        let start = || {
            let mut child = Child::start(&program, &[CALL, name, &server.url()], &[]);
            assert_eq!(child.read_line(), "ready");
            child
        };
        let mut processes: Vec<Child> = (0..PROCESSES).map(|_| start()).collect();
        let alone = ask(&mut processes[..1], &format!("1 {CALLERS} 0"));
        let together = ask(&mut processes, &format!("2 {} 0", CALLERS / PROCESSES));
        let hung = ask(&mut processes[..1], &format!("3 {WAITING} 1"));
        println!("{name}: {alone} runs, {together} in {PROCESSES} processes; {hung} hung");
        writeln!(table, "| {name} | {alone} | {together} | {hung} |").expect("a string");
    }
    let text = format!(
        "# Herds\n\nWritten by `bench/run herd`; [how it is measured](../README.md).\n\n{}\n{} callers at once of one missing key, in one process, and {} in each of {}. A run \
         takes {} ms. Then {} callers wait for a run that is dropped: those without an answer after {} s \
         are hung.\n\n{table}",
        machine::describe(),
        CALLERS,
        CALLERS / PROCESSES,
        PROCESSES,
        RUN.as_millis(),
        WAITING,
        GIVEN_UP.as_secs(),
    );
    Results::open(is_kept).write("herd.md", &text);
}

/// The sum of what they say.
fn ask(processes: &mut [Child], command: &str) -> u64 {
    processes.iter_mut().for_each(|process| process.send_line(command));
    let numbers = processes.iter_mut().map(|process| process.read_line());
    numbers.map(|number| number.parse::<u64>().expect("a number")).sum()
}
