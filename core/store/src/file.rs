//! The store's file: made private and all at once, so that a half-made store is never found under its name, and a
//! file that is there is never taken for a new one.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::ErrorKind,
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

/// What is under the store's path.
pub(crate) enum Kind {
    Absent,
    Present,
}

/// Looks before opening. An empty file is a store that lost its content, not a new one.
pub(crate) fn kind(path: &Path) -> Result<Kind, String> {
    match fs::metadata(path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Kind::Absent),
        Err(error) => Err(error.to_string()),
        Ok(meta) if !meta.is_file() => Err("is not a file".to_owned()),
        Ok(meta) if meta.len() == 0 => {
            Err("the file is empty: it has been truncated; restore it, or remove it to start anew".to_owned())
        }
        Ok(_) => Ok(Kind::Present),
    }
}

/// Makes the file under a passing name, lets `fill` write it and gives it its name only then.
pub(crate) fn make<T>(path: &Path, fill: impl FnOnce(File) -> Result<T, String>) -> Result<T, String> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    let said = |error: std::io::Error| error.to_string();
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(said)?;
    let passing = passing_name(path)?;
    let _ = fs::remove_file(&passing);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true).mode(0o600);
    let filled = fill(options.open(&passing).map_err(said)?);
    // A link, unlike a rename, does not replace what another process has made meanwhile.
    let named = filled.and_then(|filled| fs::hard_link(&passing, path).map(|()| filled).map_err(said));
    fs::remove_file(&passing).map_err(said)?;
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(said)?;
    named
}

fn passing_name(path: &Path) -> Result<PathBuf, String> {
    let mut name = path.file_name().ok_or("is not a file name")?.to_owned();
    name.push(format!(".{}.new", std::process::id()));
    Ok(path.with_file_name(name))
}
