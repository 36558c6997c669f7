//! Studies in Optuna's tables in PostgreSQL, on a server of the test's own; needs Debian's package `postgresql`.
#![cfg(unix)]

use zo_search::optuna::{OptunaStudy, check};
use zo_search::testing::PostgresServer;
use zo_search::{Error, Header, Outcome, RandomSearch, Space, Study};

type Tested = Result<(), Box<dyn std::error::Error>>;

fn study(name: &str, seed: u64) -> Result<Study, Error> {
    Study::in_memory(Header::new(name, seed), RandomSearch::new(Space::new().float("x", 0.0..=1.0).mask("m", 2), seed))
}

#[test]
fn a_server_has_what_a_file_has_and_grows_with_the_study() -> Tested {
    let server = PostgresServer::start()?;
    let url = server.url();
    check(&url)?;
    let mut growing = study("a", 1)?;
    for objective in [0.5, f64::INFINITY, f64::NAN, 0.25] {
        let trial = growing.ask()?;
        OptunaStudy::of(growing.history()).write(&url)?;
        growing.tell(trial.id, Outcome::score(objective).with_cost(1.0))?;
        OptunaStudy::of(growing.history()).write(&url)?;
    }
    check(&url)?;
    assert!(matches!(OptunaStudy::of(study("a", 2)?.history()).write(&url), Err(Error::OptunaName { .. })));
    OptunaStudy::of(study("b", 2)?.history()).write(&url)?;
    let mut client = postgres::Client::connect(&url, postgres::NoTls)?;
    let mut all = |sql: &str| -> Result<Vec<String>, postgres::Error> {
        Ok(client.query(sql, &[])?.iter().map(|row| row.get(0)).collect())
    };
    let states = "SELECT t.number || ' ' || t.state || ' ' || coalesce(v.value::text, v.value_type::text, '')
        FROM trials t LEFT JOIN trial_values v USING (trial_id) ORDER BY t.number";
    assert_eq!(all(states)?, ["0 COMPLETE 0.5", "1 COMPLETE INF_POS", "2 FAIL ", "3 COMPLETE 0.25"]);
    let parameters = "SELECT string_agg(param_name, ' ' ORDER BY param_id) FROM trial_params GROUP BY trial_id";
    assert_eq!(all(parameters)?, ["x m[0] m[1]"; 4]);
    let now = "SELECT (max(abs(extract(epoch FROM localtimestamp - datetime_complete))) < 600)::text FROM trials";
    assert_eq!(all(now)?, ["true"]);
    assert_eq!(all("SELECT study_name FROM studies ORDER BY 1")?, ["a", "b"]);
    Ok(())
}
