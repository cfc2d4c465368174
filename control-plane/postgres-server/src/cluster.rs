//! The directory: its parts, its versions, and how it is made.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::StartError;
use crate::find::{MAJOR_MIN, Programs, major_version};
use crate::options::Options;
use crate::service_user::ServiceUser;

/// The role that `initdb` makes; used here only, to make the product's role.
pub(crate) const SUPERUSER: &str = "postgres";
/// No port is opened: this is the last part of the socket's name, fixed so that the name is.
pub(crate) const PORT: u16 = 5432;
/// What a Unix socket's address holds, less its closing zero.
const SOCKET_PATH_MAX: usize = 107;
/// The name of the user map in both of our files.
const MAP: &str = "product";
/// How much of what `initdb` says goes into a message.
const OUTPUT_LINES_MAX: usize = 20;

/// Where everything is; all absolute.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) directory: PathBuf,
    pub(crate) data: PathBuf,
    pub(crate) socket: PathBuf,
}

/// The programs to run, as whom, and the version that they are.
#[derive(Debug)]
pub(crate) struct Toolchain {
    pub(crate) programs: Programs,
    pub(crate) user: ServiceUser,
    pub(crate) major: u32,
    /// `setpriv` can make the kernel end a process when its thread of origin ends.
    leash: bool,
}

impl Layout {
    /// `directory` exists.
    pub(crate) fn of(directory: &Path) -> Result<Self, StartError> {
        let directory = directory.canonicalize().map_err(StartError::file(directory))?;
        let socket = directory.join("socket");
        let name_bytes = format!("/.s.PGSQL.{PORT}").len();
        let socket_bytes = socket.as_os_str().len();
        if socket_bytes + name_bytes > SOCKET_PATH_MAX {
            let max = SOCKET_PATH_MAX - name_bytes - "/socket".len();
            return Err(StartError::PathTooLong { path: directory, max });
        }
        Ok(Self { data: directory.join("data"), socket, directory })
    }

