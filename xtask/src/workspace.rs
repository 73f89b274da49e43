//! Where the workspace is, which files belong to it, and cargo on it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

use crate::error::{Result, failed};
use crate::process;

/// The text of each file of the workspace, by its path from the root, with `/` between the parts.
pub(crate) type Texts = BTreeMap<String, String>;

pub(crate) fn root() -> &'static Path {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.parent().unwrap_or(package)
}

/// `cargo` with these space-separated arguments, at the root of the workspace.
pub(crate) fn cargo(arguments: &str) -> Command {
    // The cargo that runs the xtask, so that a `cargo +toolchain xtask` stays with its toolchain.
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command
        .args(arguments.split_whitespace())
        .current_dir(root());
    command
}

/// The files that git tracks or would track; what it ignores, such as `target`, is no part of the tree.
pub(crate) fn files() -> Result<Vec<String>> {
    let mut git = Command::new("git");
    git.args([
        "ls-files",
        "-z",
        "--cached",
        "--others",
        "--exclude-standard",
    ]);
    let listed = process::output(git.current_dir(root()))?;
    let mut files: Vec<String> = listed.split_terminator('\0').map(str::to_owned).collect();
    // Git goes on listing a deleted file until the deletion is staged.
    files.retain(|file| root().join(file).is_file());
    files.sort_unstable();
    files.dedup();
    Ok(files)
}

pub(crate) fn texts() -> Result<Texts> {
    let mut texts = Texts::new();
    for file in files()? {
        let text = read_lossy(&root().join(&file))?;
        texts.insert(file, text);
    }
    Ok(texts)
}

pub(crate) fn read(path: &Path) -> Result<String> {
    fs::read_to_string(path).map_err(|error| failed("read", path, &error))
}

/// Reads a file that need not be a text.
pub(crate) fn read_lossy(path: &Path) -> Result<String> {
    let bytes = fs::read(path).map_err(|error| failed("read", path, &error))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).map_err(|error| failed("write", path, &error))
}
