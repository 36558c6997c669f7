//! Where a database is: a URL, what it leaves to the environment, and how it is said without its password.

use std::fmt;
use std::time::Duration;

use percent_encoding::percent_decode_str;
use postgres::Config;
use postgres::config::{Host, SslMode};

use super::password_file::{PasswordFile, Wanted};
use super::tls::Trust;

/// Where a database listens when nothing says where.
const PORT: u16 = 5432;
/// Folders of the sockets of a server on this machine, by Debian's and by PostgreSQL's own default.
const SOCKETS: [&str; 2] = ["/var/run/postgresql", "/tmp"];
/// What takes longer than this to connect to is not there.
const CONNECT: Duration = Duration::from_secs(15);
/// A silent server is asked whether it is there: after so long, so often, so many times.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(20), Duration::from_secs(5), 3);

/// A database, as the driver wants it. Neither its `Debug` nor an error shows a password.
pub(super) struct Target {
    pub(super) config: Config,
    pub(super) trust: Trust,
    /// Why a file of passwords was not read.
    pub(super) unread: Option<String>,
}

/// What is wrong with a URL, in words without its password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BadUrl(pub(super) String);

impl fmt::Display for BadUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for BadUrl {}

/// A URL in its parts, not decoded.
#[derive(Clone)]
struct Parts<'a> {
    user: Option<&'a str>,
    password: Option<&'a str>,
    /// Hosts, ports and the database.
    place: &'a str,
    parameters: Vec<(&'a str, &'a str)>,
}

impl<'a> Parts<'a> {
    fn of(url: &'a str) -> Self {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let (before, query) = rest.split_once('?').unwrap_or((rest, ""));
        // The last one: a password with an `@` or `/` that is not encoded must not come to be a part of the host.
        let (login, place) = before.rsplit_once('@').map_or((None, before), |(login, place)| (Some(login), place));
        let pairs = query.split('&').filter(|pair| !pair.is_empty());
        let parameters = pairs.map(|pair| pair.split_once('=').unwrap_or((pair, ""))).collect();
        let user = login.map(|login| login.split_once(':').map_or(login, |(user, _)| user));
        let password = login.and_then(|login| Some(login.split_once(':')?.1));
        Self { user: user.filter(|user| !user.is_empty()), password, place, parameters }
    }

    /// Whether it may be that a password with a `?` of its own ended up in other parts.
    fn may_be_torn(&self) -> bool {
        let hosts = self.place.split_once('/').map_or(self.place, |(hosts, _)| hosts);
        let is_port = |port: &str| port.bytes().all(|byte| byte.is_ascii_digit());
        let is_host = |host: &str| host.starts_with('[') || host.split_once(':').is_none_or(|(_, port)| is_port(port));
        let free_text = |key: &str| ["study", "application_name", "options"].contains(&key) || is_secret(key);
        let is_pair =
            |(key, value): &(&str, &str)| !key.is_empty() && (free_text(&decode(key)) || !value.contains('@'));
        !hosts.split(',').all(is_host) || !self.parameters.iter().all(is_pair)
    }

    fn parameter(&self, name: &str) -> Option<String> {
        let found = self.parameters.iter().rev().find(|(key, _)| decode(key) == name);
        found.map(|(_, value)| decode(value))
    }
}

fn is_secret(key: &str) -> bool {
    key.contains("password")
}

fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// The study that a URL names by `study=NAME`.
pub(super) fn study_of(url: &str) -> Option<String> {
    Parts::of(url).parameter("study").filter(|name| !name.is_empty())
}

/// A URL for messages: without passwords, with the study.
pub(super) fn shown(url: &str, study: Option<&str>) -> String {
    let parts = Parts::of(url);
    let torn = parts.may_be_torn();
    let user = parts.user.filter(|_| !torn).map_or_else(String::new, |user| format!("{user}@"));
    let kept = |(key, _): &&(&str, &str)| !torn && decode(key) != "study" && !is_secret(&decode(key));
    let pairs = parts.parameters.iter().filter(kept).map(|(key, value)| format!("{key}={value}"));
    let pairs: Vec<String> = pairs.chain(study.map(|study| format!("study={study}"))).collect();
    let query = if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) };
    format!("postgresql://{user}{}{query}", if torn { "" } else { parts.place })
}

