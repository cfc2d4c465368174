//! The crate against the PostgreSQL of this machine; each test has a server of its own.

use std::cell::RefCell;
use std::env;
use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, geteuid};
use tempfile::TempDir;

use crate::supervisor::poll;
use crate::{DatabaseError, Databases, Ended, LockError, Options, PostgresServer, Progress, StartError};

/// Far above what any of this takes on a busy machine.
const PATIENCE: Duration = Duration::from_mins(1);

fn temp() -> TempDir {
    tempfile::tempdir().expect("temporary directory")
}

fn start(directory: &Path) -> PostgresServer {
    PostgresServer::start(&Options::for_tests(directory)).expect("started")
}

fn refusal(options: &Options) -> StartError {
    PostgresServer::start(options).expect_err("refused")
}

/// The text in the first column of the first row.
fn ask(server: &Databases, database: &str, sql: &str) -> String {
    let row = server.with(database, |client| {
        client.query_one(sql, &[]).map_err(|source| DatabaseError::Query { what: sql.to_owned(), source })
    });
    row.expect("a row").get(0)
}

fn is_alive(pid: i32) -> bool {
    // A zombie has no executable.
    fs::read_link(format!("/proc/{pid}/exe")).is_ok()
}

#[test]
fn a_second_start_reuses_everything() {
    let temp = temp();
    let steps = RefCell::new(Vec::new());
    let start = || {
        let options = Options::for_tests(temp.path());
        PostgresServer::start_with_progress(&options, &|step| steps.borrow_mut().push(step)).expect("started")
    };
    let server = start();
    let (pid, major) = (server.pid(), server.major());
    assert!(server.create_database("app").expect("created"));
    assert!(!server.create_database("app").expect("is there"));
    server.run_sql("app", "CREATE TABLE t (x text); INSERT INTO t VALUES ('kept')").expect("run");
    let watch = server.watch();
    assert_eq!(watch.ended(), None);
    assert_eq!(server.stop(), Ended::Stopped);
    assert_eq!(watch.wait(), Ended::Stopped);
    assert!(!is_alive(pid));

    let server = start();
    assert_eq!(ask(server.databases(), "app", "SELECT x FROM t"), "kept");
    let (first, second) = (Progress::Initialising { major }, Progress::Starting { major });
    assert_eq!(*steps.borrow(), [first, second.clone(), Progress::Ready, second, Progress::Ready]);
}

#[test]
fn it_is_private_and_in_order() {
    let temp = temp();
    let server = start(temp.path());
    let show = |sql: &str| ask(server.databases(), "postgres", sql);
    assert_eq!(show("SHOW listen_addresses"), "");
    assert_eq!(show("SHOW server_encoding"), "UTF8");
    assert_eq!(show("SHOW max_connections"), "300");
    assert_eq!(show("SHOW fsync"), "off");
    assert_eq!(show("SELECT current_user::text"), "iotmq");
    assert_eq!(show("SELECT rolsuper::text FROM pg_roles WHERE rolname = current_user"), "false");
    for closed in ["data", "socket"] {
        let mode = fs::metadata(temp.path().join(closed)).expect("there").permissions().mode();
        assert_eq!(mode & 0o777, 0o700, "{closed}");
    }
    if geteuid().is_root() {
        let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).expect("running");
        let field = |name| status.lines().find_map(|line| line.strip_prefix(name)).expect("a field").trim();
        assert!(!field("Uid:").starts_with('0'), "runs as root");
        assert_eq!(field("Groups:"), "", "keeps root's groups");
    }
}

#[test]
fn databases_come_from_templates_and_go() {
    let temp = temp();
    let server = start(temp.path());
    let others = Databases::at(&server.url("postgres"));
    others.create("template").expect("created");
    others.run_sql("template", "CREATE TABLE t AS SELECT 'copied'::text AS x").expect("run");
    server.create_database_from_template("a \"copy\"/?", "template").expect("created");
    assert_eq!(ask(&others, "a \"copy\"/?", "SELECT x FROM t"), "copied");
    others.with("a \"copy\"/?", |_connected| server.drop_database("a \"copy\"/?")).expect("dropped");
    server.drop_database("a \"copy\"/?").expect("is gone");
    assert!(matches!(others.run_sql("a \"copy\"/?", ""), Err(DatabaseError::Connect { .. })));
    assert!(matches!(server.run_sql("template", "SELEC"), Err(DatabaseError::Query { .. })));
}

#[test]
fn it_serves_callers_inside_a_runtime() {
    let temp = temp();
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
    runtime.block_on(async {
        let server = start(temp.path());
        server.create_database("app").expect("created");
        assert_eq!(server.stop(), Ended::Stopped);
    });
}

#[test]
fn a_directory_in_use_is_refused() {
    let temp = temp();
    let server = start(temp.path());
    let refused = refusal(&Options::for_tests(temp.path()));
    assert!(matches!(refused, StartError::Lock(LockError::InUse { .. })), "{refused:?}");
    assert!(is_alive(server.pid()));
    drop(server);
    start(temp.path());
}

