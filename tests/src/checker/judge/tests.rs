//! Histories that are right, and with each kind of mistake planted in them.

use fragkeys::Outcome;

use super::*;
use crate::checker::event::Value;
use crate::rng::Rng;

const WRITER: Life = Life { process: 0, number: 0 };
const READER: Life = Life { process: 1, number: 0 };
const RULES: Rules = Rules { max_staleness: 100, longest_call: 50 };

/// A read at this time of a value whose run began at that time.
fn read(start: u64, began: u64) -> Read {
    let value = Value { row: 0, number: 0, began };
    Read { row: 0, start, end: start + 10, outcome: Outcome::Hit, is_near: false, value }
}

fn near(start: u64, began: u64) -> Read {
    Read { is_near: true, ..read(start, began) }
}

fn bump(called: u64, returned: u64, is_ok: bool) -> (Life, Event) {
    (WRITER, Event::Bump { first: 0, rows: 1, called, returned, is_ok })
}

fn judge(events: impl IntoIterator<Item = (Life, Event)>) -> Judge {
    Judge::new(RULES, 2, events)
}

const fn wrong(verdict: &Result<(), Violation>) -> Option<Wrong> {
    match verdict {
        Ok(()) => None,
        Err(violation) => Some(violation.wrong),
    }
}

#[test]
fn i2_a_value_from_before_a_bump_is_caught() {
    let judge = judge([bump(1_000, 1_010, true)]);
    let stale = Some(Wrong::Stale { bumped: 1_000 });
    for life in [WRITER, READER] {
        assert_eq!(wrong(&judge.judge(life, &read(1_010, 999))), stale);
        assert_eq!(wrong(&judge.judge(life, &read(1_010, 1_000))), None);
        assert_eq!(wrong(&judge.judge(life, &read(1_009, 1))), None, "it began before the Ok");
    }
    let other = Read { row: 1, value: Value { row: 1, ..read(0, 1).value }, ..read(2_000, 1) };
    assert_eq!(wrong(&judge.judge(READER, &other)), None, "that row was not bumped");
}

#[test]
fn i2_a_near_hit_may_be_late_in_another_process_and_no_longer() {
    let judge = judge([bump(1_000, 1_010, true)]);
    let stale = Some(Wrong::Stale { bumped: 1_000 });
    assert_eq!(wrong(&judge.judge(READER, &near(1_109, 999))), None);
    assert_eq!(wrong(&judge.judge(READER, &near(1_110, 999))), stale);
    assert_eq!(wrong(&judge.judge(WRITER, &near(1_010, 999))), stale, "it bumped itself");
    let next = Life { number: 1, ..WRITER };
    assert_eq!(wrong(&judge.judge(next, &near(1_109, 999))), None, "another process by now");
}

/// The bumps of two processes overlap, and the later one in the log is not the later one in time.
#[test]
fn i2_the_newest_of_several_bumps_counts() {
    let other = Event::Bump { first: 0, rows: 2, called: 500, returned: 1_500, is_ok: true };
    let judge = judge([bump(1_000, 1_010, true), (READER, other)]);
    for start in [1_400, 1_500, 1_600] {
        let stale = Some(Wrong::Stale { bumped: 1_000 });
        assert_eq!(wrong(&judge.judge(READER, &read(start, 999))), stale);
    }
    let second = Read { row: 1, value: Value { row: 1, ..read(0, 499).value }, ..read(1_500, 0) };
    assert_eq!(wrong(&judge.judge(WRITER, &second)), Some(Wrong::Stale { bumped: 500 }));
}

#[test]
fn i6_a_bump_that_failed_counts_at_once_at_home_and_elsewhere_when_it_is_through() {
    let stale = Some(Wrong::Stale { bumped: 1_000 });
    let too_early = (WRITER, Event::Settled { asked: 1_009, answered: 1_020 });
    let failed = judge([bump(1_000, 1_010, false), too_early]);
    assert_eq!(wrong(&failed.judge(READER, &read(9_000, 999))), None);
    assert_eq!(wrong(&failed.judge(WRITER, &read(1_010, 999))), stale);
    assert_eq!(wrong(&failed.judge(WRITER, &near(1_010, 999))), stale);
    let settled = (WRITER, Event::Settled { asked: 1_200, answered: 1_210 });
    let settled = judge([bump(1_000, 1_010, false), too_early, settled]);
    assert_eq!(wrong(&settled.judge(READER, &read(1_209, 999))), None);
    assert_eq!(wrong(&settled.judge(READER, &read(1_210, 999))), stale);
    let others = (READER, Event::Settled { asked: 1_200, answered: 1_210 });
    let not_its = judge([bump(1_000, 1_010, false), others]);
    assert_eq!(wrong(&not_its.judge(READER, &read(9_000, 999))), None);
}

#[test]
fn i6_bumps_that_are_never_made_up_for_are_caught() {
    let judge = judge([(WRITER, Event::Unsettled { at: 1 })]);
    let found = Violation { life: WRITER, read: None, wrong: Wrong::Unsettled };
    assert_eq!(judge.violations(), [found]);
}

#[test]
fn what_is_acknowledged_while_a_master_is_lost_counts_at_home() {
    let lossy = |from, until| {
        let loss = (READER, Event::Loss { from, until });
        let judge = judge([bump(1_000, 1_010, true), loss]);
        let verdict = |life| wrong(&judge.judge(life, &read(2_000, 999)));
        (verdict(WRITER), verdict(READER))
    };
    let stale = Some(Wrong::Stale { bumped: 1_000 });
    for (from, until) in [(900, 1_000), (1_010, 1_100), (900, 1_100), (1_003, 1_004)] {
        assert_eq!(lossy(from, until), (stale, None), "{from} to {until}");
    }
    for (from, until) in [(900, 999), (1_011, 1_100)] {
        assert_eq!(lossy(from, until), (stale, stale), "{from} to {until}");
    }
}

