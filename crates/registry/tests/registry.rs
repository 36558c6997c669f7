//! The pattern as a user sees it: a table of a trait of one's own, named from TOML.

use serde::{Deserialize, Serialize};
use tailor_registry::{Choice, Entry, Error, Parameter, Registry, Settings};

struct Thing(&'static str);

const PARAMETERS: &[Parameter] = &[
    Parameter::integer("population", 2, 1000, "How many points live.").with_default_integer(20),
    Parameter::number("rate", 0.0, 1.0, "Chance of a mutation."),
    Parameter::one_of("kind", &["plain", "fancy"], "Which.").with_default_text("plain"),
    Parameter::numbers("rungs", 0.0, 1.0, "Shares of the documents.").optional(),
];

impl Entry for Thing {
    fn name(&self) -> &str {
        self.0
    }

    fn summary(&self) -> &str {
        "A thing."
    }

    fn parameters(&self) -> &[Parameter] {
        PARAMETERS
    }

    fn aliases(&self) -> &[&str] {
        if self.0 == "first" { &["one"] } else { &[] }
    }
}

#[derive(Serialize, Deserialize)]
struct File {
    strategy: Choice,
}

fn table() -> Registry<dyn Entry> {
    Registry::with_rows("thing", [Box::new(Thing("first")) as Box<dyn Entry>, Box::new(Thing("second"))])
}

fn choose(toml: &str) -> Result<Settings, Error> {
    let file: File = toml::from_str(toml).unwrap();
    table().choose(&file.strategy).map(|(_, settings)| settings)
}

fn refused(toml: &str) -> String {
    choose(toml).unwrap_err().to_string()
}

#[test]
fn a_choice_has_its_defaults() {
    let settings = choose("strategy = { name = 'first', rate = 0.5 }").unwrap();
    assert_eq!(settings.count("population"), Ok(20));
    assert_eq!(settings.number("rate"), Ok(0.5));
    assert_eq!(settings.text("kind"), Ok("plain"));
    assert_eq!(settings.value("rungs"), None);
    assert_eq!(choose("strategy = { name = 'one', rate = 0.5 }").unwrap(), settings, "by its alias");
}

#[test]
fn what_does_not_fit_is_refused_with_what_does() {
    assert_eq!(refused("strategy = 'third'"), "no thing is named `third`; there are `first`, `second`");
    assert_eq!(refused("strategy = 'first'"), "thing `first` needs the parameter `rate`: a number from 0 to 1");
    assert_eq!(
        refused("strategy = { name = 'first', rate = 2 }"),
        "thing `first`: `rate` is 2; it must be a number from 0 to 1"
    );
    assert_eq!(
        refused("strategy = { name = 'first', rate = nan }"),
        "thing `first`: `rate` is null; it must be a number from 0 to 1"
    );
    assert_eq!(
        refused("strategy = { name = 'first', rate = 0, kind = 'odd' }"),
        "thing `first`: `kind` is \"odd\"; it must be one of \"plain\", \"fancy\""
    );
    assert_eq!(
        refused("strategy = { name = 'first', speed = 1 }"),
        "thing `first` has no parameter `speed`; there are `population`, `rate`, `kind`, `rungs`"
    );
}

#[test]
fn no_name_stands_for_two_rows() {
    let mut table = table();
    assert_eq!(
        table.register(Box::new(Thing("one"))),
        Err(Error::NameTaken { what: "thing", name: "one".to_owned() }),
        "the alias of another"
    );
    table.replace(Box::new(Thing("first")));
    assert_eq!(table.names().collect::<Vec<_>>(), ["second", "first"]);
}

#[test]
fn a_choice_is_written_as_it_is_read() {
    for text in ["strategy = \"first\"\n", "[strategy]\nname = \"first\"\nrate = 0.5\n"] {
        let file: File = toml::from_str(text).unwrap();
        assert_eq!(toml::to_string(&file).unwrap(), text);
    }
}

#[test]
fn help_names_rows_and_parameters() {
    let help = table().help();
    for part in ["first ", "A thing.", "population: How many points live. A whole number from 2 to 1000. (default 20)"]
    {
        assert!(help.contains(part), "{part} in {help}");
    }
}
