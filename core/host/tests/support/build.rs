//! Builds the C plugins of the tests with the system's compiler.

use std::{path::Path, process::Command};

/// Compiles `plugins/<source>` into `dir/<library>`.
pub(crate) fn c_plugin(dir: &Path, library: &str, source: &str, options: &[&str]) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new("cc")
        .args([
            "-std=c11",
            "-Wall",
            "-Wextra",
            "-Werror",
            "-D_DEFAULT_SOURCE",
            "-shared",
            "-fPIC",
            "-O1",
            "-I",
        ])
        .arg(root.join("../abi/include"))
        .args(options)
        .arg("-o")
        .arg(dir.join(library))
        .arg(root.join("tests/plugins").join(source))
        .output()
        .unwrap_or_else(|e| panic!("cc is needed to build test plugins: {e}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    allow(&dir.join(library), 0o755);
}

/// Sets permissions, whatever the umask is.
pub(crate) fn allow(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}
