//! The table against the real packages, and against the tests that it names.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use fragkeys_tests::Python;

/// Prints `module name` for each public name where it is defined: of each module its functions,
/// classes with what they have of their own, and constants; and whatever an `__all__` says.
const NAMES: &str = r#"
import ast, importlib, inspect, pkgutil
import django
from django.conf import settings
settings.configure(CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}})
django.setup()
import fragmented_keys, fragmented_keys_django

def modules(package):
    yield package
    for found in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        yield importlib.import_module(found.name)

def defined(module):
    for node in ast.parse(inspect.getsource(module)).body:
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.Assign):
            yield from (target.id for target in node.targets if isinstance(target, ast.Name))
        elif isinstance(node, ast.AnnAssign):
            yield node.target.id

def is_public(name):
    return not name.startswith("_")

for package in (fragmented_keys, fragmented_keys_django):
    for module in modules(package):
        for name in filter(is_public, defined(module)):
            print(module.__name__, name)
            thing = getattr(module, name)
            if inspect.isclass(thing):
                for member in filter(is_public, vars(thing)):
                    print(module.__name__, f"{name}.{member}")
        for name in getattr(module, "__all__", ()):
            thing = getattr(module, name)
            print(thing.__module__, thing.__qualname__)
"#;

struct Row {
    module: String,
    names: Vec<String>,
    ours: String,
    test: String,
}

fn repository() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

/// The rows of the table: `| `name`, `name` | ours | `file::test` |` under `## `module``.
fn rows() -> Vec<Row> {
    let text = std::fs::read_to_string(repository().join("fragkeys/docs/parity.md")).unwrap();
    let mut module = String::new();
    let mut rows = Vec::new();
    for line in text.lines() {
        if let Some(heading) = line.strip_prefix("## `") {
            module = heading.trim_end_matches('`').to_owned();
        }
        let cells: Vec<&str> = line.trim().trim_matches('|').split(" | ").map(str::trim).collect();
        if !line.starts_with("| `") {
            continue;
        }
        let [names, ours, test] = cells[..] else { panic!("not three cells: {line}") };
        rows.push(Row {
            module: module.clone(),
            names: names.split(", ").map(|name| name.trim_matches('`').to_owned()).collect(),
            ours: ours.to_owned(),
            test: test.trim_matches('`').to_owned(),
        });
    }
    rows
}

#[test]
fn every_public_name_of_both_packages_has_a_row() {
    let printed = Python::new().run(NAMES, &[], &[]);
    let real: BTreeSet<String> = printed.lines().map(|line| line.replace(' ', " `")).collect();
    assert!(real.len() > 140, "the packages have more than this: {real:?}");
    let mut listed = BTreeMap::new();
    for row in rows() {
        for name in &row.names {
            *listed.entry(format!("{} `{name}", row.module)).or_insert(0) += 1;
        }
    }
    let missing: Vec<_> = real.iter().filter(|name| !listed.contains_key(*name)).collect();
    assert!(missing.is_empty(), "not in the table: {missing:#?}");
    let invented: Vec<_> = listed.keys().filter(|name| !real.contains(*name)).collect();
    assert!(invented.is_empty(), "not in the packages: {invented:#?}");
    let twice: Vec<_> = listed.iter().filter(|(_, times)| **times > 1).collect();
    assert!(twice.is_empty(), "in more than one row: {twice:#?}");
}

#[test]
fn every_row_says_what_to_write_and_names_a_test_that_is_there() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("it/parity");
    let mut named = BTreeSet::new();
    for row in rows() {
        let Row { module, names, ours, test } = &row;
        assert!(!ours.is_empty(), "nothing to write for {names:?} of {module}");
        let (file, function) = test.split_once("::").expect("a test is `file::function`");
        let source = std::fs::read_to_string(tests.join(file).with_extension("rs"));
        let source = source.unwrap_or_else(|error| panic!("{names:?}: {test}: {error}"));
        let is_there =
            source.split("#[test]").chain(source.split("#[tokio::test")).skip(1).any(|after| {
                after.lines().take(2).any(|line| line.contains(&format!("fn {function}(")))
            });
        assert!(is_there, "{names:?} of {module}: there is no test `{test}`");
        named.insert(test.clone());
    }
    assert!(named.len() > 40, "rows share tests by idea, not all of them one: {named:?}");
}
