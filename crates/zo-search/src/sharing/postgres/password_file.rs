//! libpq's file of passwords, `.pgpass`: lines `host:port:database:user:password`, of which the first that fits is
//! taken; `*` fits everything, `\` stands before a `:` or `\` that is meant.

use std::path::Path;

/// The content of a file of passwords. Has no `Debug`.
pub(super) struct PasswordFile(String);

/// What a password is wanted for.
pub(super) struct Wanted<'a> {
    pub(super) host: &'a str,
    pub(super) port: &'a str,
    pub(super) database: &'a str,
    pub(super) user: &'a str,
}

impl PasswordFile {
    /// The file at a path; none where there is none.
    ///
    /// # Errors
    /// Why it was not read. Like libpq's, a file that others can read is passed over.
    pub(super) fn read(path: &Path) -> Result<Option<Self>, String> {
        let metadata = match std::fs::metadata(path) {
            Ok(metadata) if metadata.is_file() => metadata,
            _ => return Ok(None),
        };
        if is_open_to_others(&metadata) {
            let path = path.display();
            return Err(format!("{path} was passed over, as others may read it; `chmod 600 {path}` makes it yours"));
        }
        match std::fs::read(path) {
            Ok(bytes) => Ok(Some(Self(String::from_utf8_lossy(&bytes).into_owned()))),
            Err(error) => Err(format!("{} cannot be read: {error}", path.display())),
        }
    }

    /// The password of the first line that fits.
    pub(super) fn password(&self, wanted: &Wanted<'_>) -> Option<String> {
        let lines = self.0.lines().filter(|line| !line.starts_with('#'));
        lines.into_iter().find_map(|line| {
            let mut rest = line;
            for value in [wanted.host, wanted.port, wanted.database, wanted.user] {
                let (field, behind) = field(rest)?;
                if field != "*" && unescaped(field) != value {
                    return None;
                }
                rest = behind;
            }
            Some(unescaped(rest)).filter(|password| !password.is_empty())
        })
    }
}

#[cfg(unix)]
fn is_open_to_others(metadata: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    metadata.permissions().mode() & 0o077 != 0
}

#[cfg(not(unix))]
fn is_open_to_others(_: &std::fs::Metadata) -> bool {
    false
}

/// What stands before the first `:` that is not escaped, and what behind it.
fn field(line: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    let end = line.find(|c| {
        let ends = c == ':' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    })?;
    Some((&line[..end], &line[end + 1..]))
}

fn unescaped(field: &str) -> String {
    let mut plain = String::with_capacity(field.len());
    let mut characters = field.chars();
    while let Some(c) = characters.next() {
        plain.push(if c == '\\' { characters.next().unwrap_or('\\') } else { c });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    fn password(file: &str, host: &str, database: &str) -> Option<String> {
        PasswordFile(file.to_owned()).password(&Wanted { host, port: "5432", database, user: "ann" })
    }

    #[test]
    fn the_first_line_that_fits_is_taken() {
        let file = "# db:5432:lab:ann:no\n\nbroken\ndb:5433:lab:ann:port\ndb:5432:lab:bob:user\n\
                    db:5432:lab:ann:first\ndb:*:*:*:later\n*:*:*:ann:any\r\n";
        assert_eq!(password(file, "db", "lab").as_deref(), Some("first"));
        assert_eq!(password(file, "db", "other").as_deref(), Some("later"));
        assert_eq!(password(file, "elsewhere", "lab").as_deref(), Some("any"));
        assert_eq!(password("db:5432:lab:bob:x", "db", "lab"), None);
        assert_eq!(password("db:5432:lab:ann:", "db", "lab"), None);
    }

    #[test]
    fn colons_and_backslashes_are_escaped() {
        assert_eq!(password(r"\:\:1:5432:lab:ann:a\:b\\c:d", "::1", "lab").as_deref(), Some(r"a:b\c:d"));
        assert_eq!(password(r"db:5432:l\\ab:ann:x\", "db", r"l\ab").as_deref(), Some(r"x\"));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_others_can_read_is_passed_over() -> Result<(), Box<dyn std::error::Error>> {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("passwords");
        assert!(PasswordFile::read(&path)?.is_none());
        std::fs::write(&path, "*:*:*:*:s3cret")?;
        for (mode, read) in [(0o600, true), (0o400, true), (0o640, false), (0o604, false)] {
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode))?;
            let found = PasswordFile::read(&path);
            assert_eq!(found.is_ok(), read, "{mode:o}");
            assert!(found.err().is_none_or(|problem| problem.contains("chmod 600") && !problem.contains("s3cret")));
        }
        Ok(())
    }
}
