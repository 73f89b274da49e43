//! Packages of other Debian releases, unpacked in a folder of ours. The system and its package manager stay as they
//! are.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::{Result, failed};
use crate::workspace::{read, write};
use crate::{process, tools};

/// What signs Debian's archive, as the package `debian-archive-keyring` installs it everywhere.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Where a release says what it is.
const ABOUT_THE_SYSTEM: &str = "/etc/os-release";

/// Unpacks a package of the release, with all that it depends on, in the folder.
pub(crate) fn unpack(release: &str, package: &str, folder: &Path) -> Result<()> {
    for program in ["apt-get", "dpkg"] {
        if !tools::is_installed(program) {
            return Err(format!(
                "unpacking Debian's packages takes {program}, which is not there"
            ));
        }
    }
    let apt = Apt::in_folder(folder.join("apt"), release)?;
    process::run(&mut apt.command(&["-q", "update"]))?;
    let words = [
        "-q",
        "-y",
        "--no-install-recommends",
        "--download-only",
        "install",
    ];
    process::run(apt.command(&words).arg(package))?;
    for archive in apt.downloaded()? {
        let mut dpkg = Command::new("dpkg");
        process::output(dpkg.arg("--extract").arg(archive).arg(folder))?;
    }
    fs::remove_dir_all(&apt.folder).map_err(|error| failed("remove", &apt.folder, &error))
}

/// A package manager of our own: it knows one release, and of nothing that is installed.
struct Apt {
    folder: PathBuf,
    configuration: PathBuf,
}

impl Apt {
    fn in_folder(folder: PathBuf, release: &str) -> Result<Self> {
        for folder in
            ["state/lists/partial", "cache/archives/partial"].map(|path| folder.join(path))
        {
            fs::create_dir_all(&folder).map_err(|error| failed("create", &folder, &error))?;
        }
        write(&folder.join("status"), "")?;
        let archive = archive()?;
        let source = format!("deb [signed-by={KEYRING}] {archive} {release} main\n");
        write(&folder.join("sources.list"), &source)?;
        let configuration = folder.join("apt.conf");
        write(&configuration, &configured_for(&folder))?;
        Ok(Self {
            folder,
            configuration,
        })
    }

    fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("apt-get");
        // Read after the system's own, so that it has the last word.
        command.arg("-c").arg(&self.configuration).args(words);
        command
    }

    /// The packages that have been downloaded.
    fn downloaded(&self) -> Result<Vec<PathBuf>> {
        let folder = self.folder.join("cache/archives");
        let entries = fs::read_dir(&folder).map_err(|error| failed("read", &folder, &error))?;
        let files = entries.flatten().map(|entry| entry.path());
        Ok(files
            .filter(|file| file.extension().is_some_and(|end| end == "deb"))
            .collect())
    }
}

/// How apt is told to leave the system alone. How it reaches the archive, by a proxy say, stays the system's affair.
fn configured_for(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        r#"Dir::State "{folder}/state";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
// The user `_apt` may not be let into this folder.
APT::Sandbox::User "root";
// What the system does after an update is meant for its own lists.
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
Acquire::Languages "none";
"#
    )
}

/// Where this machine gets Debian's packages from.
fn archive() -> Result<String> {
    let about = read(Path::new(ABOUT_THE_SYSTEM))?;
    let codename = about
        .lines()
        .find_map(|line| line.strip_prefix("VERSION_CODENAME="))
        .ok_or_else(|| format!("{ABOUT_THE_SYSTEM} has no VERSION_CODENAME"))?;
    let mut update = Command::new("apt-get");
    // What an update would ask for; it doesn't begin one.
    let configured = process::output(update.args(["--print-uris", "update"]))?;
    archive_of(codename, &configured).ok_or_else(|| {
        format!(
            "the engines come from Debian's archive, and apt is not configured for the release {codename} of it; \
             what it knows is\n{configured}"
        )
    })
}

/// The archive that has the main part of the release, from a list of quoted addresses. Those of its updates may have
/// no other releases.
fn archive_of(codename: &str, configured: &str) -> Option<String> {
    let packages = format!("dists/{codename}/main/binary-");
    let addresses = configured
        .lines()
        .filter_map(|line| line.strip_prefix('\''));
    let mut archives = addresses.filter_map(|address| address.split_once(&packages));
    archives.next().map(|(archive, _)| archive.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_archive_is_that_of_the_release() {
        let configured = "\
'http://updates.example/dists/bookworm-security/main/binary-all/Packages.xz' a_name 0 
'http://others.example/dists/bookworm/contrib/binary-all/Packages.xz' a_name 0 
'http://mirror.example/debian/dists/bookworm/InRelease' a_name 0 
'http://mirror.example/debian/dists/bookworm/main/binary-all/Packages.xz' a_name 0 ";
        assert_eq!(
            archive_of("bookworm", configured).as_deref(),
            Some("http://mirror.example/debian/")
        );
        assert_eq!(archive_of("noble", configured), None);
        assert_eq!(archive_of("bookworm", ""), None);
    }
}
