//! A PostgreSQL server of a test's own.

use std::fs;
use std::io::{self, Error, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where Debian has a version's programs.
const DEBIAN: &str = "/usr/lib/postgresql";
/// Whom a server is run as by the root, as which it refuses to run: the first that is there.
const USERS: [&str; 2] = ["postgres", "nobody"];

/// A PostgreSQL server of a test's own, in a temporary folder, on a Unix socket there, with no password: for tests and
/// benches. Dropping it ends the server and removes the folder.
///
/// It needs PostgreSQL installed (Debian's package `postgresql`); `initdb` and `pg_ctl` are looked for in `PATH` and in
/// `/usr/lib/postgresql`. The root runs it as the user `postgres` or `nobody`.
#[derive(Debug)]
pub struct PostgresServer {
    folder: PathBuf,
    programs: PathBuf,
    /// User and group, when this process is the root's.
    user: Option<(u32, u32)>,
}

impl PostgresServer {
    /// A new server with an empty database `test`.
    ///
    /// # Errors
    /// When PostgreSQL is not installed or does not start; the message says what to do, or what the server said.
    pub fn start() -> io::Result<Self> {
        let name = format!("zo-pg-{}-{:08x}", std::process::id(), rand::random::<u32>());
        let folder = std::env::temp_dir().join(name);
        let programs = programs()?;
        fs::create_dir(&folder)?;
        let own = fs::metadata(&folder)?.uid();
        let mut server = Self { folder, programs, user: None };
        if own == 0 {
            let (uid, gid) = unprivileged_user()?;
            std::os::unix::fs::chown(&server.folder, Some(uid), Some(gid))?;
            server.user = Some((uid, gid));
        }
        server.run("initdb", &["--auth=trust", "--username=test", "--encoding=UTF8", "--locale=C", "--no-sync"])?;
        let settings = format!(
            "listen_addresses = ''\nunix_socket_directories = '{}'\nmax_connections = 200\nshared_buffers = 64MB\n\
             deadlock_timeout = 100ms\n",
            server.folder.display()
        );
        server.configure(&settings)?;
        server.restart()?;
        server.execute_in("postgres", "CREATE DATABASE test")?;
        Ok(server)
    }

    /// The URL of its database `test`.
    #[must_use]
    pub fn url(&self) -> String {
        self.url_of("test", "test")
    }

    /// The URL of a database, for a user.
    #[must_use]
    pub fn url_of(&self, database: &str, user: &str) -> String {
        format!("postgresql://{user}@/{database}?host={}", self.folder.display())
    }

    /// The folder of its socket and its data.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The folder of its data.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// Adds lines to its configuration, which it reads when it starts.
    ///
    /// # Errors
    /// What the system says.
    pub fn configure(&self, lines: &str) -> io::Result<()> {
        let file = self.data().join("postgresql.conf");
        fs::write(&file, fs::read_to_string(&file)? + lines)
    }

    /// Starts it, after it was ended.
    ///
    /// # Errors
    /// When it does not start: what its log says.
    pub fn restart(&self) -> io::Result<()> {
        self.start_after("")
    }

    /// Starts it in a shell that has executed something first, such as `ulimit -f`.
    ///
    /// # Errors
    /// As [`Self::restart`].
    pub fn start_after(&self, shell: &str) -> io::Result<()> {
        let mut start = self.command("sh");
        let program = self.programs.join("pg_ctl");
        let log = self.folder.join("log");
        let line = format!("{shell}\nexec {} start -w -t 60 -s -D data -l log", program.display());
        let status = start.args(["-c", &line]).stdin(Stdio::null()).stdout(Stdio::null()).status()?;
        if status.success() {
            return Ok(());
        }
        let log = fs::read_to_string(log).unwrap_or_default();
        let last: Vec<&str> = log.lines().rev().take(10).collect();
        let last: Vec<&str> = last.into_iter().rev().collect();
        Err(Error::other(format!("PostgreSQL does not start:\n{}", last.join("\n"))))
    }

    /// Ends all its processes at once, as a loss of power would: with `SIGKILL`.
    ///
    /// # Errors
    /// What the system says.
    pub fn kill(&self) -> io::Result<()> {
        // The first process first, so that it cannot put an end to the others in an orderly way.
        let pid = fs::read_to_string(self.data().join("postmaster.pid"))?;
        let first = pid.lines().next().unwrap_or_default().to_owned();
        let children = Command::new("ps").args(["-o", "pid=", "--ppid", &first]).output()?.stdout;
        let children = String::from_utf8_lossy(&children).into_owned();
        Command::new("kill")
            .args(["-KILL", &first])
            .args(children.split_whitespace())
            .stderr(Stdio::null())
            .status()?;
        let gone = |pid: &str| match fs::read_to_string(format!("/proc/{pid}/stat")) {
            Ok(stat) => stat.contains(") Z "),
            Err(_) => true,
        };
        while !children.split_whitespace().chain([first.as_str()]).all(gone) {
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
        Ok(())
    }

    /// Ends it: `fast` as it should be, `immediate` without writing what it has in memory.
    ///
    /// # Errors
    /// When it cannot be ended.
    pub fn stop(&self, mode: &str) -> io::Result<()> {
        self.run("pg_ctl", &["stop", "-w", "-s", "-m", mode])
    }

    /// Executes statements in its database `test`.
    ///
    /// # Errors
    /// What the server says.
    pub fn execute(&self, sql: &str) -> io::Result<()> {
        self.execute_in("test", sql)
    }

    /// Executes statements in a database.
    ///
    /// # Errors
    /// What the server says.
    pub fn execute_in(&self, database: &str, sql: &str) -> io::Result<()> {
        self.connect_to(database)?.batch_execute(sql).map_err(Error::other)
    }

    /// A connection to its database `test`.
    ///
    /// # Errors
    /// What the server says.
    pub fn connect(&self) -> io::Result<postgres::Client> {
        self.connect_to("test")
    }

    fn connect_to(&self, database: &str) -> io::Result<postgres::Client> {
        postgres::Client::connect(&self.url_of(database, "test"), postgres::NoTls).map_err(Error::other)
    }

    fn run(&self, program: &str, arguments: &[&str]) -> io::Result<()> {
        let mut command = self.command(&self.programs.join(program));
        let output = command.arg("-D").arg("data").args(arguments).stdin(Stdio::null()).output()?;
        if output.status.success() {
            return Ok(());
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(Error::other(format!("{program} failed: {said}")))
    }

    /// A program, run in the folder as the user of the server.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(&self.folder);
        for (name, _) in std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("PG")) {
            command.env_remove(name);
        }
        if let Some((uid, gid)) = self.user {
            command.uid(uid).gid(gid);
        }
        command
    }
}

impl Drop for PostgresServer {
    fn drop(&mut self) {
        // It may have been ended already.
        let _ = self.stop("immediate");
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The folder of PostgreSQL's programs.
fn programs() -> io::Result<PathBuf> {
    let in_path = std::env::var_os("PATH").map(|path| std::env::split_paths(&path).collect()).unwrap_or_default();
    let versions = fs::read_dir(DEBIAN).into_iter().flatten().flatten().map(|version| version.path().join("bin"));
    let mut versions: Vec<PathBuf> = versions.collect();
    versions.sort();
    let folders: Vec<PathBuf> = in_path;
    let has_all = |folder: &&PathBuf| ["initdb", "pg_ctl", "postgres"].iter().all(|name| folder.join(name).exists());
    folders.iter().chain(versions.iter().rev()).find(has_all).cloned().ok_or_else(|| {
        let words = "no PostgreSQL is installed: `apt-get install postgresql` (Debian's package) brings it";
        Error::new(ErrorKind::NotFound, words)
    })
}

/// User and group of a user that is not the root.
fn unprivileged_user() -> io::Result<(u32, u32)> {
    let users = fs::read_to_string("/etc/passwd")?;
    let numbers = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut fields = line.split(':').skip(2);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    };
    USERS.iter().copied().find_map(numbers).ok_or_else(|| {
        Error::new(ErrorKind::NotFound, "PostgreSQL does not run as root, and there is no user `postgres` or `nobody`")
    })
}
