//! The copy of the tree that mutants are put into, so that the checkout is never modified.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::{Result, failed};
use crate::workspace;

pub(crate) struct WorkingCopy {
    root: PathBuf,
}

impl WorkingCopy {
    /// Brings the copy in `root` up to date. Files that are the same stay untouched: a new time of change
    /// would have cargo compile them again.
    pub(crate) fn of_the_tree(root: PathBuf) -> Result<Self> {
        let files = workspace::files()?;
        fs::create_dir_all(&root).map_err(|error| failed("create", &root, &error))?;
        remove_others(&root, &root, &files)?;
        for file in &files {
            update(&workspace::root().join(file), &root.join(file))?;
        }
        Ok(Self { root })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn read(&self, file: &str) -> Result<String> {
        workspace::read(&self.root.join(file))
    }

    /// Gives the file another text, and a new time of change with it; returns the text it had.
    pub(crate) fn replace(&self, file: &str, text: &str) -> Result<String> {
        let before = self.read(file)?;
        workspace::write(&self.root.join(file), text)?;
        Ok(before)
    }
}

/// Removes what earlier versions of the tree left: cargo would find a test that is gone from the checkout.
fn remove_others(root: &Path, directory: &Path, files: &[String]) -> Result<()> {
    let entries = fs::read_dir(directory).map_err(|error| failed("read", directory, &error))?;
    for entry in entries {
        let path = entry
            .map_err(|error| failed("read", directory, &error))?
            .path();
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy();
        if path.is_dir() {
            remove_others(root, &path, files)?;
        } else if !files.iter().any(|file| *file == name) {
            fs::remove_file(&path).map_err(|error| failed("remove", &path, &error))?;
        }
    }
    Ok(())
}

fn update(from: &Path, to: &Path) -> Result<()> {
    let content = fs::read(from).map_err(|error| failed("read", from, &error))?;
    if fs::read(to).is_ok_and(|copied| copied == content) {
        return Ok(());
    }
    if let Some(directory) = to.parent() {
        fs::create_dir_all(directory).map_err(|error| failed("create", directory, &error))?;
    }
    // Unlike a write, a copy keeps a script executable.
    fs::copy(from, to).map_err(|error| failed("copy", from, &error))?;
    Ok(())
}
