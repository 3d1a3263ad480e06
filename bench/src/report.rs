//! Tables in markdown.

use std::fmt::Write as _;

use crate::allocation::Allocations;
use crate::contender::{Entrant, Place};
use crate::race::{Round, Rounds};
use crate::statistic::Spread;
use crate::value::Size;

/// What was measured of the contenders of one place, with values of one size.
pub struct Hits {
    pub size: Size,
    pub place: Place,
    pub names: Vec<&'static str>,
    /// By how many callers.
    pub by_callers: Vec<(u64, Rounds)>,
}

/// What is read off a round.
pub type Field = fn(&Round) -> f64;

/// How it is written.
type Unit = fn(f64) -> String;

pub const P50: Field = |round| round.p50;
pub const P99: Field = |round| round.p99;
pub const THROUGHPUT: Field = |round| round.throughput;

impl Hits {
    #[must_use]
    pub fn new(size: Size, place: Place, entrants: &[Entrant]) -> Self {
        let names = entrants.iter().map(|entrant| entrant.name).collect();
        Hits { size, place, names, by_callers: Vec::new() }
    }

    /// A table for each number of callers.
    #[must_use]
    pub fn tables(&self, allocations: &Allocations) -> String {
        let mut text = String::new();
        for (callers, rounds) in &self.by_callers {
            let _ = match callers {
                1 => writeln!(text, "One caller:\n"),
                _ => writeln!(text, "{} callers:\n", thousands(*callers)),
            };
            text += &self.table(rounds, *callers, allocations);
            text.push('\n');
        }
        text
    }

    /// A row for each contender; ratios to the base, but for the base itself.
    fn table(&self, rounds: &Rounds, callers: u64, allocations: &Allocations) -> String {
        // Of hits that take no time and stand in line for a processor there is no latency.
        let columns: &[(&str, Field, Unit)] = match (self.place, callers) {
            (Place::Redis, 1) => &[("p50", P50, time), ("p99", P99, time)],
            (Place::Redis, _) => {
                &[("hits a second", THROUGHPUT, rate), ("p50", P50, time), ("p99", P99, time)]
            }
            (Place::Process, 1) => &[("p50", P50, time), ("p99", P99, time)],
            (Place::Process, _) => &[("hits a second", THROUGHPUT, rate)],
        };
        let heads = columns.iter().map(|(head, ..)| format!(" {head} |"));
        let heads: String = heads.collect();
        let mut table =
            format!("| |{heads} allocations |\n|---|{}---|\n", "---|".repeat(columns.len()));
        for (index, name) in self.names.iter().enumerate() {
            let _ = write!(table, "| {name} |");
            for (_, field, unit) in columns {
                let cell = if index == self.base() {
                    unit(Spread::of(rounds[index].iter().map(field)).median)
                } else {
                    self.ratio(rounds, index, *field).to_string()
                };
                let _ = write!(table, " {cell} |");
            }
            let _ = writeln!(table, " {:.0} |", allocations.of(name, self.size));
        }
        table
    }

    fn base(&self) -> usize {
        let base = self.place.base();
        self.names.iter().position(|name| *name == base).expect("the base is always there")
    }

    /// Of a contender to the base, round by round.
    #[must_use]
    pub fn ratio(&self, rounds: &Rounds, index: usize, field: Field) -> Spread {
        let of = rounds[index].iter().map(field);
        Spread::of_ratios(of, rounds[self.base()].iter().map(field))
    }

    /// The ratios of all but the base.
    #[must_use]
    pub fn ratios(&self, callers: u64, field: Field) -> Vec<(&'static str, Spread)> {
        let measured = self.by_callers.iter().find(|(count, _)| *count == callers);
        let (_, rounds) = measured.expect("measured with so many callers");
        let all = self.names.iter().enumerate().filter(|(index, _)| *index != self.base());
        all.map(|(index, name)| (*name, self.ratio(rounds, index, field))).collect()
    }

    /// The few numbers that the README shows.
    #[must_use]
    pub fn headline(&self, allocations: &Allocations) -> String {
        let [_, (some, _), (many, _)] = &self.by_callers[..] else { return String::new() };
        let mut table = format!(
            "| a hit, to raw `GET` + decode | latency, 1 caller | throughput, {} callers \
             | {} callers | allocations |\n|---|---|---|---|---|\n",
            thousands(*some),
            thousands(*many)
        );
        let [alone, some, many] = [(1, P50), (*some, THROUGHPUT), (*many, THROUGHPUT)]
            .map(|(callers, field)| self.ratios(callers, field));
        let base = allocations.of(self.place.base(), self.size);
        let _ = writeln!(table, "| {} | 1 | 1 | 1 | {base:.0} |", self.place.base());
        for ((name, alone), ((_, some), (_, many))) in alone.iter().zip(some.iter().zip(&many)) {
            let [alone, some, many] = [alone, some, many].map(|spread| spread.median);
            let count = allocations.of(name, self.size);
            let _ = writeln!(table, "| {name} | {alone:.2} | {some:.2} | {many:.2} | {count:.0} |");
        }
        table
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

fn rate(a_second: f64) -> String {
    match a_second {
        ..1e6 => format!("{:.0} k/s", a_second / 1e3),
        _ => format!("{:.1} M/s", a_second / 1e6),
    }
}

/// `1,000`
#[must_use]
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let from_right = |index: usize| digits.len() - index;
    let with_comma = |(index, digit)| {
        let comma = index > 0 && from_right(index) % 3 == 0;
        comma.then_some(',').into_iter().chain([digit])
    };
    digits.chars().enumerate().flat_map(with_comma).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_for_people() {
        assert_eq!([7, 1_000, 1_000_000].map(thousands), ["7", "1,000", "1,000,000"]);
        assert_eq!([90.4, 54_700.0, 3_500_000.0].map(time), ["90 ns", "54.7 µs", "3.5 ms"]);
        assert_eq!([208_400.0, 4_700_000.0].map(rate), ["208 k/s", "4.7 M/s"]);
    }
}
