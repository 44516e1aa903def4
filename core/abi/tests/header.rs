//! The header is the specification: it must compile, and say the same as the mirror.

use std::process::Command;

const HEADER: &str = include_str!("../include/exedra.h");

#[test]
fn header_compiles_as_c_and_cpp() {
    for (compiler, language, standard) in [("cc", "c", "-std=c11"), ("c++", "c++", "-std=c++17")] {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/include/exedra.h");
        let output = Command::new(compiler)
            .args([
                "-Wall",
                "-Wextra",
                "-Werror",
                "-pedantic",
                "-fsyntax-only",
                standard,
                "-x",
                language,
                path,
            ])
            .output()
            .unwrap_or_else(|e| panic!("{compiler} is needed to check the header: {e}"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

/// Every numeric `#define` of the header against the mirror.
#[test]
fn constants_equal_the_header() {
    use exedra_abi::{Status, kind};
    let mirrored = [
        ("EXEDRA_ABI_MAJOR", i64::from(exedra_abi::ABI_MAJOR)),
        ("EXEDRA_ABI_MINOR", i64::from(exedra_abi::ABI_MINOR)),
        ("EXEDRA_OK", i64::from(Status::OK.0)),
        ("EXEDRA_PENDING", i64::from(Status::PENDING.0)),
        ("EXEDRA_E_INVALID", i64::from(Status::INVALID.0)),
        ("EXEDRA_E_UNSUPPORTED", i64::from(Status::UNSUPPORTED.0)),
        ("EXEDRA_E_NOT_FOUND", i64::from(Status::NOT_FOUND.0)),
        ("EXEDRA_E_CONFLICT", i64::from(Status::CONFLICT.0)),
        ("EXEDRA_E_TOO_LARGE", i64::from(Status::TOO_LARGE.0)),
        ("EXEDRA_E_BUSY", i64::from(Status::BUSY.0)),
        ("EXEDRA_E_TIMEOUT", i64::from(Status::TIMEOUT.0)),
        ("EXEDRA_E_CANCELLED", i64::from(Status::CANCELLED.0)),
        ("EXEDRA_E_GONE", i64::from(Status::GONE.0)),
        ("EXEDRA_E_UNAUTHORIZED", i64::from(Status::UNAUTHORIZED.0)),
        ("EXEDRA_E_UNAVAILABLE", i64::from(Status::UNAVAILABLE.0)),
        ("EXEDRA_E_PANICKED", i64::from(Status::PANICKED.0)),
        ("EXEDRA_E_SHUTTING_DOWN", i64::from(Status::SHUTTING_DOWN.0)),
        ("EXEDRA_E_RATE_LIMITED", i64::from(Status::RATE_LIMITED.0)),
        ("EXEDRA_E_FORBIDDEN", i64::from(Status::FORBIDDEN.0)),
        ("EXEDRA_E_INTERNAL", i64::from(Status::INTERNAL.0)),
        ("EXEDRA_CONNECT", i64::from(kind::CONNECT)),
        ("EXEDRA_EVENT", i64::from(kind::EVENT)),
        ("EXEDRA_DISCONNECT", i64::from(kind::DISCONNECT)),
        ("EXEDRA_LEAVE", i64::from(kind::LEAVE)),
        ("EXEDRA_HTTP", i64::from(kind::HTTP)),
        ("EXEDRA_INJECT", i64::from(kind::INJECT)),
        ("EXEDRA_RPC", i64::from(kind::RPC)),
        ("EXEDRA_TIMER", i64::from(kind::TIMER)),
        ("EXEDRA_REFRESH", i64::from(kind::REFRESH)),
        ("EXEDRA_WANTS_ACK", i64::from(exedra_abi::WANTS_ACK)),
        ("EXEDRA_RELIABLE", i64::from(exedra_abi::RELIABLE)),
        ("EXEDRA_LATEST", i64::from(exedra_abi::LATEST)),
        ("EXEDRA_VOLATILE", i64::from(exedra_abi::VOLATILE)),
    ];
    let in_header: Vec<(&str, i64)> = HEADER.lines().filter_map(numeric_define).collect();
    assert_eq!(in_header.len(), mirrored.len(), "every numeric constant is listed above");
    for (name, value) in in_header {
        assert!(mirrored.contains(&(name, value)), "{name} is {value} in the header");
    }
}

fn numeric_define(line: &str) -> Option<(&str, i64)> {
    let mut words = line.strip_prefix("#define ")?.split_whitespace();
    let name = words.next()?;
    let value = words.next()?.trim_matches(['(', ')', 'u']);
    Some((name, value.parse().ok()?))
}

#[test]
fn extension_names_equal_the_header() {
    for name in [
        exedra_abi::SOCKET,
        exedra_abi::ROOM,
        exedra_abi::KV,
        exedra_abi::BUS,
        exedra_abi::TIME,
        exedra_abi::METRIC,
        exedra_abi::ENTRY_SYMBOL,
    ] {
        assert!(HEADER.contains(&format!("\"{name}\"")), "{name}");
    }
}
