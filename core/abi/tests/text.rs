//! `exedra_text.h`, which plugins in C may use: it compiles like `exedra.h`, and does what it says.

use std::{path::PathBuf, process::Command};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn it_compiles_as_c_and_cpp() {
    for (compiler, language, standard) in [("cc", "c", "-std=c11"), ("c++", "c++", "-std=c++17")] {
        let output = Command::new(compiler)
            .args(["-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only", standard, "-x", language])
            .arg(format!("{ROOT}/include/exedra_text.h"))
            .output()
            .unwrap_or_else(|e| panic!("{compiler} is needed to check the header: {e}"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn it_reads_and_writes() {
    let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("exedra-text");
    let output = Command::new("cc")
        .args(["-std=c11", "-Wall", "-Wextra", "-Werror", "-g", "-fsanitize=address,undefined", "-I"])
        .args([&format!("{ROOT}/include"), &format!("{ROOT}/tests/text.c"), "-o"])
        .arg(&program)
        .output()
        .unwrap_or_else(|e| panic!("cc is needed: {e}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let output = Command::new(program).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
