//! What the compiler says about mistakes, and what compiles without a word.

/// Each mistake is one file, with the words that the user reads beside it. Some of those
/// are `rustc`'s own, or quote a bound in the runtime: after a change of either, write them
/// anew with `TRYBUILD=overwrite` and read what changed. In one test, so that the crates
/// which the cases need are built once.
#[test]
fn mistakes_are_explained_and_generated_code_is_hygienic() {
    let cases = trybuild::TestCases::new();
    cases.pass("ui/pass/*.rs");
    cases.compile_fail("ui/fail/*.rs");
}
