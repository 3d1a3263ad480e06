use super::*;
use crate::version::Version;

fn version(number: u64) -> Version {
    Version::of_cell(Version::MIN + number).unwrap()
}

fn push(keys: &[&str]) -> PushInfo {
    let keys = keys.iter().map(|key| Value::BulkString(key.as_bytes().to_vec())).collect();
    PushInfo { kind: PushKind::Invalidate, data: vec![Value::Array(keys)] }
}

#[test]
fn an_answer_is_learned_unless_a_change_was_pushed_meanwhile() {
    let cells = Cells::new();
    let cell = cells.get_or_add("a");
    let question = cell.question();
    assert_eq!(cell.version(), None);
    cell.learn(question, version(1));
    assert_eq!(cell.version(), Some(version(1)));

    let second = cell.question();
    cell.learn(second, version(9));
    assert_eq!(cell.version(), Some(version(1)), "who asked what is known changes nothing");

    cells.apply(&push(&["b", "a"]));
    assert_eq!(cell.version(), None);
    cell.learn(question, version(1));
    assert_eq!(cell.version(), None, "an answer to a question from before the change");
    let (one, two) = (cell.question(), cell.question());
    cells.apply(&push(&["a"]));
    cell.learn(one, version(2));
    assert_eq!(cell.version(), None);
    cell.learn(cell.question(), version(3));
    cell.learn(two, version(2));
    assert_eq!(cell.version(), Some(version(3)));
}

#[test]
fn a_flush_and_a_loss_forget_all() {
    for data in [
        PushInfo { kind: PushKind::Invalidate, data: vec![Value::Nil] },
        PushInfo { kind: PushKind::Disconnection, data: vec![] },
        PushInfo { kind: PushKind::Invalidate, data: vec![Value::Array(vec![Value::Int(1)])] },
    ] {
        let cells = Cells::new();
        for key in ["a", "b"] {
            let cell = cells.get_or_add(key);
            cell.learn(cell.question(), version(1));
        }
        cells.apply(&data);
        assert!(["a", "b"].iter().all(|key| cells.get(key).unwrap().version().is_none()));
    }
}

/// Nobody tells a cell that cannot be found any more.
#[test]
fn a_cell_that_is_evicted_knows_nothing_and_learns_nothing() {
    let cells = Cells::new();
    let held: Vec<(String, Arc<Cell>)> = (0..200_000)
        .map(|number| {
            let key = format!("prefix:t:User:{number}");
            let cell = cells.get_or_add(&key);
            cell.learn(cell.question(), version(number));
            (key, cell)
        })
        .collect();
    let mut evicted = 0;
    for (key, cell) in &held {
        if cells.get(key).is_some_and(|found| Arc::ptr_eq(&found, cell)) {
            continue;
        }
        evicted += 1;
        assert_eq!(cell.version(), None);
        cell.learn(cell.question(), version(1));
        cell.forget(cells.next_question());
        cell.learn(cell.question(), version(1));
        assert_eq!(cell.version(), None);
    }
    assert!(evicted > 100_000, "{evicted}");
    let too_long = "x".repeat(usize::try_from(BYTES).unwrap());
    let cell = cells.get_or_add(&too_long);
    cell.learn(cell.question(), version(1));
    assert_eq!(cell.version(), None);
}
