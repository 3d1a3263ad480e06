//! Servers, processes, and the faults that happen to them.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use super::database::Database;
use super::event::{Event, Life};
use super::fault::{Fault, Masters};
use super::log::{self, Log};
use super::report::Report;
use super::worker::{PROCESSES, Worker};
use super::{Mode, ROWS};
use crate::rng::Rng;
use crate::{Child, Cluster, Proxy, RedisServer};

/// What to run, and for how long.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Which way the processes read.
    pub mode: Mode,
    /// How often each fault happens, at least.
    pub rounds: u32,
    /// For how long, at least; a round that has begun ends.
    pub time: Duration,
    /// How many calls are answered, at least.
    pub reads: u64,
    /// Which faults happen when, and to whom. (Not what comes of it.)
    pub seed: u64,
    /// How long a call may take beyond all waiting that has a bound.
    pub slack: Duration,
    /// How long a fault stays and how long it is calm before the next one, at most.
    pub longest: Duration,
}

impl Plan {
    /// One round.
    #[must_use]
    pub fn of(mode: Mode) -> Self {
        let (slack, longest) = (Duration::from_secs(1), Duration::from_millis(1_500));
        Plan { mode, rounds: 1, time: Duration::ZERO, reads: 0, seed: 0, slack, longest }
    }
}

/// A system under test.
pub struct Rig<'a> {
    pub(super) site: Site,
    plan: &'a Plan,
    folder: &'a Path,
    /// By process.
    workers: Vec<(Life, Child)>,
    log: Log,
    rng: Rng,
}

/// What the processes connect to.
pub(super) enum Site {
    /// One server, and a way to it for each process.
    Server {
        server: RedisServer,
        proxies: Vec<Proxy>,
    },
    Cluster(Cluster, Masters),
}

impl Rig<'_> {
    /// Runs it, and judges the logs, which are written to an empty folder.
    ///
    /// # Errors
    ///
    /// When there is no room for the logs.
    ///
    /// # Panics
    ///
    /// When a server or a process does not start.
    pub fn run(plan: &Plan, folder: &Path) -> io::Result<Report> {
        let began = Instant::now();
        Database::create(folder, ROWS)?;
        let site = match plan.mode {
            Mode::Cluster => {
                let cluster = Cluster::start();
                cluster.replaces_soon();
                let masters = Masters::of(&cluster);
                Site::Cluster(cluster, masters)
            }
            Mode::Strict | Mode::Near => {
                let server = RedisServer::start();
                let proxies = (0..PROCESSES).map(|_| Proxy::to(server.port())).collect();
                Site::Server { server, proxies }
            }
        };
        let injector = Life { process: PROCESSES, number: 0 };
        let log = Log::create(folder, injector)?;
        let mut rig =
            Rig { site, plan, folder, workers: Vec::new(), log, rng: Rng::new(plan.seed) };
        for process in 0..PROCESSES {
            let life = Life { process, number: 0 };
            rig.workers.push((life, rig.start(life)));
        }
        let faults = rig.make_trouble(began)?;
        rig.end();
        Report::of(plan, faults, began.elapsed(), folder)
    }

    /// Judges the logs of an earlier run, whose faults stand in its own report.
    ///
    /// # Errors
    ///
    /// When there are none.
    pub fn judge_again(plan: &Plan, folder: &Path) -> io::Result<Report> {
        Report::of(plan, BTreeMap::new(), Duration::ZERO, folder)
    }

    /// Each fault once a round, in an order that changes.
    fn make_trouble(&mut self, began: Instant) -> io::Result<BTreeMap<Fault, u32>> {
        let mut counts = BTreeMap::new();
        let mut faults = match self.plan.mode {
            Mode::Cluster => Fault::OF_A_CLUSTER.to_vec(),
            Mode::Strict | Mode::Near => Fault::OF_ONE_SERVER.to_vec(),
        };
        let mut round = 0;
        while round < self.plan.rounds || began.elapsed() < self.plan.time {
            self.shuffle(&mut faults);
            for fault in &faults {
                thread::sleep(self.moment());
                fault.happen(self);
                *counts.entry(*fault).or_default() += 1;
            }
            round += 1;
        }
        while log::count_reads(self.folder)? < self.plan.reads {
            thread::sleep(Duration::from_millis(100));
        }
        Ok(counts)
    }

    fn shuffle(&mut self, faults: &mut [Fault]) {
        for last in (1..faults.len()).rev() {
            faults.swap(last, self.rng.below(last + 1));
        }
    }

    /// All at once, as each has its last calls.
    fn end(&mut self) {
        self.workers.iter_mut().for_each(|(_, worker)| worker.close_stdin());
        for (life, worker) in &mut self.workers {
            let status = worker.wait();
            assert!(status.success(), "process {life} ended with {status}");
        }
    }

    fn start(&self, life: Life) -> Child {
        let urls = match &self.site {
            Site::Server { proxies, .. } => vec![proxies[life.process as usize].url()],
            Site::Cluster(cluster, _) => cluster.urls(),
        };
        let (folder, mode) = (self.folder.to_owned(), self.plan.mode);
        let worker = Worker { folder, life, mode, urls, seed: self.plan.seed };
        let args = worker.to_args();
        let args: Vec<&str> = [WORKER].into_iter().chain(args.iter().map(String::as_str)).collect();
        Child::start(std::env::current_exe().expect("the path of this program"), &args, &[])
    }

    pub(super) fn replace_a_worker(&mut self) {
        let index = self.any_process();
        let (life, worker) = &mut self.workers[index];
        worker.kill();
        let next = Life { number: life.number + 1, ..*life };
        self.workers[index] = (next, self.start(next));
    }

    pub(super) fn stop_a_worker(&mut self, time: Duration) {
        let index = self.any_process();
        let pid = i32::try_from(self.workers[index].1.pid()).ok().and_then(Pid::from_raw);
        let signal = |signal| {
            kill_process(pid.expect("a process id"), signal).expect("a process of ours");
        };
        signal(Signal::STOP);
        thread::sleep(time);
        signal(Signal::CONT);
    }

    pub(super) fn any_process(&mut self) -> usize {
        self.rng.below(PROCESSES as usize)
    }

    pub(super) fn any_slot(&mut self) -> u16 {
        let row = self.rng.below(ROWS as usize);
        let Site::Cluster(cluster, _) = &self.site else {
            unreachable!("only a cluster has slots")
        };
        cluster.slot(&format!("fragkeys:t:Row:{row}"))
    }

    /// By default sometimes shorter than the near tier's bound and than a call waits, and sometimes
    /// longer.
    pub(super) fn moment(&mut self) -> Duration {
        const SHORTEST: Duration = Duration::from_millis(100);
        let share = self.rng.below(1_000) as f64 / 1_000.0;
        SHORTEST + self.plan.longest.saturating_sub(SHORTEST).mul_f64(share)
    }

    pub(super) fn note_loss(&self, from: u64, until: u64) {
        self.log.write(Event::Loss { from, until });
    }
}

/// The word that makes the program a worker.
pub(super) const WORKER: &str = "worker";
