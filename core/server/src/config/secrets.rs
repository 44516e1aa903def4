//! Files with secrets: read only when nobody else on the machine can.

use std::{fs, io::Read, path::Path};

use secrecy::{ExposeSecret, SecretString};

/// The largest secret file.
const MAX_SECRET: u64 = 64 * 1024;

/// Reads a secret; white space at its end does not count.
pub(crate) fn read(path: &Path) -> Result<SecretString, String> {
    check_mode(path)?;
    let file = fs::File::open(path).map_err(|e| format!("{} cannot be read: {e}", path.display()))?;
    let mut text = String::new();
    file.take(MAX_SECRET)
        .read_to_string(&mut text)
        .map_err(|e| format!("{} cannot be read: {}", path.display(), e.kind()))?;
    let text = SecretString::from(text);
    Ok(SecretString::from(text.expose_secret().trim_end()))
}

/// Refuses files that others could read or the group could write: 0640 is the widest that is taken.
pub(crate) fn check_mode(path: &Path) -> Result<(), String> {
    let metadata = fs::metadata(path).map_err(|e| format!("{} cannot be read: {e}", path.display()))?;
    if !metadata.is_file() {
        return Err(format!("{} is not a file", path.display()));
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o037 != 0 {
            return Err(format!("{} has the mode {mode:04o}, wider than 0640", path.display()));
        }
    }
    Ok(())
}
