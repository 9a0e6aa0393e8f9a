"""Tables as Parquet in memory: every bit is kept, and equal tables give equal bytes.

The files hold no date and nothing of pandas. They name the version of pyarrow that wrote them, so
equal bytes need the same version of it. ``pandas.read_parquet`` reads them.
"""

from __future__ import annotations

import io

import pandas as pd


def to_parquet(table: pd.DataFrame) -> bytes:
    """Return a table as Parquet, its index left out.

    Text is stored by dictionary: names that repeat on each row take next to no space. The bytes of
    floats are stored by their place (byte-stream split), since signs and exponents are alike.

    Parameters
    ----------
    table : DataFrame
        Columns of text, integers (stored in 64 bits), float32 and float64.
    """
    import pyarrow as pa
    from pyarrow import parquet

    types = {str(name): _type(table[name].dtype) for name in table.columns}
    floats = [name for name, kind in types.items() if pa.types.is_floating(kind)]
    content = io.BytesIO()
    parquet.write_table(
        pa.Table.from_pandas(
            table, schema=pa.schema(list(types.items())), preserve_index=False
        ).replace_schema_metadata(None),
        content,
        row_group_size=max(1, len(table)),
        compression="zstd",
        compression_level=9,
        use_dictionary=[name for name in types if name not in floats],
        use_byte_stream_split=floats,
        store_schema=False,
    )
    return content.getvalue()


def from_parquet(content: bytes) -> pd.DataFrame:
    """Return the table of a Parquet file."""
    from pyarrow import parquet

    table: pd.DataFrame = parquet.read_table(io.BytesIO(content)).to_pandas()
    return table


def _type(kind: object) -> object:
    """Return the Arrow type of a pandas column."""
    import pyarrow as pa

    if pd.api.types.is_integer_dtype(kind):
        return pa.int64()
    if pd.api.types.is_float_dtype(kind):
        return pa.float32() if kind == "float32" else pa.float64()
    return pa.string()