#[test]
fn its_death_is_told_and_survived() {
    let temp = temp();
    let server = start(temp.path());
    kill(Pid::from_raw(server.pid()), Signal::SIGKILL).expect("killed");
    let ended = server.watch().wait_for(PATIENCE);
    assert!(matches!(&ended, Some(Ended::Died { status, .. }) if status == "SIGKILL"), "{ended:?}");
    assert!(matches!(server.stop(), Ended::Died { .. }));
    start(temp.path());
}

/// Starts itself a second time: as a process that holds a server until it is killed.
#[test]
fn it_goes_with_its_process_or_at_the_next_start() {
    if let Some(directory) = env::var_os("POSTGRES_SERVER_HOLD") {
        hold_until_killed(Path::new(&directory), env::var_os("POSTGRES_SERVER_LEASH").is_some());
    }
    for leash in [true, false] {
        let temp = temp();
        let (mut holder, _said, pid) = spawn_holder(temp.path(), leash);
        holder.kill().expect("killed");
        holder.wait().expect("reaped");
        if leash {
            assert!(poll(PATIENCE, || !is_alive(pid)), "the server outlives its process");
        } else {
            assert!(is_alive(pid), "nothing stops it");
        }
        let server = start(temp.path());
        assert!(!is_alive(pid));
        assert_eq!(ask(server.databases(), "app", "SELECT 'answers'"), "answers");
    }
}

fn hold_until_killed(directory: &Path, leash: bool) -> ! {
    let mut options = Options::for_tests(directory);
    options.leash = leash;
    let server = PostgresServer::start(&options).expect("started");
    server.create_database("app").expect("created");
    println!("\nholding {}", server.pid());
    loop {
        thread::park();
    }
}

fn spawn_holder(directory: &Path, leash: bool) -> (Child, BufReader<ChildStdout>, i32) {
    let mut command = Command::new(env::current_exe().expect("this program"));
    command.args(["--exact", "--nocapture", "tests::it_goes_with_its_process_or_at_the_next_start"]);
    command.env("POSTGRES_SERVER_HOLD", directory).stdout(Stdio::piped());
    if leash {
        command.env("POSTGRES_SERVER_LEASH", "yes");
    }
    let mut holder = command.spawn().expect("spawned");
    let mut said = BufReader::new(holder.stdout.take().expect("piped"));
    let mut lines = (&mut said).lines().map(|line| line.expect("text"));
    let pid = lines.find_map(|line| line.strip_prefix("holding ")?.parse().ok()).expect("its server's pid");
    (holder, said, pid)
}

#[test]
fn data_of_another_version_is_refused() {
    let temp = temp();
    let server = start(temp.path());
    let major = server.major();
    drop(server);
    fs::write(temp.path().join("data/PG_VERSION"), "9\n").expect("writable");
    let refused = refusal(&Options::for_tests(temp.path()));
    assert!(
        matches!(refused, StartError::OtherVersion { data: 9, found, .. } if found == major),
        "{refused:?}"
    );
    assert!(refused.to_string().ends_with("install the right one with `apt-get install postgresql-9`"));
}

#[test]
fn a_broken_cluster_is_made_anew_only_if_it_was_never_whole() {
    let temp = temp();
    fs::create_dir_all(temp.path().join("data.unfinished/base")).expect("writable");
    drop(start(temp.path()));
    fs::write(temp.path().join("data/global/pg_control"), "").expect("writable");
    let refused = refusal(&Options::for_tests(temp.path()));
    assert!(matches!(&refused, StartError::Died { log, .. } if log.contains("pg_control")), "{refused:?}");
}

#[test]
fn refusals_name_the_cause() {
    let temp = temp();
    let none = temp.path().join("none");
    let mut options = Options::for_tests(temp.path());
    options.search.bin_dir = None;
    options.search.versions_root = none.clone();
    options.search.path = none.clone().into();
    let refused = refusal(&options).to_string();
    assert!(refused.contains("`apt-get install postgresql`") && !refused.contains('\n'), "{refused}");

    let refused = refusal(&Options::for_tests(temp.path()).bin_dir(&none));
    assert!(matches!(refused, StartError::NotInBinDir { .. }), "{refused:?}");

    let long = temp.path().join("x".repeat(100));
    let refused = refusal(&Options::for_tests(long));
    assert!(matches!(refused, StartError::PathTooLong { .. }), "{refused:?}");

    let refused = refusal(&Options::for_tests(temp.path().join("pg")).setting("nonsense", "1"));
    assert!(matches!(&refused, StartError::Died { log, .. } if log.contains("nonsense")), "{refused:?}");
}

#[test]
fn a_closed_folder_above_is_named_to_root() {
    let temp = temp();
    let closed = temp.path().join("closed");
    fs::create_dir(&closed).expect("writable");
    for (folder, mode) in [(temp.path(), 0o711), (&closed, 0o700)] {
        fs::set_permissions(folder, Permissions::from_mode(mode)).expect("ours");
    }
    let started = PostgresServer::start(&Options::for_tests(closed.join("pg")));
    if geteuid().is_root() {
        let refused = started.expect_err("unreachable");
        assert!(matches!(&refused, StartError::Unreachable { path, .. } if *path == closed), "{refused:?}");
    } else {
        started.expect("one's own folder is open to oneself");
    }
}
