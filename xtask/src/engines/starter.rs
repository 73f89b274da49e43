//! A script that starts a server with the libraries that it was unpacked with, as the system's may be too old for it.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use crate::error::{Result, failed};
use crate::workspace;

/// Where a folder has the script. It is the last that is written there.
pub(crate) fn path(folder: &Path) -> PathBuf {
    folder.join("start")
}

/// Writes the script for a program in the folder, which is given by its path in there.
pub(crate) fn write(folder: &Path, program: &str) -> Result<()> {
    let (libraries, loader) = find_libraries(folder)?;
    let script = format!(
        "#!/bin/sh\n\
         here=${{0%/*}}\n\
         exec \"$here/{libraries}/{loader}\" --library-path \"$here/{libraries}\" \"$here/{program}\" \"$@\"\n"
    );
    let path = path(folder);
    workspace::write(&path, &script)?;
    let permissions = fs::Permissions::from_mode(0o755);
    fs::set_permissions(&path, permissions).map_err(|error| failed("change", &path, &error))
}

/// The folder of the libraries, by its path from the unpacked one, and the name of the dynamic loader in it. Both
/// have the architecture in their names.
fn find_libraries(folder: &Path) -> Result<(String, String)> {
    let all = folder.join("usr/lib");
    for name in names(&all)? {
        let libraries = all.join(&name);
        if !libraries.join("libc.so.6").exists() {
            continue;
        }
        let mut names = names(&libraries)?.into_iter();
        if let Some(loader) = names.find(|name| name.starts_with("ld-linux")) {
            return Ok((format!("usr/lib/{name}"), loader));
        }
    }
    Err(format!("there is no C library in {}", all.display()))
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).map_err(|error| failed("read", folder, &error))?;
    let names = entries.flatten().map(|entry| entry.file_name());
    Ok(names.filter_map(|name| name.into_string().ok()).collect())
}
