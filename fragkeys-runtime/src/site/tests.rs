use super::*;

#[test]
fn names_leave_generic_arguments_out() {
    let cases = [
        ("shop::users::profile", "shop::users::profile"),
        ("shop::Users<u8>::profile<3, &str>", "shop::Users::profile"),
        ("<shop::Users as shop::Read>::profile", "shop::Users_as_shop::Read::profile"),
        ("<shop::Users<Vec<u8>> as shop::Read<u8>>::profile", "shop::Users_as_shop::Read::profile"),
        ("shop::f<fn(u8) -> Vec<u8>>::{{closure}}", "shop::f::{{closure}}"),
    ];
    for (path, name) in cases {
        assert_eq!(without_generic_arguments(path), name);
    }
}

#[test]
fn generic_arguments_are_kept_apart() {
    let cases = [
        ("shop::users::profile", ""),
        ("shop::Users<u8>::profile<3, &str>", "<u8><3, &str>"),
        ("<shop::Users as shop::Read>::profile", "<shop::Users as shop::Read>"),
        ("shop::f<fn(u8) -> Vec<u8>>", "<fn(u8) -> Vec<u8>>"),
    ];
    for (path, arguments) in cases {
        assert_eq!(generic_arguments(path), arguments);
    }
}