    /// The major version that made the data; `None`: there is none yet.
    fn data_major(&self) -> Result<Option<u32>, StartError> {
        let path = self.data.join("PG_VERSION");
        match fs::read_to_string(&path) {
            Ok(text) => Ok(text.trim().parse().ok()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(StartError::file(path)(error)),
        }
    }

    pub(crate) fn is_initialised(&self) -> Result<bool, StartError> {
        self.data_major().map(|major| major.is_some())
    }

    /// Finds the programs for this directory's data, and proves that they can be run here.
    pub(crate) fn toolchain(&self, options: &Options) -> Result<Toolchain, StartError> {
        let user = ServiceUser::choose(&self.data)?;
        if user.is_other() {
            self.let_others_pass()?;
        }
        let data = self.data_major()?;
        let programs = options.search.programs(data)?;
        let major = self.version(&programs, &user)?;
        let bin_dir = programs.bin_dir.clone();
        match data {
            Some(data) if data != major => {
                return Err(StartError::OtherVersion {
                    directory: self.data.clone(),
                    data,
                    found: major,
                    bin_dir,
                });
            }
            None if major < MAJOR_MIN => return Err(StartError::TooOld { found: major, bin_dir }),
            Some(_) | None => {}
        }
        Ok(Toolchain { programs, user, major, leash: options.leash && has_leash() })
    }

    /// Another user must get through to `data` and `socket`, which are closed themselves.
    fn let_others_pass(&self) -> Result<(), StartError> {
        let failed = |error| StartError::file(&self.directory)(error);
        let mode = fs::metadata(&self.directory).map_err(failed)?.permissions().mode();
        if mode & 0o111 == 0o111 {
            return Ok(());
        }
        fs::set_permissions(&self.directory, Permissions::from_mode(mode & 0o7777 | 0o111)).map_err(failed)
    }

    /// Runs from within the directory, so that it also proves that the user can get there.
    fn version(&self, programs: &Programs, user: &ServiceUser) -> Result<u32, StartError> {
        let program = programs.path("postgres");
        let mut command = user.command(&program);
        let output = command.arg("--version").current_dir(&self.directory).stdin(Stdio::null()).output();
        let output = output.map_err(|source| {
            let closed = || [&self.directory, &program].into_iter().find_map(|path| user.closed_folder(path));
            match (source.kind() == io::ErrorKind::PermissionDenied).then(closed).flatten() {
                Some(path) => StartError::Unreachable { path, user: user.name.clone() },
                None => StartError::Program { program: program.clone(), source },
            }
        })?;
        let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        major_version(&said).ok_or(StartError::NoVersion { program, said })
    }

    /// Makes the cluster beside its place and moves it there when it is whole.
    pub(crate) fn initialise(&self, tools: &Toolchain, options: &Options) -> Result<(), StartError> {
        let unfinished = self.directory.join("data.unfinished");
        // `C.UTF-8` sorts by code point and knows the letters; not every system has it.
        let mut result = self.initdb(&unfinished, "C.UTF-8", tools, options);
        if matches!(&result, Err(StartError::Initialise { output }) if output.contains("locale")) {
            result = self.initdb(&unfinished, "C", tools, options);
        }
        result?;
        fs::rename(&unfinished, &self.data).map_err(StartError::file(&self.data))
    }

    fn initdb(
        &self,
        at: &Path,
        locale: &str,
        tools: &Toolchain,
        options: &Options,
    ) -> Result<(), StartError> {
        make_closed(at, &tools.user)?;
        let mut command = tools.command("initdb", "KILL");
        command.arg("--pgdata").arg(at);
        command.args(["--username", SUPERUSER, "--encoding", "UTF8", "--locale", locale]);
        command.args(["--auth-local=peer", "--auth-host=reject", "--data-checksums"]);
        if !options.fsync {
            command.arg("--no-sync");
        }
        let output = command.current_dir(&self.directory).stdin(Stdio::null()).output();
        let output = output
            .map_err(|source| StartError::Program { program: tools.programs.path("initdb"), source })?;
        if output.status.success() {
            return Ok(());
        }
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        let lines: Vec<&str> = said.trim().lines().collect();
        let end = &lines[lines.len().saturating_sub(OUTPUT_LINES_MAX)..];
        Err(StartError::Initialise { output: end.join("\n") })
    }

    /// The socket's folder and the two files that say who may connect; they lie outside `data`, which
    /// belongs to another user and is never written here.
    pub(crate) fn write_access(&self, user: &ServiceUser, role: &str) -> Result<(), StartError> {
        make_closed(&self.socket, user)?;
        let us = quoted(&user.client_name);
        let map = [SUPERUSER, role].map(|role| format!("{MAP} {us} {}\n", quoted(role))).concat();
        for (path, text) in
            [(self.hba_file(), format!("local all all peer map={MAP}\n")), (self.ident_file(), map)]
        {
            fs::write(&path, text)
                .and_then(|()| fs::set_permissions(&path, Permissions::from_mode(0o644)))
                .map_err(StartError::file(path))?;
        }
        Ok(())
    }

    fn hba_file(&self) -> PathBuf {
        self.directory.join("pg_hba.conf")
    }

    fn ident_file(&self) -> PathBuf {
        self.directory.join("pg_ident.conf")
    }

    /// The command that becomes the server.
    pub(crate) fn server(&self, tools: &Toolchain, options: &Options) -> Command {
        let mut command = tools.command("postgres", "INT");
        command.current_dir(&self.directory).arg("-D").arg(&self.data);
        let path = |path: &Path| path.display().to_string();
        let on = |on: bool| if on { "on" } else { "off" }.to_owned();
        let fixed = [
            ("hba_file", path(&self.hba_file())),
            ("ident_file", path(&self.ident_file())),
            ("unix_socket_directories", quoted(&path(&self.socket))),
            ("unix_socket_permissions", "0700".to_owned()),
            ("listen_addresses", String::new()),
            ("port", PORT.to_string()),
            ("logging_collector", "off".to_owned()),
            ("log_destination", "stderr".to_owned()),
            // Neither statements nor the values in them belong in a log.
            ("log_min_error_statement", "panic".to_owned()),
            ("log_error_verbosity", "terse".to_owned()),
            ("timezone", "UTC".to_owned()),
            ("log_timezone", "UTC".to_owned()),
            ("fsync", on(options.fsync)),
            ("full_page_writes", on(options.fsync)),
            ("synchronous_commit", on(options.fsync)),
        ];
        for (name, value) in fixed {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        for (name, value) in &options.settings {
            command.arg("-c").arg(format!("{name}={value}"));
        }
        command
    }
}

impl Toolchain {
    /// A program of PostgreSQL that gets `signal` when the thread that starts it ends, where possible.
    fn command(&self, program: &str, signal: &str) -> Command {
        let program = self.programs.path(program);
        if self.leash {
            let mut command = self.user.command(Path::new("setpriv"));
            command.args(["--pdeathsig", signal, "--"]).arg(program);
            command
        } else {
            self.user.command(&program)
        }
    }
}

/// BusyBox has a `setpriv` without this, other systems have none; then [`crate::leftover`] does it.
fn has_leash() -> bool {
    let mut trial = Command::new("setpriv");
    trial.args(["--pdeathsig", "INT", "--", "true"]);
    trial.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    trial.status().is_ok_and(|status| status.success())
}

/// An empty folder that `user` alone may enter.
fn make_closed(path: &Path, user: &ServiceUser) -> Result<(), StartError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(StartError::file(path)(error)),
        Ok(()) | Err(_) => {}
    }
    DirBuilder::new().mode(0o700).create(path).and_then(|()| user.give(path)).map_err(StartError::file(path))
}

/// As PostgreSQL's own files and lists want it.
fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
