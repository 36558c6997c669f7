//! Every row of the tables, and every parameter of a row, stands in `docs/study.md`.

use recipe_search::Tables;
use recipe_search::registry::{Entry, Registry};

const STUDY: &str = include_str!("../../../docs/study.md");

fn check<T: Entry + ?Sized>(table: &Registry<T>) {
    for row in table.iter() {
        assert!(
            STUDY.contains(&format!("`\"{}\"`", row.name())),
            "docs/study.md lacks the {} {}",
            table.what(),
            row.name()
        );
        for parameter in row.parameters() {
            let (name, owner) = (parameter.name, row.name());
            assert!(STUDY.contains(name), "docs/study.md lacks the parameter {name} of the {} {owner}", table.what());
        }
    }
}

#[test]
fn every_row_of_the_tables_is_documented() {
    let tables = Tables::standard();
    check(&tables.strategies);
    check(&tables.schedulers);
    check(&tables.stores);
    check(&tables.objectives);
    check(&tables.further_objectives);
    check(&tables.spaces);
    check(&tables.baselines);
}
