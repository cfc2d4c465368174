//! Who runs PostgreSQL, and whether that user can get to a folder.

use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{Gid, Uid, User, geteuid};

use crate::error::StartError;

/// Tried in this order when the process is root's.
const UNPRIVILEGED: [&str; 2] = ["postgres", "nobody"];

/// The user of the machine that PostgreSQL's processes run as.
#[derive(Clone, Debug)]
pub(crate) struct ServiceUser {
    /// `None`: as whoever we are.
    drop_to: Option<(Uid, Gid)>,
    /// For messages.
    pub(crate) name: String,
    /// Who connects: us.
    pub(crate) client_name: String,
}

impl ServiceUser {
    /// As root the owner of existing data, else one of [`UNPRIVILEGED`]; otherwise ourselves.
    pub(crate) fn choose(data: &Path) -> Result<Self, StartError> {
        let me = geteuid();
        let client_name = name_of(me).ok_or(StartError::NoUserName { uid: me.as_raw() })?;
        if !me.is_root() {
            return Ok(Self { drop_to: None, name: client_name.clone(), client_name });
        }
        if let Ok(metadata) = fs::metadata(data)
            && metadata.uid() != 0
        {
            let uid = Uid::from_raw(metadata.uid());
            let name = name_of(uid).unwrap_or_else(|| uid.to_string());
            return Ok(Self { drop_to: Some((uid, Gid::from_raw(metadata.gid()))), name, client_name });
        }
        let user = UNPRIVILEGED.iter().find_map(|name| User::from_name(name).ok().flatten());
        let user = user.ok_or(StartError::NoUnprivilegedUser)?;
        Ok(Self { drop_to: Some((user.uid, user.gid)), name: user.name, client_name })
    }

    /// A command that runs as this user, with a known environment.
    pub(crate) fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("PATH", "/usr/local/bin:/usr/bin:/bin").env("TZ", "UTC").env("LC_ALL", "C");
        if let Some((uid, gid)) = self.drop_to {
            // With a user id given, the standard library also drops root's supplementary groups.
            command.uid(uid.as_raw()).gid(gid.as_raw());
        }
        command
    }

    pub(crate) fn is_other(&self) -> bool {
        self.drop_to.is_some()
    }

    /// Hands a file or folder of ours to this user.
    pub(crate) fn give(&self, path: &Path) -> io::Result<()> {
        match self.drop_to {
            Some((uid, gid)) => chown(path, Some(uid.as_raw()), Some(gid.as_raw())),
            None => Ok(()),
        }
    }

    /// The first folder on the way to `path` that this user cannot enter, judged by owner and mode.
    pub(crate) fn closed_folder(&self, path: &Path) -> Option<PathBuf> {
        let (uid, gid) = self.drop_to?;
        let path = path.canonicalize().ok()?;
        let mut folders: Vec<&Path> = path.ancestors().collect();
        folders.reverse();
        let closed = |folder: &&&Path| {
            fs::metadata(folder).is_ok_and(|found| {
                let bit = match () {
                    () if found.uid() == uid.as_raw() => 0o100,
                    () if found.gid() == gid.as_raw() => 0o010,
                    () => 0o001,
                };
                found.is_dir() && found.mode() & bit == 0
            })
        };
        folders.iter().find(closed).map(|folder| folder.to_path_buf())
    }
}

fn name_of(uid: Uid) -> Option<String> {
    User::from_uid(uid).ok().flatten().map(|user| user.name)
}
