//! What came of it, for people.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::Path;
use std::time::Duration;

use super::event::{Event, Read};
use super::fault::Fault;
use super::judge::{Judge, Rules, Violation};
use super::log;
use super::rig::Plan;
use super::worker::{LEASE_WAIT, MAX_STALENESS, RUN};
use super::{Mode, ROWS};

/// How many violations are kept to be shown.
const SHOWN: usize = 20;
/// The default of `operation_timeout`.
const OPERATION_TIMEOUT: Duration = Duration::from_millis(250);

/// What a system did, and what the judge says.
#[derive(Debug)]
pub struct Report {
    plan: Plan,
    took: Duration,
    faults: BTreeMap<Fault, u32>,
    /// How many calls were answered.
    pub reads: u64,
    /// How many of them broke a promise, or were never answered.
    pub violations: u64,
    near_hits: u64,
    outcomes: BTreeMap<&'static str, u64>,
    writes: u64,
    bumps: u64,
    failed_bumps: u64,
    lives: u64,
    longest_call: Duration,
    shown: Vec<Violation>,
}

impl Report {
    pub(super) fn of(
        plan: &Plan,
        faults: BTreeMap<Fault, u32>,
        took: Duration,
        folder: &Path,
    ) -> io::Result<Self> {
        let max_staleness = match plan.mode {
            Mode::Near => nanos(MAX_STALENESS),
            // A reply that is there at once looks like a near hit.
            Mode::Strict | Mode::Cluster => 0,
        };
        let longest_call = nanos(OPERATION_TIMEOUT + LEASE_WAIT + 2 * RUN + plan.slack);
        let rules = Rules { max_staleness, longest_call };
        let judge = Judge::new(rules, ROWS, log::events(folder)?);
        let mut report = Report {
            plan: plan.clone(),
            took,
            faults,
            reads: 0,
            violations: judge.violations().len() as u64,
            near_hits: 0,
            outcomes: BTreeMap::new(),
            writes: 0,
            bumps: 0,
            failed_bumps: 0,
            lives: 0,
            longest_call: Duration::ZERO,
            shown: judge.violations().iter().take(SHOWN).copied().collect(),
        };
        for (_, event) in log::events(folder)? {
            report.count(event);
        }
        let mut last = None;
        for (life, event) in log::reads(folder)? {
            report.lives += u64::from(last.replace(life) != Some(life));
            let Event::Read(read) = event else { continue };
            report.count_read(&read);
            if let Err(violation) = judge.judge(life, &read) {
                report.violations += 1;
                if report.shown.len() < SHOWN {
                    report.shown.push(violation);
                }
            }
        }
        Ok(report)
    }

    fn count(&mut self, event: Event) {
        match event {
            Event::Written { .. } => self.writes += 1,
            Event::Bump { is_ok, .. } => {
                self.bumps += 1;
                self.failed_bumps += u64::from(!is_ok);
            }
            _ => {}
        }
    }

    fn count_read(&mut self, read: &Read) {
        self.reads += 1;
        self.near_hits += u64::from(read.is_near);
        *self.outcomes.entry(read.outcome.as_str()).or_default() += 1;
        let took = Duration::from_nanos(read.end.saturating_sub(read.start));
        self.longest_call = self.longest_call.max(took);
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).expect("no more than some seconds")
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { plan, took, reads, near_hits, outcomes, .. } = self;
        let (mode, seed) = (plan.mode.name(), plan.seed);
        writeln!(f, "{mode}, seed {seed}, {:.1} minutes", took.as_secs_f64() / 60.0)?;
        writeln!(f, "\n| what | number |\n|---|---|")?;
        writeln!(f, "| calls | {reads} |")?;
        for (outcome, number) in outcomes {
            writeln!(f, "| {outcome} | {number} |")?;
        }
        if plan.mode == Mode::Near {
            writeln!(f, "| of the hits, near | {near_hits} |")?;
        }
        writeln!(f, "| writes | {} |", self.writes)?;
        writeln!(f, "| bumps | {} |", self.bumps)?;
        writeln!(f, "| of those, failed and made up for later | {} |", self.failed_bumps)?;
        writeln!(f, "| processes, one after the other | {} |", self.lives)?;
        writeln!(f, "| longest call, stops included, ms | {} |", self.longest_call.as_millis())?;
        writeln!(f, "| **violations** | **{}** |", self.violations)?;
        writeln!(f, "\n| fault | times |\n|---|---|")?;
        for (fault, number) in &self.faults {
            writeln!(f, "| {} | {number} |", fault.name())?;
        }
        if !self.shown.is_empty() {
            writeln!(f, "\nThe first violations, in nanoseconds of the monotonic clock:\n")?;
        }
        self.shown.iter().try_for_each(|violation| writeln!(f, "- {violation}"))
    }
}
