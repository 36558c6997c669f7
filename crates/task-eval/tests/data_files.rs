//! CSV and Parquet: `tests/golden/formats/make.py` wrote the files and what the harness's `datasets` reads from them.

#[path = "support/documents.rs"]
mod documents;

use std::path::Path;

use documents::{Outcome, documents, golden};
use serde_json::{Value, json};
use task_eval::{Error, Options};

fn rows_of_the_harness() -> Outcome<Value> {
    Ok(serde_json::from_str(&std::fs::read_to_string(golden("formats/rows.json"))?)?)
}

fn named(format: &str, file: &Path, more: &str) -> String {
    let file = json!(file.display().to_string());
    format!("dataset_path: {format}\ndataset_kwargs: {{data_files: {{test: {file}}}{more}}}")
}

#[test]
fn rows_are_those_that_the_harness_reads() -> Outcome {
    let expected = rows_of_the_harness()?;
    for (format, file, more) in [
        ("csv", "table.csv", ""),
        ("csv", "semicolons.csv", ", sep: ';', column_names: [n, t]"),
        ("parquet", "table.parquet", ""),
    ] {
        let rows = documents(&named(format, &golden(&format!("formats/{file}")), more), &Options::default())?;
        // Written out, so that the columns' order and 1 against 1.0 count.
        assert_eq!(Value::from(rows).to_string(), expected[file].to_string(), "{file}");
    }
    Ok(())
}

#[test]
fn parquet_may_be_packed_as_pyarrow_packs_it() -> Outcome {
    let expected = rows_of_the_harness()?["table.parquet"].to_string();
    for codec in ["none", "gzip", "lz4", "zstd", "zstd_v2"] {
        let file = golden(&format!("formats/packed_{codec}.parquet"));
        let rows = documents(&named("parquet", &file, ""), &Options::default())?;
        assert_eq!(Value::from(rows).to_string(), expected, "{codec}");
    }
    Ok(())
}

#[test]
fn a_data_set_in_a_folder_may_be_of_either_format() -> Outcome {
    let expected = rows_of_the_harness()?;
    for (file, name) in [("table.csv", "test.csv"), ("table.parquet", "test-00000-of-00001.parquet")] {
        let root = tempfile::tempdir()?;
        let folder = root.path().join("some/data/part");
        std::fs::create_dir_all(&folder)?;
        std::fs::copy(golden(&format!("formats/{file}")), folder.join(name))?;
        // Of another split, though its name begins alike.
        std::fs::write(folder.join("testing.jsonl"), "{}")?;
        let options = Options { data_root: root.path().to_owned(), ..Options::default() };
        let rows = documents("dataset_path: some/data\ndataset_name: part", &options)?;
        assert_eq!(Value::from(rows), expected[file], "{name}");
    }
    Ok(())
}

#[test]
fn a_data_set_in_the_hubs_cache_is_found_at_the_revision_of_main() -> Outcome {
    let (root, elsewhere) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let data_set = root.path().join("datasets--some--data");
    for (revision, text) in [("0old", r#"{"n": 1}"#), ("1new", r#"{"n": 2}"#)] {
        let folder = data_set.join("snapshots").join(revision).join("data");
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join("test-00000-of-00001.jsonl"), text)?;
    }
    let options = Options {
        data_root: elsewhere.path().to_owned(),
        hub_cache: Some(root.path().to_owned()),
        ..Options::default()
    };
    // Which of two is meant, nothing says.
    assert!(documents("dataset_path: some/data", &options).is_err());
    std::fs::create_dir(data_set.join("refs"))?;
    std::fs::write(data_set.join("refs/main"), "1new")?;
    assert_eq!(documents("dataset_path: some/data", &options)?, [json!({"n": 2})]);
    Ok(())
}

#[test]
fn a_broken_file_is_named_with_its_row() -> Outcome {
    let root = tempfile::tempdir()?;
    let csv = root.path().join("long.csv");
    std::fs::write(&csv, "a,b\n1,2\n1,2,3\n")?;
    let parquet = root.path().join("no.parquet");
    std::fs::write(&parquet, "not parquet at all")?;
    for (format, file, part) in [
        ("csv", csv.as_path(), ": row 2 has 3 values for 2 columns"),
        ("parquet", parquet.as_path(), ": cannot be read as Parquet: "),
        (
            "parquet",
            &golden("formats/packed_brotli.parquet"),
            ": is packed with brotli; supported: no packing, snappy, ",
        ),
        ("parquet", &golden("formats/bytes.parquet"), ": row 1: the column `image` holds bytes; supported: "),
    ] {
        let error = documents(&named(format, file, ""), &Options::default()).unwrap_err();
        assert!(error.is::<Error>(), "{error}");
        let expected = format!("{}{part}", file.display());
        assert!(error.to_string().starts_with(&expected), "{error} does not begin with {expected}");
    }
    Ok(())
}

/// Bytes of a Parquet file changed one after the other: rows or an error, never a panic. (All 3,851 passed once.)
#[test]
fn a_damaged_parquet_file_is_an_error() -> Outcome {
    damage_one_byte("table.parquet")
}

/// The unpackers see damaged streams as well.
#[test]
fn a_damaged_packed_parquet_file_is_an_error() -> Outcome {
    ["packed_gzip.parquet", "packed_lz4.parquet", "packed_zstd_v2.parquet"]
        .iter()
        .try_for_each(|name| damage_one_byte(name))
}

fn damage_one_byte(name: &str) -> Outcome {
    let (root, whole) = (tempfile::tempdir()?, std::fs::read(golden("formats").join(name))?);
    let file = root.path().join("damaged.parquet");
    let keys = named("parquet", &file, "");
    for place in (0..whole.len()).step_by(17) {
        let mut damaged = whole.clone();
        damaged[place] ^= 0x55;
        std::fs::write(&file, damaged)?;
        let read =
            std::panic::catch_unwind(|| documents(&keys, &Options::default()).map_err(|error| error.to_string()));
        assert!(read.is_ok(), "{name}: panics when byte {place} is damaged");
    }
    Ok(())
}
