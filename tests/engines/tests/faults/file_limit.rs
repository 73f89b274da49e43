//! A disk that is full for one process alone.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

/// Lets a process write no file beyond this many bytes, or as many as it likes. Its children inherit that.
///
/// It is the limit that `ulimit -f` sets, for a process that runs already. A server finds it out as it finds out that
/// a disk is full: a file can't grow.
pub(crate) fn limit_files(process: i32, bytes: Option<u64>) {
    let Ok(folder) = fs::metadata(format!("/proc/{process}")) else {
        return; // It has ended.
    };
    let bytes = bytes.map_or_else(|| "unlimited".to_owned(), |bytes| bytes.to_string());
    let status = Command::new("prlimit")
        // The colon leaves the hard limit as it is: only root could lift that again.
        .args([format!("--pid={process}"), format!("--fsize={bytes}:")])
        // The process's own user may do it; root may not in many a container.
        .uid(folder.uid())
        .gid(folder.gid())
        .current_dir("/")
        .status()
        .expect("`prlimit` is there, from the package util-linux");
    assert!(status.success(), "the files of {process} can't be limited");
}
