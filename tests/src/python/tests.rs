use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Barrier;

use super::*;

fn panic_text(act: impl FnOnce()) -> String {
    let payload = catch_unwind(AssertUnwindSafe(act)).unwrap_err();
    payload.downcast_ref::<String>().unwrap().clone()
}

#[test]
fn has_the_packages_at_the_versions_of_the_parity_table() {
    let script = "
from importlib.metadata import version
import django, redis, fragmented_keys, fragmented_keys_django
print(version('fragmented_keys'), version('fragmented_keys_django'))";
    assert_eq!(Python::new().run(script, &[], &[]), "0.1.5 0.2.1\n");
}

#[test]
fn a_script_has_arguments_and_environment_and_its_failure_is_told() {
    let script = "import os, sys; print(sys.argv[1:], os.environ['FRAGKEYS_TEST_WORD'])";
    let envs = [("FRAGKEYS_TEST_WORD", "world"), ("PYTHONSTARTUP", "/nowhere")];
    assert_eq!(Python::new().run(script, &["a b", "c"], &envs), "['a b', 'c'] world\n");
    let told = panic_text(|| drop(Python::new().run("import no_such_module", &[], &[])));
    assert!(told.contains("ModuleNotFoundError"), "{told}");
}

#[test]
fn a_session_keeps_its_state_and_survives_mistakes() {
    let mut session = Python::new().session("x = 20\nprint('not an answer')", &[]);
    session.exec("def f(y):\n    return x + y");
    assert_eq!(session.eval("f(1)"), "21");
    let hostile = "a\\n\n\r\\ b";
    assert_eq!(session.eval(&format!("{hostile:?} + 'c'")), format!("{hostile}c"));
    let told = panic_text(|| drop(session.eval("f('text')")));
    assert!(told.contains("TypeError"), "{told}");
    let told = panic_text(|| session.exec("this is no Python"));
    assert!(told.contains("SyntaxError"), "{told}");
    assert_eq!(session.eval("x"), "20");
    assert!(session.child.wait().success(), "it ends with its input");
}

#[test]
fn an_environment_is_made_once_and_anew_when_it_is_not_whole() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("python");
    // What a maker that was killed leaves behind.
    fs::create_dir_all(place.join("bin")).unwrap();
    fs::write(place.join("bin/python"), "half a file").unwrap();

    let barrier = Barrier::new(2);
    let ready = || {
        barrier.wait();
        Environment::ready(&place, &[]).unwrap()
    };
    let [one, other] = std::thread::scope(|scope| {
        let threads = [scope.spawn(ready), scope.spawn(ready)];
        threads.map(|thread| thread.join().unwrap())
    });
    assert!(one.was_made != other.was_made, "one makes it, and one waits for that");

    fs::write(place.join("fragkeys-receipt"), "another package").unwrap();
    assert!(Environment::ready(&place, &[]).unwrap().was_made);
    assert!(!Environment::ready(&place, &[]).unwrap().was_made);
    fs::remove_file(one.program()).unwrap();
    assert!(Environment::ready(&place, &[]).unwrap().was_made);
}

#[test]
fn a_failure_to_make_it_is_told_in_the_words_of_pip_and_tried_again() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("python");
    for _ in 0..2 {
        let told = Environment::ready(&place, &["./no-such-package"]).unwrap_err();
        assert!(told.contains("pip") && told.contains("no-such-package"), "{told}");
        assert!(told.contains("Invalid requirement"), "{told}");
    }
}
