"""Makes table.csv, semicolons.csv, table.parquet, packed_*.parquet, bytes.parquet and rows.json: what `datasets.load_dataset` reads from them (datasets 5.2, pandas).

    python make.py        # in a virtual environment with lm_eval[hf]==0.4.13
"""

import json
import os
from pathlib import Path

os.environ.update(HF_HUB_OFFLINE="1", HF_DATASETS_OFFLINE="1")

import datasets
import pyarrow
import pyarrow.parquet

HERE = Path(__file__).resolve().parent

CSV = """,question,whole,gaps,share,truth,gold,mixed,empty,question,code
0,"Which, ""if any""?",1,1,0.5,True,A,1,,a,007
1,"two
lines ",-2,,1e-7,false,,x,,b,010

2, é ,3,30,12345678901234567890,TRUE,NA,2.5,NULL,c,3
"""
ROWS = [
    {"question": "é?", "choices": {"text": ["a", "b"], "label": ["A", "B"]}, "answer": 1, "share": 0.1, "small": 0.1, "ok": True, "tags": []},
    {"question": None, "choices": {"text": [], "label": []}, "answer": -7, "share": None, "small": 2.5, "ok": None, "tags": [["x"], None, []]},
    {"question": "", "choices": None, "answer": 2**40, "share": 1e300, "small": None, "ok": False, "tags": None},
]
SCHEMA = pyarrow.schema([
    ("question", pyarrow.string()),
    ("choices", pyarrow.struct([("text", pyarrow.list_(pyarrow.string())), ("label", pyarrow.list_(pyarrow.large_string()))])),
    ("answer", pyarrow.int64()),
    ("share", pyarrow.float64()),
    ("small", pyarrow.float32()),
    ("ok", pyarrow.bool_()),
    ("tags", pyarrow.list_(pyarrow.list_(pyarrow.string()))),
])


def rows(kind, name, **options):
    data = datasets.load_dataset(kind, data_files={"test": str(HERE / name)}, cache_dir="/tmp/formats-cache", **options)["test"]
    return list(data)


def main():
    (HERE / "table.csv").write_text("\ufeff" + CSV)
    (HERE / "semicolons.csv").write_text("1;a,b\n2;c\n")
    table = pyarrow.Table.from_pylist(ROWS, schema=SCHEMA)
    pyarrow.parquet.write_table(table, HERE / "table.parquet", compression="snappy", row_group_size=2)
    for codec in ["gzip", "lz4", "zstd", "brotli", "none"]:
        pyarrow.parquet.write_table(table, HERE / f"packed_{codec}.parquet", compression=codec)
    pyarrow.parquet.write_table(table, HERE / "packed_zstd_v2.parquet", compression="zstd", data_page_version="2.0", compression_level=19)
    pyarrow.parquet.write_table(pyarrow.table({"image": [b"\x89"]}), HERE / "bytes.parquet")
    expected = {
        "table.csv": rows("csv", "table.csv"),
        "semicolons.csv": rows("csv", "semicolons.csv", sep=";", column_names=["n", "t"]),
        "table.parquet": rows("parquet", "table.parquet"),
    }
    lines = [f"{json.dumps(name)}: {json.dumps(rows, ensure_ascii=False)}" for name, rows in expected.items()]
    (HERE / "rows.json").write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    main()