/// The database at a URL. What it leaves out comes from the variables that libpq reads (`PGHOST`, `PGPORT`, `PGUSER`,
/// `PGPASSWORD`, `PGDATABASE`, `PGSSLMODE`, `PGSSLROOTCERT`, `PGPASSFILE`), and a password from the file of passwords.
pub(super) fn target(url: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<Target, BadUrl> {
    let parts = Parts::of(url);
    if parts.may_be_torn() {
        let words = "not a URL: in a user's name or password, `:`, `/`, `?` and `@` are written %3A, %2F, %3F and %40";
        return Err(BadUrl(words.to_owned()));
    }
    let or_variable = |name: &str, own: Option<String>| own.or_else(|| variable(name)).filter(|text| !text.is_empty());
    let trust = Trust::of(
        or_variable("PGSSLMODE", parts.parameter("sslmode")).as_deref(),
        or_variable("PGSSLROOTCERT", parts.parameter("sslrootcert")),
    )?;
    let mut config = driver_config(&parts)?;
    complete(&mut config, variable)?;
    config.ssl_mode(trust.mode());
    if config.get_user().is_none()
        && let Some(user) = or_variable("PGUSER", None).or_else(|| variable("USER")).or_else(|| variable("LOGNAME"))
    {
        config.user(&user);
    }
    if config.get_dbname().is_none()
        && let Some(name) = or_variable("PGDATABASE", None).or_else(|| config.get_user().map(str::to_owned))
    {
        config.dbname(&name);
    }
    let mut unread = None;
    if config.get_password().is_none() {
        match or_variable("PGPASSWORD", None) {
            Some(password) => drop(config.password(password)),
            None => unread = password_from_file(&mut config, variable),
        }
    }
    let (idle, interval, retries) = KEEPALIVE;
    config.keepalives_idle(idle).keepalives_interval(interval).keepalives_retries(retries);
    config.tcp_user_timeout(idle + interval * retries);
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT);
    }
    if config.get_application_name().is_none() {
        config.application_name("zo-search");
    }
    Ok(Target { config, trust, unread })
}

/// What the driver makes of the URL without what is not for it. It says what is wrong by the name of the parameter.
fn driver_config(parts: &Parts<'_>) -> Result<Config, BadUrl> {
    let own = |key: &str| ["study", "sslmode", "sslrootcert"].contains(&key);
    let pairs = parts.parameters.iter().filter(|(key, _)| !own(&decode(key)));
    let query: Vec<String> = pairs.map(|(key, value)| format!("{key}={value}")).collect();
    let rest = format!("postgresql://{}?{}", parts.place, query.join("&"));
    let parsed: Result<Config, _> = rest.trim_end_matches('?').parse();
    let mut config = parsed.map_err(|error| BadUrl(super::connection::in_words(&error)))?;
    if let Some(user) = parts.user {
        config.user(&decode(user));
    }
    if let Some(password) = parts.password {
        config.password(percent_decode_str(password).collect::<Vec<u8>>());
    }
    Ok(config)
}

/// Host and port, where the URL has none.
fn complete(config: &mut Config, variable: &dyn Fn(&str) -> Option<String>) -> Result<(), BadUrl> {
    if config.get_ports().is_empty()
        && let Some(port) = variable("PGPORT").filter(|port| !port.is_empty())
    {
        config.port(port.parse().map_err(|_| BadUrl(format!("PGPORT is `{port}`, which is no port")))?);
    }
    if !config.get_hosts().is_empty() || !config.get_hostaddrs().is_empty() {
        return Ok(());
    }
    let port = config.get_ports().first().copied().unwrap_or(PORT);
    let socket = |folder: &&str| std::path::Path::new(folder).join(format!(".s.PGSQL.{port}")).exists();
    let nearby = || SOCKETS.iter().copied().find(socket).unwrap_or("localhost").to_owned();
    config.host(&variable("PGHOST").filter(|host| !host.is_empty()).unwrap_or_else(nearby));
    Ok(())
}

/// Takes the password from the file of passwords, if one of its lines fits; otherwise says why the file was not read,
/// if it was not.
fn password_from_file(config: &mut Config, variable: &dyn Fn(&str) -> Option<String>) -> Option<String> {
    let path = variable("PGPASSFILE").map(Into::into).or_else(|| {
        let home = variable("HOME").filter(|home| !home.is_empty())?;
        Some(std::path::Path::new(&home).join(".pgpass"))
    })?;
    let file = match PasswordFile::read(&path) {
        Ok(file) => file?,
        Err(problem) => return Some(problem),
    };
    let ports = config.get_ports();
    let hosts = config.get_hosts().iter().enumerate().map(|(place, host)| {
        let port = ports.get(place).or(ports.first()).copied().unwrap_or(PORT);
        let name = match host {
            Host::Tcp(name) => name.clone(),
            #[cfg(unix)]
            Host::Unix(folder) => match folder.to_str() {
                Some(folder) if SOCKETS.contains(&folder) => "localhost".to_owned(),
                _ => folder.display().to_string(),
            },
        };
        (name, port)
    });
    let user = config.get_user()?;
    let database = config.get_dbname().unwrap_or(user);
    let password = hosts
        .into_iter()
        .find_map(|(host, port)| file.password(&Wanted { host: &host, port: &port.to_string(), database, user }));
    if let Some(password) = password {
        config.password(password);
    }
    None
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("config", &self.config).finish_non_exhaustive()
    }
}

