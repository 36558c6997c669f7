//! Rows from Parquet, as the hub keeps its data sets.
//!
//! Columns may be unpacked or packed with snappy, gzip, zstd or lz4, and hold texts, numbers, truth values, lists and
//! structs of these; a column of bytes, maps, dates or decimal numbers is refused, as no template could show it.

use std::fs::File;
use std::path::Path;

use parquet::basic::Compression;
use parquet::errors::ParquetError;
use parquet::file::metadata::{ColumnChunkMetaData, RowGroupMetaData};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};
use serde_json::{Map, Value};

use crate::builtins::Columns;
use crate::error::{DataError, Error};

/// The rows of a file.
pub(super) fn read(file: &Path) -> Result<Vec<Columns>, Error> {
    // The row reader of the parquet crate panics where a damaged page contradicts the schema.
    std::panic::catch_unwind(|| read_rows(file)).unwrap_or_else(|_| {
        let source = Box::new(ParquetError::General("a page contradicts the schema; is the file damaged?".to_owned()));
        Err(DataError::Parquet { file: file.to_owned(), row: None, source }.into())
    })
}

/// As [`read`], but it may panic on a damaged file.
fn read_rows(file: &Path) -> Result<Vec<Columns>, Error> {
    let failed = |row, source| DataError::Parquet { file: file.to_owned(), row, source: Box::new(source) };
    let opened = File::open(file).map_err(|source| Error::Read { file: file.to_owned(), source })?;
    let reader = SerializedFileReader::new(opened).map_err(|source| failed(None, source))?;
    if let Some(codec) = foreign_codec(&reader) {
        return Err(DataError::ParquetCodec { file: file.to_owned(), codec }.into());
    }
    let rows = reader.get_row_iter(None).map_err(|source| failed(None, source))?;
    let row = |(place, row): (usize, Result<Row, _>)| {
        let row = row.map_err(|source| failed(Some(place + 1), source))?;
        from_row(&row).map_err(|(column, found)| {
            Error::from(DataError::ParquetColumn { file: file.to_owned(), row: place + 1, column, found })
        })
    };
    rows.enumerate().map(row).collect()
}

/// What a column is packed with, if it is none of what is built in.
fn foreign_codec(reader: &impl FileReader) -> Option<&'static str> {
    let columns = reader.metadata().row_groups().iter().flat_map(RowGroupMetaData::columns);
    columns.map(ColumnChunkMetaData::compression).find_map(|codec| match codec {
        Compression::BROTLI(_) => Some("brotli"),
        Compression::LZO => Some("LZO"),
        _ => None,
    })
}

/// A row as JSON, or the column that is no JSON with what it is.
fn from_row(row: &Row) -> Result<Map<String, Value>, (String, &'static str)> {
    let column = |(name, field): (&String, &Field)| {
        let value = from_field(field).map_err(|found| (name.clone(), found))?;
        Ok((name.clone(), value))
    };
    row.get_column_iter().map(column).collect()
}

/// A cell as JSON, or in words what it is that is none.
fn from_field(field: &Field) -> Result<Value, &'static str> {
    Ok(match field {
        Field::Null => Value::Null,
        Field::Bool(value) => Value::from(*value),
        Field::Byte(n) => Value::from(*n),
        Field::Short(n) => Value::from(*n),
        Field::Int(n) => Value::from(*n),
        Field::Long(n) => Value::from(*n),
        Field::UByte(n) => Value::from(*n),
        Field::UShort(n) => Value::from(*n),
        Field::UInt(n) => Value::from(*n),
        Field::ULong(n) => Value::from(*n),
        Field::Float16(x) => Value::from(f64::from(*x)),
        // As Python widens it.
        Field::Float(x) => Value::from(f64::from(*x)),
        Field::Double(x) => Value::from(*x),
        Field::Str(text) => Value::from(text.as_str()),
        Field::Group(row) => Value::Object(from_row(row).map_err(|(_, found)| found)?),
        Field::ListInternal(list) => list.elements().iter().map(from_field).collect::<Result<_, _>>()?,
        Field::MapInternal(_) => return Err("a map"),
        Field::Bytes(_) => return Err("bytes"),
        _ => return Err("a date, a time or a decimal number"),
    })
}
