//! Tables in markdown.

use std::fmt::Write as _;

use crate::allocation::Allocations;
use crate::contender::{BASE, Entrant};
use crate::race::{Round, Rounds};
use crate::statistic::Spread;
use crate::value::Size;

/// What was measured of some contenders with values of one size.
pub struct Hits {
    pub size: Size,
    pub names: Vec<&'static str>,
    pub alone: Rounds,
    /// By how many callers.
    pub together: Vec<(u64, Rounds)>,
}

impl Hits {
    #[must_use]
    pub fn new(size: Size, entrants: &[Entrant], alone: Rounds) -> Self {
        let names = entrants.iter().map(|entrant| entrant.name).collect();
        Hits { size, names, alone, together: Vec::new() }
    }

    /// A row for each contender; ratios to the base, but for the base itself.
    #[must_use]
    pub fn table(&self, allocations: &Allocations) -> String {
        let mut heads = vec!["".to_owned(), "p50, 1 caller".into(), "p99".into()];
        for (callers, _) in &self.together {
            heads.extend([format!("hits a second, {callers} callers"), "p50".into(), "p99".into()]);
        }
        heads.push("allocations".into());
        let mut table = format!("| {} |\n|{}\n", heads.join(" | "), "---|".repeat(heads.len()));
        for (index, name) in self.names.iter().enumerate() {
            let mut cells = vec![(*name).to_owned()];
            let mut show = |rounds: &Rounds, field: fn(&Round) -> f64, unit: fn(f64) -> String| {
                let ratio = self.ratio(rounds, index, field);
                cells.push(if *name == BASE {
                    unit(Spread::of(rounds[index].iter().map(field)).median)
                } else {
                    ratio.to_string()
                });
            };
            show(&self.alone, |round| round.p50, time);
            show(&self.alone, |round| round.p99, time);
            for (_, rounds) in &self.together {
                show(rounds, |round| round.throughput, |rate| format!("{:.0} k/s", rate / 1e3));
                show(rounds, |round| round.p50, time);
                show(rounds, |round| round.p99, time);
            }
            cells.push(format!("{:.0}", allocations.of(name, self.size)));
            let _ = writeln!(table, "| {} |", cells.join(" | "));
        }
        table
    }

    /// Of a contender to the base, round by round.
    #[must_use]
    pub fn ratio(&self, rounds: &Rounds, index: usize, field: fn(&Round) -> f64) -> Spread {
        let base = self.names.iter().position(|name| *name == BASE).expect("always there");
        Spread::of_ratios(rounds[index].iter().map(field), rounds[base].iter().map(field))
    }
}

/// Of ns, for people.
#[must_use]
pub fn time(nanos: f64) -> String {
    match nanos {
        ..1e4 => format!("{nanos:.0} ns"),
        1e4..1e6 => format!("{:.1} µs", nanos / 1e3),
        _ => format!("{:.1} ms", nanos / 1e6),
    }
}