/// The mode of a connection, for the driver.
impl Trust {
    fn mode(&self) -> SslMode {
        match self {
            Self::Plain => SslMode::Disable,
            Self::Prefer => SslMode::Prefer,
            Self::Encrypted | Self::Verified(_) => SslMode::Require,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Tested = Result<(), Box<dyn std::error::Error>>;

    fn no_variables(_: &str) -> Option<String> {
        None
    }

    #[test]
    fn a_password_is_never_shown() -> Tested {
        let urls = [
            "postgresql://ann:s3cret@db:5433/lab?study=a",
            "postgres://ann:s3cret/with@s3cret@db:5433/lab?study=a",
            "postgresql://ann@db:5433/lab?password=s3cret&study=a",
            "postgresql://ann@db:5433/lab?study=a&sslpassword=s3cret",
            "postgresql://ann@db:5433/lab?pass%77ord=s3cret&study=a",
        ];
        for url in urls {
            let shown = shown(url, study_of(url).as_deref());
            assert_eq!(shown, "postgresql://ann@db:5433/lab?study=a", "{url}");
            let debug = match target(url, &no_variables) {
                Ok(target) => format!("{target:?}"),
                Err(error) => format!("{error:?} {error}"),
            };
            assert!(!debug.contains("s3cret"), "{debug}");
        }
        let bad = [
            "postgresql://ann:s3cret@[::1/lab",
            "postgresql://ann:s3cret@db:x/lab",
            "postgresql://u:s3cret@h?x=1",
            "postgres://ann:s3cret/with@s3cret?=s3cret@db:5433/lab",
            "postgres://ann:s3cret?s3cret@db",
            "postgres://a:s3cret",
        ];
        for url in bad {
            let error = target(url, &no_variables).err().ok_or(url)?;
            assert!(!format!("{error:?} {error}").contains("s3cret"), "{error}");
            assert!(!shown(url, None).contains("s3cret"));
        }
        Ok(())
    }

    #[test]
    fn a_url_comes_before_the_environment() -> Tested {
        let variables = |name: &str| {
            let value = match name {
                "PGHOST" => "elsewhere",
                "PGPORT" => "6000",
                "PGUSER" => "eve",
                "PGPASSWORD" => "from the environment",
                "PGDATABASE" => "other",
                "PGSSLMODE" => "disable",
                _ => return None,
            };
            Some(value.to_owned())
        };
        let all = target("postgresql://", &variables)?.config;
        assert_eq!(all.get_hosts(), [Host::Tcp("elsewhere".into())]);
        assert_eq!((all.get_ports(), all.get_user(), all.get_dbname()), (&[6000][..], Some("eve"), Some("other")));
        assert_eq!(all.get_password(), Some(&b"from the environment"[..]));
        assert_eq!(all.get_ssl_mode(), SslMode::Disable);

        let own = target("postgresql://ann:a%40b@db:5433/lab?sslmode=require&study=x@y", &variables)?.config;
        assert_eq!(own.get_hosts(), [Host::Tcp("db".into())]);
        assert_eq!((own.get_ports(), own.get_user(), own.get_dbname()), (&[5433][..], Some("ann"), Some("lab")));
        assert_eq!(own.get_password(), Some(&b"a@b"[..]));
        assert_eq!(own.get_ssl_mode(), SslMode::Require);
        assert_eq!(study_of("postgresql://ann:a%40b@db/lab?study=x@y").as_deref(), Some("x@y"));
        assert_eq!(study_of("postgresql:///lab?study=a@b").as_deref(), Some("a@b"));
        assert_eq!(study_of("postgresql://ann@db/lab"), None);
        Ok(())
    }

    #[test]
    fn sockets_and_parameters_go_to_the_driver() -> Tested {
        let local = target("postgresql:///lab?host=/run/pg&port=5444&application_name=mine", &no_variables)?.config;
        assert_eq!(local.get_hosts(), [Host::Unix("/run/pg".into())]);
        assert_eq!((local.get_ports(), local.get_application_name()), (&[5444][..], Some("mine")));
        let error = target("postgresql:///lab?flavour=1", &no_variables).err().ok_or("taken")?;
        assert!(error.to_string().contains("flavour"), "{error}");
        let error = target("postgresql:///lab?sslmode=perhaps", &no_variables).err().ok_or("taken")?;
        assert!(error.to_string().contains("perhaps"), "{error}");
        Ok(())
    }
}