#[test]
fn i4_the_value_of_another_row_is_caught() {
    let mixed = Read { value: Value { row: 1, ..read(0, 5).value }, ..read(10, 5) };
    assert_eq!(wrong(&judge([]).judge(READER, &mixed)), Some(Wrong::Mixed));
}

#[test]
fn i5_a_number_that_the_database_never_had_is_caught() {
    let write = |number, begun, done| {
        let begun = (WRITER, Event::Writing { row: 0, number, at: begun });
        [begun, (WRITER, Event::Written { row: 0, number, at: done })]
    };
    // The third was begun by a process that was killed, and again by the next one.
    let third = (WRITER, Event::Writing { row: 0, number: 3, at: 3_000 });
    let events = [write(1, 1_000, 1_010), write(2, 2_000, 2_010), write(3, 4_000, 4_010)];
    let judge = judge(events.into_iter().flatten().chain([third]));
    let of_run = |number, began| {
        let read = read(9_000, began);
        wrong(&judge.judge(READER, &Read { value: Value { number, ..read.value }, ..read }))
    };
    assert_eq!(of_run(0, 1_009), None);
    assert_eq!(of_run(0, 1_010), Some(Wrong::MadeUp), "overwritten before the run");
    assert_eq!(of_run(1, 1_005), None);
    assert_eq!(of_run(2, 3_999), None);
    assert_eq!(of_run(3, 3_500), None);
    assert_eq!(of_run(2, 4_010), Some(Wrong::MadeUp));
    assert_eq!(of_run(4, 8_000), Some(Wrong::MadeUp), "never written");
    assert_eq!(of_run(3, 9_011), Some(Wrong::MadeUp), "of a run after the answer");
    let early = Read { value: Value { number: 3, ..read(0, 2_500).value }, ..read(2_900, 2_500) };
    assert_eq!(wrong(&judge.judge(READER, &early)), Some(Wrong::MadeUp), "not written yet");
}

#[test]
fn i5_late_and_missing_answers_are_caught() {
    let slow = Read { end: 1_051, ..read(1_000, 1_000) };
    let late = Some(Wrong::Late { took: 51 });
    assert_eq!(wrong(&judge([]).judge(READER, &slow)), late);
    assert_eq!(wrong(&judge([]).judge(READER, &Read { end: 1_050, ..slow })), None);
    let stalled = |life, from, until| judge([(life, Event::Stalled { from, until })]);
    assert_eq!(wrong(&stalled(READER, 900, 1_001).judge(READER, &slow)), None);
    assert_eq!(wrong(&stalled(READER, 900, 1_000).judge(READER, &slow)), late);
    assert_eq!(wrong(&stalled(WRITER, 900, 2_000).judge(READER, &slow)), late);
    let gone = judge([(READER, Event::Unanswered { row: 1, start: 7 })]);
    let wrong = Wrong::Unanswered { row: 1, start: 7 };
    assert_eq!(gone.violations(), [Violation { life: READER, read: None, wrong }]);
}

/// A history as it would be without a network: each bump is seen at once.
struct Made {
    events: Vec<(Life, Event)>,
    reads: Vec<(Life, Read)>,
}

fn history(seed: u64) -> Made {
    let mut rng = Rng::new(seed);
    let (mut events, mut reads) = (Vec::new(), Vec::new());
    let mut time = 1_000;
    let mut kept = [Value { row: 0, number: 0, began: 0 }, Value { row: 1, number: 0, began: 0 }];
    for _ in 0..2_000 {
        let row = u32::try_from(rng.below(2)).unwrap();
        let life = Life { process: u32::try_from(rng.below(3)).unwrap(), number: 0 };
        time += 10;
        let held = &mut kept[row as usize];
        if rng.below(4) == 0 {
            let number = held.number + 1;
            events.push((life, Event::Writing { row, number, at: time }));
            events.push((life, Event::Written { row, number, at: time + 1 }));
            let (called, returned) = (time + 2, time + 4);
            events.push((life, Event::Bump { first: row, rows: 1, called, returned, is_ok: true }));
            *held = Value { row, number, began: time + 3 };
        } else {
            let outcome = Outcome::Hit;
            let read =
                Read { row, start: time, end: time + 5, outcome, is_near: false, value: *held };
            reads.push((life, read));
        }
    }
    Made { events, reads }
}

#[test]
fn i2_in_a_long_history_exactly_what_is_planted_is_found() {
    for seed in 0..20 {
        let Made { events, mut reads } = history(seed);
        let judge = judge(events);
        let found = |reads: &[(Life, Read)]| {
            let judged = reads.iter().map(|(life, read)| judge.judge(*life, read).is_err());
            judged.enumerate().filter_map(|(index, is)| is.then_some(index)).collect::<Vec<_>>()
        };
        assert_eq!(found(&reads), [0; 0], "a history without a mistake");
        // An answer from before the last write, as a cache that forgot a bump would give it.
        let at = reads.len() / 2 + usize::try_from(seed).unwrap();
        let (row, newest) = (reads[at].1.row, reads[at].1.value.number);
        let old = reads.iter().rev().map(|(_, read)| read.value);
        let old = old
            .filter(|value| value.row == row && value.number < newest)
            .max_by_key(|value| value.number);
        reads[at].1.value = old.unwrap();
        assert_eq!(found(&reads), [at], "seed {seed}");
    }
}
